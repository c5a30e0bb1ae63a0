"""The margin by step, read back from the axes."""

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure
from shown import drawn

from probe.pictures.curves import draw_margins


def test_the_curve_has_a_point_for_each_step():
    ax = Figure().subplots()
    assert draw_margins(ax, [-2.0, -0.5, 1.0], "$\\frac$ or $") is ax
    zero, curve = ax.lines
    assert np.array_equal(curve.get_xydata(), [[0, -2.0], [1, -0.5], [2, 1.0]])
    assert not np.any(zero.get_ydata())
    assert ax.get_title(loc="left") == "$\\frac$ or $"
    drawn(ax.figure)


@pytest.mark.parametrize("margins", [[], [0.5, float("nan")], [float("-inf")]])
def test_what_is_no_curve_is_refused(margins):
    with pytest.raises(ValueError, match=r"no step|NaN or infinite"):
        draw_margins(Figure().subplots(), margins, "")


def test_without_axes_a_new_figure_is_made_that_pyplot_shows():
    before = set(pyplot.get_fignums())
    one, other = (draw_margins(None, [1.0], "") for _ in range(2))
    assert one.figure is not other.figure
    made = set(pyplot.get_fignums()) - before
    assert {pyplot.figure(number) for number in made} == {one.figure, other.figure}
    for number in made:
        pyplot.close(number)


def test_what_is_no_axes_is_refused_in_one_line():
    with pytest.raises(ValueError, match=r"^axes of matplotlib are wanted, found int; .*$"):
        draw_margins(3, [1.0], "")
