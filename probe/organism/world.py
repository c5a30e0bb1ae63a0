"""The organism's world: short clips of coloured shapes, whose tubes are known exactly.

A clip is described, not stored: everything follows from a seed, frames are drawn when asked for,
and boxes and masks come from the same formulas as the picture. Two to four objects stand on a
varied background; each does one thing over a known span; they share colours, shapes and actions,
so that a query can only be answered by binding its words to one object.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt8

from probe.video import Box, Span, Tube, Video
from probe.video.encoding import write_video

SIDE = 56
"""Width and height of a frame, in pixels."""

LENGTH = 64
"""Source frames in a clip."""

RATE = 16.0
"""Source frames a second; a clip lasts four seconds."""

SAMPLED = 8
"""Frames that the organism sees of a clip."""

COLOURS = {
    "red": (220.0, 40.0, 40.0),
    "green": (40.0, 180.0, 60.0),
    "blue": (50.0, 80.0, 220.0),
    "yellow": (230.0, 210.0, 50.0),
    "purple": (160.0, 60.0, 190.0),
    "white": (235.0, 235.0, 235.0),
}
SHAPES = ("circle", "square", "triangle", "cross")
STATES = ("glows", "grows", "shrinks", "winks")
"""Actions that a single frame shows."""

MOTIONS = ("jumps", "slides left", "slides right")
"""Actions that only a comparison of frames shows."""

ACTIONS = STATES + MOTIONS

GROWN, SHRUNK = 1.45, 0.62
"""Radius of a growing or shrinking object over the one at rest; both leave the range of radii."""

HOP, HOP_PERIOD = 9.0, 24.0
"""Height of a jump in pixels and length of one in source frames (three sampled frames)."""

SLIDE = 16.0
"""How far an object slides, in pixels: two cells of the organism's grid."""

HALO_DISTANCE, HALO_WIDTH = 2.4, 1.6
HALO_COLOUR = (255.0, 250.0, 180.0)
PUPIL = 0.42
"""Radius of a winking object's dark pupil over the object's."""

SPACING = 2.0
"""Least distance between the boxes of two objects in a frame, in pixels."""

Distance = Float[np.ndarray, "height width"]
_OUTLINES: dict[str, Callable[[Distance, Distance, float], Distance]] = {
    "circle": lambda x, y, r: np.hypot(x, y) - r,
    "square": lambda x, y, r: np.maximum(abs(x), abs(y)) - 0.88 * r,
    "triangle": lambda x, y, r: np.maximum(0.9 * abs(x) - 0.5 * (y + r), y - 0.8 * r),
    "cross": lambda x, y, r: np.minimum(
        np.maximum(abs(x) - r, abs(y) - 0.38 * r), np.maximum(abs(x) - 0.38 * r, abs(y) - r)
    ),
}
"""Distance of a pixel from a shape's outline, negative inside; close enough to blend edges with."""

_EXTENTS: dict[str, Box] = {
    "circle": (-1.0, -1.0, 1.0, 1.0),
    "square": (-0.88, -0.88, 0.88, 0.88),
    "triangle": (-1.0, -1.0, 1.0, 0.8),
    "cross": (-1.0, -1.0, 1.0, 1.0),
}
"""The box around each shape of radius 1."""


@dataclass(frozen=True)
class Pose:
    """What an object looks like in one frame."""

    x: float
    y: float
    radius: float
    glowing: bool = False
    winking: bool = False


@dataclass(frozen=True)
class Thing:
    """A coloured shape that does one thing during `span`."""

    colour: str
    shape: str
    action: str
    span: Span
    x: float
    y: float
    radius: float

    @property
    def attribute(self) -> str:
        """Which object: the part of a query that says who.

        >>> Thing("red", "circle", "glows", Span(0, 8), 20.0, 20.0, 5.0).attribute
        'red circle'
        """
        return f"{self.colour} {self.shape}"

    @property
    def query(self) -> str:
        """Which object and what it does.

        >>> Thing("red", "circle", "glows", Span(0, 8), 20.0, 20.0, 5.0).query
        'the red circle that glows'
        """
        return f"the {self.attribute} that {self.action}"

    def pose(self, frame: int) -> Pose:
        """How the object stands in a source frame."""
        rest = Pose(self.x, self.y, self.radius)
        done = np.clip((frame - self.span.start) / len(self.span), 0.0, 1.0)
        if self.action in ("slides left", "slides right"):
            direction = 1 if self.action == "slides right" else -1
            return replace(rest, x=self.x + direction * SLIDE * float(done))
        if frame not in self.span:
            return rest
        if self.action == "jumps":
            phase = 2 * np.pi * (frame - self.span.start) / HOP_PERIOD
            return replace(rest, y=self.y - HOP * (1 - float(np.cos(phase))) / 2)
        if self.action in ("grows", "shrinks"):
            scale = GROWN if self.action == "grows" else SHRUNK
            return replace(rest, radius=self.radius * scale)
        return replace(rest, glowing=self.action == "glows", winking=self.action == "winks")

    def box(self, frame: int) -> Box:
        """The box around the object in a source frame, without its halo."""
        pose = self.pose(frame)
        left, top, right, bottom = _EXTENTS[self.shape]
        return (
            pose.x + left * pose.radius,
            pose.y + top * pose.radius,
            pose.x + right * pose.radius,
            pose.y + bottom * pose.radius,
        )

    def track(self) -> Tube:
        """The object's box in every frame of the clip."""
        boxes = np.array([self.box(frame) for frame in range(LENGTH)], dtype=np.float64)
        return Tube(np.arange(LENGTH), np.clip(boxes, 0, SIDE), self.attribute)

    def tube(self) -> Tube:
        """The object's box in the frames in which it acts: the answer to its query."""
        return self.track().within(self.span)


@dataclass(frozen=True)
class Background:
    """A colour that changes softly over the frame, with noise that changes every frame."""

    colour: tuple[float, float, float]
    slope: tuple[float, float]
    waves: tuple[tuple[float, float, float, float], ...]
    """Strength, two frequencies in radians a pixel, and phase of each soft stripe pattern."""
    noise: float
    """Standard deviation of the noise, in grey levels."""

    def draw(self, x: Distance, y: Distance) -> Float[np.ndarray, "height width 3"]:
        """The background without noise at the given pixel coordinates."""
        level = self.slope[0] * (x - SIDE / 2) + self.slope[1] * (y - SIDE / 2)
        for strength, across, down, phase in self.waves:
            level = level + strength * np.sin(across * x + down * y + phase)
        return np.asarray(self.colour) + level[..., None]


@dataclass(frozen=True)
class Clip:
    """A few things on a background."""

    things: tuple[Thing, ...]
    background: Background
    seed: int

    def frame(self, index: int, *, scale: int = 1) -> UInt8[np.ndarray, "height width 3"]:
        """Draw one source frame, `scale` times as large."""
        grid = (np.arange(SIDE * scale) + 0.5) / scale
        x, y = np.meshgrid(grid, grid)
        noise = np.random.default_rng((self.seed, index)).normal(
            0, self.background.noise, (SIDE, SIDE, 3)
        )
        picture = self.background.draw(x, y) + noise.repeat(scale, 0).repeat(scale, 1)
        for thing in self.things:
            _paint(picture, x, y, thing, thing.pose(index), scale)
        return np.clip(picture, 0, 255).astype(np.uint8)

    def mask(self, thing: Thing, index: int) -> Bool[np.ndarray, "height width"]:
        """The pixels whose centre lies within a thing in one source frame."""
        pose = thing.pose(index)
        x, y = np.meshgrid(np.arange(SIDE) + 0.5 - pose.x, np.arange(SIDE) + 0.5 - pose.y)
        return _OUTLINES[thing.shape](x, y, pose.radius) <= 0

    def video(self, frames: int = SAMPLED) -> Video:
        """The clip sampled as `read_video` samples a file: the middle of equal stretches."""
        indices = sampled_indices(frames)
        pictures = np.stack([self.frame(index) for index in indices])
        return Video(pictures, indices, np.arange(LENGTH) / RATE)

    def write(self, path: Path, *, scale: int = 4) -> None:
        """Write the whole clip as an MP4, enlarged so that people can see it."""
        write_video(path, (self.frame(index, scale=scale) for index in range(LENGTH)), RATE)


def sampled_indices(frames: int = SAMPLED) -> tuple[int, ...]:
    """The source frames in the middle of `frames` equal stretches of a clip.

    >>> sampled_indices(8)
    (4, 12, 20, 28, 36, 44, 52, 60)
    """
    return tuple(int((i + 0.5) * LENGTH / frames) for i in range(frames))


def _paint(
    picture: Float[np.ndarray, "height width 3"],
    x: Distance,
    y: Distance,
    thing: Thing,
    pose: Pose,
    scale: int,
) -> None:
    """Draw a thing onto a picture, in place, touching only the pixels around it."""
    reach = pose.radius + HALO_DISTANCE + HALO_WIDTH + 1
    rows = slice(max(0, int((pose.y - reach) * scale)), int((pose.y + reach + 1) * scale))
    columns = slice(max(0, int((pose.x - reach) * scale)), int((pose.x + reach + 1) * scale))
    dx, dy = x[rows, columns] - pose.x, y[rows, columns] - pose.y
    distance = _OUTLINES[thing.shape](dx, dy, pose.radius)
    part = picture[rows, columns]
    if pose.glowing:
        ring = np.clip(1 - abs(distance - HALO_DISTANCE) / HALO_WIDTH, 0, 1)
        _blend(part, ring, HALO_COLOUR)
    _blend(part, np.clip(0.5 - distance * scale, 0, 1), COLOURS[thing.colour])
    if pose.winking:
        pupil = np.hypot(dx, dy) - PUPIL * pose.radius
        _blend(part, np.clip(0.5 - pupil * scale, 0, 1), (15.0, 15.0, 15.0))


def _blend(
    picture: Float[np.ndarray, "height width 3"], share: Distance, colour: Sequence[float]
) -> None:
    picture += share[..., None] * (np.asarray(colour) - picture)


def make_clip(seed: int | Sequence[int]) -> Clip:
    """The clip that belongs to a seed."""
    rng = np.random.default_rng(seed)
    count = int(rng.choice([2, 3, 4], p=[0.3, 0.4, 0.3]))
    while True:
        if things := _place(rng, _cast(rng, count)):
            return Clip(things, _background(rng), int(rng.integers(2**31)))


def _cast(rng: np.random.Generator, count: int) -> list[tuple[str, str, str]]:
    """Colours, shapes and actions: no two objects of one name, most sharing something."""
    cast = [(_pick(rng, COLOURS), _pick(rng, SHAPES), _pick(rng, ACTIONS))]
    while len(cast) < count:
        colour, shape, action = _pick(rng, COLOURS), _pick(rng, SHAPES), _pick(rng, ACTIONS)
        other = cast[rng.integers(len(cast))]
        shared = rng.random()
        if shared < 0.35:
            colour = other[0]
        elif shared < 0.7:
            shape = other[1]
        if rng.random() < 0.35:
            action = other[2]
        if (colour, shape) not in {name[:2] for name in cast}:
            cast.append((colour, shape, action))
    return [cast[i] for i in rng.permutation(count)]


def _place(rng: np.random.Generator, cast: list[tuple[str, str, str]]) -> tuple[Thing, ...]:
    """Things that never touch or leave the frame; empty if these would not fit."""
    placed: list[Thing] = []
    for colour, shape, action in cast:
        for _ in range(30):
            length = int(rng.integers(20, 37))
            start = int(rng.integers(0, LENGTH - length + 1))
            x, y = rng.uniform(6, SIDE - 6, size=2)
            radius = rng.uniform(5.0, 6.5)
            thing = Thing(colour, shape, action, Span(start, start + length), x, y, radius)
            if _fits(thing, placed):
                placed.append(thing)
                break
        else:
            return ()
    return tuple(placed)


def _fits(thing: Thing, others: Iterable[Thing]) -> bool:
    """Whether a thing stays inside the frame and away from the others at all times."""
    left, top, right, bottom = _reach(thing)
    if min(left, top) < 0.5 or max(right, bottom) > SIDE - 0.5:
        return False
    for other in others:
        x1, y1, x2, y2 = _reach(other)
        beside = left >= x2 + SPACING or x1 >= right + SPACING
        above_or_below = top >= y2 + SPACING or y1 >= bottom + SPACING
        if not (beside or above_or_below):
            return False
    return True


def _reach(thing: Thing) -> Box:
    """The box around everything a thing covers during the clip, its halo included.

    The first and last frame and the height of the first jump hold every extreme.
    """
    extremes = (0, thing.span.start + int(HOP_PERIOD / 2), LENGTH - 1)
    boxes = np.array([thing.box(frame) for frame in extremes])
    halo = HALO_DISTANCE if thing.action == "glows" else 0.0
    low, high = boxes[:, :2].min(0) - halo, boxes[:, 2:].max(0) + halo
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _background(rng: np.random.Generator) -> Background:
    red, green, blue = rng.uniform(20, 110, size=3)
    waves = tuple(
        (rng.uniform(2, 9), *rng.uniform(-0.35, 0.35, size=2), rng.uniform(0, 2 * np.pi))
        for _ in range(rng.integers(0, 4))
    )
    across, down = rng.uniform(-0.5, 0.5, size=2)
    return Background((red, green, blue), (across, down), waves, rng.uniform(2, 7))


def _pick(rng: np.random.Generator, names: Iterable[str]) -> str:
    names = tuple(names)
    return names[rng.integers(len(names))]
