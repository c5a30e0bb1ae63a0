"""Where in depth the question takes from the video what the answer rests on.

    python analyses/depth_of_grounding.py              draw from the stored numbers (seconds)
    python analyses/depth_of_grounding.py --measure    measure again (two CPU cores, one minute)

All attention from the question to the video is cut in a window of layers: one layer alone, all
layers from one on, or all layers up to one. The drop of the yes margin, on questions whose answer
is yes, says what passed there.
"""

from typing import Any

import numpy as np
from common import BLUE, GREEN, ORANGE, line, numbers_of, origin, run, small, summary
from matplotlib.figure import Figure

from probe.knockouts import Cut, knock_out
from probe.model import ORGANISM, VideoLM, load
from probe.organism.benchmark import SHAPES_TEST, Case

NUMBERS = numbers_of(__file__)
CLIPS = 120

WINDOWS = {
    "this layer alone": BLUE,
    "this layer and all above": ORANGE,
    "this and all below": GREEN,
}


def measure(clips: int = CLIPS, checkpoint: str = ORGANISM) -> dict[str, Any]:
    """The margin's drop and the share of answers lost, by window and layer."""
    model = load(checkpoint)
    windows = _windows(model.depth)
    effects = [_effects(model, case, windows) for case in SHAPES_TEST.cases(clips)]
    margins = [effect["margin"] for effect in effects]
    return {
        **origin(model, SHAPES_TEST, clips),
        "margin_uncut": summary(margins),
        "drop": {
            name: [
                summary([effect["drop"][name][layer] for effect in effects])
                for layer in range(model.depth)
            ]
            for name in windows
        },
        "turned": {
            name: [
                summary([effect["turned"][name][layer] for effect in effects])
                for layer in range(model.depth)
            ]
            for name in windows
        },
    }


def _windows(depth: int) -> dict[str, list[tuple[int, ...]]]:
    layers = range(depth)
    windows = (
        [(layer,) for layer in layers],
        [tuple(range(layer, depth)) for layer in layers],
        [tuple(range(layer + 1)) for layer in layers],
    )
    return dict(zip(WINDOWS, windows, strict=True))


def _effects(
    model: VideoLM, case: Case, windows: dict[str, list[tuple[int, ...]]]
) -> dict[str, Any]:
    """Uncut margin; by window and layer, its drop and whether yes became no."""
    view = model.watch(case.clip.video())
    cuts = [Cut(layers=layers) for some in windows.values() for layers in some]
    effects = knock_out(view, case.question, cuts, layers=[0])
    drops = np.array([-effect.margin_change for effect in effects]).reshape(len(windows), -1)
    before = effects[0].before.margin
    turned = (before > 0) & (before - drops <= 0)
    return {
        "margin": before,
        "drop": dict(zip(windows, drops.tolist(), strict=True)),
        "turned": dict(zip(windows, turned.astype(float).tolist(), strict=True)),
    }


def draw(numbers: dict[str, Any]) -> Figure:
    """Left, the drop of the margin; right, the share of answers that turned from yes to no."""
    figure = Figure(figsize=(7.2, 2.8), layout="constrained", dpi=150)
    left, right = figure.subplots(1, 2)
    layers = range(len(numbers["drop"]["this layer alone"]))
    for name, colour in WINDOWS.items():
        line(left, layers, numbers["drop"][name], color=colour, label=name)
        line(right, layers, numbers["turned"][name], color=colour, label=name)
    left.axhline(0, color="#9a9a9a", lw=1)
    left.set(xlabel="layer", ylabel="drop of the yes margin (logits)", xticks=layers)
    right.set(xlabel="layer", ylabel="answers turned to no", ylim=(0, 1), xticks=layers)
    left.legend(fontsize=6, frameon=False)
    small(figure, numbers)
    return figure


if __name__ == "__main__":
    run(__file__, measure, draw)
