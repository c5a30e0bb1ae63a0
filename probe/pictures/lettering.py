"""Text in pictures of pixels: measured, cut, wrapped and drawn, with a font for each sign."""

from bisect import bisect_right
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import ImageDraw, ImageFont

from probe.pictures.fonts import find_fonts, has_sign

ELLIPSIS = "…"

POINTS_PER_INCH = 72

SHARPNESS = 10
"""Pixels a point with which lines of figures are measured: in whole points, widths would be rounded
too far."""

ROUNDING = 0.95
"""Share of a line that text may fill as it is measured: a figure draws each sign in whole pixels,
which makes some lines a few percent wider."""


def measure_room(inches: float) -> int:
    """Measure the room that a line of a figure has for text, in pixels of `Lettering.in_points`."""
    return round(ROUNDING * inches * POINTS_PER_INCH * SHARPNESS)


@dataclass(frozen=True)
class Lettering:
    """Text of one height in pixels; the texts are those that `make_legible` gave."""

    height: int

    @classmethod
    def in_points(cls, size: float) -> "Lettering":
        """Return the lettering that measures a figure's text of so many points."""
        return cls(round(size * SHARPNESS))

    def measure(self, text: str) -> float:
        """Measure the width of a text in pixels."""
        runs = split_runs(text)
        return sum(_load_font(font, self.height).getlength(run) for run, font in runs) + 0.0

    def draw(
        self,
        draw: ImageDraw.ImageDraw,
        place: tuple[float, int],
        text: str,
        colour: tuple[int, int, int],
    ) -> None:
        """Draw a text from a place on its baseline to the right."""
        x, y = place
        for run, path in split_runs(text):
            font = _load_font(path, self.height)
            # The baseline is the one line that all fonts share: their heights differ.
            draw.text((x, y), run, fill=colour, font=font, anchor="ls")
            x += font.getlength(run)

    def fit(self, text: str, width: int) -> str:
        """Cut a text with an ellipsis if it is wider than so many pixels."""
        if self._count_fitting(text, width) == len(text):
            return text
        count = self._count_fitting(text, width - round(self.measure(ELLIPSIS) + 0.5))
        return text[:count].rstrip() + ELLIPSIS

    def wrap(self, text: str, width: int, most: int) -> list[str]:
        """Break a text into at most so many lines; what does not fit is cut with an ellipsis.

        Lines are broken between words, and within a word that is wider than a line, such as a whole
        sentence in Chinese.
        """
        lines: list[str] = []
        while len(lines) < most - 1 and (count := self._count_fitting(text, width)) < len(text):
            space = text.rfind(" ", 0, count + 1)
            # A line less than half full would be followed by a word that fills all of the next.
            end = space if 2 * space > count else max(1, count)
            lines.append(text[:end].rstrip())
            text = text[end:].lstrip()
        return [*lines, self.fit(text, width)] if text else lines

    def _count_fitting(self, text: str, width: int) -> int:
        """Count the signs at the start of a text that fit in a width."""
        # A query may be of any length, and hardly a sign is narrower than a pixel.
        beginning = text[: max(1, width) + 1]
        counts = range(1, len(beginning) + 1)
        return bisect_right(counts, width, key=lambda count: self.measure(beginning[:count]))


def split_runs(text: str) -> list[tuple[str, Path]]:
    """Split a text into parts that are each drawn with one font, in the order of the text."""
    fonts = find_fonts(text)
    if len(fonts) == 1:
        return [(text, fonts[0])]
    runs: list[tuple[str, Path]] = []
    for sign in text:
        font = next((one for one in fonts if has_sign(one, sign)), fonts[0])
        before = runs[-1][1] if runs else font
        # Spaces and marks go with the word before them, whose letters they may be joined to.
        if not sign.isalnum() and has_sign(before, sign):
            font = before
        if runs and font == before:
            runs[-1] = (runs[-1][0] + sign, font)
        else:
            runs.append((sign, font))
    return runs


@cache
def _load_font(path: Path, height: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, height)
