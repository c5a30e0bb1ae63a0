"""How far and how often to step when a latent prompt is learned: the paper's Table 7.

    python analyses/rate_and_steps.py              draw from the stored numbers (seconds)
    python analyses/rate_and_steps.py --measure    measure them again (two CPU cores, six minutes)

The paper's rates (4, 8, 16) belong to a 7B model's scale; here a rate is the longest vector of a
step over the visual tokens' mean norm (`Relative`). The published absolute rate and the entropy
loss stand beside them. Both branches learn; all else is `BEST`'s. On shapes-val: this is a choice.
"""

from dataclasses import replace
from typing import Any

from common import numbers_of, origin, run
from matplotlib.figure import Figure
from tables import PROTOCOL, difference, draw_differences, row, scores_of

from probe.grounder import BEST, GrounderConfig
from probe.model import ORGANISM, load
from probe.organism.benchmark import SHAPES_VAL
from probe.reattention import Absolute, Learning, Relative, contrast, entropy

NUMBERS = numbers_of(__file__)

CLIPS = 30
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


def measure(clips: int = CLIPS, checkpoint: str = ORGANISM) -> dict[str, Any]:
    """Scores for each choice, and the paired difference to learning nothing."""
    plain = replace(BEST, learn_where=None, learn_when=None)
    configs: dict[str, GrounderConfig] = {NONE: plain}
    for name, learning in LEARNINGS.items():
        configs[name] = replace(plain, learn_where=learning, learn_when=learning)
    model = load(checkpoint)
    scores = scores_of(model, list(SHAPES_VAL.cases(clips)), configs)
    return {
        **origin(model, SHAPES_VAL, clips),
        "protocol": PROTOCOL,
        "table": {name: row(one) for name, one in scores.items()},
        "differences": [difference(scores, name, NONE) for name in LEARNINGS],
    }


def draw(numbers: dict[str, Any]) -> Figure:
    """What each choice adds to m_vIoU, paired, with intervals."""
    figure = Figure(figsize=(5.2, 3.4), layout="constrained", dpi=150)
    axes = figure.subplots()
    labels = [one["over"] for one in numbers["differences"]]
    draw_differences(axes, labels, [one["viou"] for one in numbers["differences"]])
    base = numbers["table"][NONE]["m_viou"]
    axes.set(xlabel=f"difference in m_vIoU to learning nothing ({base:.3f}), paired")
    figure.suptitle(f"{numbers['benchmark']}, {numbers['cases']} clips", fontsize=9)
    return figure


if __name__ == "__main__":
    run(__file__, measure, draw)
