"""Draw frames with heat and boxes, tokens and frame scores, on axes that are given."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Rectangle
from torch import Tensor

from probe.drawing.overlays import HeatScale, blend
from probe.engine.attention import Heatmap
from probe.engine.readings import Reading
from probe.files import write_atomically
from probe.interpret.grounding_tokens import rank_tokens, visual_activation
from probe.video import Box, Span, Tube, Video

CHOSEN_COLOUR, QUIET_COLOUR = "#0072B2", "#c8c8c8"
"""Blue from the colour-blind safe palette of Okabe and Ito, and grey."""

HIGHLIGHT_COLOUR = "#E69F00"
"""Orange of the same palette: the grounding token."""

KIND_COLOURS = {
    "role": CHOSEN_COLOUR,
    "word": QUIET_COLOUR,
    "stop": QUIET_COLOUR,
    "template": QUIET_COLOUR,
}
"""Colours of the kinds of token: the role tokens are told from all others."""

MOST_FRAMES = 10
"""Most frames that are drawn in one row."""

FIGURE_DPI = 150
"""Pixels an inch of saved figures: sharp on a screen of twice the usual density."""


def draw_frames(
    axes: Sequence[Axes],
    video: Video,
    heatmap: Heatmap | None = None,
    tube: Tube | None = None,
    candidates: Sequence[Tube] = (),
) -> None:
    """Draw sampled frames in a row, with the map over them.

    Args:
        axes: One for each frame, as many as `choose_frames` gives.
        video: The video whose frames are drawn.
        heatmap: The map; None for the frames alone.
        tube: The answer, drawn with a thick line.
        candidates: Other tracks, drawn with thin white lines.
    """
    heat = None if heatmap is None else HeatScale.of(heatmap, video)
    for ax, place in zip(axes, choose_frames(video, len(axes)), strict=False):
        picture, index = video.frames[place], video.indices[place]
        if heat is not None:
            picture = blend(picture, heat.at(float(video.times[place])), heat.cells.region)
        ax.imshow(picture, interpolation="nearest")
        for track in candidates:
            if index in track.span:
                _draw_box(ax, track.interpolated([index]).boxes[0], "white", 0.7)
        if tube is not None and index in tube.span:
            _draw_box(ax, tube.interpolated([index]).boxes[0], CHOSEN_COLOUR, 2.2)
        ax.set_title(f"{video.times[place]:.1f} s", fontsize=8, pad=2)
        ax.set(xticks=[], yticks=[])
        for spine in ax.spines.values():
            spine.set_visible(False)


def choose_frames(video: Video, most: int = MOST_FRAMES) -> list[int]:
    """Choose the sampled frames to draw, as places among them.

    If not all fit, they are evenly spaced and include the first and the last.
    """
    count = min(len(video), most)
    return [int(place) for place in np.linspace(0, len(video) - 1, count).round()]


def draw_tokens(ax: Axes, reading: Reading, chosen: Sequence[int] = ()) -> None:
    """Draw the visual activation of each token of a reading as a bar."""
    draw_activation(ax, rank_tokens(reading), chosen)


def draw_activation(ax: Axes, table: pd.DataFrame, chosen: Sequence[int] = ()) -> None:
    """Draw the visual activation of each token as a bar.

    Role tokens are blue; the chosen ones, whose maps were read, are orange.

    Args:
        ax: The axes to draw on.
        table: What `rank_tokens` gave.
        chosen: The tokens whose maps were read, as places in the question.
    """
    ordered = table.sort_values("index")
    activation = ordered["activation"].to_numpy()
    colours = [KIND_COLOURS[kind] for kind in ordered["kind"]]
    bars = ax.bar(range(len(activation)), activation, color=colours, width=0.8)
    for token in chosen:
        bars[token].set(color=HIGHLIGHT_COLOUR)
    if len(chosen) == 1:
        (token,) = chosen
        ax.annotate(
            "grounding token",
            (token, activation[token]),
            xytext=(token, 1.06 * activation.max()),
            arrowprops={"arrowstyle": "-", "color": HIGHLIGHT_COLOUR, "lw": 0.8},
            ha="right" if token > len(activation) / 2 else "left",
            fontsize=7,
        )
    ax.margins(y=0.15)
    texts = list(ordered["token"])
    ax.set_xticks(range(len(activation)), texts, rotation=60, ha="right", fontsize=7)
    ax.set_ylabel("visual activation", fontsize=8)
    ax.tick_params(axis="y", labelsize=7)
    _hide_upper_spines(ax)


def draw_frame_scores(
    ax: Axes,
    video: Video,
    heatmap: Heatmap,
    scores: Float[Tensor, " frame"],
    span: Span,
) -> None:
    """Draw the score of each map frame as a step over time, with the chosen span shaded.

    Args:
        ax: The axes to draw on.
        video: The video, which gives frames their times.
        heatmap: The map that was scored; its frames say which stretch of time each score covers.
        scores: One score for each frame of the map.
        span: The chosen span, in source frames.
    """
    edges = [video.time_at(frame) for frame in heatmap.cells.stretches(video.source_length)]
    start, stop = video.time_at(span.start), video.time_at(span.stop)
    ax.axvspan(start, stop, color=CHOSEN_COLOUR, alpha=0.15, lw=0)
    ax.stairs(scores.numpy(), edges, color=CHOSEN_COLOUR, lw=1.5)
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(bottom=0)
    ax.set_xlabel("seconds", fontsize=8)
    ax.set_ylabel("frame score", fontsize=8)
    ax.set_title(f"span {start:.2f} to {stop:.2f} s", fontsize=8, loc="left")
    ax.tick_params(labelsize=7)
    _hide_upper_spines(ax)


def draw_token_figure(video: Video, reading: Reading, token: int) -> Figure:
    """Draw all tokens' visual activation, and the maps of the grounding and strongest tokens."""
    activation = visual_activation(reading)
    strongest = [int(index) for index in activation.topk(min(3, len(activation))).indices]
    drawn = list(dict.fromkeys([token, *strongest]))  # each once, in this order
    places = choose_frames(video)
    figure = Figure(
        figsize=(max(7.0, 1.25 * len(places)), 2.2 + 1.5 * len(drawn)), layout="constrained"
    )
    figure.suptitle(reading.prompt.question, fontsize=11)
    heights = [1.7, *([1.0] * len(drawn))]
    bars, *parts = stack_rows(figure, heights)
    draw_tokens(bars.subplots(), reading, [token])
    for part, index in zip(parts, drawn, strict=True):
        name = f"{reading.tokens[index]!r}" + (" (grounding token)" if index == token else "")
        part.suptitle(name, fontsize=8, x=0.01, ha="left")
        axes = list(part.subplots(1, len(places), squeeze=False)[0])
        draw_frames(axes, video, reading.heatmap(index))
    return figure


def compare_maps(video: Video, maps: Mapping[str, Heatmap], tube: Tube | None = None) -> Figure:
    """Draw maps of one video, one below the other.

    Args:
        video: The video that all maps were read from.
        maps: The maps by name; each is drawn on its own scale.
        tube: A tube to outline in all of them.
    """
    places = choose_frames(video)
    figure = Figure(figsize=(max(7.0, 1.25 * len(places)), 1.5 * len(maps)), layout="constrained")
    parts = stack_rows(figure, [1.0] * len(maps))
    for part, (name, heatmap) in zip(parts, maps.items(), strict=True):
        part.suptitle(name, fontsize=8, x=0.01, ha="left")
        axes = list(part.subplots(1, len(places), squeeze=False)[0])
        draw_frames(axes, video, heatmap, tube)
    return figure


def stack_rows(figure: Figure, heights: Sequence[float]) -> list[SubFigure]:
    """Divide a figure into parts of these relative heights, one below the other."""
    parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)
    return [row[0] for row in np.asarray(parts)]


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as an image file, in the format that the path's suffix says."""
    with write_atomically(path) as temporary:
        figure.savefig(temporary, dpi=FIGURE_DPI)


def _draw_box(ax: Axes, box: Box | Float[np.ndarray, " 4"], colour: str, width: float) -> None:
    x1, y1, x2, y2 = box
    # A wider black line below shows the box on bright pictures too. imshow puts the centre of the
    # first pixel, not its corner, at 0: hence the half pixel.
    for edge, thickness in (("black", width + 1.2), (colour, width)):
        ax.add_patch(
            Rectangle((x1 - 0.5, y1 - 0.5), x2 - x1, y2 - y1, fill=False, ec=edge, lw=thickness)
        )


def _hide_upper_spines(ax: Axes) -> None:
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
