"""Reversal changes the map much, and the chosen track in a quarter of the cases.

    python analyses/reversal.py              draw from the stored numbers (seconds)
    python analyses/reversal.py --measure    measure again (two CPU cores, one minute)

The frames' visual tokens are put in reverse order and the map is turned back: how alike are both
maps (correlation over all cells), do they choose the same track, and is the choice right more often
when both orders agree? Read through the most active word, with the attribute's question.
"""

from typing import Any

import numpy as np
from common import BLUE, GREY, ORANGE, dots, numbers_of, origin, run, small, summary
from matplotlib.figure import Figure

from probe.attention import assemble
from probe.grounding_tokens import grounding_token
from probe.model import ORGANISM, VideoLM, load
from probe.organism.benchmark import SHAPES_TEST, Case
from probe.queries import as_question
from probe.tracks import best_track

NUMBERS = numbers_of(__file__)
CLIPS = 120


def measure(clips: int = CLIPS, checkpoint: str = ORGANISM) -> dict[str, Any]:
    """Consistency and agreement of both orders, and who is right how often."""
    model = load(checkpoint)
    cases = list(SHAPES_TEST.cases(clips))
    found = [_both(model, case) for case in cases]
    agreeing = [one["assembled"] for one in found if one["agree"]]
    differing = [one["assembled"] for one in found if not one["agree"]]
    right = {name: [one[name] for one in found] for name in ("forward", "backward", "assembled")}
    by_agreement = {"where both agree": agreeing, "where they differ": differing}
    return {
        **origin(model, SHAPES_TEST, clips),
        "consistency": np.round([one["consistency"] for one in found], 4).tolist(),
        "mean_consistency": summary([one["consistency"] for one in found]),
        "agree": summary([one["agree"] for one in found]),
        "right": {
            **{name: summary(values) for name, values in right.items()},
            **{name: summary(values) for name, values in by_agreement.items() if values},
        },
        "chance": float(np.mean([1 / len(case.tracks) for case in cases])),
    }


def _both(model: VideoLM, case: Case) -> dict[str, Any]:
    """Both orders' maps of one clip: how alike, and whether each chooses the true track."""
    question = as_question(f"the {case.thing.attribute}")
    view = model.watch(case.clip.video())
    (ahead,), (back,) = view.read(question), view.reversed().read(question)
    token = grounding_token(ahead, among=("word",))
    forward, turned = ahead.heatmap(token), back.heatmap(token).reversed()
    maps = {"forward": forward, "backward": turned, "assembled": assemble([forward, turned])}
    truth, *_ = tracks = case.tracks
    chosen = {name: best_track(tracks, one) for name, one in maps.items()}
    return {
        **{name: float(track is truth) for name, track in chosen.items()},
        "agree": float(chosen["forward"] is chosen["backward"]),
        "consistency": forward.consistency(turned),
    }


def draw(numbers: dict[str, Any]) -> Figure:
    """Left, how alike both maps are; right, how often the chosen track is right."""
    figure = Figure(figsize=(7.2, 2.6), layout="constrained", dpi=150)
    left, right = figure.subplots(1, 2)
    left.hist(numbers["consistency"], bins=np.linspace(-1, 1, 21).tolist(), color=BLUE, alpha=0.5)
    left.axvline(numbers["mean_consistency"]["mean"], color=ORANGE, lw=1.5)
    left.set(xlim=(-1, 1), xlabel="correlation of both orders' maps", ylabel="clips")
    dots(right, numbers["right"])
    right.axvline(numbers["chance"], color=GREY, ls="--", lw=1, label="chance")
    right.set(xlim=(0, 1), xlabel="true track chosen among the clip's tracks")
    agreeing = f"same track in {numbers['agree']['mean']:.0%} of clips"
    right.set_title(agreeing, loc="left", fontsize=8)
    right.legend(fontsize=6, frameon=False)
    small(figure, numbers)
    return figure


if __name__ == "__main__":
    run(__file__, measure, draw)
