"""At which layer a latent prompt should enter: what one step at each layer changes.

    python analyses/layers.py              draw from the stored numbers (seconds)
    python analyses/layers.py --measure    measure them again (two CPU cores, four minutes)

The paper adds its vectors where visual tokens enter the language model (layer 0 here). For each
layer: how the yes margin moves on questions whose answer is yes, how the peak attention inside the
true tube moves (the most active role token's map, all layers averaged), and what grounding gains.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from common import numbers_of, origin, run
from matplotlib.figure import Figure
from tables import PROTOCOL, difference, draw_differences, row, scores_of

from probe.grounder import BEST
from probe.grounding_tokens import grounding_token
from probe.metrics import bootstrap_interval
from probe.model import ORGANISM, VideoLM, load
from probe.organism.benchmark import SHAPES_TEST, Case
from probe.reattention import Learning
from probe.view import Reading

NUMBERS = numbers_of(__file__)

CLIPS = 60
NONE = "nothing learned"


def measure(clips: int = CLIPS, checkpoint: str = ORGANISM) -> dict[str, Any]:
    """Margins, peaks inside the truth, and scores, layer by layer."""
    model = load(checkpoint)
    cases = list(SHAPES_TEST.cases(clips))
    plain = replace(BEST, learn_where=None, learn_when=None)
    learnings = {f"layer {layer}": Learning(layer=layer) for layer in range(model.depth)}
    configs = {
        name: replace(plain, learn_where=learning, learn_when=learning)
        for name, learning in learnings.items()
    }
    scores = scores_of(model, cases, {NONE: plain, **configs})
    return {
        **origin(model, SHAPES_TEST, clips),
        "protocol": PROTOCOL,
        "table": {name: row(one) for name, one in scores.items()},
        "differences": [difference(scores, name, NONE) for name in learnings],
        "moved": {name: _moved(model, cases, learning) for name, learning in learnings.items()},
    }


def _moved(model: VideoLM, cases: Sequence[Case], learning: Learning) -> dict[str, Any]:
    """How one step moves margins, and the peak of attention inside the true tube."""
    margins, peaks = [], []
    for case in cases:
        view = model.watch(case.clip.video())
        prompted = learning.prompted(view, case.question, BEST.generic)
        (before,), (after,) = view.read(case.question), prompted.read(case.question)
        token = grounding_token(before)
        margins.append(after.margin - before.margin)
        peaks.append(_peak_inside(after, token, case) - _peak_inside(before, token, case))
    return {
        "margin": {"mean": float(np.mean(margins)), "interval": bootstrap_interval(margins)},
        "margin_rises": float(np.mean(np.array(margins) > 0)),
        "peak_inside": {"mean": float(np.mean(peaks)), "interval": bootstrap_interval(peaks)},
    }


def _peak_inside(reading: Reading, token: int, case: Case) -> float:
    return float(reading.heatmap(token).peak_within(case.truth).max())


def draw(numbers: dict[str, Any]) -> Figure:
    """The margin, the peak inside the truth, and m_vIoU, layer by layer."""
    figure = Figure(figsize=(8.4, 2.4), layout="constrained", dpi=150)
    left, middle, right = figure.subplots(1, 3, sharey=True)
    labels = list(numbers["moved"])
    for axes, quantity, title in (
        (left, "margin", "yes margin, logits"),
        (middle, "peak_inside", "peak attention inside the truth"),
    ):
        moved = [one[quantity] for one in numbers["moved"].values()]
        draw_differences(axes, labels, [(one["mean"], *one["interval"]) for one in moved])
        axes.set(xlabel=f"change of {title}")
    draw_differences(right, labels, [one["viou"] for one in numbers["differences"]])
    right.set(xlabel="change of m_vIoU")
    for axes in (left, middle, right):
        axes.xaxis.label.set_size(8)
    figure.suptitle(f"{numbers['benchmark']}, {numbers['cases']} clips, one step", fontsize=9)
    return figure


if __name__ == "__main__":
    run(__file__, measure, draw)
