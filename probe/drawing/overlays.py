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

from probe.drawing.time_bars import HALO_COLOUR, Colour, SpanBar, StripText, TimeBar, draw_caption
from probe.engine.attention import Heatmap
from probe.engine.grids import Cells
from probe.files import write_atomically
from probe.pictures.crops import dim_outside
from probe.pictures.fonts import note_missing_once
from probe.pictures.heat import blend, scale_heat
from probe.pictures.style import require_finite
from probe.video import Box, Span, Tube, Video, source_frames
from probe.video.encoding import check_suffix, write_video

TubeOutline: TypeAlias = tuple[Tube, Colour, bool]
"""A tube, its colour, and True if it is dashed."""

ANSWER_COLOUR: Colour = (86, 180, 233)
"""Sky blue of Okabe and Ito's palette, told apart by all kinds of colour vision."""

ALSO_COLOUR: Colour = (204, 121, 167)
"""Reddish purple of the same palette, for what is meant besides the answer."""

TRUTH_COLOUR: Colour = (255, 255, 255)
"""White; the truth is also dashed, so that its shape tells it from the answer too."""

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
"""Names of pictures that are written; PNG shows every pixel as it is."""

LEAST_HEIGHT = 360
"""Pixels of height below which a picture is enlarged, so that the text below it can be read."""

MOST_ENLARGED = 3840
"""Pixels of width to which a low picture is enlarged at most."""

MOST_SIDE = 14_000
"""Pixels of the longer side from which a picture is made smaller: H.264 ends at 16,384, and the
strip below it needs some."""


@note_missing_once()
def overlay(  # noqa: PLR0913  the parts of an answer, each of which may be absent
    path: str | Path,
    video: Video,
    heatmap: Heatmap | None,
    tube: Tube | None,
    span: Span | None,
    *,
    truth: Tube | None = None,
    others: Sequence[tuple[Tube, Span]] = (),
    title: str = "",
    note: str = "",
    doubts: Sequence[str] = (),
) -> None:
    """Write the whole source video with an answer drawn into it, as an H.264 MP4.

    A picture is written as a picture: heat, box, query and doubts, and no time.

    Attention is coloured over the picture, on one scale for the whole video, and dark is what the
    processor cuts off before the model sees it; the tube's box is outlined in the frames of the
    span; a bar below shows the span within the video. Frames keep their times, and the whole its
    length; pixels that are not square become so. Memory does not grow with length.

    Args:
        path: the file to write; its name ends in .mp4, or that of a picture in .png.
        video: the video that was asked about.
        heatmap: where the model looked.
        tube: the answer's boxes; between two of them the box moves in a straight line.
        span: the time of the answer; None for the time of the tube.
        truth: the true tube, drawn dashed and as a second bar.
        others: what is meant besides the answer: boxes and time of each, in purple.
        title: the query; shortened if it is too wide.
        note: a line below the title, such as how far answer and truth agree.
        doubts: sentences that say why a reader should doubt the answer, drawn below the title; of
            more than three, the first two and the number of the others.

    Raises:
        ValueError: if the heatmap is not finite or shows frames that the video does not have, or
            the video cannot be read or written, or the name is not of an MP4.
    """
    name = check_picture_suffix(path) if video.is_still else check_suffix(path)
    heat = None if heatmap is None else HeatScale.of(heatmap, video)
    outlines: list[TubeOutline] = []
    bars: list[SpanBar] = []
    outlines += [(_fill_frames(other, at), ALSO_COLOUR, False) for other, at in others]
    if tube is not None:
        span = tube.span if span is None else span
        outlines.append((_fill_frames(tube, span), ANSWER_COLOUR, False))
    # The truth comes last: where both agree, the answer is seen between its dashes.
    if truth is not None:
        outlines.append((_fill_frames(truth, truth.span), TRUTH_COLOUR, True))
    if span is not None:
        bars.append(("answer", span, ANSWER_COLOUR))
    bars += [("also", at, ALSO_COLOUR) for _, at in others]
    if truth is not None:
        bars.append(("truth", truth.span, TRUTH_COLOUR))
    zoom = Zoom.of(video)
    unit = max(min(zoom.height, zoom.width) // 22, 14)
    painter, text = Painter(video, zoom, heat, outlines), StripText(title, note, tuple(doubts))
    if video.is_still:
        caption = draw_caption(text, width=zoom.width, unit=unit)
        picture = painter.draw(video.frames[0], video.indices[0])
        _write_picture(name, np.concatenate([picture, np.asarray(caption)]))
        return
    heated = heat is not None
    bar = TimeBar.of(video, bars, width=zoom.width, unit=unit, text=text, heated=heated)
    write_video(name, _draw_pictures(painter, bar), video.fps, times=video.source_times)


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
    if not dashed:
        draw.rectangle((x1 - 2, y1 - 2, x2 + 2, y2 + 2), outline=HALO_COLOUR, width=thick + 4)
        draw.rectangle((x1, y1, x2, y2), outline=colour, width=thick)
        return
    # Pillow centres a line on its coordinates, but draws a rectangle's edge inside them.
    half = thick // 2
    dashes = _list_dashes((x1 + half, y1 + half, x2 - half, y2 - half), 4 * thick)
    for edge, width in ((HALO_COLOUR, thick + 4), (colour, thick)):
        for dash in dashes:
            draw.line(dash, fill=edge, width=width)


def _list_dashes(box: Box, length: int) -> list[Box]:
    """List the dashes along the four sides of a box: where each starts, and where it stops."""
    x1, y1, x2, y2 = box
    along, down = _split_dashes(x1, x2, length), _split_dashes(y1, y2, length)
    level = [(start, y, stop, y) for start, stop in along for y in (y1, y2)]
    return level + [(x, start, x, stop) for start, stop in down for x in (x1, x2)]


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


def check_picture_suffix(path: str | Path) -> Path:
    """Refuse a name that says that a written picture is something else than a picture.

    Raises:
        ValueError: if the suffix is of another kind of file.
    """
    path = Path(path)
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        raise ValueError(
            f"{path}: the overlay of a picture is a picture; give a name that ends in .png"
        )
    return path


def _write_picture(path: Path, picture: UInt8[np.ndarray, "height width 3"]) -> None:
    with write_atomically(path) as temporary:
        Image.fromarray(picture).save(temporary)


@dataclass(frozen=True, eq=False)
class Painter:
    """All that is drawn into the frames of one video."""

    video: Video
    zoom: Zoom
    heat: HeatScale | None
    outlines: Sequence[TubeOutline]

    def draw(
        self, source: UInt8[np.ndarray, "height width 3"], index: int
    ) -> UInt8[np.ndarray, "zoomed_height zoomed_width 3"]:
        """Draw the heat and the boxes of a source frame on its picture."""
        picture = self.zoom.enlarge(source)
        if self.heat is not None:
            values = self.heat.at(float(self.video.source_times[index]))
            region = self.zoom.move(self.heat.cells.region)
            picture = blend(dim_outside(picture, region), values, region)
        image = Image.fromarray(picture)
        for tube, colour, dashed in self.outlines:
            box = tube.box_at(index)
            if box is not None:
                x1, y1, x2, y2 = box.tolist()
                draw_outline(image, self.zoom.move((x1, y1, x2, y2)), colour, dashed=dashed)
        return np.asarray(image)


def _draw_pictures(painter: Painter, bar: TimeBar) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Draw every source frame, one at a time, with everything on it and the strip below it."""
    for index, source in enumerate(source_frames(painter.video)):
        strip = bar.at(float(painter.video.source_times[index]))
        yield np.concatenate([painter.draw(source, index), np.asarray(strip)])
