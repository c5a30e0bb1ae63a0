"""The organism answers right, and some of its tokens attend to the object it answers about.

    python analyses/organism.py              draw from the stored numbers (seconds)
    python analyses/organism.py --measure    measure them again (two CPU cores, three minutes)

Token and layers are chosen on shapes-val and reported on shapes-test, next to chance and to a
control that asks each question about another clip. The recipe of the organism was changed until
role tokens did this, so it is no evidence that role tokens of other models do.
"""

import numpy as np
from common import BLUE, Claim, Numbers, create_figure, draw_legend_below, draw_level, finish_figure
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from measurement import Measurement, MeasurementConfig

from probe.organism.benchmark import SHAPES_TEST
from probe.organism.exam import examine


def measure(measurement: Measurement) -> Numbers:
    """Measure accuracy by kind of question, and where the chosen token and all tokens look."""
    return {
        **measurement.provenance(),
        **examine(measurement.model, SHAPES_TEST, measurement.config.clips),
    }


def draw(numbers: Numbers) -> Figure:
    """Draw accuracy by kind of question, and where each token looks, layer by layer."""
    figure = create_figure(8.6, 3.3)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.3))
    _draw_accuracy(left, numbers["accuracy"])
    order = [name for name in _TOKEN_ORDER if name in numbers["table"]]
    grid = [numbers["table"][name]["on_track"] for name in order]
    image = right.imshow(grid, cmap="viridis", vmin=0, vmax=1, aspect="auto")
    right.set_yticks(range(len(order)), order)
    right.set_xticks(range(len(grid[0])))
    chance = numbers["control"]["on_track"]["chance"]
    right.set(xlabel="layer", ylabel="token", title=f"peak on the true track (chance {chance:.2f})")
    # The lower part of viridis is dark, where only white text can be read.
    for row, values in enumerate(grid):
        for column, value in enumerate(values):
            colour = "white" if value < 0.6 else "black"
            right.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7, c=colour)
    figure.colorbar(image, ax=right)
    return finish_figure(figure, numbers)


def _draw_accuracy(axes: Axes, accuracy: Numbers) -> None:
    """Draw a bar with its interval for each kind of question."""
    shares = np.array([one["share"] for one in accuracy.values()])
    low, high = np.array([one["interval"] for one in accuracy.values()]).T
    reach = np.array([shares - low, high - shares]).clip(min=0)
    axes.barh(list(accuracy), shares, xerr=reach, color=BLUE, ecolor="black", height=0.7)
    draw_level(axes, 0.5, "chance where the answer is yes or no")
    axes.set(xlim=(0, 1), xlabel="share answered right, to the letter")
    draw_legend_below(axes)


_TOKEN_ORDER = (
    "COLOUR",
    "SHAPE",
    "that",
    "ACTION",
    "in",
    "video",
    "?",
    "A",
    "SS",
    "IST",
    "ANT",
    ":",
)

CLAIM = Claim(
    __file__,
    draw,
    measure,
    MeasurementConfig(clips=150),
    only_shapes="the organism's questions name the shapes' colours, forms and actions",
)

if __name__ == "__main__":
    CLAIM.run()
