"""Layers 1 to 3 look at the right place; choosing heads without labels finds none that are better.

    python analyses/layers_and_heads.py              draw from the stored numbers (seconds)
    python analyses/layers_and_heads.py --measure    measure again (two CPU cores, one minute)

For each layer and head, read through the most active word: how often its map peaks on the true
track, its attention ratio, and the votes that spatial entropy gives it without labels. Heads are
chosen by votes on shapes-val; the mean map over them is compared with that over all heads on
shapes-test.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from common import Table, dots, numbers_of, origin, run, small, summary
from matplotlib.figure import Figure

from probe.grounding_tokens import MostActive
from probe.heads import head_scores, heads_on_track, localization_heads
from probe.metrics import paired_difference
from probe.model import ORGANISM, VideoLM, load
from probe.organism.benchmark import SHAPES_TEST, SHAPES_VAL, Case
from probe.view import Reading

NUMBERS = numbers_of(__file__)
CLIPS = 100

WORD = MostActive(among=("word",))
COUNT = 3
"""Heads in the list, and heads that each question votes for: three, as Kang et al. choose."""


def measure(clips: int = CLIPS, checkpoint: str = ORGANISM) -> dict[str, Any]:
    """Tables by layer and head, the heads chosen without labels, and what they gain."""
    model = load(checkpoint)
    on_val = [_read(model, case) for case in SHAPES_VAL.cases(clips)]
    votes: Table = head_scores(on_val, WORD, shortlist=COUNT)
    heads = localization_heads(votes, COUNT)
    cases = list(SHAPES_TEST.cases(clips))
    readings = [_read(model, case) for case in cases]
    truth: Table = heads_on_track(readings, [case.tracks[0] for case in cases], WORD)
    shape = (model.depth, model.network.heads)
    tables = {"on_track": truth["on_track"], "log_ratio": truth["log_ratio"], **votes[["votes"]]}
    return {
        **origin(model, SHAPES_TEST, clips),
        "tables": {
            name: np.round(np.asarray(values).reshape(shape), 4).tolist()
            for name, values in tables.items()
        },
        "chance": float(truth["chance"].mean()),
        "votes_and_on_track": float(votes["votes"].corr(truth["on_track"], method="spearman")),
        "heads": [list(pair) for pair in heads],
        **_gain(readings, cases, heads),
    }


def _read(model: VideoLM, case: Case) -> Reading:
    return model.watch(case.clip.video()).read(case.question)[0]


def _gain(
    readings: Sequence[Reading], cases: Sequence[Case], heads: Sequence[tuple[int, int]]
) -> dict[str, Any]:
    """How often the mean map points at the true track, over all heads and over the chosen."""
    points = {
        name: [
            float(one.heatmap(WORD(one)).points_at(case.tracks[0]))
            for one, case in zip(some, cases, strict=True)
        ]
        for name, some in {
            "all heads": readings,
            "chosen heads": [reading.through(heads) for reading in readings],
        }.items()
    }
    difference = paired_difference(points["chosen heads"], points["all heads"])
    return {
        "mean_map_on_track": {name: summary(values) for name, values in points.items()},
        "difference": difference,
    }


TITLES = {
    "on_track": "peak on the true track",
    "log_ratio": "log attention ratio (mean)",
    "votes": "votes by spatial entropy (no labels)",
}


def draw(numbers: dict[str, Any]) -> Figure:
    """Three tables, layer by head, the chosen heads framed; right, what choosing them gives."""
    figure = Figure(figsize=(9.0, 2.7), layout="constrained", dpi=150)
    *tables, last = figure.subplots(1, 4, width_ratios=(1, 1, 1, 1.1))
    for axes, (name, title) in zip(tables, TITLES.items(), strict=True):
        values = np.array(numbers["tables"][name])
        bounds = (None, None) if name == "log_ratio" else (0, 1)
        image = axes.imshow(values, cmap="viridis", aspect="auto", vmin=bounds[0], vmax=bounds[1])
        middle = sum(image.get_clim()) / 2
        for (layer, head), value in np.ndenumerate(values):
            colour = "white" if value < middle else "black"
            axes.text(head, layer, f"{value:.2f}", ha="center", va="center", fontsize=6, c=colour)
        for layer, head in numbers["heads"]:
            axes.plot(head + 0.38, layer - 0.34, marker="*", color="#E69F00", ms=6, mec="white")
        axes.set(xlabel="head", ylabel="layer", xticks=range(values.shape[1]))
        axes.set_yticks(range(len(values)))
        axes.set_title(title, loc="left", fontsize=8)
    dots(last, numbers["mean_map_on_track"])
    last.axvline(numbers["chance"], color="#9a9a9a", ls="--", lw=1)
    last.set(xlim=(0, 1), xlabel="mean map peaks on the true track")
    small(figure, numbers)
    return figure


if __name__ == "__main__":
    run(__file__, measure, draw)
