"""At which layer a latent prompt should enter: what one step at each layer changes.

    python analyses/layers.py              draw from the stored numbers (seconds)
    python analyses/layers.py --measure    measure them again (two CPU cores, four minutes)

The paper adds its vectors where visual tokens enter the language model (layer 0 here). For each
layer: how the yes margin moves on questions whose answer is yes, how the peak attention inside the
true tube moves (the most active role token's map, all layers averaged), and what grounding gains.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from common import Claim, Numbers, create_figure, finish_figure, summary
from matplotlib.figure import Figure
from measurement import Case, Measurement, MeasurementConfig, Records
from tables import Comparison, draw_differences, score_configs

from probe.engine.model import VideoLM
from probe.engine.view import Reading
from probe.grounding.config import BEST
from probe.grounding.reattention import Learning
from probe.interpret.grounding_tokens import grounding_token

PLAIN = replace(BEST, learn_where=None, learn_when=None)
NONE = "nothing learned"


def measure(measurement: Measurement) -> Numbers:
    """Margins, peaks inside the truth, and scores, layer by layer."""
    learnings = {
        f"layer {layer}": Learning(layer=layer) for layer in range(measurement.model.depth)
    }
    protocol = measurement.dataset.protocol
    records = measurement.each(lambda model, case: _by_layer(model, case, learnings, protocol))
    comparison = Comparison.of(records.of("scores"), protocol)
    return {
        **measurement.provenance(records),
        "protocol": protocol,
        "table": comparison.table(),
        "differences": [comparison.difference(name, NONE) for name in learnings],
        "moved": {name: _summaries(records.of("moved").of(name)) for name in learnings},
    }


def _by_layer(
    model: VideoLM, case: Case, learnings: Mapping[str, Learning], protocol: str
) -> dict[str, Any]:
    """A case's scores, and how far each prompt moves margin and peak."""
    prompted = {
        name: replace(PLAIN, learn_where=learning, learn_when=learning)
        for name, learning in learnings.items()
    }
    return {
        "scores": score_configs(model, case, {NONE: PLAIN, **prompted}, protocol),
        "moved": {name: _moved(model, case, learning) for name, learning in learnings.items()},
    }


def _moved(model: VideoLM, case: Case, learning: Learning) -> dict[str, float]:
    """How one step moves the margin, and the peak of attention inside the true tube."""
    view = model.watch(case.video)
    (prompted,) = learning.prompted(view, [case.question], BEST.generic)
    (before,), (after,) = view.read(case.question), prompted.read(case.question)
    token = grounding_token(before)
    return {
        "margin": after.margin - before.margin,
        "peak_inside": _peak_inside(after, token, case) - _peak_inside(before, token, case),
    }


def _peak_inside(reading: Reading, token: int, case: Case) -> float:
    return float(reading.heatmap(token).peak_within(case.truth).max())


def _summaries(moved: Records[dict[str, float]]) -> Numbers:
    margins = moved.of("margin").values
    return {
        "margin": summary(margins),
        "margin_rises": float(np.mean(np.array(margins) > 0)),
        "peak_inside": summary(moved.of("peak_inside").values),
    }


def draw(numbers: Numbers) -> Figure:
    """The margin, the peak inside the truth, and m_vIoU, layer by layer."""
    figure = create_figure(8.4, 2.4)
    left, middle, right = figure.subplots(1, 3, sharey=True)
    for axes, quantity, title in (
        (left, "margin", "yes margin, logits"),
        (middle, "peak_inside", "peak attention inside the truth"),
    ):
        moved = {name: one[quantity] for name, one in numbers["moved"].items()}
        draw_differences(axes, {n: (one["mean"], *one["interval"]) for n, one in moved.items()})
        axes.set(xlabel=f"change of {title}")
    draw_differences(right, {one["over"]: one["viou"] for one in numbers["differences"]})
    right.set(xlabel="change of m_vIoU")
    left.set(ylabel="where the prompt enters")
    return finish_figure(figure, numbers)


CLAIM = Claim(__file__, draw, measure, MeasurementConfig(clips=60))

if __name__ == "__main__":
    CLAIM.run()
