"""Our objects drawn on axes that are given: frames with heat and boxes, tokens, frame scores."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Rectangle
from torch import Tensor

from probe.drawing.overlays import Glow, blend
from probe.engine.attention import Heatmap
from probe.engine.view import Reading
from probe.interpret.grounding_tokens import visual_activation
from probe.video import Box, Span, Tube, Video

CHOSEN, QUIET = "#0072B2", "#c8c8c8"
"""Blue from the colour-blind safe palette of Okabe and Ito, and grey."""

HIGHLIGHT = "#E69F00"

KIND_COLOURS = {"role": CHOSEN, "word": QUIET, "stop": QUIET, "template": QUIET}
WIDEST = 10
"""Most frames drawn side by side."""


def draw_frames(
    axes: Sequence[Axes],
    video: Video,
    heatmap: Heatmap | None = None,
    tube: Tube | None = None,
    candidates: Sequence[Tube] = (),
) -> None:
    """Sampled frames side by side, with the map over them, candidates thin and the tube thick."""
    glow = None if heatmap is None else Glow.of(heatmap, video)
    for ax, place in zip(axes, shown_frames(video, len(axes)), strict=False):
        picture, index = video.frames[place], video.indices[place]
        if glow is not None:
            picture = blend(picture, glow.at(float(video.times[place])), glow.cells.region)
        ax.imshow(picture, interpolation="nearest")
        for track in candidates:
            if index in track.span:
                _draw_box(ax, track.interpolated([index]).boxes[0], "white", 0.7)
        if tube is not None and index in tube.span:
            _draw_box(ax, tube.interpolated([index]).boxes[0], CHOSEN, 2.2)
        ax.set_title(f"{video.times[place]:.1f} s", fontsize=8, pad=2)
        ax.set(xticks=[], yticks=[])
        for spine in ax.spines.values():
            spine.set_visible(False)


def shown_frames(video: Video, most: int = WIDEST) -> list[int]:
    """Which sampled frames to draw where not all fit: evenly spaced, the first and the last."""
    count = min(len(video), most)
    return [int(place) for place in np.linspace(0, len(video) - 1, count).round()]


def draw_tokens(ax: Axes, reading: Reading, chosen: Sequence[int] = ()) -> None:
    """The visual activation of each token: role tokens blue, those that were read orange."""
    activation = visual_activation(reading).numpy()
    colours = [KIND_COLOURS[one.kind] for one in reading.prompt.tokens]
    bars = ax.bar(range(len(activation)), activation, color=colours, width=0.8)
    for token in chosen:
        bars[token].set(color=HIGHLIGHT)
    if len(chosen) == 1:
        (token,) = chosen
        ax.annotate(
            "grounding token",
            (token, activation[token]),
            xytext=(token, 1.06 * activation.max()),
            arrowprops={"arrowstyle": "-", "color": HIGHLIGHT, "lw": 0.8},
            ha="right" if token > len(activation) / 2 else "left",
            fontsize=7,
        )
    ax.margins(y=0.15)
    ax.set_xticks(range(len(activation)), reading.tokens, rotation=60, ha="right", fontsize=7)
    ax.set_ylabel("visual activation", fontsize=8)
    ax.tick_params(axis="y", labelsize=7)
    _open_frame(ax)


def draw_frame_scores(
    ax: Axes,
    video: Video,
    heatmap: Heatmap,
    scores: Float[Tensor, " frame"],
    span: Span,
) -> None:
    """The score of each map frame as a step over time, with the chosen span shaded."""
    edges = [video.time_at(frame) for frame in heatmap.cells.stretches(video.source_length)]
    start, stop = video.time_at(span.start), video.time_at(span.stop)
    ax.axvspan(start, stop, color=CHOSEN, alpha=0.15, lw=0)
    ax.stairs(scores.numpy(), edges, color=CHOSEN, lw=1.5)
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(bottom=0)
    ax.set_xlabel("seconds", fontsize=8)
    ax.set_ylabel("frame score", fontsize=8)
    ax.set_title(f"span {start:.2f} to {stop:.2f} s", fontsize=8, loc="left")
    ax.tick_params(labelsize=7)
    _open_frame(ax)


def token_figure(video: Video, reading: Reading, token: int) -> Figure:
    """All tokens' visual activation, and where the grounding and strongest ones look."""
    activation = visual_activation(reading)
    strongest = [int(index) for index in activation.topk(min(3, len(activation))).indices]
    drawn = list(dict.fromkeys([token, *strongest]))
    places = shown_frames(video)
    figure = Figure(
        figsize=(max(7.0, 1.25 * len(places)), 2.2 + 1.5 * len(drawn)), layout="constrained"
    )
    figure.suptitle(reading.prompt.question, fontsize=11)
    heights = [1.7, *([1.0] * len(drawn))]
    bars, *parts = rows_of(figure, heights)
    draw_tokens(bars.subplots(), reading, [token])
    for part, index in zip(parts, drawn, strict=True):
        name = f"{reading.tokens[index]!r}" + (" (grounding token)" if index == token else "")
        part.suptitle(name, fontsize=8, x=0.01, ha="left")
        axes = list(part.subplots(1, len(places), squeeze=False)[0])
        draw_frames(axes, video, reading.heatmap(index))
    return figure


def compare_maps(video: Video, maps: Mapping[str, Heatmap], tube: Tube | None = None) -> Figure:
    """Maps of one video, one below the other by name, each on its own scale; the tube in all."""
    places = shown_frames(video)
    figure = Figure(figsize=(max(7.0, 1.25 * len(places)), 1.5 * len(maps)), layout="constrained")
    for part, (name, heatmap) in zip(rows_of(figure, [1.0] * len(maps)), maps.items(), strict=True):
        part.suptitle(name, fontsize=8, x=0.01, ha="left")
        axes = list(part.subplots(1, len(places), squeeze=False)[0])
        draw_frames(axes, video, heatmap, tube)
    return figure


def rows_of(figure: Figure, heights: Sequence[float]) -> list[SubFigure]:
    """Parts of a figure, one below the other, of these relative heights."""
    parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)
    return [row[0] for row in np.asarray(parts)]


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure to a temporary name and rename it."""
    partial = path.with_name(f".partial-{path.name}")
    figure.savefig(partial, dpi=150)
    partial.replace(path)


def _draw_box(ax: Axes, box: Box | Float[np.ndarray, " 4"], colour: str, width: float) -> None:
    x1, y1, x2, y2 = box
    for edge, thickness in (("black", width + 1.2), (colour, width)):
        ax.add_patch(
            Rectangle((x1 - 0.5, y1 - 0.5), x2 - x1, y2 - y1, fill=False, ec=edge, lw=thickness)
        )


def _open_frame(ax: Axes) -> None:
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
