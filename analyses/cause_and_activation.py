"""The cells that are looked at matter; how hard a token looks says little of how much it matters.

    python analyses/cause_and_activation.py              draw from the stored numbers (seconds)
    python analyses/cause_and_activation.py --measure    measure again (two CPU cores, two minutes)

For each question: Spearman's correlation, over its tokens, of visual activation and of the drop of
the yes margin when the token's attention to the video is cut. Then cells are cut from all tokens,
those strongest in the most active word's map first, or in random order; the area between both
curves is what the map knows of the cause.
"""

from typing import Any

import numpy as np
from common import BLUE, GREY, ORANGE, dots, line, numbers_of, origin, run, small, summary
from matplotlib.figure import Figure

from probe.causal import (
    FRACTIONS,
    causal_grounding,
    deletion_curve,
    insertion_curve,
    random_map,
    rank_agreement,
)
from probe.grounding_tokens import grounding_token
from probe.model import ORGANISM, VideoLM, load
from probe.organism.benchmark import SHAPES_TEST, Case

NUMBERS = numbers_of(__file__)
CLIPS = 80

CURVES = {"deletion": deletion_curve, "insertion": insertion_curve}
ORDERS = {"strongest first": BLUE, "random order": GREY}


def measure(clips: int = CLIPS, checkpoint: str = ORGANISM) -> dict[str, Any]:
    """Rank correlations, effects by kind of token, and both curves with their control."""
    model = load(checkpoint)
    cases = list(SHAPES_TEST.cases(clips))
    tables = [causal_grounding(model.watch(case.clip.video()), case.question) for case in cases]
    agreement = rank_agreement(tables)
    kinds = sorted({kind for table in tables for kind in table["kind"]})
    curves = [_curves(model, case, seed) for seed, case in enumerate(cases)]
    return {
        **origin(model, SHAPES_TEST, clips),
        "rank_correlation": {"mean": agreement.mean, "interval": agreement.interval},
        "per_question": np.round(agreement.per_question, 4).tolist(),
        "effect": {
            kind: summary([t.loc[t["kind"] == kind, "effect"].mean() for t in tables])
            for kind in kinds
        },
        "fractions": list(FRACTIONS),
        "curves": {
            name: {
                order: [summary(points) for points in _column(curves, name, order, "margins")]
                for order in ORDERS
            }
            for name in CURVES
        },
        "area_between": {
            name: summary(
                [
                    one[name]["strongest first"].area - one[name]["random order"].area
                    for one in curves
                ]
            )
            for name in CURVES
        },
    }


def _curves(model: VideoLM, case: Case, seed: int) -> dict[str, dict[str, Any]]:
    view = model.watch(case.clip.video())
    (reading,) = view.read(case.question)
    maps = {
        "strongest first": reading.heatmap(grounding_token(reading, among=("word",))),
        "random order": random_map(view.grid.cells, seed),
    }
    return {
        name: {order: curve(view, case.question, one) for order, one in maps.items()}
        for name, curve in CURVES.items()
    }


def _column(curves: list[Any], name: str, order: str, figure: str) -> list[tuple[float, ...]]:
    """The values of all clips at each fraction."""
    return list(zip(*(getattr(one[name][order], figure) for one in curves), strict=True))


def draw(numbers: dict[str, Any]) -> Figure:
    """Correlations of all questions; effect by kind of token; deletion and insertion."""
    figure = Figure(figsize=(9.6, 2.6), layout="constrained", dpi=150)
    first, second, *rest = figure.subplots(1, 4)
    first.hist(numbers["per_question"], bins=np.linspace(-1, 1, 21).tolist(), color=BLUE, alpha=0.5)
    low, high = numbers["rank_correlation"]["interval"]
    first.axvspan(low, high, color=ORANGE, alpha=0.3, lw=0)
    first.axvline(numbers["rank_correlation"]["mean"], color=ORANGE, lw=1.5)
    first.set(xlim=(-1, 1), xlabel="rank correlation of looking and mattering", ylabel="questions")
    dots(second, numbers["effect"])
    second.axvline(0, color=GREY, lw=1)
    second.set_xlabel("margin drop when a token is blind")
    for axes, (name, orders) in zip(rest, numbers["curves"].items(), strict=True):
        for order, colour in ORDERS.items():
            line(axes, numbers["fractions"], orders[order], color=colour, label=order)
        axes.set_xlabel(f"share of cells {'cut' if name == 'deletion' else 'left'}")
        axes.set_title(name, loc="left", fontsize=8)
        axes.legend(fontsize=6, frameon=False)
    rest[0].set_ylabel("yes margin (logits)")
    small(figure, numbers)
    return figure


if __name__ == "__main__":
    run(__file__, measure, draw)
