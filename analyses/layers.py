"""One step of re-attention raises the margin, its own objective, at any layer; scores do not gain.

    python analyses/layers.py              draw from the stored numbers (seconds)
    python analyses/layers.py --measure    measure them again (two CPU cores, four minutes)

The paper adds its vectors where visual tokens enter the language model (layer 0 here). For each
layer: the change of the yes margin on questions whose answer is yes, the change of the peak
attention inside the true tube (map of the most active role token, all layers averaged), and the
change of the grounding scores.
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
from probe.grounding.presets import BEST
from probe.grounding.reattention import Learning
from probe.interpret.grounding_tokens import grounding_token

UNPROMPTED = replace(BEST, learn_where=None, learn_when=None)
NOTHING_LEARNED = "nothing learned"


def measure(measurement: Measurement) -> Numbers:
    """Measure changes of margin, peak inside the true tube and scores, layer by layer."""
    learnings = {
        f"layer {layer}": Learning(layer=layer) for layer in range(measurement.model.depth)
    }
    protocol = measurement.dataset.protocol
    records = measurement.measure_cases(
        lambda model, case: _measure_layers(model, case, learnings, protocol)
    )
    comparison = Comparison.from_records(records.entries("scores"), protocol)
    return {
        **measurement.provenance(records),
        "protocol": protocol,
        "table": comparison.table(),
        "differences": [comparison.difference(name, NOTHING_LEARNED) for name in learnings],
        "moved": {
            name: _summarise_changes(records.entries("moved").entries(name)) for name in learnings
        },
    }


def _measure_layers(
    model: VideoLM, case: Case, learnings: Mapping[str, Learning], protocol: str
) -> dict[str, Any]:
    """Measure on one clip the scores, and the changes of margin and peak by each prompt."""
    prompted = {
        name: replace(UNPROMPTED, learn_where=learning, learn_when=learning)
        for name, learning in learnings.items()
    }
    return {
        "scores": score_configs(model, case, {NOTHING_LEARNED: UNPROMPTED, **prompted}, protocol),
        "moved": {
            name: _measure_change(model, case, learning) for name, learning in learnings.items()
        },
    }


def _measure_change(model: VideoLM, case: Case, learning: Learning) -> dict[str, float]:
    """Measure the change of margin and peak by one step of re-attention."""
    view = model.watch(case.video)
    (prompted,) = learning.prompted(view, [case.question], BEST.generic)
    (before,), (after,) = view.read(case.question), prompted.read(case.question)
    # One token for both readings: else the change could be that of another token.
    token = grounding_token(before)
    return {
        "margin": after.margin - before.margin,
        "peak_inside": _peak_inside(after, token, case) - _peak_inside(before, token, case),
    }


def _peak_inside(reading: Reading, token: int, case: Case) -> float:
    return float(reading.heatmap(token).peak_within(case.truth).max())


def _summarise_changes(moved: Records[dict[str, float]]) -> Numbers:
    margins = moved.entries("margin").values
    return {
        "margin": summary(margins),
        "margin_rises": float(np.mean(np.array(margins) > 0)),
        "peak_inside": summary(moved.entries("peak_inside").values),
    }


def draw(numbers: Numbers) -> Figure:
    """Draw the changes of margin, peak inside the truth and m_vIoU, layer by layer."""
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
    left.set(ylabel="where the prompt is added")
    return finish_figure(figure, numbers)


CLAIM = Claim(__file__, draw, measure, MeasurementConfig(clips=60))

if __name__ == "__main__":
    CLAIM.run()
