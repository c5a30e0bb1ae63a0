"""The strip below a picture: the query, its doubts, a bar for each span, a marker of the time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageDraw

from probe.pictures.doubts import set_doubts
from probe.pictures.fonts import make_legible
from probe.pictures.heat import colour_heat
from probe.pictures.lettering import Lettering
from probe.video import Span, Video

Colour: TypeAlias = tuple[int, int, int]
"""Red, green and blue, from 0 to 255."""

SpanBar: TypeAlias = tuple[str, Span, Colour]
"""The name of a bar of time, the span that it shows, and its colour."""

HALO_COLOUR: Colour = (0, 0, 0)
STRIP_COLOUR: Colour = (24, 24, 24)
TEXT_COLOUR: Colour = (235, 235, 235)
NOTE_COLOUR: Colour = (190, 190, 190)
DOUBT_COLOUR: Colour = (255, 190, 60)
"""Amber, which is a warning without being an alarm."""

EMPTY_BAR_COLOUR: Colour = (72, 72, 72)

TITLE_LINES, DOUBT_LINES = 2, 3
"""Lines of the query and of the note below it, and of each doubt."""

HEAT_ENDS, SCALE_LENGTH = ("attention: weak", "strong"), 4
"""Words at the ends of the scale of heat, and its length in heights of text."""

DOUBT_SIZE = 0.85
"""Height of a doubt's text, as a share of the query's."""


@dataclass(frozen=True)
class StripText:
    """The text of a strip."""

    title: str = ""
    """The query; none if it is empty."""

    note: str = ""
    """A line below the title; none if it is empty."""

    doubts: Sequence[str] = ()
    """Sentences below both, in amber."""

    def set_lines(self, unit: int, width: int) -> "list[TextLine]":
        """Set the query, the note and each of the first doubts in a few lines.

        Args:
            unit: Height of the query's text in pixels.
            width: Pixels of a line.
        """
        lines, large = [], Lettering(unit)
        if self.title:
            written = large.wrap(make_legible(self.title), width, TITLE_LINES)
            lines += [TextLine(line, TEXT_COLOUR, large) for line in written]
        small = Lettering(round(DOUBT_SIZE * unit))
        if self.note:
            written = small.wrap(make_legible(self.note), width, TITLE_LINES)
            lines += [TextLine(line, NOTE_COLOUR, small) for line in written]
        written = set_doubts(self.doubts, small, width, lines=DOUBT_LINES)
        lines += [TextLine(line, DOUBT_COLOUR, small) for line in written]
        return lines


@dataclass(frozen=True, eq=False)
class TimeBar:
    """The strip below the picture: query, doubts, a bar for each span, and a marker of the time."""

    background: Image.Image
    """Everything but the marker and the clock, which move."""

    left: int
    right: int
    top: int
    bottom: int
    """Pixels between which the marker moves, and those from which to which it reaches."""

    duration: float
    """Seconds."""

    lettering: Lettering

    @classmethod
    def of(
        cls,
        video: Video,
        bars: Sequence[SpanBar],
        *,
        width: int,
        unit: int,
        text: "StripText",
        heated: bool = False,
    ) -> "TimeBar":
        """Draw the strip for a video.

        Args:
            video: The video whose time the bars show.
            bars: The spans, drawn one below the other.
            width: Width of the strip in pixels.
            unit: Height of its text in pixels; everything else is measured by it.
            text: The text above the bars.
            heated: True if heat is drawn on the picture, whose colours are then explained.
        """
        margin = find_margin(width, unit)
        lines = text.set_lines(unit, width - 2 * margin)
        text_height = sum(line.height for line in lines)
        thick, gap = max(6, unit // 2), unit // 4
        rows = max(1, len(bars))
        # The marker of the time reaches above the bars by one gap.
        top = unit // 2 + text_height + 2 * gap + (round(1.5 * unit) if heated else 0)
        height = top + rows * (thick + gap) + 2 * unit
        background = Image.new("RGB", (width, height), STRIP_COLOUR)
        draw = ImageDraw.Draw(background)
        write_lines(draw, lines, margin, unit // 2)
        if heated:
            draw_heat_scale(background, (margin, unit // 2 + text_height + unit), unit)
        strip = cls(
            background,
            left=margin,
            right=width - margin,
            top=top - gap,
            bottom=round(height - 1.5 * unit),
            # A frame is on screen until the next one, and so the last one counts, too.
            duration=video.time_at(video.source_length),
            lettering=Lettering(unit),
        )
        for row in range(rows):
            y = top + row * (thick + gap)
            draw.rectangle((strip.left, y, strip.right, y + thick - 1), fill=EMPTY_BAR_COLOUR)
            if row < len(bars):
                strip._draw_span(draw, video, bars[row], (y, y + thick - 1))
        x = float(strip.left)
        for name, _, colour in bars:
            strip.lettering.draw(draw, (x, strip._baseline), name, colour)
            x += strip.lettering.measure(name) + unit
        return strip

    def at(self, time: float) -> Image.Image:
        """Draw the strip at a moment, in seconds."""
        strip = self.background.copy()
        draw = ImageDraw.Draw(strip)
        x = self.left + time / self.duration * (self.right - self.left)
        half = max(1.5, self.lettering.height / 10)
        halo = (x - half - 1, self.top - 1, x + half + 1, self.bottom + 1)
        draw.rectangle(halo, fill=HALO_COLOUR)
        draw.rectangle((x - half, self.top, x + half, self.bottom), fill=TEXT_COLOUR)
        clock = f"{time:.1f} of {self.duration:.1f} s"
        place = (self.right - self.lettering.measure(clock), self._baseline)
        self.lettering.draw(draw, place, clock, TEXT_COLOUR)
        return strip

    @property
    def _baseline(self) -> int:
        """Pixels from the top to the line on which names and clock are written."""
        return round(self.background.height - 0.5 * self.lettering.height)

    def _draw_span(
        self, draw: ImageDraw.ImageDraw, video: Video, bar: SpanBar, edges: tuple[int, int]
    ) -> None:
        """Draw the span of a bar between an upper and a lower edge."""
        _, span, colour = bar
        inside = span & Span(0, video.source_length)
        if not len(inside):
            return
        times = np.append(video.source_times, self.duration)[[inside.start, inside.stop]]
        x1, x2 = times / self.duration * (self.right - self.left) + self.left
        # One frame of a long video is less than a pixel wide, but has to be seen.
        draw.rectangle((x1, edges[0], max(x1 + 1, x2), edges[1]), fill=colour)


@dataclass(frozen=True)
class TextLine:
    """A line of the strip's text."""

    text: str
    colour: Colour
    lettering: Lettering

    @property
    def height(self) -> int:
        """Pixels from this line to the next one."""
        return round(1.5 * self.lettering.height)


def write_lines(
    draw: ImageDraw.ImageDraw, lines: Sequence[TextLine], margin: int, top: int
) -> None:
    """Write lines one below the other, so many pixels from the left edge and from the top."""
    y = top
    for line in lines:
        y += line.height
        # A quarter of a line below the baseline is for letters that reach below it.
        place = (float(margin), y - round(0.5 * line.lettering.height))
        line.lettering.draw(draw, place, line.text, line.colour)


def find_margin(width: int, unit: int) -> int:
    """Choose the pixels at either side of a strip: a narrow one has hardly any room for them."""
    return min(unit, width // 4)


def draw_heat_scale(strip: Image.Image, place: tuple[int, int], unit: int) -> None:
    """Draw the colours of heat between two words, from a place on their baseline to the right."""
    draw, small = ImageDraw.Draw(strip), Lettering(round(DOUBT_SIZE * unit))
    x, y = float(place[0]), place[1]
    for word in HEAT_ENDS:
        small.draw(draw, (x, y), word, NOTE_COLOUR)
        x += small.measure(word) + unit / 2
        if word == HEAT_ENDS[0]:
            colours = colour_heat(np.linspace(0, 1, SCALE_LENGTH * unit))
            row = np.rint(255 * colours[:, 3:] * colours[:, :3] + STRIP_COLOUR[0]).clip(0, 255)
            ramp = Image.fromarray(row.astype(np.uint8)[None].repeat(round(0.7 * unit), 0))
            strip.paste(ramp, (round(x), y - ramp.height))
            x += ramp.width + unit / 2


def draw_caption(text: StripText, *, width: int, unit: int) -> Image.Image:
    """Draw the strip below a picture, which has no time: the query, and the doubts.

    Args:
        text: The text of the strip.
        width: Width of the strip in pixels.
        unit: Height of its text in pixels.
    """
    margin = find_margin(width, unit)
    lines = text.set_lines(unit, width - 2 * margin)
    height = sum(line.height for line in lines) + (unit if lines else 0)
    caption = Image.new("RGB", (width, height), STRIP_COLOUR)
    write_lines(ImageDraw.Draw(caption), lines, margin, unit // 2)
    return caption
