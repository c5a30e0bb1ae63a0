"""Draw frames with heat and boxes, tokens and frame scores, on axes that are given."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from torch import Tensor

from probe.drawing.headings import Heading
from probe.drawing.overlays import HeatScale
from probe.engine.attention import Heatmap
from probe.engine.readings import Reading
from probe.files import write_atomically
from probe.interpret.grounding_tokens import rank_tokens, visual_activation
from probe.pictures.crops import dim_outside
from probe.pictures.fonts import note_missing_once
from probe.pictures.heat import blend
from probe.pictures.rows import (
    BOX_WIDTH,
    OTHER_BOX_WIDTH,
    Outline,
    Tile,
    compute_row_height,
    draw_row,
)
from probe.pictures.style import (
    ALSO_COLOUR,
    CHOSEN_COLOUR,
    TEXT_SIZE,
    TITLE_SIZE,
    hide_upper_spines,
)
from probe.pictures.tokens import draw_token_bars
from probe.video import Span, Tube, Video
from probe.video.previews import choose_evenly, write_times

MOST_FRAMES = 10
"""Most frames that are drawn in one row."""

MOST_NUMBERED = 12
"""Candidates above which their boxes have no numbers: they would hide the picture."""

FRAME_WIDTH, LEAST_WIDTH = 1.25, 7.0
"""Inches of a frame, and of a figure of few frames."""

HIGHEST_ROW = 2.4
"""Inches; frames that would be higher are drawn smaller than their part of the row."""

BARS_HEIGHT, SCORES_HEIGHT = 2.2, 1.5
"""Inches of a part with the bars of tokens, and of one with the scores of frames."""

FIGURE_DPI = 150
"""Pixels an inch of saved figures: sharp on a screen of twice the usual density."""


def draw_frames(  # noqa: PLR0913  what may be drawn on the frames
    ax: Axes,
    video: Video,
    heatmap: Heatmap | None = None,
    tube: Tube | None = None,
    candidates: Sequence[Tube] = (),
    *,
    others: Sequence[Tube] = (),
    truth: Tube | None = None,
    title: str = "",
) -> None:
    """Draw sampled frames in a row, with the map over them.

    What the processor cuts off before the model sees it is dark. If not all frames fit, they are
    evenly spaced and include the first and the last.

    Args:
        ax: The axes to draw on.
        video: The video whose frames are drawn.
        heatmap: The map; None for the frames alone.
        tube: The answer, drawn with a thick line.
        candidates: Other tracks, drawn with thin white lines.
        others: What is meant besides the answer, drawn with a thick purple line.
        truth: The true boxes, drawn with white dashes in the true time.
        title: Text above the row.
    """
    heat = None if heatmap is None else HeatScale.of(heatmap, video)
    times, tiles = write_times(video.times), []
    for place in choose_evenly(len(video), MOST_FRAMES):
        picture, index = video.frames[place], video.indices[place]
        if heat is not None:
            region = heat.cells.region
            picture = dim_outside(picture, region)
            picture = blend(picture, heat.at(float(video.times[place])), region)
        outlines: list[Outline] = [
            (track.interpolated([index]).boxes[0], "white", OTHER_BOX_WIDTH)
            for track in candidates
            if index in track.span
        ]
        outlines += [
            (other.interpolated([index]).boxes[0], ALSO_COLOUR, BOX_WIDTH)
            for other in others
            if index in other.span
        ]
        if tube is not None and index in tube.span:
            outlines.append((tube.interpolated([index]).boxes[0], CHOSEN_COLOUR, BOX_WIDTH))
        real: tuple[Outline, ...] = ()
        if truth is not None and index in truth.span:
            real = ((truth.interpolated([index]).boxes[0], "white", BOX_WIDTH),)
        # Numbered once, on the first picture: on all of them the numbers would hide small things.
        marks = () if tiles else number_boxes(candidates, index)
        tiles.append(Tile(picture, times[place], tuple(outlines), dashed=real, marks=marks))
    draw_row(ax, tiles, title)


def number_boxes(candidates: Sequence[Tube], frame: int) -> tuple[tuple[float, float, str], ...]:
    """Number the boxes of candidates in a frame, from 1, at their upper left corners."""
    if not 1 < len(candidates) <= MOST_NUMBERED:
        return ()
    boxes = ((n, track.interpolated([frame]).boxes[0]) for n, track in enumerate(candidates, 1))
    return tuple((float(box[0]), float(box[1]), str(number)) for number, box in boxes)


def draw_activation(
    ax: Axes | None,
    table: pd.DataFrame,
    chosen: Sequence[int] = (),
    *,
    title: str = "",
    note: str = "",
) -> Axes:
    """Draw the visual activation of each token as a bar.

    Args:
        ax: The axes to draw on; None for a new figure.
        table: What `rank_tokens` gave.
        chosen: The tokens whose maps were read, as places in the question.
        title: Text above the bars, cut if it is long.
        note: Text after the title, which is never cut.
    """
    ordered = table.sort_values("index")
    activation = ordered["activation"].to_numpy()
    texts, kinds = list(ordered["token"]), list(ordered["kind"])
    return draw_token_bars(ax, texts, kinds, activation, chosen=chosen, title=title, note=note)


def draw_frame_scores(
    ax: Axes,
    video: Video,
    heatmap: Heatmap,
    scores: Float[Tensor, " frame"],
    span: Span,
    *,
    truth: Span | None = None,
) -> None:
    """Draw the score of each map frame as a step over time, with the chosen span shaded.

    Args:
        ax: The axes to draw on.
        video: The video, which gives frames their times.
        heatmap: The map that was scored; its frames say which stretch of time each score covers.
        scores: One score for each frame of the map.
        span: The chosen span, in source frames.
        truth: The true span, drawn as a frame of dashes.
    """
    edges = [video.time_at(frame) for frame in heatmap.cells.stretches(video.source_length)]
    start, stop = video.time_at(span.start), video.time_at(span.stop)
    ax.axvspan(start, stop, color=CHOSEN_COLOUR, alpha=0.15, lw=0)
    ax.stairs(scores.numpy(), edges, color=CHOSEN_COLOUR, lw=1.5)
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(bottom=0)
    title = f"when: {start:.2f} to {stop:.2f} s"
    if truth is not None:
        start, stop = video.time_at(truth.start), video.time_at(truth.stop)
        ax.axvspan(start, stop, fill=False, ec="black", ls="--", lw=1.2, clip_on=False)
        title += f"; the truth is {start:.2f} to {stop:.2f} s"
    ax.set_xlabel("seconds", fontsize=TEXT_SIZE)
    ax.set_ylabel("frame score", fontsize=TEXT_SIZE)
    ax.set_title(title, fontsize=TITLE_SIZE, loc="left")
    ax.tick_params(labelsize=TEXT_SIZE)
    hide_upper_spines(ax)


@note_missing_once()
def draw_token_figure(video: Video, reading: Reading, token: int) -> Figure:
    """Draw all tokens' visual activation, and the maps of the grounding and strongest tokens."""
    activation = visual_activation(reading)
    strongest = [int(index) for index in activation.topk(min(3, len(activation))).indices]
    drawn = list(dict.fromkeys([token, *strongest]))  # each once, in this order
    width, height = compute_frames_size(video)
    heading = Heading.of(reading.prompt.question, (), width)
    heights = [heading.height, BARS_HEIGHT, *([height] * len(drawn))]
    figure = Figure((width, sum(heights)), layout="constrained")
    above, bars, *rows = stack_rows(figure, heights)
    heading.write(above)
    draw_activation(bars.subplots(), rank_tokens(reading), [token])
    for row, index in zip(rows, drawn, strict=True):
        name = f"{reading.tokens[index]!r}" + (" (grounding token)" if index == token else "")
        draw_frames(row.subplots(), video, reading.heatmap(index), title=name)
    return figure


@note_missing_once()
def compare_maps(video: Video, maps: Mapping[str, Heatmap], tube: Tube | None = None) -> Figure:
    """Draw maps of one video, one below the other.

    Args:
        video: The video that all maps were read from.
        maps: The maps by name; each is drawn on its own scale.
        tube: A tube to outline in all of them.
    """
    width, height = compute_frames_size(video)
    figure = Figure((width, height * len(maps)), layout="constrained")
    rows = stack_rows(figure, [1.0] * len(maps))
    for row, (name, heatmap) in zip(rows, maps.items(), strict=True):
        draw_frames(row.subplots(), video, heatmap, tube, title=name)
    return figure


def compute_frames_size(video: Video) -> tuple[float, float]:
    """Compute the width and height in inches of a row of a video's frames with its titles."""
    count = min(len(video), MOST_FRAMES)
    width = max(LEAST_WIDTH, FRAME_WIDTH * count)
    height, across = video.size
    return width, min(compute_row_height(count, across / height, width), HIGHEST_ROW)


def stack_rows(figure: Figure, heights: Sequence[float]) -> list[SubFigure]:
    """Divide a figure into parts of these relative heights, one below the other."""
    parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)
    return [row[0] for row in np.asarray(parts)]


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as an image file, in the format that the path's suffix says."""
    with write_atomically(path) as temporary:
        figure.savefig(temporary, dpi=FIGURE_DPI)
