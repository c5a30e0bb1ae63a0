"""How far and how often to step when a latent prompt is learned: the paper's Table 7.

    python analyses/rate_and_steps.py              draw from the stored numbers (seconds)
    python analyses/rate_and_steps.py --measure    measure them again (two CPU cores, six minutes)

The paper's rates (4, 8, 16) belong to a 7B model's scale; here a rate is the longest vector of a
step over the visual tokens' mean norm (`Relative`). The published absolute rate and the entropy
loss stand beside them. Both branches learn; all else is `BEST`'s. On shapes-val: this is a choice.
"""

from dataclasses import replace

from common import Claim, Numbers, create_figure, finish_figure
from matplotlib.figure import Figure
from measurement import Measurement, MeasurementConfig
from tables import Comparison, draw_differences, score_configs

from probe.grounding.config import BEST, GrounderConfig
from probe.grounding.losses import contrast, entropy
from probe.grounding.reattention import Absolute, Learning, Relative

NONE = "nothing learned"
LEARNINGS = {
    **{
        f"{steps} step{'s' * (steps > 1)} of {share:g}": Learning(steps=steps, rate=Relative(share))
        for steps in (1, 2)
        for share in (0.1, 0.2, 0.4, 0.8)
    },
    "1 step, rate 8": Learning(rate=Absolute(8.0)),
    "1 step of 0.2, contrast": Learning(loss=contrast),
    "1 step of 0.2, entropy": Learning(loss=entropy),
}


def measure(measurement: Measurement) -> Numbers:
    """Scores for each choice, and the paired difference to learning nothing."""
    plain = replace(BEST, learn_where=None, learn_when=None)
    configs: dict[str, GrounderConfig] = {NONE: plain}
    for name, learning in LEARNINGS.items():
        configs[name] = replace(plain, learn_where=learning, learn_when=learning)
    protocol = measurement.dataset.protocol
    records = measurement.each(lambda model, case: score_configs(model, case, configs, protocol))
    comparison = Comparison.of(records, protocol)
    return {
        **measurement.provenance(records),
        "protocol": protocol,
        "table": comparison.table(),
        "differences": [comparison.difference(name, NONE) for name in LEARNINGS],
    }


def draw(numbers: Numbers) -> Figure:
    """What each choice adds to m_vIoU, paired, with intervals."""
    figure = create_figure(5.6, 3.4)
    axes = figure.subplots()
    draw_differences(axes, {one["over"]: one["viou"] for one in numbers["differences"]})
    base = numbers["table"][NONE]["m_viou"]
    axes.set(
        xlabel=f"difference in m_vIoU to learning nothing ({base:.3f}), paired",
        ylabel="steps of a share of the tokens' norm",
    )
    return finish_figure(figure, numbers)


CLAIM = Claim(__file__, draw, measure, MeasurementConfig(data="shapes-val", clips=30))

if __name__ == "__main__":
    CLAIM.run()
