"""Bars of tokens: their heights, colours and labels, read back from the axes."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from shown import drawn

from probe.pictures.style import CHOSEN_COLOUR, HIGHLIGHT_COLOUR, QUIET_COLOUR
from probe.pictures.tokens import draw_token_bars

TEXTS = ("Is", "it", "?", "A", "SS")
KINDS = ("word", "word", "stop", "role", "role")
VALUES = np.array([0.2, 0.1, 0.3, 0.4, 0.05])


@pytest.fixture
def ax():
    return Figure((6, 2), layout="constrained").subplots()


def labels(ax):
    return [label.get_text() for label in ax.get_xticklabels()]


def overlapping(ax):
    """Whether two labels touch, by the distance of their lines of text."""
    ax.figure.draw_without_rendering()
    ticks = [tick for tick in ax.get_xticklabels() if tick.get_text()]
    starts = np.array([ax.transData.transform((tick.get_position()[0], 0))[0] for tick in ticks])
    apart = np.diff(starts) * np.sin(np.radians(60)) / ax.figure.dpi * 72
    return len(apart) and apart.min() < ticks[0].get_fontsize()


def test_a_bar_for_each_token_coloured_by_its_kind_and_choice(ax):
    assert draw_token_bars(ax, TEXTS, KINDS, VALUES, chosen=[3]) is ax
    assert [bar.get_height() for bar in ax.patches] == pytest.approx(VALUES)
    colours = [to_hex(bar.get_facecolor()).lower() for bar in ax.patches]
    wanted = [QUIET_COLOUR] * 3 + [HIGHLIGHT_COLOUR, CHOSEN_COLOUR]
    assert colours == [colour.lower() for colour in wanted]
    assert labels(ax) == list(TEXTS)
    assert ax.get_xlabel() == "blue: role tokens, orange: grounding token"


def test_a_colour_that_no_bar_has_is_not_explained(ax):
    draw_token_bars(ax, TEXTS[:3], KINDS[:3], VALUES[:3])
    assert ax.get_xlabel() == ""
    ax.clear()
    draw_token_bars(ax, TEXTS, KINDS, VALUES, chosen=[3, 4])
    assert ax.get_xlabel() == "orange: grounding tokens"


def test_the_note_is_never_cut(ax):
    draw_token_bars(ax, TEXTS, KINDS, VALUES, title="why " * 99, note=" (yes minus no -1.25)")
    title = ax.get_title(loc="left")
    assert title.endswith("… (yes minus no -1.25)")
    ax.figure.draw_without_rendering()
    assert ax._left_title.get_window_extent().x1 < ax.figure.bbox.x1


@pytest.mark.parametrize("count", [12, 38, 60, 200])
@pytest.mark.parametrize("width", [3, 6])
def test_labels_never_overlap_and_the_chosen_is_always_named(count, width):
    ax = Figure((width, 2), layout="constrained").subplots()
    texts = [f"word{number}" for number in range(count)]
    values = np.random.default_rng(0).random(count)
    draw_token_bars(ax, texts, ["word"] * count, values, chosen=[count // 3])
    assert f"word{count // 3}" in labels(ax)
    assert len(ax.patches) == count
    assert not overlapping(ax)


def test_where_labels_are_few_the_strongest_tokens_are_named(ax):
    count = 200
    values = np.random.default_rng(0).random(count)
    values[[20, 90, 150]] = 2
    draw_token_bars(ax, [f"word{n}" for n in range(count)], ["word"] * count, values)
    assert {"word20", "word90", "word150"} < set(labels(ax))
    assert len(labels(ax)) < 60


def test_texts_of_any_kind_are_drawn_as_they_are(ax):
    odd = ["$x$", "\\frac{$", "<script>", "supercalifragilistic", "a\nb"]
    draw_token_bars(ax, odd, KINDS, VALUES, title="$\\frac$ or $")
    assert labels(ax) == ["$x$", "\\frac{$", "<script>", "supercalifr…", "a b"]
    assert ax.get_title(loc="left") == "$\\frac$ or $"
    assert np.asarray(drawn(ax.figure)).std() > 10


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(ax, wrong):
    with pytest.raises(ValueError, match="NaN or infinite"):
        draw_token_bars(ax, TEXTS, KINDS, VALUES * wrong)
