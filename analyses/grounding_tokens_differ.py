"""The token that grounds best differs from sample to sample; in a third it is the most active.

    python analyses/grounding_tokens_differ.py             draw from the stored numbers (seconds)
    python analyses/grounding_tokens_differ.py --measure   measure again (two CPU cores, one minute)

For each clip, the attention ratio of every token (strongest attention inside the true boxes over
strongest outside); the token with the highest is *superior*, and a token's hit ratio is how often
it is. The label-free choice (highest visual activation) is the superior one in a share of samples.
The fairest rival of that choice is a fixed token, chosen on other clips (docs/findings.md).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from common import (
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
from matplotlib.figure import Figure
from measurement import Case, Measurement, MeasurementConfig

from probe.engine.model import VideoLM
from probe.engine.prompts import Kind
from probe.interpret.grounding_tokens import grounding_token
from probe.interpret.heads import attention_ratio

TOKEN_KINDS: dict[str, tuple[Kind, ...]] = {"role": ("role",), "word": ("word",)}


def measure(measurement: Measurement) -> Numbers:
    """Measure hit ratios of role tokens and of words, each among its own kind."""
    records = measurement.measure_cases(_find_superior)
    return {
        **measurement.provenance(records),
        "kinds": {kind: _summarise_hits(records.entries(kind).values) for kind in TOKEN_KINDS},
    }


def _find_superior(model: VideoLM, case: Case) -> dict[str, dict[str, Any]]:
    """Find the superior token of each kind, and whether it is the one chosen without labels."""
    (reading,) = model.watch(case.video).read(case.question)
    ratios = attention_ratio(reading.mean_attention(), case.on_track(reading.grid))
    parts = case.parts(reading)
    found = {}
    for kind, among in TOKEN_KINDS.items():
        tokens = reading.prompt.indices(*among)
        superior = max(tokens, key=lambda token: float(ratios[token]))
        found[kind] = {
            "names": [parts[token] for token in tokens],
            "superior": parts[superior],
            "chosen": superior == grounding_token(reading, among=among),
            "count": len(tokens),
            "points": float(ratios[superior]) > 1,
        }
    return found


def _summarise_hits(samples: Sequence[dict[str, Any]]) -> Numbers:
    # A set would lose the order of the tokens, in which the figure shows them.
    names = dict.fromkeys(name for sample in samples for name in sample["names"])
    return {
        "hit_ratio": {
            name: summary([sample["superior"] == name for sample in samples]) for name in names
        },
        "most_active_is_superior": summary([sample["chosen"] for sample in samples]),
        "chance": float(np.mean([1 / sample["count"] for sample in samples])),
        "superior_points_inside": summary([sample["points"] for sample in samples]),
    }


def draw(numbers: Numbers) -> Figure:
    """Draw hit ratios by token, one panel a kind; lines for chance and the label-free choice."""
    figure = create_figure(7.2, 3.1)
    for axes, (kind, found) in zip(figure.subplots(1, 2), numbers["kinds"].items(), strict=True):
        draw_dots(axes, found["hit_ratio"])
        rule = found["most_active_is_superior"]["mean"]
        axes.axvline(rule, color=ORANGE, lw=1.5, label="most active token is superior")
        draw_level(axes, found["chance"], "chance")
        axes.set(xlim=(0, 1), xlabel="hit ratio: share of clips on which it is superior")
        axes.set_title(f"{kind} tokens", loc="left")
        draw_legend_below(axes)
    return finish_figure(figure, numbers)


CLAIM = Claim(__file__, draw, measure, MeasurementConfig(clips=120))

if __name__ == "__main__":
    CLAIM.run()
