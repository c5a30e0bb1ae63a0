"""An answer drawn into the video itself: where the model looked, the box, and when.

Knows how to draw on a picture; what is drawn was decided elsewhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import matplotlib
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from probe.engine.attention import Heatmap
from probe.engine.grids import Cells
from probe.video import Box, Span, Tube, Video, source_frames
from probe.video.encoding import write_video

Colour: TypeAlias = tuple[int, int, int]
Boxes: TypeAlias = tuple[Tube, Colour, bool]
"""A tube, its colour, and whether it is dashed."""

Bar: TypeAlias = tuple[str, Span, Colour]
"""What a bar of time stands for, when it is, and its colour."""

ANSWER: Colour = (86, 180, 233)
"""Sky blue of Okabe and Ito's palette, told apart by all kinds of colour vision."""

TRUTH: Colour = (255, 255, 255)
"""White, and dashed, so that shape tells the truth from the answer too."""

HALO: Colour = (0, 0, 0)
PAPER: Colour = (24, 24, 24)
INK: Colour = (235, 235, 235)
TRACK: Colour = (72, 72, 72)

COLOURS = "inferno"
"""matplotlib's map of even perceptual steps from black to yellow; blue boxes stand out on it."""

DARKEST = 0.25
"""Where on the colour map the weakest attention starts: black would only darken the picture."""

STRONGEST = 0.7
"""How opaque the strongest attention is; the picture stays visible below it."""

COLD, HOT = 50.0, 99.5
"""Percentiles of a heatmap drawn as nothing and as everything: sinks do not drown the rest."""

LOWEST = 360
"""Pixels of height below which a picture is enlarged, so that text beside it can be read."""


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

    Attention glows over the picture, on one scale for the whole video; the tube's box is outlined
    in the frames of the span; a bar below shows the span within the video. Frames keep their
    times. Memory does not grow with length.

    Args:
        path: the file to write.
        video: the video that was asked about.
        heatmap: where the model looked.
        tube: the answer's boxes; between two of them the box moves in a straight line.
        span: when the answer holds; without it, as long as the tube lasts.
        truth: the true tube, drawn dashed and as a second bar.
        title: the query; shortened where it is too long.

    Raises:
        ValueError: if the heatmap is not finite or shows frames that the video does not have, or
            the video cannot be read or written.
    """
    glow = None if heatmap is None else Glow.of(heatmap, video)
    boxes: list[Boxes] = []
    bars: list[Bar] = []
    if truth is not None:
        boxes.append((_between(truth, truth.span), TRUTH, True))
    if tube is not None:
        span = tube.span if span is None else span
        boxes.append((_between(tube, span), ANSWER, False))
    if span is not None:
        bars.append(("answer", span, ANSWER))
    if truth is not None:
        bars.append(("truth", truth.span, TRUTH))
    scale = max(1, -(-LOWEST // video.size[0]))
    height, width = (side * scale for side in video.size)
    bar = TimeBar.of(video, bars, width=width, unit=max(min(height, width) // 22, 14), title=title)
    write_video(path, _drawn(video, scale, glow, boxes, bar), video.fps, times=video.source_times)


@dataclass(frozen=True, eq=False)
class Glow:
    """A heatmap on the scale from 0 to 1 that the eye is shown, at any moment of the video."""

    values: Float[np.ndarray, "frame row column"]
    times: Float[np.ndarray, " frame"]
    """Seconds at the middle of what each map frame covers, in increasing order."""

    cells: Cells

    @classmethod
    def of(cls, heatmap: Heatmap, video: Video) -> "Glow":
        """The heatmap on one scale for the whole video: half its cells are drawn as nothing."""
        values = heatmap.values.detach().float().cpu().numpy().astype(np.float64)
        if not np.isfinite(values).all():
            raise ValueError("the heatmap has values that are NaN or infinite; nothing is drawn")
        last = max(max(sources) for sources in heatmap.cells.frames)
        if last >= video.source_length:
            raise ValueError(
                f"the heatmap shows source frame {last} but the video has {video.source_length}; "
                "draw it on the video that it was read from"
            )
        cold, hot = np.percentile(values, (COLD, HOT))
        hot = hot if hot > cold else values.max()
        scaled = np.clip((values - cold) / (hot - cold), 0, 1) if hot > cold else values * 0
        times = np.array(
            [video.source_times[list(sources)].mean() for sources in heatmap.cells.frames]
        )
        order = np.argsort(times, kind="stable")
        return cls(scaled[order], times[order], heatmap.cells)

    def at(self, time: float) -> Float[np.ndarray, "row column"]:
        """The map at a moment, in a straight line between the two map frames around it."""
        place = np.interp(time, self.times, np.arange(len(self.times)))
        before = int(place)
        after = min(before + 1, len(self.times) - 1)
        share = place - before
        return (1 - share) * self.values[before] + share * self.values[after]


def blend(
    picture: UInt8[np.ndarray, "height width 3"],
    heat: Float[np.ndarray, "row column"],
    region: Box,
) -> UInt8[np.ndarray, "height width 3"]:
    """The picture with heat from 0 to 1 laid over the region; all outside stays as it is."""
    left, top, right, bottom = (round(edge) for edge in region)
    soft = Image.fromarray(heat.astype(np.float32)).resize(
        (max(1, right - left), max(1, bottom - top)), Image.Resampling.BICUBIC
    )
    height, width = picture.shape[:2]
    x1, y1, x2, y2 = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    level = np.clip(np.asarray(soft), 0, 1)[y1 - top : y2 - top, x1 - left : x2 - left, None]
    colours = matplotlib.colormaps[COLOURS](DARKEST + (1 - DARKEST) * level[..., 0])[..., :3]
    opacity = STRONGEST * level
    mixed = picture.copy()
    below = picture[y1:y2, x1:x2]
    mixed[y1:y2, x1:x2] = np.rint((1 - opacity) * below + opacity * 255 * colours)
    return mixed


def outline(image: Image.Image, box: Box, colour: Colour, *, dashed: bool = False) -> None:
    """Draw a box around what is in it, with a dark halo that parts it from any background.

    It covers what it encloses only where it would leave the image.
    """
    thick = max(3, min(image.size) // 120)
    draw = ImageDraw.Draw(image)
    around = np.array(box) + np.array([-thick, -thick, thick, thick])
    x1, y1, x2, y2 = np.clip(around, 0, np.array(image.size * 2) - 1).tolist()
    draw.rectangle((x1 - 2, y1 - 2, x2 + 2, y2 + 2), outline=HALO, width=thick + 4)
    if not dashed:
        draw.rectangle((x1, y1, x2, y2), outline=colour, width=thick)
        return
    half = thick // 2
    x1, y1, x2, y2 = x1 + half, y1 + half, x2 - half, y2 - half
    for along in _dashes(x1, x2, 4 * thick):
        for y in (y1, y2):
            draw.line((along[0], y, along[1], y), fill=colour, width=thick)
    for along in _dashes(y1, y2, 4 * thick):
        for x in (x1, x2):
            draw.line((x, along[0], x, along[1]), fill=colour, width=thick)


def _dashes(start: float, stop: float, length: int) -> list[tuple[float, float]]:
    """Pieces of a line with gaps as long as themselves, a piece at either end."""
    count = 2 * max(1, round((stop - start) / (2 * length))) + 1
    edges = np.linspace(start, stop, count + 1)
    return list(zip(edges[:-1:2].tolist(), edges[1::2].tolist(), strict=True))


def _between(tube: Tube, span: Span) -> Tube:
    """A box in every frame of the span that the tube lasts, so that none flickers."""
    both = tube.span & span
    return tube.interpolated(range(both.start, both.stop)) if len(both) else tube.within(both)


@dataclass(frozen=True, eq=False)
class TimeBar:
    """The strip under the picture: the query, bars of when, and a head that moves with time."""

    paper: Image.Image
    """What does not move."""

    left: int
    right: int
    top: int
    """Where the head starts; it runs down to the clock."""

    duration: float
    """Seconds."""

    font: ImageFont.FreeTypeFont

    @classmethod
    def of(cls, video: Video, bars: list[Bar], *, width: int, unit: int, title: str) -> "TimeBar":
        """The strip for a picture so wide, bar below bar; a unit is the height of text."""
        duration = float(video.source_times[-1]) + 1 / video.fps
        font = _font(unit)
        thick, gap = max(6, unit // 2), unit // 4
        rows = max(1, len(bars))
        top = (2 * unit if title else unit // 2) + gap
        paper = Image.new("RGB", (width, top + rows * (thick + gap) + 2 * unit), PAPER)
        draw = ImageDraw.Draw(paper)
        left, right = unit, width - unit
        if title:
            text = shortened(title, font, right - left)
            draw.text((left, unit // 2), text, fill=INK, font=font)
        edges = np.append(video.source_times, duration) / duration * (right - left) + left
        for y in range(top, top + rows * (thick + gap), thick + gap):
            draw.rectangle((left, y, right, y + thick - 1), fill=TRACK)
        name_at = float(left)
        for row, (name, span, colour) in enumerate(bars):
            y = top + row * (thick + gap)
            inside = span & Span(0, video.source_length)
            if len(inside):
                x1, x2 = edges[inside.start], edges[inside.stop]
                draw.rectangle((x1, y, max(x1 + 1, x2), y + thick - 1), fill=colour)
            place = (name_at, paper.height - unit // 3)
            draw.text(place, name, fill=colour, font=font, anchor="ld")
            name_at += font.getlength(name) + unit
        return cls(paper, left, right, top - gap, duration, font)

    def at(self, time: float) -> Image.Image:
        """The strip at a moment."""
        strip = self.paper.copy()
        draw = ImageDraw.Draw(strip)
        unit = self.font.size
        x = self.left + time / self.duration * (self.right - self.left)
        bottom = strip.height - 1.5 * unit
        half = max(1.5, unit / 10)
        draw.rectangle((x - half - 1, self.top - 1, x + half + 1, bottom + 1), fill=HALO)
        draw.rectangle((x - half, self.top, x + half, bottom), fill=INK)
        clock = f"{time:.1f} of {self.duration:.1f} s"
        draw.text(
            (self.right, strip.height - unit // 3), clock, fill=INK, font=self.font, anchor="rd"
        )
        return strip


def shortened(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """The text on one line, cut with an ellipsis where it is wider than so many pixels."""
    line = " ".join(text.split())
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(line + "…") > width:
        line = line[:-1].rstrip()
    return line + "…"


def _font(height: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(height)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return font


def _drawn(
    video: Video, scale: int, glow: Glow | None, boxes: list[Boxes], bar: TimeBar
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Every source frame with everything on it."""
    for index, source in enumerate(source_frames(video)):
        time = float(video.source_times[index])
        picture = source.repeat(scale, axis=0).repeat(scale, axis=1)
        if glow is not None:
            picture = blend(picture, glow.at(time), _scaled(glow.cells.region, scale))
        image = Image.fromarray(picture)
        for tube, colour, dashed in boxes:
            box = tube.box_at(index)
            if box is not None:
                x1, y1, x2, y2 = box.tolist()
                outline(image, _scaled((x1, y1, x2, y2), scale), colour, dashed=dashed)
        yield np.concatenate([np.asarray(image), np.asarray(bar.at(time))])


def _scaled(box: Box, scale: int) -> Box:
    return box[0] * scale, box[1] * scale, box[2] * scale, box[3] * scale
