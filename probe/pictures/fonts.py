"""Fonts that have the signs of a text, for figures and videos alike.

matplotlib brings DejaVu Sans, which has the alphabets of Europe and the Near East. For what it
lacks, such as Chinese, a font of the system is looked for. Signs that no font has are written as
escapes, with a note: as empty boxes, two different queries would be drawn alike.
"""

import re
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import Int
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

from probe.pictures.escapes import JOINERS, escape

BASE_FAMILY = "DejaVu Sans"
"""The family whose upright face all texts are drawn with first."""

USELESS_FONTS = re.compile("last.?resort|blank|fallback|notdef|colou?r", re.IGNORECASE)
"""File names of fonts that have every sign as a box, and of those whose signs are coloured pictures
without an outline."""

ODD_FACES = re.compile("bold|black|light|thin|italic|oblique|condensed|mono|serif", re.IGNORECASE)
"""File names of faces that look odd next to the upright sans serif; taken if no other has a
sign."""

MOST_NAMED = 10
"""Signs that a note names."""

REMEDIES = {
    "CJK": "Noto Sans CJK (on Debian the package fonts-noto-cjk)",
    "HIRAGANA": "Noto Sans CJK (on Debian the package fonts-noto-cjk)",
    "KATAKANA": "Noto Sans CJK (on Debian the package fonts-noto-cjk)",
    "HANGUL": "Noto Sans CJK (on Debian the package fonts-noto-cjk)",
}
"""Fonts to install for signs whose Unicode name begins so."""

OTHER_REMEDY = "Noto Sans for that script (on Debian the package fonts-noto-core)"
SYMBOLS_REMEDY = "Noto Emoji or Symbola (on Debian the package fonts-symbola)"

_gathered: ContextVar[set[str] | None] = ContextVar("signs without a font", default=None)


def make_legible(text: str) -> str:
    """Put a text on one line in signs that can be drawn, each as itself or as its escape.

    Warns of signs that no font of this machine has; see `note_missing_once`.
    """
    line = escape(" ".join(text.split()))
    missing = _find_missing(line)
    if not missing:
        return line
    gathered = _gathered.get()
    if gathered is None:
        _warn_of(missing)
    else:
        gathered |= missing
    return "".join(
        sign.encode("unicode_escape").decode() if sign in missing else sign for sign in line
    )


@contextmanager
def note_missing_once() -> Iterator[None]:
    """Warn at the end of the block, once, of all signs without a font that were to be drawn in it.

    Also a decorator. A picture has many texts, which share most of their signs.
    """
    if _gathered.get() is not None:  # a part of a larger picture, which will warn
        yield
        return
    token = _gathered.set(set())
    try:
        yield
    finally:
        missing = _gathered.get()
        _gathered.reset(token)
        if missing:
            _warn_of(missing)


def find_fonts(text: str) -> tuple[Path, ...]:
    """Find the fonts that have the signs of a text: the base font, and those for what it lacks."""
    return find_base_font(), *_choose_fonts(_find_beyond_base(text))


@cache
def find_base_font() -> Path:
    """Find the file of DejaVu Sans that matplotlib brings along."""
    return Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")


@cache
def name_family(font: Path) -> str:
    """Return the family of a font file, by which matplotlib finds it from now on."""
    # A font that was installed after matplotlib made its list of fonts is not in that list.
    font_manager.fontManager.addfont(font)
    return FT2Font(str(font)).family_name


def has_sign(font: Path, sign: str) -> bool:
    """Return True if a font has a sign, or the sign only changes how others are drawn."""
    codes = _read_codes(font)
    place = int(np.searchsorted(codes, ord(sign)))
    return _is_invisible(sign) or ord(sign) in codes[place : place + 1]


def _find_beyond_base(text: str) -> frozenset[str]:
    if text.isascii():  # nearly all texts; no file is opened for them
        return frozenset()
    return frozenset(sign for sign in set(text) if not has_sign(find_base_font(), sign))


def _find_missing(text: str) -> frozenset[str]:
    beyond = _find_beyond_base(text)
    fonts = _choose_fonts(beyond)
    return frozenset(sign for sign in beyond if not any(has_sign(font, sign) for font in fonts))


@cache
def _choose_fonts(signs: frozenset[str]) -> tuple[Path, ...]:
    """Choose as few fonts of the system as have these signs, as far as there are any."""
    chosen: list[Path] = []
    missing = set(signs)
    while missing:
        codes = np.array([ord(sign) for sign in missing])
        counts = [np.isin(codes, _read_codes(font)).sum() for font in _list_fonts()]
        if not counts or not max(counts):
            break
        chosen.append(_list_fonts()[int(np.argmax(counts))])  # of equal ones, the first
        missing = {sign for sign in missing if not has_sign(chosen[-1], sign)}
    return tuple(chosen)


@cache
def _list_fonts() -> tuple[Path, ...]:
    """List the fonts of the system and those that the user gave to matplotlib, plain faces first.

    Without those that matplotlib brings for mathematics: their signs are not where Unicode has
    them.
    """
    own = Path(matplotlib.get_data_path())
    known = [entry.fname for entry in font_manager.fontManager.ttflist]
    paths = {Path(path) for path in (*font_manager.findSystemFonts(), *known)}
    usable = [
        path
        for path in paths
        if not path.is_relative_to(own) and not USELESS_FONTS.search(path.name)
    ]
    return tuple(sorted(usable, key=lambda path: (bool(ODD_FACES.search(path.name)), path.name)))


@cache
def _read_codes(font: Path) -> Int[np.ndarray, " sign"]:
    """Read which signs a font has, as sorted code points; none of a font that cannot be drawn."""
    try:
        face = FT2Font(str(font))
        # matplotlib cannot draw a font whose signs are pictures of one size.
        codes = sorted(face.get_charmap()) if face.scalable else []
    except (RuntimeError, OSError):  # a damaged file, or a format that FreeType does not know
        codes = []
    found = np.array(codes, dtype=np.int64)
    found.flags.writeable = False  # it is shared by all callers
    return found


def _is_invisible(sign: str) -> bool:
    """Return True for joiners and for the signs that choose a variant of the sign before them."""
    return sign in JOINERS or unicodedata.name(sign, "").startswith("VARIATION SELECTOR")


def _warn_of(missing: Iterable[str]) -> None:
    signs = sorted(missing)
    named = " ".join(signs[:MOST_NAMED])
    more = f" and {len(signs) - MOST_NAMED} more" if len(signs) > MOST_NAMED else ""
    remedies = dict.fromkeys(_find_remedy(sign) for sign in signs)
    # The place of the warning is always this line, so Python shows the same note only once.
    warnings.warn(
        f"no font on this machine has {named}{more}: pictures show the number of each sign, such "
        f"as {signs[0].encode('unicode_escape').decode()}; install {' and '.join(remedies)}",
        stacklevel=1,
    )


def _find_remedy(sign: str) -> str:
    name = unicodedata.name(sign, "")
    if unicodedata.category(sign) == "So":
        return SYMBOLS_REMEDY
    return next((font for start, font in REMEDIES.items() if name.startswith(start)), OTHER_REMEDY)
