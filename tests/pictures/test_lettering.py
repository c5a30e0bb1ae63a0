"""Text in pixels: measured, cut and wrapped, whatever is in it."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from probe.pictures.lettering import ELLIPSIS, Lettering

LETTERING = Lettering(16)

TEXTS = ["a very long query " * 9, "unbroken" * 40, "привет " * 20, "رجل يقفز " * 20, "x"]


def width_drawn(text):
    """The columns that a text covers in a picture."""
    image = Image.new("RGB", (4000, 40))
    LETTERING.draw(ImageDraw.Draw(image), (0.0, 30), text, (255, 255, 255))
    (columns,) = np.nonzero(np.asarray(image).any((0, 2)))
    return columns[-1] + 1


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_covers_the_width_that_was_measured(text):
    assert width_drawn(text.strip()) == pytest.approx(LETTERING.measure(text.strip()), abs=3)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("width", [40, 200, 5000])
def test_what_is_cut_fits_and_nothing_more_would(text, width):
    cut = LETTERING.fit(text, width)
    assert LETTERING.measure(cut) <= width
    if cut != text:
        kept = cut.removesuffix(ELLIPSIS)
        assert text.startswith(kept)
        assert LETTERING.measure(text[: len(kept) + 3] + ELLIPSIS) > width


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("width", [60, 200, 5000])
def test_lines_fit_and_lose_no_word(text, width):
    lines = LETTERING.wrap(text, width, 99)
    assert all(LETTERING.measure(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert len(lines) <= 2 * LETTERING.measure(text) / width + 1


def test_lines_are_broken_between_words_where_there_are_any():
    assert LETTERING.wrap("one two three", round(LETTERING.measure("one two t")), 9) == [
        "one two",
        "three",
    ]


def test_the_last_of_too_few_lines_is_cut():
    lines = LETTERING.wrap("one two three four", round(LETTERING.measure("one two t")), 2)
    assert lines[0] == "one two"
    assert lines[1].endswith(ELLIPSIS)


def test_there_is_no_room_for_anything_but_an_ellipsis():
    assert LETTERING.fit("some text", 0) == ELLIPSIS
    assert LETTERING.wrap("ab", -5, 2)[-1] in (ELLIPSIS, "b")


def test_a_text_of_any_length_is_cut_at_once():
    assert LETTERING.measure(LETTERING.fit("long " * 200_000, 300)) <= 300
