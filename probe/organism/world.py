"""The organism's world: short clips of coloured shapes, whose tubes are known exactly.

A clip is described, not stored: everything follows from a seed, frames are drawn when they are
needed, and boxes and masks are computed by the formulas that draw the picture. Two to four things
are on a varied background. Each does one thing during a known span. They share colours, shapes and
actions, so that a query can only be answered by binding its words to one thing.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt8

from probe.organism.sampling import sample_middles
from probe.video import Box, Span, Tube, Video
from probe.video.encoding import write_video

SIDE = 56
"""Width and height of a frame, in pixels."""

LENGTH = 64
"""Source frames in a clip."""

RATE = 16.0
"""Source frames in a second; a clip lasts four seconds."""

SAMPLED_FRAMES = 8
"""Frames of a clip that the organism sees."""

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
"""Actions that can be seen in a single frame."""

MOTIONS = ("jumps", "slides left", "slides right")
"""Actions that can only be seen by comparing frames."""

ACTIONS = STATES + MOTIONS

GROWN, SHRUNK = 1.45, 0.62
"""Radius of a grown and of a shrunk thing, relative to its radius at rest. Both are outside the
range of radii at rest, so that a single frame shows the action."""

HOP, HOP_PERIOD = 9.0, 24.0
"""Height of a jump in pixels, and its length in source frames (three sampled frames)."""

SLIDE = 16.0
"""Distance that a thing slides, in pixels: two cells of the organism's grid."""

HALO_DISTANCE, HALO_WIDTH = 2.4, 1.6
GLOW_COLOUR = (255.0, 250.0, 180.0)
PUPIL = 0.42
"""Radius of a winking thing's dark pupil, relative to the thing's."""

SPACING = 2.0
"""Smallest distance between the boxes of two things in a frame, in pixels."""

Pair = tuple[str, str]
"""A colour and a shape."""

Distance = Float[np.ndarray, "height width"]
# Near the edges of a shape these are almost distances, which is all that blending needs; their sign
# is right everywhere, which is all that masks need.
_OUTLINES: dict[str, Callable[[Distance, Distance, float], Distance]] = {
    "circle": lambda x, y, r: np.hypot(x, y) - r,
    "square": lambda x, y, r: np.maximum(abs(x), abs(y)) - 0.88 * r,
    "triangle": lambda x, y, r: np.maximum(0.9 * abs(x) - 0.5 * (y + r), y - 0.8 * r),
    "cross": lambda x, y, r: np.minimum(
        np.maximum(abs(x) - r, abs(y) - 0.38 * r), np.maximum(abs(x) - 0.38 * r, abs(y) - r)
    ),
}
"""Distance of a pixel from a shape's outline, in pixels; negative inside."""

_EXTENTS: dict[str, Box] = {
    "circle": (-1.0, -1.0, 1.0, 1.0),
    "square": (-0.88, -0.88, 0.88, 0.88),
    "triangle": (-1.0, -1.0, 1.0, 0.8),
    "cross": (-1.0, -1.0, 1.0, 1.0),
}
"""The box around each shape of radius 1."""


@dataclass(frozen=True)
class Pose:
    """Place, size and state of a thing in one frame, in pixels."""

    x: float
    y: float
    radius: float
    glowing: bool = False
    winking: bool = False


@dataclass(frozen=True)
class Thing:
    """A coloured shape that does one thing during `span`; place and radius at rest in pixels."""

    colour: str
    shape: str
    action: str
    span: Span
    x: float
    y: float
    radius: float

    @property
    def attribute(self) -> str:
        """The part of a query that says which thing is meant.

        >>> Thing("red", "circle", "glows", Span(0, 8), 20.0, 20.0, 5.0).attribute
        'red circle'
        """
        return f"{self.colour} {self.shape}"

    @property
    def query(self) -> str:
        """The sentence that says which thing is meant and what it does.

        >>> Thing("red", "circle", "glows", Span(0, 8), 20.0, 20.0, 5.0).query
        'the red circle that glows'
        """
        return f"the {self.attribute} that {self.action}"

    @property
    def words(self) -> Mapping[str, str]:
        """The words of its query by their use, for tables of what tokens look at."""
        return {"COLOUR": self.colour, "SHAPE": self.shape, "ACTION": self.action}

    def pose(self, frame: int) -> Pose:
        """Compute the thing's pose in a source frame."""
        rest = Pose(self.x, self.y, self.radius)
        done = np.clip((frame - self.span.start) / len(self.span), 0.0, 1.0)
        if self.action in ("slides left", "slides right"):
            # It stays where it has arrived, so this also holds before and after the span.
            direction = 1 if self.action == "slides right" else -1
            return replace(rest, x=self.x + direction * SLIDE * float(done))
        if frame not in self.span:
            return rest
        if self.action == "jumps":
            phase = 2 * np.pi * (frame - self.span.start) / HOP_PERIOD
            return replace(rest, y=self.y - HOP * (1 - float(np.cos(phase))) / 2)
        # Growing and shrinking are sudden, so that every frame of the span shows the action.
        if self.action in ("grows", "shrinks"):
            scale = GROWN if self.action == "grows" else SHRUNK
            return replace(rest, radius=self.radius * scale)
        return replace(rest, glowing=self.action == "glows", winking=self.action == "winks")

    def box(self, frame: int) -> Box:
        """Compute the box around the thing in a source frame, without its halo."""
        pose = self.pose(frame)
        left, top, right, bottom = _EXTENTS[self.shape]
        return (
            pose.x + left * pose.radius,
            pose.y + top * pose.radius,
            pose.x + right * pose.radius,
            pose.y + bottom * pose.radius,
        )

    def track(self) -> Tube:
        """Return the thing's box in every frame of the clip."""
        boxes = np.array([self.box(frame) for frame in range(LENGTH)], dtype=np.float64)
        return Tube(np.arange(LENGTH), np.clip(boxes, 0, SIDE), self.attribute)

    def tube(self) -> Tube:
        """Return the thing's box in the frames in which it acts: the answer to its query."""
        return self.track().within(self.span)


@dataclass(frozen=True)
class Background:
    """A colour that changes softly across the frame, with new noise in each frame."""

    colour: tuple[float, float, float]
    slope: tuple[float, float]
    waves: tuple[tuple[float, float, float, float], ...]
    """Strength, two frequencies in radians per pixel, and phase of each soft stripe pattern."""
    noise: float
    """Standard deviation of the noise, in grey levels."""

    def draw(self, x: Distance, y: Distance) -> Float[np.ndarray, "height width 3"]:
        """Compute the background without noise at the given pixel coordinates."""
        level = self.slope[0] * (x - SIDE / 2) + self.slope[1] * (y - SIDE / 2)
        for strength, across, down, phase in self.waves:
            level = level + strength * np.sin(across * x + down * y + phase)
        return np.asarray(self.colour) + level[..., None]


@dataclass(frozen=True)
class Clip:
    """A few things on a background, and the seed of the noise."""

    things: tuple[Thing, ...]
    background: Background
    seed: int

    @property
    def asked(self) -> tuple[Thing, ...]:
        """The things whose query is true of them alone: here all."""
        return self.things

    def frame(self, index: int, *, scale: int = 1) -> UInt8[np.ndarray, "height width 3"]:
        """Draw one source frame, `scale` times as large."""
        grid = (np.arange(SIDE * scale) + 0.5) / scale
        x, y = np.meshgrid(grid, grid)
        # A generator for each frame: a frame is the same whichever frames were drawn before it. The
        # noise is drawn at the small size, so that an enlarged picture shows the same noise.
        noise = np.random.default_rng((self.seed, index)).normal(
            0, self.background.noise, (SIDE, SIDE, 3)
        )
        picture = self.background.draw(x, y) + noise.repeat(scale, 0).repeat(scale, 1)
        for thing in self.things:
            _paint(picture, x, y, thing, thing.pose(index), scale)
        return np.clip(picture, 0, 255).astype(np.uint8)

    def mask(self, thing: Thing, index: int) -> Bool[np.ndarray, "height width"]:
        """Return True for each pixel whose centre is inside a thing in one source frame."""
        pose = thing.pose(index)
        x, y = np.meshgrid(np.arange(SIDE) + 0.5 - pose.x, np.arange(SIDE) + 0.5 - pose.y)
        return _OUTLINES[thing.shape](x, y, pose.radius) <= 0

    def video(self, frames: int = SAMPLED_FRAMES) -> Video:
        """Draw frames of the clip, sampled as `read_video` samples a file."""
        indices = sample_indices(frames)
        # The reader lets a stretch of the clip be read again, as one of a file can be.
        return Video(self.frames(indices), indices, np.arange(LENGTH) / RATE, reader=self.frames)

    def frames(self, indices: Sequence[int]) -> UInt8[np.ndarray, "frame height width 3"]:
        """Draw several source frames."""
        return np.stack([self.frame(index) for index in indices])

    def write(self, path: Path, *, scale: int = 4) -> None:
        """Write the whole clip as an MP4 file, enlarged so that people can see it."""
        write_video(path, (self.frame(index, scale=scale) for index in range(LENGTH)), RATE)


def sample_indices(frames: int = SAMPLED_FRAMES) -> tuple[int, ...]:
    """Return the source frames in the middle of `frames` equal parts of a clip.

    >>> sample_indices(8)
    (4, 12, 20, 28, 36, 44, 52, 60)
    """
    return sample_middles(LENGTH, frames)


def _paint(
    picture: Float[np.ndarray, "height width 3"],
    x: Distance,
    y: Distance,
    thing: Thing,
    pose: Pose,
    scale: int,
) -> None:
    """Draw a thing on a picture, in place."""
    # Only the pixels around the thing are computed; most of the picture is background.
    reach = pose.radius + HALO_DISTANCE + HALO_WIDTH + 1
    rows = slice(max(0, int((pose.y - reach) * scale)), int((pose.y + reach + 1) * scale))
    columns = slice(max(0, int((pose.x - reach) * scale)), int((pose.x + reach + 1) * scale))
    dx, dy = x[rows, columns] - pose.x, y[rows, columns] - pose.y
    distance = _OUTLINES[thing.shape](dx, dy, pose.radius)
    part = picture[rows, columns]
    if pose.glowing:
        ring = np.clip(1 - abs(distance - HALO_DISTANCE) / HALO_WIDTH, 0, 1)
        _blend(part, ring, GLOW_COLOUR)
    _blend(part, np.clip(0.5 - distance * scale, 0, 1), COLOURS[thing.colour])
    if pose.winking:
        pupil = np.hypot(dx, dy) - PUPIL * pose.radius
        _blend(part, np.clip(0.5 - pupil * scale, 0, 1), (15.0, 15.0, 15.0))


def _blend(
    picture: Float[np.ndarray, "height width 3"], share: Distance, colour: Sequence[float]
) -> None:
    picture += share[..., None] * (np.asarray(colour) - picture)


def make_clip(seed: int | Sequence[int], without: Collection[Pair] = ()) -> Clip:
    """Make the clip of a seed; the same seed always gives the same clip.

    Args:
        seed: Seed of everything in the clip.
        without: Colours with shapes that no thing of the clip has together.
    """
    # The benchmarks and the shipped weights depend on every draw below, in this order. A change
    # needs a new `SHAPES_VERSION`.
    rng = np.random.default_rng(seed)
    count = int(rng.choice([2, 3, 4], p=[0.3, 0.4, 0.3]))
    while True:
        if things := _place_things(rng, _choose_cast(rng, count, without)):
            return Clip(things, _choose_background(rng), int(rng.integers(2**31)))


def _choose_cast(
    rng: np.random.Generator, count: int, without: Collection[Pair]
) -> list[tuple[str, str, str]]:
    """Choose colour, shape and action of each thing.

    No two things have the same colour and shape, and most share something with another.
    """
    cast: list[tuple[str, str, str]] = []
    while len(cast) < count:
        colour, shape, action = _pick(rng, COLOURS), _pick(rng, SHAPES), _pick(rng, ACTIONS)
        if cast:
            other = cast[rng.integers(len(cast))]
            shared = rng.random()
            if shared < 0.35:
                colour = other[0]
            elif shared < 0.7:
                shape = other[1]
            if rng.random() < 0.35:
                action = other[2]
        if (colour, shape) not in {*without, *(name[:2] for name in cast)}:
            cast.append((colour, shape, action))
    # Shuffled, so that the order does not tell which thing was chosen freely.
    return [cast[i] for i in rng.permutation(count)]


def _place_things(rng: np.random.Generator, cast: list[tuple[str, str, str]]) -> tuple[Thing, ...]:
    """Place things so that they never touch or leave the frame; empty if no place was found."""
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
    """Return whether a thing stays inside the frame and away from the others during the clip."""
    left, top, right, bottom = _bound_motion(thing)
    if min(left, top) < 0.5 or max(right, bottom) > SIDE - 0.5:
        return False
    for other in others:
        x1, y1, x2, y2 = _bound_motion(other)
        left_or_right = left >= x2 + SPACING or x1 >= right + SPACING
        above_or_below = top >= y2 + SPACING or y1 >= bottom + SPACING
        if not (left_or_right or above_or_below):
            return False
    return True


def _bound_motion(thing: Thing) -> Box:
    """Compute the box around everything that a thing covers during the clip, with its halo."""
    # The first frame, the top of the first jump and the last frame contain every extreme: slides
    # have theirs at the ends, and growth lasts through the middle one of the three.
    extremes = (0, thing.span.start + int(HOP_PERIOD / 2), LENGTH - 1)
    boxes = np.array([thing.box(frame) for frame in extremes])
    halo = HALO_DISTANCE if thing.action == "glows" else 0.0
    low, high = boxes[:, :2].min(0) - halo, boxes[:, 2:].max(0) + halo
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _choose_background(rng: np.random.Generator) -> Background:
    # With its patterns the background stays below 170 in every channel, and every colour of a thing
    # has a channel above that: no thing is hidden by its colour.
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
