"""Which token grounds best differs from sample to sample; the most active is seldom the one.

    python analyses/grounding_tokens_differ.py             draw from the stored numbers (seconds)
    python analyses/grounding_tokens_differ.py --measure   measure again (two CPU cores, one minute)

For each clip, the attention ratio of every token (strongest attention inside the true boxes over
strongest outside); the token with the highest is *superior*, and a token's hit ratio is how often
it is. Beside it, how often the label-free choice (highest visual activation) is the superior one.
"""

from typing import Any

import numpy as np
import torch
from common import BLUE, GREY, ORANGE, dots, numbers_of, origin, run, small, summary
from matplotlib.figure import Figure

from probe.attention import ON_TUBE
from probe.grounding_tokens import grounding_token
from probe.heads import attention_ratio
from probe.model import ORGANISM, VideoLM, load
from probe.organism.benchmark import SHAPES_TEST, Case
from probe.organism.scores import part_played
from probe.prompts import Kind

NUMBERS = numbers_of(__file__)
CLIPS = 120

AMONG: dict[str, tuple[Kind, ...]] = {"role": ("role",), "word": ("word",)}


def measure(clips: int = CLIPS, checkpoint: str = ORGANISM) -> dict[str, Any]:
    """Hit ratios of role tokens and of words, each among its own kind."""
    model = load(checkpoint)
    samples = [_sample(model, case) for case in SHAPES_TEST.cases(clips)]
    return {
        **origin(model, SHAPES_TEST, clips),
        "kinds": {kind: _hits([sample[kind] for sample in samples]) for kind in AMONG},
    }


def _sample(model: VideoLM, case: Case) -> dict[str, dict[str, Any]]:
    """Of each kind: the tokens' names, which was superior, and which was chosen without labels."""
    (reading,) = model.watch(case.clip.video()).read(case.question)
    inside = torch.from_numpy(reading.grid.cells.coverage(case.tracks[0])) > ON_TUBE
    ratios = attention_ratio(reading.mean_attention(), inside)
    found = {}
    for kind, among in AMONG.items():
        tokens = reading.prompt.indices(*among)
        superior = max(tokens, key=lambda token: float(ratios[token]))
        chosen = grounding_token(reading, among=among)
        found[kind] = {
            "names": [part_played(reading, token, case) for token in tokens],
            "superior": part_played(reading, superior, case),
            "chosen": superior == chosen,
            "count": len(tokens),
            "points": float(ratios[superior]) > 1,
        }
    return found


def _hits(samples: list[dict[str, Any]]) -> dict[str, Any]:
    names = dict.fromkeys(name for sample in samples for name in sample["names"])
    return {
        "hit_ratio": {
            name: summary([sample["superior"] == name for sample in samples]) for name in names
        },
        "most_active_is_superior": summary([sample["chosen"] for sample in samples]),
        "chance": float(np.mean([1 / sample["count"] for sample in samples])),
        "superior_points_inside": summary([sample["points"] for sample in samples]),
    }


def draw(numbers: dict[str, Any]) -> Figure:
    """Hit ratio by token, one panel a kind; chance as a line, the label-free choice in orange."""
    figure = Figure(figsize=(7.2, 2.8), layout="constrained", dpi=150)
    for axes, (kind, found) in zip(figure.subplots(1, 2), numbers["kinds"].items(), strict=True):
        dots(axes, found["hit_ratio"], BLUE)
        rule = found["most_active_is_superior"]["mean"]
        axes.axvline(rule, color=ORANGE, lw=1.5, label="most active token is superior")
        axes.axvline(found["chance"], color=GREY, ls="--", lw=1, label="chance")
        axes.set(xlim=(0, 1), xlabel="hit ratio: share of clips on which it is superior")
        axes.set_title(f"{kind} tokens", loc="left", fontsize=8)
        axes.legend(fontsize=6, frameon=False, loc="lower right")
    small(figure, numbers)
    return figure


if __name__ == "__main__":
    run(__file__, measure, draw)
