"""One step of re-attention moves the answer much, whatever is shown, and the look a little.

    python analyses/reattention_changes.py              draw from the stored numbers (seconds)
    python analyses/reattention_changes.py --measure    measure again (two CPU cores, two minutes)

Before and after a latent prompt learned for the question: the yes margin; whether the token's map
peaks on the true track; and the share of its attention to the video that falls inside the true
boxes. As a control, questions about what another clip shows: the prompt pushes those to yes too.
"""

from typing import Any

import torch
from common import BLUE, GREY, ORANGE, dots, numbers_of, origin, run, small, summary
from matplotlib.figure import Figure

from probe.answers import described
from probe.attention import Heatmap
from probe.grounding_tokens import grounding_token
from probe.knockouts import Effect, compare
from probe.metrics import paired_difference
from probe.model import ORGANISM, VideoLM, load
from probe.organism.benchmark import SHAPES_TEST, Case
from probe.prompts import GENERIC, Kind
from probe.reattention import Learning

NUMBERS = numbers_of(__file__)
CLIPS = 80

LEARNING = Learning()
KINDS: tuple[Kind, ...] = ("role", "word")


def measure(clips: int = CLIPS, checkpoint: str = ORGANISM) -> dict[str, Any]:
    """Margins of true and control questions, peaks and mass by kind of token, before and after."""
    model = load(checkpoint)
    cases = list(SHAPES_TEST.cases(clips))
    asked = [_effect(model, case, case.question) for case in cases]
    others = [*cases[1:], cases[0]]
    control = [
        _effect(model, case, other.question) for case, other in zip(cases, others, strict=True)
    ]
    return {
        **origin(model, SHAPES_TEST, clips),
        "learning": described(LEARNING),
        "margins": {
            "there": _pair([e.before.margin for e in asked], [e.after.margin for e in asked]),
            "another clip's": _pair(
                [e.before.margin for e in control], [e.after.margin for e in control]
            ),
        },
        "looks": {kind: _looks(asked, cases, kind) for kind in KINDS},
    }


def _effect(model: VideoLM, case: Case, question: str) -> Effect:
    view = model.watch(case.clip.video())
    return compare(view, LEARNING.prompted(view, question, GENERIC), question)[0]


def _looks(effects: list[Effect], cases: list[Case], kind: Kind) -> dict[str, Any]:
    """Of the token chosen before: peak on the track, mass inside it, and how far the map moved."""
    points, mass = ([], []), ([], [])
    moved = []
    for effect, case in zip(effects, cases, strict=True):
        token = grounding_token(effect.before, among=(kind,))
        moved.append(effect.heat_moved(token))
        for which, reading in enumerate((effect.before, effect.after)):
            heatmap = reading.heatmap(token)
            points[which].append(float(heatmap.points_at(case.tracks[0])))
            mass[which].append(_mass_inside(heatmap, case))
    return {"on_track": _pair(*points), "mass": _pair(*mass), "heat_moved": summary(moved)}


def _mass_inside(heatmap: Heatmap, case: Case) -> float:
    share = torch.from_numpy(heatmap.cells.coverage(case.tracks[0])).to(heatmap.values)
    return float((heatmap.values * share).sum() / heatmap.values.sum())


def _pair(before: list[float], after: list[float]) -> dict[str, Any]:
    return {
        "before": summary(before),
        "after": summary(after),
        "difference": paired_difference(after, before),
    }


def draw(numbers: dict[str, Any]) -> Figure:
    """Margins, peaks and mass: grey before, blue (margins) or orange (looks) after."""
    figure = Figure(figsize=(8.6, 2.2), layout="constrained", dpi=150)
    first, second, third = figure.subplots(1, 3)
    _before_and_after(first, numbers["margins"], BLUE)
    first.axvline(0, color=GREY, lw=1)
    first.set_xlabel("yes margin (logits), by what is asked about")
    for axes, name, label in (
        (second, "on_track", "peak on the true track, by kind of token"),
        (third, "mass", "share of attention inside the true boxes"),
    ):
        _before_and_after(axes, {kind: one[name] for kind, one in numbers["looks"].items()}, ORANGE)
        axes.set_xlabel(label)
        axes.set_xlim(left=0)
    first.legend(fontsize=6, frameon=False)
    small(figure, numbers)
    return figure


def _before_and_after(axes: Any, pairs: dict[str, Any], colour: str) -> None:
    for when, hue, lower in (("before", GREY, -0.1), ("after", colour, 0.1)):
        shown = {name: pair[when] for name, pair in pairs.items()}
        dots(axes, shown, hue, label=when, lower=lower)


if __name__ == "__main__":
    run(__file__, measure, draw)
