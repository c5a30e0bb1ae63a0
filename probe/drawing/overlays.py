"""Write an answer into the video itself: where the model looked, the box, and the time span.

This module knows how to draw on a picture. What is drawn was decided elsewhere.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from probe.engine.attention import Heatmap
from probe.engine.grids import Cells
from probe.pictures.doubts import set_doubts
from probe.pictures.fonts import make_legible, note_missing_once
from probe.pictures.heat import blend, scale_heat
from probe.pictures.lettering import Lettering
from probe.pictures.style import require_finite
from probe.video import Box, Span, Tube, Video, source_frames
from probe.video.encoding import check_suffix, write_video

Colour: TypeAlias = tuple[int, int, int]
"""Red, green and blue, from 0 to 255."""

TubeOutline: TypeAlias = tuple[Tube, Colour, bool]
"""A tube, its colour, and True if it is dashed."""

SpanBar: TypeAlias = tuple[str, Span, Colour]
"""The name of a bar of time, the span that it shows, and its colour."""

ANSWER_COLOUR: Colour = (86, 180, 233)
"""Sky blue of Okabe and Ito's palette, told apart by all kinds of colour vision."""

TRUTH_COLOUR: Colour = (255, 255, 255)
"""White; the truth is also dashed, so that its shape tells it from the answer too."""

HALO_COLOUR: Colour = (0, 0, 0)
STRIP_COLOUR: Colour = (24, 24, 24)
TEXT_COLOUR: Colour = (235, 235, 235)
DOUBT_COLOUR: Colour = (255, 190, 60)
"""Amber, which is a warning without being an alarm."""

EMPTY_BAR_COLOUR: Colour = (72, 72, 72)

LEAST_HEIGHT = 360
"""Pixels of height below which a picture is enlarged, so that the text below it can be read."""

MOST_ENLARGED = 3840
"""Pixels of width to which a low picture is enlarged at most."""

MOST_SIDE = 14_000
"""Pixels of the longer side from which a picture is made smaller: H.264 ends at 16,384, and the
strip below it needs some."""

TITLE_LINES, DOUBT_LINES = 2, 3
"""Lines of the query, and of each doubt below it."""

DOUBT_SIZE = 0.85
"""Height of a doubt's text, as a share of the query's."""


@note_missing_once()
def overlay(  # noqa: PLR0913  the parts of an answer, each of which may be absent
    path: str | Path,
    video: Video,
    heatmap: Heatmap | None,
    tube: Tube | None,
    span: Span | None,
    *,
    truth: Tube | None = None,
    title: str = "",
    doubts: Sequence[str] = (),
) -> None:
    """Write the whole source video with an answer drawn into it, as an H.264 MP4.

    Attention is coloured over the picture, on one scale for the whole video; the tube's box is
    outlined in the frames of the span; a bar below shows the span within the video. Frames keep
    their times, and the whole its length; pixels that are not square become so. Memory does not
    grow with length.

    Args:
        path: the file to write; its name ends in .mp4.
        video: the video that was asked about.
        heatmap: where the model looked.
        tube: the answer's boxes; between two of them the box moves in a straight line.
        span: the time of the answer; None for the time of the tube.
        truth: the true tube, drawn dashed and as a second bar.
        title: the query; shortened if it is too wide.
        doubts: sentences that say why a reader should doubt the answer, drawn below the title; of
            more than three, the first two and the number of the others.

    Raises:
        ValueError: if the heatmap is not finite or shows frames that the video does not have, or
            the video cannot be read or written, or the name is not of an MP4.
    """
    check_suffix(path)
    heat = None if heatmap is None else HeatScale.of(heatmap, video)
    outlines: list[TubeOutline] = []
    bars: list[SpanBar] = []
    # The truth comes first, so that the answer is drawn over it.
    if truth is not None:
        outlines.append((_fill_frames(truth, truth.span), TRUTH_COLOUR, True))
    if tube is not None:
        span = tube.span if span is None else span
        outlines.append((_fill_frames(tube, span), ANSWER_COLOUR, False))
    if span is not None:
        bars.append(("answer", span, ANSWER_COLOUR))
    if truth is not None:
        bars.append(("truth", truth.span, TRUTH_COLOUR))
    zoom = Zoom.of(video)
    unit = max(min(zoom.height, zoom.width) // 22, 14)
    bar = TimeBar.of(video, bars, width=zoom.width, unit=unit, title=title, doubts=doubts)
    pictures = _draw_pictures(video, zoom, heat, outlines, bar)
    # The rate of a single frame is that at which it has its length.
    rate = 1 / video.time_at(1) if video.source_length == 1 else video.fps
    write_video(path, pictures, rate, times=video.source_times)


@dataclass(frozen=True)
class Zoom:
    """The size at which pictures are drawn, with square pixels."""

    width: int
    height: int
    """Pixels of a drawn picture."""

    across: float
    down: float
    """Drawn pixels for each stored one."""

    @classmethod
    def of(cls, video: Video) -> "Zoom":
        """Enlarge a low picture by a whole number, as far as it does not become too wide."""
        height, width = video.size
        shown = width * video.pixel_aspect
        # Rounded up to a whole number, so that square pixels stay sharp.
        scale = max(1, min(-(-LEAST_HEIGHT // height), int(MOST_ENLARGED / shown)))
        scale = min(scale, MOST_SIDE / max(shown, height))
        drawn = max(1, round(shown * scale)), max(1, round(height * scale))
        return cls(*drawn, drawn[0] / width, drawn[1] / height)

    def enlarge(
        self, picture: UInt8[np.ndarray, "height width 3"]
    ) -> UInt8[np.ndarray, "zoomed_height zoomed_width 3"]:
        """Draw a picture at this size."""
        if self.across == self.down == int(self.down):
            return picture.repeat(int(self.down), axis=0).repeat(int(self.down), axis=1)
        size = self.width, self.height
        return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))

    def move(self, box: Box) -> Box:
        """Return a box of stored pixels in drawn ones."""
        x1, y1, x2, y2 = box
        return x1 * self.across, y1 * self.down, x2 * self.across, y2 * self.down


@dataclass(frozen=True, eq=False)
class HeatScale:
    """A heatmap scaled for the eye, from 0 (no colour) to 1, at any moment of the video."""

    values: Float[np.ndarray, "frame row column"]
    times: Float[np.ndarray, " frame"]
    """Seconds at the middle of what each map frame covers, in increasing order."""

    cells: Cells

    @classmethod
    def of(cls, heatmap: Heatmap, video: Video) -> "HeatScale":
        """Scale a heatmap in one way for the whole video; half of its cells become 0.

        Raises:
            ValueError: if a value is not finite, or the map shows frames that the video does not
                have.
        """
        values = heatmap.values.detach().float().cpu().numpy().astype(np.float64)
        require_finite("the heatmap", values)
        last = max(max(sources) for sources in heatmap.cells.frames)
        if last >= video.source_length:
            raise ValueError(
                f"the heatmap shows source frame {last} but the video has {video.source_length}; "
                "draw it on the video that it was read from"
            )
        times = np.array(
            [video.source_times[list(sources)].mean() for sources in heatmap.cells.frames]
        )
        # A map of the reversed frame order runs backwards, but `at` interpolates forwards.
        order = np.argsort(times, kind="stable")
        return cls(scale_heat(values)[order], times[order], heatmap.cells)

    def at(self, time: float) -> Float[np.ndarray, "row column"]:
        """Return the map at a moment, in a straight line between the two map frames around it."""
        place = np.interp(time, self.times, np.arange(len(self.times)))
        before = int(place)
        after = min(before + 1, len(self.times) - 1)
        share = place - before
        return (1 - share) * self.values[before] + share * self.values[after]


def draw_outline(image: Image.Image, box: Box, colour: Colour, *, dashed: bool = False) -> None:
    """Draw a line around a box, with a dark halo that sets it off from any background.

    The line runs outside the box, except where it would leave the image.
    """
    thick = max(3, min(image.size) // 120)
    draw = ImageDraw.Draw(image)
    around = np.array(box) + np.array([-thick, -thick, thick, thick])
    x1, y1, x2, y2 = np.clip(around, 0, np.array(image.size * 2) - 1).tolist()
    draw.rectangle((x1 - 2, y1 - 2, x2 + 2, y2 + 2), outline=HALO_COLOUR, width=thick + 4)
    if not dashed:
        draw.rectangle((x1, y1, x2, y2), outline=colour, width=thick)
        return
    # Pillow centres a line on its coordinates, but draws a rectangle's edge inside them.
    half = thick // 2
    x1, y1, x2, y2 = x1 + half, y1 + half, x2 - half, y2 - half
    for along in _split_dashes(x1, x2, 4 * thick):
        for y in (y1, y2):
            draw.line((along[0], y, along[1], y), fill=colour, width=thick)
    for along in _split_dashes(y1, y2, 4 * thick):
        for x in (x1, x2):
            draw.line((x, along[0], x, along[1]), fill=colour, width=thick)


def _split_dashes(start: float, stop: float, length: int) -> list[tuple[float, float]]:
    """Split a line into dashes with gaps as long as themselves, and a dash at either end."""
    # An odd number of pieces, so that all corners are drawn.
    count = 2 * max(1, round((stop - start) / (2 * length))) + 1
    edges = np.linspace(start, stop, count + 1)
    return list(zip(edges[:-1:2].tolist(), edges[1::2].tolist(), strict=True))


def _fill_frames(tube: Tube, span: Span) -> Tube:
    """Give a tube a box in each of its frames within a span, so that no box flickers."""
    both = tube.span & span
    return tube.interpolated(range(both.start, both.stop)) if len(both) else tube.within(both)


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
        title: str = "",
        doubts: Sequence[str] = (),
    ) -> "TimeBar":
        """Draw the strip for a video.

        Args:
            video: The video whose time the bars show.
            bars: The spans, drawn one below the other.
            width: Width of the strip in pixels.
            unit: Height of its text in pixels; everything else is measured by it.
            title: The query; none if it is empty.
            doubts: Sentences below the title, in amber.
        """
        margin = min(unit, width // 4)  # a narrow video has hardly any room for margins
        lines = _set_lines(title, doubts, unit, width - 2 * margin)
        text_height = sum(round(1.5 * line.lettering.height) for line in lines)
        thick, gap = max(6, unit // 2), unit // 4
        rows = max(1, len(bars))
        # The marker of the time reaches above the bars by one gap.
        top = unit // 2 + text_height + 2 * gap
        height = top + rows * (thick + gap) + 2 * unit
        background = Image.new("RGB", (width, height), STRIP_COLOUR)
        draw = ImageDraw.Draw(background)
        y = unit // 2
        for line in lines:
            y += round(1.5 * line.lettering.height)
            # A quarter of a line below the baseline is for letters that reach below it.
            place = (float(margin), y - round(0.5 * line.lettering.height))
            line.lettering.draw(draw, place, line.text, line.colour)
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


def _set_lines(title: str, doubts: Sequence[str], unit: int, width: int) -> list[TextLine]:
    """Set the query and each of the first doubts in a few lines."""
    lines, large = [], Lettering(unit)
    if title:
        written = large.wrap(make_legible(title), width, TITLE_LINES)
        lines += [TextLine(line, TEXT_COLOUR, large) for line in written]
    small = Lettering(round(DOUBT_SIZE * unit))
    written = set_doubts(doubts, small, width, lines=DOUBT_LINES)
    lines += [TextLine(line, DOUBT_COLOUR, small) for line in written]
    return lines


def _draw_pictures(
    video: Video, zoom: Zoom, heat: HeatScale | None, outlines: list[TubeOutline], bar: TimeBar
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Draw every source frame, one at a time, with everything on it and the strip below it."""
    for index, source in enumerate(source_frames(video)):
        time = float(video.source_times[index])
        picture = zoom.enlarge(source)
        if heat is not None:
            picture = blend(picture, heat.at(time), zoom.move(heat.cells.region))
        image = Image.fromarray(picture)
        for tube, colour, dashed in outlines:
            box = tube.box_at(index)
            if box is not None:
                x1, y1, x2, y2 = box.tolist()
                draw_outline(image, zoom.move((x1, y1, x2, y2)), colour, dashed=dashed)
        yield np.concatenate([np.asarray(image), np.asarray(bar.at(time))])
