"""What each part of the method adds: the paper's Table 2, on the organism.

    python analyses/components.py              draw from the stored numbers (seconds)
    python analyses/components.py --measure    measure them again (two CPU cores, four minutes)

The published rate of 8 belongs to a 7B model's scale, so prompts are learned at a rate relative to
the visual tokens' norm (`Relative`, its default: not tuned here). Layers, kind of map and span
rule are those of `BEST`, chosen on shapes-val; everything is reported on shapes-test.
"""

from dataclasses import replace

from common import Claim, Numbers, create_figure, draw_dots, finish_figure
from matplotlib.figure import Figure
from measurement import Measurement, MeasurementConfig
from tables import Comparison, draw_differences, score_configs

from probe.grounding.answers import described
from probe.grounding.config import BEST, GrounderConfig
from probe.grounding.reattention import Learning
from probe.interpret.token_rules import AllOf, MostActive

BASE = replace(BEST, learn_where=None, learn_when=None, assembly=None)
GTI = replace(BASE, token=MostActive())
LEARNING = Learning()
COMPONENTS: dict[str, GrounderConfig] = {
    "mean of role tokens": replace(BASE, token=AllOf()),
    "grounding token": GTI,
    "+ spatial prompt": replace(GTI, learn_where=LEARNING),
    "+ temporal prompt": replace(GTI, learn_when=LEARNING),
    "+ both": replace(GTI, learn_where=LEARNING, learn_when=LEARNING),
    "+ assembling": replace(GTI, learn_where=LEARNING, learn_when=LEARNING, assembly="mean"),
}
COMPARED = [
    ("grounding token", "mean of role tokens"),
    ("+ spatial prompt", "grounding token"),
    ("+ temporal prompt", "grounding token"),
    ("+ both", "grounding token"),
    ("+ assembling", "+ both"),
    ("+ assembling", "grounding token"),
]


def measure(measurement: Measurement) -> Numbers:
    """The table, with paired intervals of what each part adds to m_vIoU and m_gt_vIoU."""
    protocol = measurement.dataset.protocol
    records = measurement.each(lambda model, case: score_configs(model, case, COMPONENTS, protocol))
    comparison = Comparison.of(records, protocol)
    return {
        **measurement.provenance(records),
        "protocol": protocol,
        "learning": described(LEARNING),
        "table": comparison.table(),
        "differences": [comparison.difference(over, under) for over, under in COMPARED],
    }


def draw(numbers: Numbers) -> Figure:
    """m_vIoU of each row of the table with its interval; the paired differences beside it."""
    figure = create_figure(8.4, 2.8)
    left, right = figure.subplots(1, 2)
    rows = {
        name: {"mean": row["m_viou"], "interval": row["m_viou_interval"]}
        for name, row in numbers["table"].items()
    }
    draw_dots(left, rows)
    left.set(xlabel="m_vIoU", xlim=(0, None))
    differences = {
        f"{one['over']}\nover {one['under']}": one["viou"] for one in numbers["differences"]
    }
    draw_differences(right, differences)
    right.set(xlabel="difference in m_vIoU, paired")
    return finish_figure(figure, numbers)


CLAIM = Claim(__file__, draw, measure, MeasurementConfig(clips=100))

if __name__ == "__main__":
    CLAIM.run()
