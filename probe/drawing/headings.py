"""The text above a figure: the query, a note and doubts below it, in as many lines as they need."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import SubFigure

from probe.pictures.doubts import set_doubts
from probe.pictures.fonts import make_legible
from probe.pictures.lettering import POINTS_PER_INCH, Lettering, measure_room
from probe.pictures.style import DOUBT_COLOUR, choose_options

QUERY_SIZE, DOUBT_SIZE = 11.0, 9.0
"""Points of the query, and of the doubts below it."""

QUERY_LINES, DOUBT_LINES, MOST_DOUBTS = 2, 3, 12
"""Lines of the query and of each doubt, after which they are cut; and doubts that are written."""

SPACING = 1.5
"""Distance from one line to the next, in heights of its text."""

MARGIN = 0.05
"""Inches to the left and to the right of the text."""


@dataclass(frozen=True)
class Heading:
    """Lines of text, and the height in inches that they take."""

    lines: tuple[tuple[str, float, str], ...]
    """Each line with its size in points and its colour."""

    @classmethod
    def of(cls, query: str, doubts: Sequence[str], width: float, *, note: str = "") -> "Heading":
        """Set a query, a note and doubts in lines.

        Args:
            query: The query or question, drawn as it is.
            doubts: Sentences that say why a reader should doubt the answer.
            width: Inches of the figure.
            note: A line below the query, cut if it is long; none if it is empty.
        """
        room = measure_room(width - 2 * MARGIN)
        large, small = Lettering.in_points(QUERY_SIZE), Lettering.in_points(DOUBT_SIZE)
        asked = large.wrap(make_legible(query), room, QUERY_LINES)
        noted = [small.fit(make_legible(note), room)] if note else []
        doubted = set_doubts(doubts, small, room, lines=DOUBT_LINES, most=MOST_DOUBTS)
        return cls(
            (
                *((line, QUERY_SIZE, "black") for line in asked),
                *((line, DOUBT_SIZE, "black") for line in noted),
                *((line, DOUBT_SIZE, DOUBT_COLOUR) for line in doubted),
            )
        )

    @property
    def height(self) -> float:
        """Inches that the lines take."""
        points = sum(SPACING * size for _, size, _ in self.lines)
        return points / POINTS_PER_INCH + MARGIN

    def write(self, part: SubFigure) -> None:
        """Write the lines into a part of a figure that is as high as they are."""
        y = 1 - MARGIN / 2 / self.height
        for line, size, colour in self.lines:
            y -= SPACING * size / POINTS_PER_INCH / self.height
            part.text(
                MARGIN / (part.bbox.width / part.dpi),
                y,
                line,
                fontsize=size,
                color=colour,
                va="bottom",
                **choose_options(line),
            )
