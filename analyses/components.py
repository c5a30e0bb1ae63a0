"""Parts of the method, the paper's Table 2: none is shown to gain over the grounding token.

    python analyses/components.py              draw from the stored numbers (seconds)
    python analyses/components.py --measure    measure them again (two CPU cores, four minutes)

The published rate of 8 suits the scale of a 7B model, so prompts are learned at a rate relative to
the norm of visual tokens (`Relative` with its default, not tuned here). Layers, kind of map and
span rule are those of `BEST`, chosen on shapes-val; scores are reported on shapes-test. On fresh
clips, with the layers and maps of `PAPER`, both gain a little on some organisms (docs/findings.md).
"""

from dataclasses import replace

from common import Claim, Numbers, create_figure, draw_dots, finish_figure
from matplotlib.figure import Figure
from measurement import Measurement, MeasurementConfig
from tables import Comparison, describe_learning, draw_differences, score_configs

from probe.grounding.config import GrounderConfig
from probe.grounding.presets import BEST
from probe.grounding.reattention import Learning
from probe.interpret.token_rules import AllOf, MostActive

# Without prompts and assembling, so that each row of the table adds one part to an earlier row.
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
# Pairs that differ in one part; the last pair is the sum of all learned parts.
COMPARED = [
    ("grounding token", "mean of role tokens"),
    ("+ spatial prompt", "grounding token"),
    ("+ temporal prompt", "grounding token"),
    ("+ both", "grounding token"),
    ("+ assembling", "+ both"),
    ("+ assembling", "grounding token"),
]


def measure(measurement: Measurement) -> Numbers:
    """Measure the table, and paired intervals of what each part adds to each score."""
    protocol = measurement.dataset.protocol
    records = measurement.measure_cases(
        lambda model, case: score_configs(model, case, COMPONENTS, protocol)
    )
    comparison = Comparison.from_records(records, protocol)
    return {
        **measurement.provenance(records),
        "protocol": protocol,
        "learning": describe_learning(LEARNING),
        "table": comparison.table(),
        "differences": [comparison.difference(over, under) for over, under in COMPARED],
    }


def draw(numbers: Numbers) -> Figure:
    """Draw m_vIoU of each row with its interval; to the right of it the paired differences."""
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
