"""No rate or number of steps gains over learning nothing; the published rate loses (Table 7).

    python analyses/rate_and_steps.py              draw from the stored numbers (seconds)
    python analyses/rate_and_steps.py --measure    measure them again (two CPU cores, six minutes)

The paper's rates (4, 8, 16) suit the scale of a 7B model; here a rate is the longest vector of a
step over the mean norm of visual tokens (`Relative`). The published absolute rate and other losses
are measured as well. Both branches learn; all else is as in `BEST`. On shapes-val, since the result
is a choice.
"""

from dataclasses import replace

from common import Claim, Numbers, create_figure, finish_figure
from matplotlib.figure import Figure
from measurement import Measurement, MeasurementConfig
from tables import Comparison, draw_differences, score_configs

from probe.grounding.config import GrounderConfig
from probe.grounding.losses import contrast, entropy
from probe.grounding.presets import BEST
from probe.grounding.reattention import Absolute, Learning, Relative

NOTHING_LEARNED = "nothing learned"
LEARNINGS = {
    **{
        f"{steps} step{'s' * (steps > 1)} of {share:g}": Learning(steps=steps, rate=Relative(share))
        for steps in (1, 2)
        for share in (0.1, 0.2, 0.4, 0.8)
    },
    # The paper's own choice, and the losses it compares.
    "1 step, rate 8": Learning(rate=Absolute(8.0)),
    "1 step of 0.2, contrast": Learning(loss=contrast),
    "1 step of 0.2, entropy": Learning(loss=entropy),
}


def measure(measurement: Measurement) -> Numbers:
    """Measure the scores of each choice, and its paired difference to learning nothing."""
    plain = replace(BEST, learn_where=None, learn_when=None)
    configs: dict[str, GrounderConfig] = {NOTHING_LEARNED: plain}
    for name, learning in LEARNINGS.items():
        configs[name] = replace(plain, learn_where=learning, learn_when=learning)
    protocol = measurement.dataset.protocol
    records = measurement.measure_cases(
        lambda model, case: score_configs(model, case, configs, protocol)
    )
    comparison = Comparison.from_records(records, protocol)
    return {
        **measurement.provenance(records),
        "protocol": protocol,
        "table": comparison.table(),
        "differences": [comparison.difference(name, NOTHING_LEARNED) for name in LEARNINGS],
    }


def draw(numbers: Numbers) -> Figure:
    """Draw what each choice adds to m_vIoU, paired, with intervals."""
    figure = create_figure(5.6, 3.4)
    axes = figure.subplots()
    draw_differences(axes, {one["over"]: one["viou"] for one in numbers["differences"]})
    base = numbers["table"][NOTHING_LEARNED]["m_viou"]
    axes.set(
        xlabel=f"difference in m_vIoU to learning nothing ({base:.3f}), paired",
        ylabel="steps, each a share of the tokens' norm",
    )
    return finish_figure(figure, numbers)


CLAIM = Claim(__file__, draw, measure, MeasurementConfig(data="shapes-val", clips=30))

if __name__ == "__main__":
    CLAIM.run()
