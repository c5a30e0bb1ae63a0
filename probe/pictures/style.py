"""Colours, sizes of text and axes that all pictures share."""

from typing import Any

import matplotlib
import numpy as np
from matplotlib import pyplot
from matplotlib.axes import Axes

from probe.pictures.fonts import BASE_FAMILY, find_fonts, make_legible, name_family

CHOSEN_COLOUR, QUIET_COLOUR = "#0072B2", "#c8c8c8"
"""Blue from the colour-blind safe palette of Okabe and Ito, and grey."""

ALSO_COLOUR = "#CC79A7"
"""Reddish purple of the same palette: what is meant besides the chosen one."""

ANSWER_COLOUR = "#009E73"
"""Bluish green of the same palette: what the model said."""

HIGHLIGHT_COLOUR = "#E69F00"
"""Orange of the same palette: the grounding token."""

DOUBT_COLOUR = "#9A5B00"
"""The same orange, dark enough for text on white."""

LONGEST_TITLE = 200
"""Characters of a title in any figure."""

TITLE_SIZE, TEXT_SIZE = 9.0, 8.0
"""Points. In a notebook, a point is 1.3 pixels of the page."""

PICTURE_WIDTH, PICTURE_HEIGHT = 6.0, 2.0
"""Inches of a small picture: it fits in the column of a notebook."""

AS_WRITTEN: dict[str, Any] = {"parse_math": False, "usetex": False}
"""Options of any text that a person or a model wrote. Without them matplotlib reads what lies
between two dollar signs as mathematics, and fails if it is none. `choose_options` adds fonts."""


CELL_WIDTH, LABELS_WIDTH = 1.29, 0.6
"""Width of the part of a figure that axes lie in, over theirs, as matplotlib makes them; and the
inches of it that labels of the vertical axis take."""


def take_axes(ax: Any, height: float = PICTURE_HEIGHT) -> Axes:
    """Return the axes that were given, or for None the axes of a new figure of this height.

    Raises:
        ValueError: if something else was given.
    """
    if ax is None:
        # A figure of pyplot: notebooks and `pyplot.show` show no other.
        return pyplot.subplots(figsize=(PICTURE_WIDTH, height), layout="constrained")[1]
    if not isinstance(ax, Axes):
        raise ValueError(
            f"axes of matplotlib are wanted, found {type(ax).__name__}; give plot(ax=)"
        )
    return ax


def write_title(ax: Axes, text: str, note: str = "") -> None:
    """Write a title at the left, the text cut so that it and the note after it fit in the axes."""
    room, most = measure_width(ax) * ax.figure.dpi, LONGEST_TITLE
    whole = make_legible(text)
    options = choose_options(whole)
    while True:
        line = _cut(whole, most)
        title = ax.set_title(line + note, fontsize=TITLE_SIZE, loc="left", **options)
        width = title.get_window_extent().width
        if width <= room or len(line) <= 1:
            return
        # Characters differ in width: this guess is mostly right, and always smaller.
        over = (width - room) / width * len(line + note)
        most = max(1, len(line) - max(1, round(over)))


def write_legend(ax: Axes) -> None:
    """Write the legend of what was drawn with a label, each label as it is."""
    for text in ax.legend(fontsize=TEXT_SIZE, frameon=False).get_texts():
        line = make_legible(text.get_text())
        text.update({**choose_options(line), "text": line})


def measure_width(ax: Axes) -> float:
    """Measure the width of axes in inches, before the figure is drawn."""
    width = ax.bbox.width / ax.figure.dpi
    # A layout, which is made when the figure is drawn, gives axes all room that labels leave.
    return max(width, CELL_WIDTH * width - LABELS_WIDTH) if ax.figure.get_layout_engine() else width


def hide_upper_spines(ax: Axes) -> None:
    """Hide the lines above and to the right of axes."""
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)


def require_finite(what: str, values: np.ndarray) -> None:
    """Refuse values that cannot be drawn.

    Raises:
        ValueError: if one is NaN or infinite.
    """
    if not np.isfinite(values).all():
        raise ValueError(f"{what} has values that are NaN or infinite; nothing is drawn")


def shorten_line(text: str, most: int) -> str:
    """Put a text on one line, in signs that can be drawn, and cut it to so many characters."""
    return _cut(make_legible(text), most)


def choose_options(text: str) -> dict[str, Any]:
    """Choose matplotlib's options for a text that a person or a model wrote, fonts included.

    Args:
        text: The text, or several in one, as `make_legible` or `shorten_line` gave it.
    """
    if text.isascii():
        return AS_WRITTEN
    # Signs are taken from the first of these families that has them.
    families = [*matplotlib.rcParams["font.family"], BASE_FAMILY]
    families += [name_family(font) for font in find_fonts(text)[1:]]
    return {**AS_WRITTEN, "fontfamily": list(dict.fromkeys(families))}


def _cut(line: str, most: int) -> str:
    return line if len(line) <= most else f"{line[: most - 1]}…"
