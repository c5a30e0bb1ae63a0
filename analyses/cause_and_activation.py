"""The cells that a word attends to matter for the answer; activation of tokens says little of it.

    python analyses/cause_and_activation.py              draw from the stored numbers (seconds)
    python analyses/cause_and_activation.py --measure    measure again (two CPU cores, two minutes)

For each question: Spearman's correlation, over its tokens, of visual activation and of the drop of
the yes margin when the token's attention to the video is cut. Then cells are cut from all tokens,
either those strongest in the map of the most active word first, or in random order. The area
between both curves measures how well the map ranks cells by their effect.
"""

import zlib
from typing import Any

import numpy as np
from common import (
    BLUE,
    GREY,
    ORANGE,
    Claim,
    Numbers,
    create_figure,
    draw_dots,
    draw_level,
    draw_line,
    finish_figure,
    summary,
)
from matplotlib.figure import Figure
from measurement import Case, Measurement, MeasurementConfig, Records

from probe.engine.model import VideoLM
from probe.interpret.causal import (
    CURVE_FRACTIONS,
    causal_grounding,
    deletion_curve,
    insertion_curve,
    random_map,
    rank_agreement,
)
from probe.interpret.grounding_tokens import grounding_token

CURVES = {"deletion": deletion_curve, "insertion": insertion_curve}
CELL_ORDERS = {"strongest first": BLUE, "random order": GREY}


def measure(measurement: Measurement) -> Numbers:
    """Measure rank correlations, effects by kind of token, and both curves with their control."""
    records = measurement.measure_cases(_measure_causes)
    tables = records.entries("tokens").values
    agreement = rank_agreement(tables)
    kinds = sorted({kind for table in tables for kind in table["kind"]})
    return {
        **measurement.provenance(records),
        "rank_correlation": {"mean": agreement.mean, "interval": agreement.interval},
        "per_question": np.round(agreement.per_question, 4).tolist(),
        "effect": {
            kind: summary([table.loc[table["kind"] == kind, "effect"].mean() for table in tables])
            for kind in kinds
        },
        "fractions": list(CURVE_FRACTIONS),
        "curves": {
            name: {order: _summarise_margins(records.entries(name), order) for order in CELL_ORDERS}
            for name in CURVES
        },
        "area_between": {
            name: summary(
                [
                    one["strongest first"].area - one["random order"].area
                    for one in records.entries(name)
                ]
            )
            for name in CURVES
        },
    }


def _measure_causes(model: VideoLM, case: Case) -> dict[str, Any]:
    """Measure on one clip the effects of all tokens, and each curve in both orders of cells."""
    view = model.watch(case.video)
    (reading,) = view.read(case.question)
    # Python's own hash of a string differs from process to process; the order of cells must not.
    seed = zlib.crc32(case.name.encode())
    # The map of a word: cutting role tokens does not lower the margin (`effect` in the numbers).
    maps = {
        "strongest first": reading.heatmap(grounding_token(reading, among=("word",))),
        "random order": random_map(view.grid.cells, seed),
    }
    curves = {
        name: {order: curve(view, case.question, one) for order, one in maps.items()}
        for name, curve in CURVES.items()
    }
    return {"tokens": causal_grounding(view, case.question), **curves}


def _summarise_margins(curves: Records[Any], order: str) -> list[Numbers]:
    """Summarise the margin at each fraction over all clips."""
    return [summary(at) for at in zip(*(one[order].margins for one in curves), strict=True)]


def draw(numbers: Numbers) -> Figure:
    """Draw correlations of all questions, effects by kind of token, deletion and insertion."""
    figure = create_figure(9.6, 2.7)
    first, second, *rest = figure.subplots(1, 4)
    first.hist(numbers["per_question"], bins=np.linspace(-1, 1, 21).tolist(), color=BLUE, alpha=0.5)
    low, high = numbers["rank_correlation"]["interval"]
    mean = numbers["rank_correlation"]["mean"]
    first.axvspan(low, high, color=ORANGE, alpha=0.3, lw=0)
    first.axvline(mean, color=ORANGE, lw=1.5)
    draw_level(first)
    first.set(xlim=(-1, 1), xlabel="rank correlation of activation and effect", ylabel="questions")
    first.set_title(f"mean {mean:.2f} [{low:.2f}, {high:.2f}]", loc="left", color=ORANGE)
    draw_dots(second, numbers["effect"])
    draw_level(second)
    second.set(xlabel="margin drop when a token cannot see", ylabel="kind of token")
    for axes, (name, orders) in zip(rest, numbers["curves"].items(), strict=True):
        for order, colour in CELL_ORDERS.items():
            draw_line(axes, numbers["fractions"], orders[order], color=colour, label=order)
        axes.axhline(0, color=GREY, lw=0.5)
        axes.set(xlabel=f"share of cells {'cut' if name == 'deletion' else 'left'}")
        axes.set_title(name, loc="left")
        axes.legend(fontsize=6, frameon=False)
    rest[0].set_ylabel("yes margin (logits)")
    return finish_figure(figure, numbers)


CLAIM = Claim(__file__, draw, measure, MeasurementConfig(clips=80))

if __name__ == "__main__":
    CLAIM.run()
