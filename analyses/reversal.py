"""Reversing the frames changes the map much, and the chosen track in few of the clips.

    python analyses/reversal.py              draw from the stored numbers (seconds)
    python analyses/reversal.py --measure    measure again (two CPU cores, one minute)

Visual tokens are put in reverse order of frames, and the map is turned back in time. How alike are
both maps (correlation over all cells), how often do they choose the same track, and is the choice
right more often when they do? The map is that of the most active word in the attribute's question.
"""

from typing import Any

import numpy as np
from common import (
    BLUE,
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

from probe.candidates.tracks import best_track
from probe.engine.attention import assemble
from probe.engine.model import VideoLM
from probe.grounding.queries import as_question
from probe.interpret.grounding_tokens import grounding_token

FRAME_ORDERS = ("forward", "backward", "assembled")


def measure(measurement: Measurement) -> Numbers:
    """Measure how alike both orders are, how often they agree, and how often each is right."""
    records = measurement.measure_cases(_compare_orders)
    agreeing = [one["assembled"] for one in records if one["agree"]]
    differing = [one["assembled"] for one in records if not one["agree"]]
    by_agreement = {"where both agree": agreeing, "where they differ": differing}
    return {
        **measurement.provenance(records),
        "consistency": np.round(records.entries("consistency").values, 4).tolist(),
        "mean_consistency": summary(records.entries("consistency").values),
        "agree": summary(records.entries("agree").values),
        "right": {
            **{name: summary(records.entries(name).values) for name in FRAME_ORDERS},
            # A user's few clips may all agree, or all differ: an empty group has no mean.
            **{name: summary(values) for name, values in by_agreement.items() if values},
        },
        "chance": float(np.mean(records.entries("chance").values)),
    }


def _compare_orders(model: VideoLM, case: Case) -> dict[str, Any]:
    """Compare the maps of both orders on one clip, and check which choose the true track."""
    question = as_question(case.queries.attribute)
    view = model.watch(case.video)
    (ahead,), (back,) = view.read(question), view.reversed().read(question)
    token = grounding_token(ahead, among=("word",))
    forward, turned = ahead.heatmap(token), back.heatmap(token).reversed()
    maps = (forward, turned, assemble([forward, turned]))
    chosen = [best_track(case.tracks, one) for one in maps]
    return {
        **{
            name: float(track is case.track)
            for name, track in zip(FRAME_ORDERS, chosen, strict=True)
        },
        "agree": float(chosen[0] is chosen[1]),
        "consistency": forward.consistency(turned),
        "chance": 1 / len(case.tracks),
    }


def draw(numbers: Numbers) -> Figure:
    """Draw how alike both maps are, and how often the chosen track is right."""
    figure = create_figure(7.2, 2.8)
    left, right = figure.subplots(1, 2)
    left.hist(numbers["consistency"], bins=np.linspace(-1, 1, 21).tolist(), color=BLUE, alpha=0.5)
    mean = numbers["mean_consistency"]["mean"]
    left.axvline(mean, color=ORANGE, lw=1.5)
    left.set(xlim=(-1, 1), xlabel="correlation of both orders' maps", ylabel="clips")
    left.set_xticks((-1, -0.5, 0, 0.5, 1))
    left.set_title(f"mean {mean:.2f}", loc="left", color=ORANGE)
    draw_dots(right, numbers["right"])
    draw_level(right, numbers["chance"], "chance")
    right.set(xlim=(0, 1), xlabel="true track chosen among the clip's tracks")
    agreeing = f"same track in {numbers['agree']['mean']:.0%} of clips"
    right.set_title(agreeing, loc="left")
    draw_legend_below(right)
    return finish_figure(figure, numbers)


CLAIM = Claim(__file__, draw, measure, MeasurementConfig(clips=120))

if __name__ == "__main__":
    CLAIM.run()
