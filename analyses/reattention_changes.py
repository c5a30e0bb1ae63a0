"""One step of re-attention changes the margin much, whatever is shown, and attention hardly.

    python analyses/reattention_changes.py              draw from the stored numbers (seconds)
    python analyses/reattention_changes.py --measure    measure again (two CPU cores, two minutes)

Before and after a latent prompt is learned for the question: the yes margin; how often the map of
the token peaks on the true track; and the share of its attention to the video that falls inside the
true boxes. The margin is what the step optimises, so its rise alone is no finding. The control asks
about what another clip shows: the prompt pushes the answer to yes there too.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from common import (
    BLUE,
    GREY,
    ORANGE,
    Claim,
    Numbers,
    create_figure,
    draw_dots,
    draw_legend_below,
    draw_level,
    finish_figure,
    summary,
)
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from measurement import Case, Measurement, MeasurementConfig
from tables import describe_learning

from probe.engine.attention import Heatmap
from probe.engine.model import VideoLM
from probe.engine.prompts import Kind
from probe.engine.readings import Reading
from probe.grounding.reattention import Learning
from probe.interpret.grounding_tokens import grounding_token
from probe.interpret.knockouts import compare
from probe.metrics import paired_difference

LEARNING = Learning()
TOKEN_KINDS: tuple[Kind, ...] = ("role", "word")
QUESTION_LABELS = {"there": "what is there", "elsewhere": "what another\nclip shows"}
"""Labels of the questions: about this clip, or about another one."""


def measure(measurement: Measurement) -> Numbers:
    """Measure margins of true and control questions, and peaks and mass by kind of token."""
    control = measurement.control_questions()
    records = measurement.measure_cases(
        lambda model, case: _measure_changes(model, case, control[case.name])
    )
    return {
        **measurement.provenance(records),
        "learning": describe_learning(LEARNING),
        "margins": {
            about: _summarise_pair(records.entries(about).values) for about in QUESTION_LABELS
        },
        "looks": {
            kind: {
                "on_track": _summarise_pair(records.entries(kind).entries("on_track").values),
                "mass": _summarise_pair(records.entries(kind).entries("mass").values),
                "heat_moved": summary(records.entries(kind).entries("heat_moved").values),
            }
            for kind in TOKEN_KINDS
        },
    }


def _measure_changes(model: VideoLM, case: Case, control: str) -> dict[str, Any]:
    """Measure one clip before and after."""
    view = model.watch(case.video)
    questions = case.question, control
    asked, other = (
        compare(view, prompted, question)[0]
        for prompted, question in zip(LEARNING.prompted(view, questions), questions, strict=True)
    )
    looks = {}
    for kind in TOKEN_KINDS:
        # The token is chosen before the step and kept, so that only its attention can change.
        token = grounding_token(asked.before, among=(kind,))
        looks[kind] = {
            "heat_moved": asked.heat_moved(token),
            **_measure_looks(asked.before, asked.after, token, case),
        }
    return {
        "there": (asked.before.margin, asked.after.margin),
        "elsewhere": (other.before.margin, other.after.margin),
        **looks,
    }


def _measure_looks(before: Reading, after: Reading, token: int, case: Case) -> dict[str, Any]:
    """Measure if the token's map peaks on the track, and its mass inside it, before and after."""
    maps = [reading.heatmap(token) for reading in (before, after)]
    return {
        "on_track": tuple(float(one.points_at(case.track)) for one in maps),
        "mass": tuple(_mass_inside(one, case) for one in maps),
    }


def _mass_inside(heatmap: Heatmap, case: Case) -> float:
    share = torch.from_numpy(heatmap.cells.coverage(case.track)).to(heatmap.values)
    return float((heatmap.values * share).sum() / heatmap.values.sum())


def _summarise_pair(values: Sequence[tuple[float, float]]) -> Numbers:
    before, after = np.array(values, dtype=float).T
    return {
        "before": summary(before),
        "after": summary(after),
        "difference": paired_difference(after, before),
    }


def draw(numbers: Numbers) -> Figure:
    """Draw margins, peaks and mass: before in grey, after in blue or orange."""
    figure = create_figure(8.6, 2.5)
    first, second, third = figure.subplots(1, 3)
    margins = {label: numbers["margins"][about] for about, label in QUESTION_LABELS.items()}
    _draw_before_and_after(first, margins, BLUE)
    draw_level(first)
    first.set(xlabel="yes margin (logits), by what is asked about")
    for axes, name, label in (
        (second, "on_track", "peak on the true track, by kind of token"),
        (third, "mass", "share of attention inside the true boxes"),
    ):
        _draw_before_and_after(
            axes, {kind: one[name] for kind, one in numbers["looks"].items()}, ORANGE
        )
        axes.set(xlabel=label, xlim=(0, None))
    return finish_figure(figure, numbers)


def _draw_before_and_after(axes: Axes, pairs: Mapping[str, Any], colour: str) -> None:
    for when, hue, lower in (("before", GREY, -0.1), ("after", colour, 0.1)):
        shown = {name: pair[when] for name, pair in pairs.items()}
        draw_dots(axes, shown, hue, label=when, lower=lower)
    draw_legend_below(axes)


CLAIM = Claim(__file__, draw, measure, MeasurementConfig(clips=80))

if __name__ == "__main__":
    CLAIM.run()
