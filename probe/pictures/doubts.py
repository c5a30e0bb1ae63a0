"""Doubts of an answer, set in a few lines for a picture of any width."""

from collections.abc import Sequence

from probe.pictures.fonts import make_legible
from probe.pictures.lettering import Lettering

MOST_DOUBTS = 3
"""Doubts that are written out below a small picture: it is the picture that one looks at."""


def set_doubts(
    doubts: Sequence[str], lettering: Lettering, width: int, *, lines: int, most: int = MOST_DOUBTS
) -> list[str]:
    """Break doubts into lines that can be drawn.

    Args:
        doubts: Sentences that say why a reader should doubt an answer.
        lettering: The lettering in which they will be drawn.
        width: Pixels of a line.
        lines: Lines of each doubt at most; what does not fit is cut with an ellipsis.
        most: Doubts that are written; of more than these, the first ones and the number of the
            others.
    """
    shown = [f"doubt: {doubt}" for doubt in doubts]
    if len(shown) > most:
        rest = len(shown) - (most - 1)
        shown = [*shown[: most - 1], f"and {rest} more doubts"]
    return [line for doubt in shown for line in lettering.wrap(make_legible(doubt), width, lines)]
