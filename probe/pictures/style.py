"""Colours, sizes of text and axes that all pictures share."""

from typing import Any

import numpy as np
from matplotlib import pyplot
from matplotlib.axes import Axes

CHOSEN_COLOUR, QUIET_COLOUR = "#0072B2", "#c8c8c8"
"""Blue from the colour-blind safe palette of Okabe and Ito, and grey."""

HIGHLIGHT_COLOUR = "#E69F00"
"""Orange of the same palette: the grounding token."""

TITLE_SIZE, TEXT_SIZE = 9.0, 8.0
"""Points. In a notebook, a point is 1.3 pixels of the page."""

PICTURE_WIDTH, PICTURE_HEIGHT = 6.0, 2.0
"""Inches of a small picture: it fits in the column of a notebook."""

AS_WRITTEN: dict[str, Any] = {"parse_math": False, "usetex": False}
"""Options of any text that a person or a model wrote. Without them matplotlib reads what lies
between two dollar signs as mathematics, and fails if it is none."""


CHARACTER_WIDTH = 0.0072
"""Inches of a usual character, for each point of its size."""

LAID_OUT = 1.13
"""Width of axes in a constrained layout over their width before it: that leaves less space."""


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
    room = round(measure_width(ax) / (CHARACTER_WIDTH * TITLE_SIZE)) - len(note)
    title = shorten_line(text, max(room, 1)) + note
    ax.set_title(title, fontsize=TITLE_SIZE, loc="left", **AS_WRITTEN)


def measure_width(ax: Axes) -> float:
    """Measure the width of axes in inches, before the figure is drawn."""
    # Axes that are laid out when they are drawn are then at least so much wider.
    wider = LAID_OUT if ax.figure.get_layout_engine() else 1.0
    return wider * ax.bbox.width / ax.figure.dpi


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
    """Put a text on one line and cut it to so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
