"""Layers 2 and 3 attend to the right place; choosing heads without labels gains nothing shown.

    python analyses/layers_and_heads.py              draw from the stored numbers (seconds)
    python analyses/layers_and_heads.py --measure    measure again (two CPU cores, one minute)

For each layer and head, in the map of the most active word: how often it peaks on the true track,
its attention ratio, and the votes that spatial entropy gives it without labels. Heads are chosen by
votes on other clips (shapes-val); their mean map is compared with that of all heads on shapes-test.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from common import (
    Claim,
    Numbers,
    Table,
    create_figure,
    draw_dots,
    draw_legend_below,
    draw_level,
    finish_figure,
    summary,
)
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from measurement import Case, Measurement, MeasurementConfig

from probe.engine.model import VideoLM
from probe.engine.view import Reading
from probe.interpret.heads import head_scores, heads_on_track, localization_heads
from probe.interpret.token_rules import MostActive
from probe.metrics import paired_difference

WORD = MostActive(among=("word",))
HEAD_COUNT = 3
"""Number of chosen heads, and of heads that each question votes for: three, as in Kang et al."""

ALL, CHOSEN = "all heads", "chosen heads"


def measure(measurement: Measurement) -> Numbers:
    """Measure tables by layer and head, the heads chosen without labels, and their gain."""
    # Tables of numbers are kept from clip to clip, not readings: those of a 7B fill the memory.
    voters = measurement.for_choosing().measure_cases(_count_votes)
    votes = _average(voters.values)
    heads = localization_heads(votes, HEAD_COUNT)
    records = measurement.measure_cases(lambda model, case: _check_heads(model, case, heads))
    truth = _average(records.entries("heads").values)
    shape = (measurement.model.depth, measurement.model.checkpoint.heads)
    tables = {"on_track": truth["on_track"], "log_ratio": truth["log_ratio"], **votes[["votes"]]}
    points = {name: records.entries(name).values for name in (ALL, CHOSEN)}
    return {
        **measurement.provenance(records, voters),
        "tables": {
            name: np.round(np.asarray(values).reshape(shape), 4).tolist()
            for name, values in tables.items()
        },
        "chance": float(truth["chance"].mean()),
        "votes_and_on_track": float(votes["votes"].corr(truth["on_track"], method="spearman")),
        "heads": [list(pair) for pair in heads],
        "mean_map_on_track": {name: summary(values) for name, values in points.items()},
        "difference": paired_difference(points[CHOSEN], points[ALL]),
    }


def _count_votes(model: VideoLM, case: Case) -> Table:
    """Score each head by one question, without labels."""
    return head_scores([_read_case(model, case)], WORD, shortlist=HEAD_COUNT)


def _check_heads(model: VideoLM, case: Case, heads: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """Check if each head, the mean of all and that of the chosen ones peak on the true track."""
    reading = _read_case(model, case)
    return {
        "heads": heads_on_track([reading], [case.track], WORD),
        ALL: float(reading.heatmap(WORD(reading)).points_at(case.track)),
        CHOSEN: float(reading.through(heads).heatmap(WORD(reading)).points_at(case.track)),
    }


def _read_case(model: VideoLM, case: Case) -> Reading:
    return model.watch(case.video).read(case.question)[0]


def _average(tables: Sequence[Table]) -> Table:
    """Average the tables of all questions: one row for each head."""
    # Layer and head stay columns, by which localization_heads names the heads.
    return pd.concat(tables).groupby(["layer", "head"], as_index=False).mean()


TABLE_TITLES = {
    "on_track": "peak on the true track",
    "log_ratio": "log attention ratio (mean)",
    "votes": "votes by spatial entropy (no labels)",
}

MOST_WRITTEN = 64
"""Number of heads up to which each value is written into its field."""


def draw(numbers: Numbers) -> Figure:
    """Draw three tables of heads, the chosen ones starred, and the gain of choosing them."""
    figure = create_figure(9.6, 2.8)
    *tables, last = figure.subplots(1, 4, width_ratios=(1, 1, 1, 1.1))
    for axes, (name, title) in zip(tables, TABLE_TITLES.items(), strict=True):
        values = np.array(numbers["tables"][name])
        _draw_table(figure, axes, values, bounds=(None, None) if name == "log_ratio" else (0, 1))
        for layer, head in numbers["heads"]:
            axes.plot(head + 0.36, layer - 0.32, marker="*", color="#E69F00", ms=6, mec="white")
        axes.set_title(title, loc="left")
    tables[0].set_ylabel("layer")
    draw_dots(last, numbers["mean_map_on_track"])
    draw_level(last, numbers["chance"], "chance")
    last.plot([], [], marker="*", ls="", color="#E69F00", ms=6, label="chosen head")
    last.set(xlim=(0, 1), xlabel="mean map peaks on the true track")
    draw_legend_below(last)
    return finish_figure(figure, numbers)


def _draw_table(
    figure: Figure, axes: Axes, values: np.ndarray, bounds: tuple[float | None, float | None]
) -> None:
    """Draw one value for each layer and head: as text if they are few, else with a colour bar."""
    image = axes.imshow(values, cmap="viridis", aspect="auto", vmin=bounds[0], vmax=bounds[1])
    axes.set(xlabel="head")
    if values.size > MOST_WRITTEN:
        figure.colorbar(image, ax=axes)
        return
    middle = sum(image.get_clim()) / 2
    for layer, head in product(*map(range, values.shape)):
        colour = "white" if values[layer, head] < middle else "black"
        text = f"{values[layer, head]:.2f}"
        axes.text(head, layer, text, ha="center", va="center", fontsize=6, c=colour)
    axes.set_xticks(range(values.shape[1]))
    axes.set_yticks(range(len(values)))


CLAIM = Claim(__file__, draw, measure, MeasurementConfig(clips=100))

if __name__ == "__main__":
    CLAIM.run()
