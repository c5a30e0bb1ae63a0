"""Figures as HTML: read back from the text that Jupyter gets."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from shown import elements_of, image_of

from probe.pictures.html import figure_as_html, plot_as_html
from probe.video.previews import MOST_HTML_BYTES

UNSAFE = '"><script>alert(1)</script>&amp; $x$'


class Result:
    """Something that is drawn."""

    def __init__(self, draw):
        self.draw = draw

    def __repr__(self):
        return f"Result({UNSAFE})"

    def plot(self, ax):
        self.draw(ax)


def filled_with(picture, size):
    """A figure of one picture, from edge to edge."""
    figure = Figure(size)
    figure.add_axes((0, 0, 1, 1)).imshow(picture, aspect="auto", interpolation="nearest")
    figure.axes[0].set_axis_off()
    return figure


def photo(height, width):
    """Smooth shades with noise, as skies and walls have."""
    shade = np.linspace(60, 200, width, dtype=np.uint8)
    picture = np.stack([shade * np.ones((height, 1), np.uint8)] * 3, axis=-1)
    picture[..., 1] //= 2
    return picture + np.random.default_rng(0).integers(0, 9, picture.shape, dtype=np.uint8)


def test_a_label_stays_text_whatever_is_in_it():
    figure = filled_with(np.zeros((2, 4, 3), np.uint8), (2, 1))
    attributes, _ = image_of(figure_as_html(figure, UNSAFE))
    assert attributes["alt"] == UNSAFE


@pytest.mark.slow
def test_the_worst_picture_fits_and_fills_its_figure():
    noise = np.random.default_rng(0).random((600, 1200, 3))
    text = figure_as_html(filled_with(noise, (8, 4)))
    assert MOST_HTML_BYTES / 2 < len(text) <= MOST_HTML_BYTES
    attributes, picture = image_of(text)
    assert picture.width / picture.height == pytest.approx(2, rel=0.02)
    shown = int(attributes["style"].removeprefix("width: ").partition("px")[0])
    assert shown == pytest.approx(8 * 96, rel=0.02)


def test_empty_space_around_what_is_drawn_is_left_out():
    figure = Figure((6, 3))
    figure.add_axes((0.4, 0.4, 0.1, 0.2)).imshow(np.zeros((2, 2)), aspect="auto")
    figure.axes[0].set_axis_off()
    _, picture = image_of(figure_as_html(figure))
    assert picture.width < 0.15 * 6 * 144
    assert np.asarray(picture)[10, 10].max() < 250


def test_a_figure_can_be_shown_again_and_is_left_as_it_was():
    figure = filled_with(photo(30, 60), (6, 3))
    size, dpi = tuple(figure.get_size_inches()), figure.dpi
    assert figure_as_html(figure) == figure_as_html(figure)
    assert (tuple(figure.get_size_inches()), figure.dpi) == (size, dpi)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("height", "side", "kind"), [(60, 3, "png"), (500, 15, "webp")], ids=["drawing", "photo"]
)
def test_small_spots_keep_their_colour(height, side, kind):
    picture = photo(height, 4 * height)
    row, column = height // 2, 2 * height
    picture[row : row + side, column : column + side] = (252, 180, 20)
    text = figure_as_html(filled_with(picture, (height / 36, height / 144)))
    assert f"image/{kind}" in text
    _, shown = image_of(text)
    edge = (shown.height - height) / 2  # the margin around the picture
    assert 0 <= edge < 9  # so it was not made smaller
    spot = np.asarray(shown)[round(edge) + row + side // 2, round(edge) + column + side // 2]
    assert np.abs(spot.astype(int) - (252, 180, 20)).max() < 25


def test_a_result_is_drawn_by_its_plot_and_named_by_its_line():
    attributes, picture = image_of(plot_as_html(Result(lambda ax: ax.plot([0, 1], lw=9))))
    assert attributes["alt"] == f"Result({UNSAFE})"
    assert np.asarray(picture).std() > 10


def test_a_result_that_cannot_be_drawn_is_its_line_as_text():
    def refuse(_):
        raise ValueError("values that are NaN")

    found, text = elements_of(plot_as_html(Result(refuse)))
    assert [tag for tag, _ in found] == ["pre"]
    assert text == f"Result({UNSAFE})"


def test_faults_that_are_no_wrong_values_are_not_hidden():
    def break_off(_):
        raise KeyError("a fault of the program")

    with pytest.raises(KeyError):
        plot_as_html(Result(break_off))
