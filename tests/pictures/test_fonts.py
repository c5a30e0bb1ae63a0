"""Fonts for any text: one of the machine that has its signs, or their numbers and a note."""

import warnings

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text
from shown import drawn

from probe.pictures import fonts
from probe.pictures.fonts import find_base_font, find_fonts, make_legible, note_missing_once
from probe.pictures.lettering import Lettering, split_runs
from probe.pictures.rows import Tile, draw_row

NOWHERE = "\u0378\u0379"
"""Signs that Unicode does not have, and so no font either."""

CODES = (0x0378, 0x0379)


def forget():
    for cached in (fonts._list_fonts, fonts._choose_fonts):
        cached.cache_clear()


def draw_bar(width):
    """A glyph that is a bar of this width."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for point in ((0, 800), (width, 800), (width, 0)):
        pen.lineTo(point)
    pen.closePath()
    return pen.glyph()


@pytest.fixture
def font(tmp_path):
    """A font with both signs, which matplotlib knows as it knows those of the system."""
    path = tmp_path / "bars.ttf"
    builder = FontBuilder(1000, isTTF=True)
    names = [".notdef", "one", "two"]
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap(dict(zip(CODES, names[1:], strict=True)))
    builder.setupGlyf({name: draw_bar(300 * place) for place, name in enumerate(names)})
    builder.setupHorizontalMetrics(dict.fromkeys(names, (1000, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Bars of a Test", "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=800, usWinAscent=800, usWinDescent=200)
    builder.setupPost()
    builder.save(path)
    known = list(font_manager.fontManager.ttflist)
    font_manager.fontManager.addfont(path)
    forget()
    yield path
    font_manager.fontManager.ttflist = known
    forget()


def notes_of(*texts):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        legible = [make_legible(text) for text in texts]
    return legible, [str(warning.message) for warning in said]


def test_alphabets_of_europe_and_the_near_east_need_no_other_font():
    for text in ("Größe ñandú", "привет", "ελληνικά", "رجل يقفز", "ילדה"):
        assert notes_of(text) == ([text], [])
        assert find_fonts(text) == (find_base_font(),)


def test_signs_without_a_font_are_written_as_numbers_with_a_note():
    legible, notes = notes_of(f"the {NOWHERE} jumps")
    assert legible == ["the \\u0378\\u0379 jumps"]
    assert len(notes) == 1
    assert all(sign in notes[0] for sign in NOWHERE)
    assert "install" in notes[0]


def test_a_font_that_has_the_signs_is_found(font):
    assert notes_of(NOWHERE) == ([NOWHERE], [])
    assert find_fonts(f"red {NOWHERE}") == (find_base_font(), font)


def test_a_text_is_split_where_its_font_changes(font):
    base = find_base_font()
    assert split_runs("red ñ") == [("red ñ", base)]
    assert split_runs(f"red {NOWHERE} ñ") == [("red ", base), (NOWHERE, font), (" ñ", base)]


@pytest.mark.usefixtures("font")
def test_signs_of_another_font_are_drawn_in_pixels():
    plain = Lettering(20)
    assert plain.measure(NOWHERE) == pytest.approx(40, abs=1)
    assert plain.measure(f"a{NOWHERE}") == pytest.approx(40 + plain.measure("a"), abs=1)


@pytest.mark.usefixtures("font")
def test_signs_of_another_font_are_drawn_in_figures():
    pictures = []
    for title in CODES:
        figure = Figure((3, 1))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            draw_row(figure.subplots(), [Tile(np.zeros((9, 9, 3), np.uint8), "")], chr(title) * 9)
            pictures.append(np.asarray(drawn(figure)).astype(int))
    assert (pictures[0] != pictures[1]).any()
    assert pictures[0].min() == 0


def test_matplotlib_is_asked_for_no_sign_that_it_lacks():
    figure = Figure((3, 1))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        tile = Tile(np.zeros((9, 9, 3), np.uint8), NOWHERE)
        draw_row(figure.subplots(), [tile], f"{NOWHERE} \x07 男人 $")
        drawn(figure)
    assert not [one for one in said if "Glyph" in str(one.message)]
    assert len(said) == 1
    shown = {text.get_text() for text in figure.findobj(Text) if "u0378" in text.get_text()}
    assert len(shown) == 2  # the title of the row and that of its picture


def test_in_a_block_there_is_one_note_for_all_texts():
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with note_missing_once(), note_missing_once():
            for sign in (*NOWHERE, *NOWHERE):
                make_legible(sign)
            assert not said
    assert len(said) == 1
    assert all(sign in str(said[0].message) for sign in NOWHERE)


def test_after_a_block_texts_are_noted_again():
    with note_missing_once():
        pass
    assert len(notes_of(NOWHERE)[1]) == 1


def test_a_text_becomes_one_line():
    assert make_legible("  red\n\tcircle \x1b[0m") == "red circle \\x1b[0m"


@pytest.mark.parametrize("name", ["LastResort.otf", "NotoColorEmoji.ttf", "AdobeBlank.otf"])
def test_fonts_that_show_nothing_are_not_taken(name):
    assert fonts.USELESS_FONTS.search(name)
