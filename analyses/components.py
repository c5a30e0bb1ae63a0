"""What each part of the method adds: the paper's Table 2, on the organism.

    python analyses/components.py              draw from the stored numbers (seconds)
    python analyses/components.py --measure    measure them again (two CPU cores, four minutes)

The published rate of 8 belongs to a 7B model's scale, so prompts are learned at a rate relative to
the visual tokens' norm (`Relative`, its default: not tuned here). Layers, kind of token and span
rule are those of `BEST`, chosen on shapes-val; everything is reported on shapes-test.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from common import numbers_of, origin, run
from matplotlib.figure import Figure
from tables import PROTOCOL, difference, draw_differences, row, scores_of

from probe.answers import described
from probe.grounder import BEST, GrounderConfig
from probe.grounding_tokens import AllOf
from probe.model import ORGANISM, load
from probe.organism.benchmark import SHAPES_TEST
from probe.reattention import Learning

NUMBERS = numbers_of(__file__)

CLIPS = 100

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


def measure(clips: int = CLIPS, checkpoint: str = ORGANISM) -> dict[str, Any]:
    """The table, with paired intervals of what each part adds to m_vIoU and m_gt_vIoU."""
    model = load(checkpoint)
    scores = scores_of(model, list(SHAPES_TEST.cases(clips)), COMPONENTS)
    return {
        **origin(model, SHAPES_TEST, clips),
        "protocol": PROTOCOL,
        "learning": described(LEARNING),
        "table": {name: row(one) for name, one in scores.items()},
        "differences": [difference(scores, over, under) for over, under in COMPARED],
    }


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
    draw_differences(right, labels, [one["viou"] for one in numbers["differences"]])
    right.set(xlabel="difference in m_vIoU, paired")
    left.tick_params(labelsize=7)
    figure.suptitle(f"{numbers['benchmark']}, {numbers['cases']} clips", fontsize=9)
    return figure


if __name__ == "__main__":
    run(__file__, measure, draw)
