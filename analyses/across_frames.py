"""The answer passes between frames in layers 0 and 1, then by the look of words or role tokens.

    python analyses/across_frames.py              draw from the stored numbers (seconds)
    python analyses/across_frames.py --measure    measure again (one CPU core, ten minutes)

Edges of attention are cut in a window of layers, a quarter of the depth wide: from cell to cell of
one frame, from cell to cell of other frames, from the question's words to the video, from the role
tokens to the video, from both, and from the role tokens to the words. The drop of the yes margin,
on questions whose answer is yes, measures what the answer took on this way in these layers, and on
no other way as well: where either of two ways is enough, only the cut of both costs. This is the
figure of Kim et al., "Map the Flow" (arXiv 2510.13251), on any model. On the shapes, actions that
show in a single frame are told apart from motions, which only several frames show.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from common import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    Claim,
    Numbers,
    create_figure,
    draw_line,
    finish_figure,
    summary,
)
from matplotlib.figure import Figure
from measurement import Case, Measurement, MeasurementConfig

from probe.engine.interventions import Intervention
from probe.engine.model import VideoLM
from probe.interpret.cuts import Cut, CutVideo
from probe.interpret.knockouts import knock_out
from probe.organism.world import MOTIONS, STATES

WAYS = {
    "cells to cells of their frame": BLUE,
    "cells to cells of other frames": ORANGE,
    "words to the video": GREEN,
    "role tokens to the video": PURPLE,
    "words and role tokens to the video": SKY,
    "role tokens to the words": GREY,
}
"""Edges that are cut, and their colours."""

KINDS = {"seen in one frame": STATES, "seen across frames": MOTIONS}
ALL_KINDS = "all queries"


def measure(measurement: Measurement) -> Numbers:
    """Measure the drop of the margin by way, window of layers and kind of query."""
    windows = list_windows(measurement.model.depth)
    records = measurement.measure_cases(lambda model, case: _measure_drops(model, case, windows))
    kinds = records.entries("kind").values
    drops = records.entries("drop").values
    return {
        **measurement.provenance(records),
        "windows": [list(window) for window in windows],
        "margin_uncut": summary(records.entries("margin").values),
        "clips": {kind: _count(kinds, kind) for kind in (ALL_KINDS, *KINDS) if _count(kinds, kind)},
        "drop": {
            kind: {
                way: [
                    summary(
                        [
                            drop[way][place]
                            for drop, of in zip(drops, kinds, strict=True)
                            if kind in (ALL_KINDS, of)
                        ]
                    )
                    for place in range(len(windows) + 1)
                ]
                for way in WAYS
            }
            for kind in (ALL_KINDS, *KINDS)
            if _count(kinds, kind)
        },
    }


def _count(kinds: Any, kind: str) -> int:
    return len(kinds) if kind == ALL_KINDS else list(kinds).count(kind)


def list_windows(depth: int) -> list[range]:
    """Return a window of layers around each layer, a quarter of the depth wide, at least one."""
    width = max(1, depth // 4)
    starts = (layer - (width - 1) // 2 for layer in range(depth))
    return [range(max(0, start), min(depth, start + width)) for start in starts]


def _measure_drops(model: VideoLM, case: Case, windows: list[range]) -> dict[str, Any]:
    """Measure the drops of one clip in each window of layers, and last in all layers."""
    view = model.watch(case.video)
    (reading,) = view.read(case.question)
    prompt = reading.prompt
    cuts = [
        cut
        for window in (*windows, range(view.checkpoint.depth))
        for cut in _make_cuts(prompt.indices("word"), prompt.indices("role"), window).values()
    ]
    effects = knock_out(view, case.question, cuts)
    drops = -np.array([effect.margin_change for effect in effects]).reshape(-1, len(WAYS))
    return {
        "kind": _find_kind(case.queries.action),
        "margin": reading.margin,
        "drop": dict(zip(WAYS, drops.T.tolist(), strict=True)),
    }


def _make_cuts(words: Any, roles: Any, layers: range) -> Mapping[str, Intervention]:
    """Make the cut of each way in some layers."""
    cuts = (
        CutVideo("within", layers=layers),
        CutVideo("across", layers=layers),
        Cut(tokens=words, layers=layers),
        Cut(tokens=roles, layers=layers),
        Cut(tokens=(*words, *roles), layers=layers),
        Cut(tokens=roles, sources=words, layers=layers),
    )
    return dict(zip(WAYS, cuts, strict=True))


def _find_kind(action: str | None) -> str:
    """Find the kind of a query by its action; empty where the world's actions are not known."""
    said = action or ""
    return next((kind for kind, names in KINDS.items() if any(n in said for n in names)), "")


def draw(numbers: Numbers) -> Figure:
    """Draw the drops by window of layers, one panel a kind of query; all layers to the right."""
    kinds = list(numbers["drop"])
    figure = create_figure(3.2 * len(kinds) + 0.6, 3.2)
    depth = len(numbers["windows"])
    for axes, kind in zip(
        figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0], kinds, strict=True
    ):
        for way, colour in WAYS.items():
            *by_layer, whole = numbers["drop"][kind][way]
            draw_line(axes, range(depth), by_layer, color=colour, label=way)
            # Apart from the line: it is no layer.
            draw_line(axes, [depth + 0.5], [whole], color=colour)
        axes.axhline(0, color=GREY, lw=0.5)
        ticks = range(0, depth, 1 + depth // 8)
        axes.set_xticks([*ticks, depth + 0.5], [*map(str, ticks), "all"])
        axes.set(xlabel="layer in the middle of the window")
        axes.set_title(f"{kind}, {numbers['clips'][kind]} clips", loc="left")
    figure.axes[0].set_ylabel("drop of the yes margin (logits)")
    figure.legend(
        *figure.axes[0].get_legend_handles_labels(),
        fontsize=7,
        frameon=False,
        ncols=3,
        loc="outside upper center",
    )
    return finish_figure(figure, numbers)


CLAIM = Claim(__file__, draw, measure, MeasurementConfig(data="shapes-report-2", clips=200))

if __name__ == "__main__":
    CLAIM.run()
