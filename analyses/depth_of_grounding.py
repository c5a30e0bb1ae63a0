"""The answer depends on what the question takes from the video in layers 0, 2 and 3, most in 2.

    python analyses/depth_of_grounding.py              draw from the stored numbers (seconds)
    python analyses/depth_of_grounding.py --measure    measure again (two CPU cores, one minute)

All attention from the question to the video is cut in a window of layers: one layer alone, all
layers from one on, or all layers up to one. The drop of the yes margin, on questions whose answer
is yes, measures what the answer took from the video in these layers.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from common import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    Claim,
    Numbers,
    create_figure,
    draw_line,
    finish_figure,
    summary,
)
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from measurement import Case, Measurement, MeasurementConfig

from probe.engine.model import VideoLM
from probe.interpret.knockouts import Cut, knock_out

WINDOWS = {
    "this layer alone": BLUE,
    "this layer and all above": ORANGE,
    "this and all below": GREEN,
}


def measure(measurement: Measurement) -> Numbers:
    """Measure the drop of the margin and the share of answers lost, by window and layer."""
    windows = _layer_windows(measurement.model.depth)
    records = measurement.measure_cases(lambda model, case: _measure_effects(model, case, windows))
    return {
        **measurement.provenance(records),
        "margin_uncut": summary(records.entries("margin").values),
        **{
            quantity: {
                name: [
                    summary(layer)
                    for layer in zip(*records.entries(quantity).entries(name), strict=True)
                ]
                for name in windows
            }
            for quantity in ("drop", "turned")
        },
    }


def _layer_windows(depth: int) -> dict[str, list[tuple[int, ...]]]:
    layers = range(depth)
    windows = (
        [(layer,) for layer in layers],
        [tuple(range(layer, depth)) for layer in layers],
        [tuple(range(layer + 1)) for layer in layers],
    )
    return dict(zip(WINDOWS, windows, strict=True))


def _measure_effects(
    model: VideoLM, case: Case, windows: Mapping[str, Sequence[tuple[int, ...]]]
) -> dict[str, Any]:
    """Measure the margin of one clip, and by window and layer its drop and if yes became no."""
    view = model.watch(case.video)
    # All cuts go into one call, which packs them after the video that is read once.
    cuts = [Cut(layers=layers) for some in windows.values() for layers in some]
    effects = knock_out(view, case.question, cuts, layers=[0])
    # The effects come in the order of the cuts: window by window, and layer by layer within each.
    drops = np.array([-effect.margin_change for effect in effects]).reshape(len(windows), -1)
    before = effects[0].before.margin
    # A margin that was below 0 before is no answer that the cut could turn.
    turned = (before > 0) & (before - drops <= 0)
    return {
        "margin": before,
        "drop": dict(zip(windows, drops.tolist(), strict=True)),
        "turned": dict(zip(windows, turned.astype(float).tolist(), strict=True)),
    }


def draw(numbers: Numbers) -> Figure:
    """Draw the drop of the margin, and the share of answers that turned from yes to no."""
    figure = create_figure(7.2, 2.8)
    left, right = figure.subplots(1, 2)
    layers = range(len(numbers["drop"]["this layer alone"]))
    for name, colour in WINDOWS.items():
        draw_line(left, layers, numbers["drop"][name], color=colour, label=name)
        draw_line(right, layers, numbers["turned"][name], color=colour, label=name)
    left.axhline(0, color=GREY, lw=1)
    left.set(xlabel="layer", ylabel="drop of the yes margin (logits)")
    right.set(xlabel="layer", ylabel="share of answers turned to no", ylim=(0, 1))
    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.legend(fontsize=6, frameon=False)
    return finish_figure(figure, numbers)


CLAIM = Claim(__file__, draw, measure, MeasurementConfig(clips=120))

if __name__ == "__main__":
    CLAIM.run()
