"""Actions of things, and where these take them: the pose of a thing in every frame of a clip.

A pose is computed for all frames at once, since the motion of a thing may follow another's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from probe.video import Span

LENGTH = 96
"""Source frames in a clip."""

RATE = 16.0
"""Source frames in a second; a clip lasts six seconds."""

SAMPLED_FRAMES = 12
"""Frames of a clip that the organism sees."""

STATES = ("turns upside down", "hides")
"""Actions that can be seen in a single frame."""

MOTIONS = ("jumps", "rolls", "spins", "shrinks", "grows", "slides left", "slides right")
"""Actions that can only be seen by comparing frames. A shrunk thing is no larger than a small one,
so that these are among them."""

POSED = (*STATES, "jumps", "rolls", "spins", "shrinks", "grows")
"""Actions of which a single frame may show something: a thing that is turned, or large for what it
is. From frames a tower learns to see this; which of them it is, the frames before and after say."""

FOLLOWS = "follows"
"""The one action that needs another thing: the follower goes the same way a moment later."""

ACTIONS = (*STATES, *MOTIONS, FOLLOWS)

MOVING = ("slides left", "slides right", "rolls")
"""Actions that take a thing to another place."""

PERIODIC = ("jumps", "rolls", "spins")
"""Actions that repeat, so that they last whole periods."""

PERIOD = 24
"""Source frames of one jump or one turn: three sampled frames, so that none is missed."""

HOP = 15.0
"""Height of a jump, in pixels."""

WAY = 30.0
"""Distance that a thing slides or rolls, in pixels: two cells of the organism's grid."""

GROWN, SHRUNK = 1.5, 0.55
"""Side of a grown and of a shrunk thing, relative to its side at rest."""

CHANGE = 6
"""Source frames in which a thing hides or turns over, and as many for the way back; and in which
one that has shrunk or grown is as before."""

SLOW_CHANGE = 16
"""Source frames in which a thing shrinks or grows: two sampled frames."""

TURN_STEP = 15
"""Angles are multiples of this, in degrees, so that turned sprites can be kept."""

DELAY = 8
"""Source frames by which a follower is later: one sampled frame."""

Frames = Float[np.ndarray, " frame"]


@dataclass(frozen=True)
class Act:
    """One action, and when it is done."""

    name: str
    span: Span


@dataclass(frozen=True, eq=False)
class Path:
    """The pose of a thing in each frame of a clip: of the centre of its square, in pixels."""

    x: Frames
    y: Frames
    side: Int[np.ndarray, " frame"]
    angle: Int[np.ndarray, " frame"]
    """Degrees by which it is turned to the left, a multiple of `TURN_STEP`."""

    sunk: Frames
    """Share of its height that has gone into the ground: 1 where nothing of it is visible."""

    floor: Frames
    """Row of the ground below it, also while it jumps."""


@dataclass
class _Motion:
    """Changes of a pose over time; a change of it is made in place, by one action after another."""

    right: Frames = field(default_factory=lambda: np.zeros(LENGTH))
    up: Frames = field(default_factory=lambda: np.zeros(LENGTH))
    scale: Frames = field(default_factory=lambda: np.ones(LENGTH))
    turned: Frames = field(default_factory=lambda: np.zeros(LENGTH))
    sunk: Frames = field(default_factory=lambda: np.zeros(LENGTH))


def trace(
    acts: Sequence[Act],
    place: tuple[int, int],
    side: int,
    camera: Float[np.ndarray, "frame 2"],
    leftward: bool,
    led: Frames | None = None,
) -> Path:
    """Compute the pose of a thing in every frame.

    Args:
        acts: What it does, in order.
        place: The centre of its square at rest, in pixels.
        side: Width and height of its square at rest, in pixels.
        camera: Shift of the picture by the camera.
        leftward: Whether it rolls to the left.
        led: Distance that the followed thing has gone to the right in each frame, if it follows.
    """
    motion = _Motion()
    for act in acts:
        if act.name == FOLLOWS:
            assert led is not None, "a follower follows something"
            motion.right += np.concatenate([np.full(DELAY, led[0]), led[:-DELAY]])
        else:
            _MOVES[act.name](motion, act.span, leftward)
    sides = np.rint(side * motion.scale).astype(np.int64)
    # A thing that shrinks or grows keeps its feet on the ground.
    down = (side - sides) / 2 - motion.up
    across = camera[:, 0] + np.floor(place[0] + motion.right)
    return Path(
        across,
        camera[:, 1] + np.floor(place[1] + down),
        sides,
        (np.rint(motion.turned / TURN_STEP).astype(np.int64) * TURN_STEP) % 360,
        motion.sunk,
        camera[:, 1] + place[1] + side / 2,
    )


def measure_way(acts: Sequence[Act], leftward: bool) -> Frames:
    """Compute how far to the right a thing has gone in each frame by itself, in pixels."""
    motion = _Motion()
    for act in acts:
        if act.name in MOVING:
            _MOVES[act.name](motion, act.span, leftward)
    return motion.right


def _measure_progress(span: Span) -> Frames:
    """Compute the share of an action that is done: 0 before it, 1 after it."""
    return np.clip((np.arange(LENGTH) - span.start) / len(span), 0.0, 1.0)


def _hold(span: Span) -> Frames:
    """Compute a change that comes and goes within a span: 0 outside, 1 in the middle."""
    frames = np.arange(LENGTH)
    inside = np.minimum(frames - span.start + 1, span.stop - frames) / CHANGE
    return np.clip(inside, 0.0, 1.0)


def _swell(span: Span) -> Frames:
    """Compute a change that comes slowly and goes quickly: 0 outside a span, 1 in its middle."""
    frames = np.arange(LENGTH)
    slowly = (frames - span.start + 1) / SLOW_CHANGE
    return np.clip(np.minimum(slowly, (span.stop - frames) / CHANGE), 0.0, 1.0)


def _contains(span: Span) -> Frames:
    frames = np.arange(LENGTH)
    return ((frames >= span.start) & (frames < span.stop)).astype(float)


def _jump(motion: _Motion, span: Span, leftward: bool) -> None:  # noqa: ARG001
    phase = np.pi * (np.arange(LENGTH) - span.start) / PERIOD
    motion.up += _contains(span) * HOP * np.abs(np.sin(phase))


def _spin(motion: _Motion, span: Span, leftward: bool) -> None:
    # To the side of its face, as wheels turn. After whole turns it is upright again.
    turns = _measure_progress(span) * len(span) / PERIOD * 360
    motion.turned += turns if leftward else -turns


def _slide(sign: float) -> Callable[[_Motion, Span, bool], None]:
    def move(motion: _Motion, span: Span, leftward: bool) -> None:  # noqa: ARG001
        motion.right += sign * WAY * _measure_progress(span)

    return move


def _roll(motion: _Motion, span: Span, leftward: bool) -> None:
    _slide(-1.0 if leftward else 1.0)(motion, span, leftward)
    _spin(motion, span, leftward)


def _scale(factor: float) -> Callable[[_Motion, Span, bool], None]:
    def change(motion: _Motion, span: Span, leftward: bool) -> None:  # noqa: ARG001
        # If both ways were alike, a thing that has grown would shrink when it goes back.
        motion.scale *= 1 + (factor - 1) * _swell(span)

    return change


def _turn_over(motion: _Motion, span: Span, leftward: bool) -> None:
    motion.turned += (180 if leftward else -180) * _hold(span)


def _hide(motion: _Motion, span: Span, leftward: bool) -> None:  # noqa: ARG001
    motion.sunk += _hold(span)


_MOVES: dict[str, Callable[[_Motion, Span, bool], None]] = {
    "jumps": _jump,
    "rolls": _roll,
    "spins": _spin,
    "shrinks": _scale(SHRUNK),
    "grows": _scale(GROWN),
    "slides left": _slide(-1.0),
    "slides right": _slide(1.0),
    "turns upside down": _turn_over,
    "hides": _hide,
}
