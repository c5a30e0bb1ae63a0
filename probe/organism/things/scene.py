"""A clip of things: how it is drawn, and where each thing is in it, exactly.

A box is around the whole thing, whatever covers it; a thing that hides keeps the box of the place
where it hides. A mask has only what is visible.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path as FilePath

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from probe.organism.sampling import sample_middles
from probe.organism.things.acting import LENGTH, RATE, SAMPLED_FRAMES, Act, Path
from probe.organism.things.descriptions import Description
from probe.organism.things.grounds import DRIFT, SIDE, Ground
from probe.organism.things.sprites import Raster, draw_raster
from probe.video import Span, Tube, Video
from probe.video.encoding import write_video

VISIBLE = 0.3
"""Share of a thing's pixels from which on it counts as visible in a frame."""


FILLED = 0.85
"""Share of the side of its square that a picture usually fills."""


@dataclass(frozen=True)
class Thing:
    """One thing: what it is, what it does, and where."""

    kind: str
    colour: str
    """One of `COLOURS`; "" for kinds that come in one painting only."""

    size: str
    """"small", "big", or "" for neither."""

    acts: tuple[Act, ...]
    """Its actions, one after the other; empty if it rests throughout."""

    side: int
    """Width and height of its square at rest, in pixels."""

    flipped: bool
    """True if it faces right."""

    depth: int
    """Order in which things are drawn: those of higher numbers cover those of lower ones."""

    path: Path = field(compare=False, repr=False)
    led_by: str = ""
    """The name of the thing that it follows; "" if it follows none."""

    name: Description = field(default_factory=Description)
    """The words that say which thing is meant."""

    unique: bool = False
    """True if its query is true of it alone."""

    @property
    def look(self) -> str:
        """The name of its sprite: its kind, and its colour if it comes in several."""
        return f"{self.colour} {self.kind}".strip()

    @property
    def action(self) -> str:
        """Its actions, in the words of a query; empty if it rests."""
        words = [f"{act.name} the {self.led_by}" if self.led_by else act.name for act in self.acts]
        return " and then ".join(words)

    @property
    def attribute(self) -> str:
        """The part of a query that says which thing is meant."""
        return self.name.attribute

    @property
    def description(self) -> Description:
        """The words that say which thing is meant and what it does."""
        return replace(self.name, action=self.action)

    @property
    def query(self) -> str:
        """The sentence that says which thing is meant and what it does."""
        return f"the {self.description.plain}"

    @property
    def span(self) -> Span:
        """The frames from the start of its first action to the end of its last; all if it rests."""
        if not self.acts:
            return Span(0, LENGTH)
        return Span(self.acts[0].span.start, self.acts[-1].span.stop)

    @property
    def words(self) -> Mapping[str, str]:
        """The words of its query by their use, for tables of what tokens look at."""
        said = self.name
        parts = {"SIZE": said.size, "COLOUR": said.colour, "KIND": said.kind, "ACTION": self.action}
        return {name: text for name, text in parts.items() if text}

    @cached_property
    def boxes(self) -> Float[np.ndarray, "frame 4"]:
        """The box around the whole thing in every frame, in pixels, within the frame."""
        poses = np.stack([self.path.side, self.path.angle], axis=1)
        # A thing has few different poses but 96 frames, and each pose needs its picture.
        kinds, which = np.unique(poses, axis=0, return_inverse=True)
        bounds = np.array([self._raster(int(s), int(a), 1).bounds for s, a in kinds], dtype=float)
        centre = np.floor(np.stack([self.path.x, self.path.y], axis=1))
        boxes = np.clip(bounds[which.reshape(-1)] + np.tile(centre, 2), 0, SIDE)
        boxes.flags.writeable = False
        return boxes

    @property
    def squares(self) -> Float[np.ndarray, "frame 4"]:
        """The square that its picture nearly fills in every frame; it is not turned with it.

        Relations are judged by it, since it needs no picture.
        """
        centre = np.stack([self.path.x, self.path.y], axis=1)
        half = FILLED / 2 * self.path.side[:, None]
        return np.concatenate([centre - half, centre + half], axis=1)

    def track(self) -> Tube:
        """Return the thing's box in every frame of the clip."""
        return Tube(np.arange(LENGTH), self.boxes, self.attribute)

    def tube(self) -> Tube:
        """Return the thing's box in the frames in which it acts: the answer to its query."""
        return self.track().within(self.span)

    def draw(self, frame: int, scale: int = 1) -> tuple[Raster, int, int, int]:
        """Draw the thing for a frame: the raster, its first row and column, and its rows that show.

        A thing that hides goes straight down into the ground, so that its lowest rows are cut off.
        """
        path = self.path
        raster = self._raster(int(path.side[frame]), int(path.angle[frame]), scale)
        top = int(np.floor(path.y[frame] * scale)) + raster.top
        left = int(np.floor(path.x[frame] * scale)) + raster.left
        if not path.sunk[frame]:
            return raster, top, left, raster.solid.shape[0]
        # The ground is at its lowest solid row, below which the soft edge of a picture may go on.
        height = raster.bounds[3] - raster.top
        sunk = int(np.ceil(path.sunk[frame] * height))
        return raster, top + sunk, left, height - sunk

    def _raster(self, side: int, angle: int, scale: int) -> Raster:
        return draw_raster(self.look, side * scale, angle, self.flipped)


@dataclass(frozen=True)
class Clip:
    """A few things on a ground, seen by a camera that moves slowly."""

    things: tuple[Thing, ...]
    """All things; the last ones are drawn last and cover the others."""

    ground: Ground
    camera: Float[np.ndarray, "frame 2"] = field(compare=False, repr=False)
    """Shift of the picture in each frame, to the right and down, in half pixels at the finest."""

    @property
    def asked(self) -> tuple[Thing, ...]:
        """The things that do something, and that a query can mean without doubt."""
        return tuple(thing for thing in self.things if thing.acts and thing.unique)

    def frame(self, index: int, *, scale: int = 1) -> UInt8[np.ndarray, "height width 3"]:
        """Draw one source frame, `scale` times as large."""
        return self._draw(self.ground.draw(scale), [index], scale)[0]

    def frames(self, indices: Sequence[int]) -> UInt8[np.ndarray, "frame height width 3"]:
        """Draw several source frames."""
        return self._draw(self.ground.draw(), indices, 1)

    def _draw(
        self, canvas: Float32[np.ndarray, "row column 3"], indices: Sequence[int], scale: int
    ) -> UInt8[np.ndarray, "frame height width 3"]:
        side = SIDE * scale
        pictures = np.empty((len(indices), side, side, 3), dtype=np.float32)
        for picture, index in zip(pictures, indices, strict=True):
            right, down = (int(np.floor(shift * scale)) for shift in self.camera[index])
            top, left = DRIFT * scale - down, DRIFT * scale - right
            picture[:] = canvas[top : top + side, left : left + side]
            # All shadows first: a shadow lies on the ground and never on a thing.
            for thing in self.things:
                _cast_shadow(picture, thing, index, scale)
            for thing in self.things:
                _paint(picture, thing, index, scale)
        return self.ground.expose(pictures, indices)

    def mask(self, thing: Thing, index: int) -> Bool[np.ndarray, "height width"]:
        """Return True for each pixel of a frame in which a thing is what is seen."""
        seen = np.zeros((SIDE, SIDE), dtype=bool)
        # In the order of drawing: whatever is drawn after a thing takes pixels from it.
        for other in self.things:
            solid = _place(other, index)
            seen = solid if other is thing else seen & ~solid
        return seen

    def measure_visibility(self, thing: Thing) -> Float[np.ndarray, " frame"]:
        """Compute the share of a thing's pixels that nothing hides, in each sampled frame."""
        shares = []
        for index in sample_indices():
            raster = thing.draw(index)[0]
            shares.append(self.mask(thing, index).sum() / raster.solid.sum())
        return np.array(shares)

    def video(self, frames: int = SAMPLED_FRAMES) -> Video:
        """Draw frames of the clip, sampled as `read_video` samples a file."""
        indices = sample_indices(frames)
        return Video(self.frames(indices), indices, np.arange(LENGTH) / RATE, reader=self.frames)

    def write(self, path: FilePath, *, scale: int = 2) -> None:
        """Write the whole clip as an MP4 file, enlarged so that people can see it."""
        canvas = self.ground.draw(scale)
        pictures = (self._draw(canvas, [index], scale)[0] for index in range(LENGTH))
        write_video(path, pictures, RATE)


def sample_indices(frames: int = SAMPLED_FRAMES) -> tuple[int, ...]:
    """Return the source frames in the middle of `frames` equal parts of a clip.

    >>> sample_indices(4)
    (12, 36, 60, 84)
    """
    return sample_middles(LENGTH, frames)


def _place(thing: Thing, index: int) -> Bool[np.ndarray, "height width"]:
    """Return the pixels of a frame that a thing covers, whether or not it is covered itself."""
    placed = np.zeros((SIDE, SIDE), dtype=bool)
    raster, top, left, rows = thing.draw(index)
    if (part := _crop(top, left, rows, raster.solid.shape[1], SIDE)) is not None:
        inside, source = part
        placed[inside] = raster.solid[source]
    return placed


def _paint(picture: Float32[np.ndarray, "r c 3"], thing: Thing, index: int, scale: int) -> None:
    """Draw a thing on a picture, in place."""
    raster, top, left, rows = thing.draw(index, scale)
    if (part := _crop(top, left, rows, raster.solid.shape[1], len(picture))) is not None:
        inside, source = part
        picture[inside] *= raster.clear[source]
        picture[inside] += raster.light[source]


def _cast_shadow(
    picture: Float32[np.ndarray, "r c 3"], thing: Thing, index: int, scale: int
) -> None:
    """Draw the shadow on the ground below a thing, or the hole in which it hides, in place."""
    path = thing.path
    width = int(path.side[index] * scale * 0.8)
    hidden = bool(path.sunk[index] > 0)
    clear = _draw_shadow(width, hidden)
    rows = clear.shape[0]
    top = int(np.floor(path.floor[index] * scale)) - (rows * 3) // 5
    left = int(np.floor(path.x[index] * scale)) - width // 2
    if (part := _crop(top, left, rows, width, len(picture))) is not None:
        inside, source = part
        picture[inside] *= clear[source]


@lru_cache(maxsize=512)
def _draw_shadow(width: int, hole: bool) -> Float32[np.ndarray, "row column 1"]:
    """Draw what remains of the light: less in a hole, which has a sharp edge, than in a shadow."""
    height = max(3, width // 3)
    down = (np.arange(height) + 0.5) / height * 2 - 1
    across = (np.arange(width) + 0.5) / width * 2 - 1
    distance = np.hypot(down[:, None], across)
    dark = np.clip((1 - distance) * 6, 0, 0.85) if hole else np.clip(1 - distance, 0, 0.5) * 0.9
    return (1 - dark)[..., None].astype(np.float32)


def _crop(
    top: int, left: int, rows: int, columns: int, side: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]] | None:
    """Return where a block lies in a picture, and which part of the block that is; None if none."""
    first, last = max(0, top), min(side, top + rows)
    begin, end = max(0, left), min(side, left + columns)
    if first >= last or begin >= end:
        return None
    return (slice(first, last), slice(begin, end)), (
        slice(first - top, last - top),
        slice(begin - left, end - left),
    )
