"""The organism answers right, and some of its tokens look at what it answers about.

    python analyses/organism.py              draw from the stored numbers (seconds)
    python analyses/organism.py --measure    measure them again (two CPU cores, three minutes)

Token and layers are chosen on shapes-val and reported on shapes-test, beside chance and beside a
control in which each question is asked about another clip.
"""

from typing import Any

import numpy as np
from common import BLUE, Claim, Numbers, Table, finished, legend_below, level, new_figure
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from study import Study, Subject

from probe.metrics import bootstrap_interval
from probe.organism.benchmark import SHAPES_TEST, SHAPES_VAL
from probe.organism.scores import answers, looks

FIGURES = ("on_track", "in_span", "track")


def measure(study: Study) -> Numbers:
    """Accuracy by kind of question, where the chosen token looks, and the table of all tokens."""
    model, clips = study.model, study.subject.clips
    cases = list(SHAPES_TEST.cases(clips))
    windows = _windows(model.depth)
    chosen = _best(looks(model, list(SHAPES_VAL.cases(clips)), windows=windows))
    table = looks(model, cases, windows=windows)
    control = looks(model, cases, shown=[*cases[1:], cases[0]], windows=[tuple(chosen["layers"])])
    return {
        **study.origin(),
        "accuracy": _accuracy(answers(model, SHAPES_TEST.seed, clips)),
        "chosen_on_val": chosen,
        "looks": _looks(table, chosen),
        "control": _looks(control, chosen, right_only=False),
        "table": _table(table, model.depth),
    }


def _windows(depth: int) -> list[tuple[int, ...]]:
    """Every run of consecutive layers."""
    return [tuple(range(a, b)) for a in range(depth) for b in range(a + 1, depth + 1)]


def _best(table: Table) -> dict[str, Any]:
    """The role token and layers whose peak lies on the true track most often."""
    roles = table[(table["kind"] == "role") & table["right"]]
    shares = roles.groupby(["name", "layers"])["on_track"].mean()
    name, layers = shares.index[int(shares.to_numpy().argmax())]
    return {"token": name, "layers": list(layers), "on_track": float(shares.max())}


def _looks(table: Table, chosen: dict[str, Any], *, right_only: bool = True) -> dict[str, Any]:
    """Shares and intervals of the chosen token's looks, over the questions answered right."""
    same = np.array([tuple(layers) == tuple(chosen["layers"]) for layers in table["layers"]])
    rows = table[same & (table["name"] == chosen["token"])]
    rows = rows[rows["right"]] if right_only else rows
    if rows.empty:
        return {}
    found: dict[str, Any] = {
        figure: {
            "share": float(rows[figure].mean()),
            "interval": bootstrap_interval(rows[figure].astype(float).to_numpy()),
            "chance": float(rows[f"chance_{figure}"].mean()),
        }
        for figure in FIGURES
    }
    return {**found, "questions": len(rows)}


def _table(table: Table, depth: int) -> dict[str, dict[str, list[float]]]:
    """For each token, by layer: how often its peak is on the track, and its visual activation."""
    single = table[np.array([len(layers) == 1 for layers in table["layers"]])]
    means = single.groupby(["name", "layers"])[["on_track", "in_span", "activation"]].mean()
    return {
        str(name): {
            figure: [round(float(means.loc[(name, (layer,)), figure]), 4) for layer in range(depth)]
            for figure in means.columns
        }
        for name in dict.fromkeys(single["name"])
    }


def _accuracy(table: Table) -> dict[str, dict[str, Any]]:
    kinds = {str(kind): rows["right"] for kind, rows in table.groupby("kind")}
    polar = table["answer"].isin(["Yes", "No"])
    described = table["kind"] == "describe"
    kinds["open questions"] = table[~polar & ~described]["right"]
    return {
        kind: {
            "share": float(right.mean()),
            "interval": bootstrap_interval(right.astype(float).to_numpy()),
            "questions": len(right),
        }
        for kind, right in kinds.items()
    }


def draw(numbers: Numbers) -> Figure:
    """Left, accuracy by kind of question; right, where each token looks, layer by layer."""
    figure = new_figure(8.6, 3.3)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.3))
    _draw_accuracy(left, numbers["accuracy"])
    order = [name for name in _ORDER if name in numbers["table"]]
    grid = [numbers["table"][name]["on_track"] for name in order]
    image = right.imshow(grid, cmap="viridis", vmin=0, vmax=1, aspect="auto")
    right.set_yticks(range(len(order)), order)
    right.set_xticks(range(len(grid[0])))
    chance = numbers["looks"]["on_track"]["chance"]
    right.set(xlabel="layer", ylabel="token", title=f"peak on the true track (chance {chance:.2f})")
    for row, values in enumerate(grid):
        for column, value in enumerate(values):
            colour = "white" if value < 0.6 else "black"
            right.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7, c=colour)
    figure.colorbar(image, ax=right)
    return finished(figure, numbers)


def _draw_accuracy(axes: Axes, accuracy: Numbers) -> None:
    """A bar with its interval for each kind of question, by what it is about."""
    shares = np.array([one["share"] for one in accuracy.values()])
    low, high = np.array([one["interval"] for one in accuracy.values()]).T
    reach = np.array([shares - low, high - shares]).clip(min=0)
    axes.barh(list(accuracy), shares, xerr=reach, color=BLUE, ecolor="black", height=0.7)
    level(axes, 0.5, "chance where the answer is yes or no")
    axes.set(xlim=(0, 1), xlabel="share answered right, to the letter")
    legend_below(axes)


_ORDER = ("COLOUR", "SHAPE", "that", "ACTION", "in", "video", "?", "A", "SS", "IST", "ANT", ":")

CLAIM = Claim(
    __file__,
    draw,
    measure,
    Subject(clips=150),
    only_shapes="the organism's questions name the shapes' colours, forms and actions",
)

if __name__ == "__main__":
    CLAIM.run()
