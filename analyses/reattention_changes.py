"""One step of re-attention moves the answer much, whatever is shown, and the look hardly.

    python analyses/reattention_changes.py              draw from the stored numbers (seconds)
    python analyses/reattention_changes.py --measure    measure again (two CPU cores, two minutes)

Before and after a latent prompt learned for the question: the yes margin; whether the token's map
peaks on the true track; and the share of its attention to the video that falls inside the true
boxes. As a control, questions about what another clip shows: the prompt pushes those to yes too.
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

from probe.engine.attention import Heatmap
from probe.engine.model import VideoLM
from probe.engine.prompts import Kind
from probe.engine.readings import Reading
from probe.grounding.answers import described
from probe.grounding.reattention import Learning
from probe.interpret.grounding_tokens import grounding_token
from probe.interpret.knockouts import compare
from probe.metrics import paired_difference

LEARNING = Learning()
KINDS: tuple[Kind, ...] = ("role", "word")
ASKED = {"there": "what is there", "elsewhere": "what another\nclip shows"}
"""What the questions are about."""


def measure(measurement: Measurement) -> Numbers:
    """Margins of true and control questions, peaks and mass by kind of token, before and after."""
    control = measurement.control_questions()
    records = measurement.each(lambda model, case: _changes(model, case, control[case.name]))
    return {
        **measurement.provenance(records),
        "learning": described(LEARNING),
        "margins": {about: _pair(records.of(about).values) for about in ASKED},
        "looks": {
            kind: {
                "on_track": _pair(records.of(kind).of("on_track").values),
                "mass": _pair(records.of(kind).of("mass").values),
                "heat_moved": summary(records.of(kind).of("heat_moved").values),
            }
            for kind in KINDS
        },
    }


def _changes(model: VideoLM, case: Case, control: str) -> dict[str, Any]:
    """Of one clip, all that is compared before and after."""
    view = model.watch(case.video)
    questions = case.question, control
    asked, other = (
        compare(view, prompted, question)[0]
        for prompted, question in zip(LEARNING.prompted(view, questions), questions, strict=True)
    )
    looks = {}
    for kind in KINDS:
        token = grounding_token(asked.before, among=(kind,))
        looks[kind] = {
            "heat_moved": asked.heat_moved(token),
            **_looks(asked.before, asked.after, token, case),
        }
    return {
        "there": (asked.before.margin, asked.after.margin),
        "elsewhere": (other.before.margin, other.after.margin),
        **looks,
    }


def _looks(before: Reading, after: Reading, token: int, case: Case) -> dict[str, Any]:
    """Of the token chosen before: peak on the track, and mass inside it."""
    maps = [reading.heatmap(token) for reading in (before, after)]
    return {
        "on_track": tuple(float(one.points_at(case.track)) for one in maps),
        "mass": tuple(_mass_inside(one, case) for one in maps),
    }


def _mass_inside(heatmap: Heatmap, case: Case) -> float:
    share = torch.from_numpy(heatmap.cells.coverage(case.track)).to(heatmap.values)
    return float((heatmap.values * share).sum() / heatmap.values.sum())


def _pair(values: Sequence[tuple[float, float]]) -> Numbers:
    before, after = np.array(values, dtype=float).T
    return {
        "before": summary(before),
        "after": summary(after),
        "difference": paired_difference(after, before),
    }


def draw(numbers: Numbers) -> Figure:
    """Margins, peaks and mass: grey before, blue (margins) or orange (looks) after."""
    figure = create_figure(8.6, 2.5)
    first, second, third = figure.subplots(1, 3)
    margins = {label: numbers["margins"][about] for about, label in ASKED.items()}
    _before_and_after(first, margins, BLUE)
    draw_level(first)
    first.set(xlabel="yes margin (logits), by what is asked about")
    for axes, name, label in (
        (second, "on_track", "peak on the true track, by kind of token"),
        (third, "mass", "share of attention inside the true boxes"),
    ):
        _before_and_after(axes, {kind: one[name] for kind, one in numbers["looks"].items()}, ORANGE)
        axes.set(xlabel=label, xlim=(0, None))
    return finish_figure(figure, numbers)


def _before_and_after(axes: Axes, pairs: Mapping[str, Any], colour: str) -> None:
    for when, hue, lower in (("before", GREY, -0.1), ("after", colour, 0.1)):
        shown = {name: pair[when] for name, pair in pairs.items()}
        draw_dots(axes, shown, hue, label=when, lower=lower)
    draw_legend_below(axes)


CLAIM = Claim(__file__, draw, measure, MeasurementConfig(clips=80))

if __name__ == "__main__":
    CLAIM.run()
