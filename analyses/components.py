"""What each part of the method adds: the paper's Table 2, on the organism.

    python analyses/components.py              draw from the stored numbers (seconds)
    python analyses/components.py --measure    measure them again (two CPU cores, four minutes)

The published rate of 8 belongs to a 7B model's scale, so prompts are learned at a rate relative to
the visual tokens' norm (`Relative`, its default: not tuned here). Layers, kind of token and span
rule are those of `BEST`, chosen on shapes-val; everything is reported on shapes-test.
"""

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from probe.answers import described
from probe.grounder import BEST, GrounderConfig, ground
from probe.grounding_tokens import AllOf
from probe.metrics import Scores, bootstrap_interval, paired_difference, score
from probe.model import load
from probe.organism.benchmark import SHAPES_TEST, Case
from probe.organism.scores import provenance
from probe.reattention import Learning

HERE = Path(__file__).parent
NUMBERS = HERE / "numbers" / "components.json"
FIGURE = HERE / "figures" / "components.png"

PROTOCOL = "hcstvg-official"
CLIPS = 150

BASE = replace(BEST, learn_where=None, learn_when=None, assembly=None)
LEARNING = Learning()
COMPONENTS: dict[str, GrounderConfig] = {
    "mean of role tokens": replace(BASE, token=AllOf()),
    "grounding token": BASE,
    "+ spatial prompt": replace(BASE, learn_where=LEARNING),
    "+ temporal prompt": replace(BASE, learn_when=LEARNING),
    "+ both": replace(BASE, learn_where=LEARNING, learn_when=LEARNING),
    "+ assembling": replace(BASE, learn_where=LEARNING, learn_when=LEARNING, assembly="mean"),
}
COMPARED = [
    ("grounding token", "mean of role tokens"),
    ("+ spatial prompt", "grounding token"),
    ("+ temporal prompt", "grounding token"),
    ("+ both", "grounding token"),
    ("+ assembling", "+ both"),
]


def measure(clips: int = CLIPS) -> dict[str, Any]:
    """The table, with paired intervals of what each part adds to m_vIoU and m_gt_vIoU."""
    model = load()
    cases = list(SHAPES_TEST.cases(clips))
    answers = {name: {} for name in COMPONENTS}
    for case in cases:
        video = case.clip.video()
        for name, config in COMPONENTS.items():
            answers[name][case.name] = ground(model, video, case.query, config=config)
    scores = {name: _scored(found, cases) for name, found in answers.items()}
    return {
        **provenance(SHAPES_TEST, clips),
        "protocol": PROTOCOL,
        "learning": described(LEARNING),
        "table": {name: _row(one) for name, one in scores.items()},
        "differences": [_difference(scores, over, under) for over, under in COMPARED],
    }


def _scored(found: dict[str, Any], cases: list[Case]) -> Scores:
    return score(
        {name: answer.tube for name, answer in found.items()},
        {case.name: case.truth for case in cases},
        PROTOCOL,
        tracks={name: answer.whole_track for name, answer in found.items()},
    )


def _values(scores: Scores, figure: str) -> list[float]:
    return [getattr(query, figure) for query in scores.per_query.values()]


def _row(scores: Scores) -> dict[str, Any]:
    interval = bootstrap_interval(_values(scores, "viou"))
    return {**asdict(scores.mean), "m_viou_interval": interval}


def _difference(scores: dict[str, Scores], over: str, under: str) -> dict[str, Any]:
    differences = {
        figure: paired_difference(_values(scores[over], figure), _values(scores[under], figure))
        for figure in ("viou", "tiou", "gt_viou")
    }
    return {"over": over, "under": under, **differences}


def draw(numbers: dict[str, Any]) -> Figure:
    """m_vIoU of each row of the table with its interval; the paired differences beside it."""
    figure = Figure(figsize=(8.4, 2.8), layout="constrained", dpi=150)
    left, right = figure.subplots(1, 2)
    table = numbers["table"]
    means = np.array([row["m_viou"] for row in table.values()])
    low, high = np.array([row["m_viou_interval"] for row in table.values()]).T
    left.errorbar(means, list(table), xerr=[means - low, high - means], fmt="o", color="#0072B2")
    left.set(xlabel="m_vIoU", ylim=(len(table) - 0.5, -0.5))
    labels = [f"{one['over']}\nover {one['under']}" for one in numbers["differences"]]
    gain, low, high = np.array([one["viou"] for one in numbers["differences"]]).T
    right.errorbar(gain, labels, xerr=[gain - low, high - gain], fmt="o", color="#D55E00")
    right.axvline(0, color="#9a9a9a", lw=1)
    right.set(xlabel="difference in m_vIoU, paired", ylim=(len(labels) - 0.5, -0.5))
    for axes in (left, right):
        axes.tick_params(labelsize=7)
    figure.suptitle(f"{numbers['benchmark']}, {numbers['cases']} clips", fontsize=9)
    return figure


if __name__ == "__main__":
    if "--measure" in sys.argv[1:]:
        NUMBERS.write_text(json.dumps(measure(), indent=1) + "\n")
    FIGURE.parent.mkdir(exist_ok=True)
    draw(json.loads(NUMBERS.read_text())).savefig(FIGURE)
