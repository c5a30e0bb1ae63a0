"""Write an answer into the video itself: where the model looked, the box, and the time span.

This module knows how to draw on a picture. What is drawn was decided elsewhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from probe.engine.attention import Heatmap
from probe.engine.grids import Cells
from probe.pictures.heat import blend, scale_heat
from probe.pictures.style import require_finite
from probe.video import Box, Span, Tube, Video, source_frames
from probe.video.encoding import write_video

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
EMPTY_BAR_COLOUR: Colour = (72, 72, 72)

LEAST_HEIGHT = 360
"""Pixels of height below which a picture is enlarged, so that the text below it can be read."""


def overlay(  # noqa: PLR0913  the parts of an answer, each of which may be absent
    path: str | Path,
    video: Video,
    heatmap: Heatmap | None,
    tube: Tube | None,
    span: Span | None,
    *,
    truth: Tube | None = None,
    title: str = "",
) -> None:
    """Write the whole source video with an answer drawn into it, as an H.264 MP4.

    Attention is coloured over the picture, on one scale for the whole video; the tube's box is
    outlined in the frames of the span; a bar below shows the span within the video. Frames keep
    their times. Memory does not grow with length.

    Args:
        path: the file to write.
        video: the video that was asked about.
        heatmap: where the model looked.
        tube: the answer's boxes; between two of them the box moves in a straight line.
        span: the time of the answer; None for the time of the tube.
        truth: the true tube, drawn dashed and as a second bar.
        title: the query; shortened if it is too wide.

    Raises:
        ValueError: if the heatmap is not finite or shows frames that the video does not have, or
            the video cannot be read or written.
    """
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
    scale = max(1, -(-LEAST_HEIGHT // video.size[0]))  # rounded up to a whole number
    height, width = (side * scale for side in video.size)
    bar = TimeBar.of(video, bars, width=width, unit=max(min(height, width) // 22, 14), title=title)
    pictures = _draw_pictures(video, scale, heat, outlines, bar)
    write_video(path, pictures, video.fps, times=video.source_times)


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
    """The strip below the picture: the query, a bar for each span, and a marker of the time."""

    background: Image.Image
    """Everything but the marker and the clock, which move."""

    left: int
    right: int
    top: int
    """Pixels at which the marker starts; it ends above the clock."""

    duration: float
    """Seconds."""

    font: ImageFont.FreeTypeFont

    @classmethod
    def of(
        cls, video: Video, bars: list[SpanBar], *, width: int, unit: int, title: str
    ) -> "TimeBar":
        """Draw the strip for a video.

        Args:
            video: The video whose time the bars show.
            bars: The spans, drawn one below the other.
            width: Width of the strip in pixels.
            unit: Height of its text in pixels; everything else is measured by it.
            title: The query, in one line; none if it is empty.
        """
        # A frame is on screen until the next one, and so the last one counts, too.
        duration = float(video.source_times[-1]) + 1 / video.fps
        font = _load_font(unit)
        thick, gap = max(6, unit // 2), unit // 4
        rows = max(1, len(bars))
        top = (2 * unit if title else unit // 2) + gap
        height = top + rows * (thick + gap) + 2 * unit
        background = Image.new("RGB", (width, height), STRIP_COLOUR)
        draw = ImageDraw.Draw(background)
        left, right = unit, width - unit
        if title:
            text = fit_text(title, font, right - left)
            draw.text((left, unit // 2), text, fill=TEXT_COLOUR, font=font)
        edges = np.append(video.source_times, duration) / duration * (right - left) + left
        for y in range(top, top + rows * (thick + gap), thick + gap):
            draw.rectangle((left, y, right, y + thick - 1), fill=EMPTY_BAR_COLOUR)
        name_at = float(left)
        for row, (name, span, colour) in enumerate(bars):
            y = top + row * (thick + gap)
            inside = span & Span(0, video.source_length)
            if len(inside):
                x1, x2 = edges[inside.start], edges[inside.stop]
                # One frame of a long video is less than a pixel wide, but has to be seen.
                draw.rectangle((x1, y, max(x1 + 1, x2), y + thick - 1), fill=colour)
            place = (name_at, height - unit // 3)
            draw.text(place, name, fill=colour, font=font, anchor="ld")
            name_at += font.getlength(name) + unit
        return cls(background, left, right, top - gap, duration, font)

    def at(self, time: float) -> Image.Image:
        """Draw the strip at a moment, in seconds."""
        strip = self.background.copy()
        draw = ImageDraw.Draw(strip)
        unit = self.font.size
        x = self.left + time / self.duration * (self.right - self.left)
        bottom = strip.height - 1.5 * unit
        half = max(1.5, unit / 10)
        draw.rectangle((x - half - 1, self.top - 1, x + half + 1, bottom + 1), fill=HALO_COLOUR)
        draw.rectangle((x - half, self.top, x + half, bottom), fill=TEXT_COLOUR)
        clock = f"{time:.1f} of {self.duration:.1f} s"
        place = (self.right, strip.height - unit // 3)
        draw.text(place, clock, fill=TEXT_COLOUR, font=self.font, anchor="rd")
        return strip


def fit_text(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """Put text on one line, cut with an ellipsis if it is wider than so many pixels."""
    line = " ".join(text.split())
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(line + "…") > width:
        line = line[:-1].rstrip()
    return line + "…"


def _load_font(height: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(height)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return font


def _draw_pictures(
    video: Video, scale: int, heat: HeatScale | None, outlines: list[TubeOutline], bar: TimeBar
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Draw every source frame, one at a time, with everything on it and the strip below it."""
    for index, source in enumerate(source_frames(video)):
        time = float(video.source_times[index])
        picture = source.repeat(scale, axis=0).repeat(scale, axis=1)
        if heat is not None:
            picture = blend(picture, heat.at(time), _scale_box(heat.cells.region, scale))
        image = Image.fromarray(picture)
        for tube, colour, dashed in outlines:
            box = tube.box_at(index)
            if box is not None:
                x1, y1, x2, y2 = box.tolist()
                draw_outline(image, _scale_box((x1, y1, x2, y2), scale), colour, dashed=dashed)
        yield np.concatenate([np.asarray(image), np.asarray(bar.at(time))])


def _scale_box(box: Box, scale: int) -> Box:
    return box[0] * scale, box[1] * scale, box[2] * scale, box[3] * scale
