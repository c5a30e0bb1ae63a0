"""The organism answers right, and some of its tokens look at what it answers about.

    python analyses/organism.py              draw from the stored numbers (seconds)
    python analyses/organism.py --measure    measure them again (two CPU cores, three minutes)

Token and layers are chosen on shapes-val and reported on shapes-test, beside chance and beside a
control in which each question is asked about another clip.
"""

from typing import Any

from common import numbers_of, origin, run
from matplotlib.figure import Figure

from probe.model import ORGANISM, load
from probe.organism.benchmark import SHAPES_TEST
from probe.organism.exam import examine

NUMBERS = numbers_of(__file__)

CLIPS = 150


def measure(clips: int = CLIPS, checkpoint: str = ORGANISM) -> dict[str, Any]:
    """Accuracy by kind of question, where the chosen token looks, and the table of all tokens."""
    model = load(checkpoint)
    return {**origin(model, SHAPES_TEST, clips), **examine(model, SHAPES_TEST, clips)}


def draw(numbers: dict[str, Any]) -> Figure:
    """Left, accuracy by kind of question; right, where each token looks, layer by layer."""
    figure = Figure(figsize=(8.6, 3.2), layout="constrained", dpi=150)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.3))
    kinds = list(numbers["accuracy"])
    left.barh(kinds, [numbers["accuracy"][kind]["share"] for kind in kinds], color="#0072B2")
    left.axvline(0.5, color="#9a9a9a", lw=1, ls="--")
    left.set(xlim=(0, 1), xlabel="share answered right")
    order = [name for name in _ORDER if name in numbers["table"]]
    grid = [numbers["table"][name]["on_track"] for name in order]
    image = right.imshow(grid, cmap="viridis", vmin=0, vmax=1, aspect="auto")
    right.set_yticks(range(len(order)), order)
    right.set_xticks(range(len(grid[0])))
    right.set(xlabel="layer", title="peak on the true track")
    for row, values in enumerate(grid):
        for column, value in enumerate(values):
            colour = "white" if value < 0.6 else "black"
            right.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7, c=colour)
    figure.colorbar(image, ax=right)
    for axes in (left, right):
        axes.tick_params(labelsize=7)
    return figure


_ORDER = ("COLOUR", "SHAPE", "that", "ACTION", "in", "video", "?", "A", "SS", "IST", "ANT", ":")


if __name__ == "__main__":
    run(__file__, measure, draw)
