"""Answers to "when" and "where": spans of frames, and boxes over time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float, Int

Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, right and bottom edge in pixels of the source video."""


@dataclass(frozen=True, order=True)
class Span:
    """The source frames from `start` up to but not including `stop`.

    >>> Span(3, 7) & Span(5, 9)
    Span(start=5, stop=7)
    """

    start: int
    stop: int

    def __post_init__(self) -> None:
        if self.stop < self.start:
            raise ValueError(f"a span cannot stop at {self.stop}, before it starts at {self.start}")

    def __len__(self) -> int:
        return self.stop - self.start

    def __contains__(self, frame: int) -> bool:
        return self.start <= frame < self.stop

    def __and__(self, other: "Span") -> "Span":
        start = max(self.start, other.start)
        return Span(start, max(start, min(self.stop, other.stop)))


@dataclass(frozen=True, eq=False)
class Tube:
    """One box per frame: a candidate track, a prediction or the ground truth.

    Frames are 0-based source frames in increasing order; the object is absent from the frames
    that are not listed. Boxes are (x1, y1, x2, y2) in pixels of the source video.

    Raises:
        ValueError: if frames and boxes differ in number, frames do not increase, or a box is
            not finite or inside out.
    """

    frames: Int[np.ndarray, " box"]
    boxes: Float[np.ndarray, "box 4"]
    label: str = ""
    """What the object is called, where a detector or a person named it."""

    def __post_init__(self) -> None:
        if len(self.frames) != len(self.boxes):
            raise ValueError(f"a tube of {len(self.frames)} frames has {len(self.boxes)} boxes")
        if len(self.frames) and self.frames[0] < 0:
            raise ValueError(f"a tube starts at frame {self.frames[0]}; frames count from 0")
        if (np.diff(self.frames) <= 0).any():
            raise ValueError("the frames of a tube must increase, each listed once")
        if not np.isfinite(self.boxes).all():
            raise ValueError("a tube has a box that is NaN or infinite")
        if (self.boxes[:, 2:] < self.boxes[:, :2]).any():
            raise ValueError("boxes must be (x1, y1, x2, y2) with x1 <= x2 and y1 <= y2")

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def span(self) -> Span:
        """The frames from the first box to the last."""
        if not len(self):
            return Span(0, 0)
        return Span(int(self.frames[0]), int(self.frames[-1]) + 1)

    def box_at(self, frame: int) -> Float[np.ndarray, " 4"] | None:
        """The box at a source frame, if there is one."""
        (found,) = np.nonzero(self.frames == frame)
        return self.boxes[found[0]] if len(found) else None

    def within(self, span: Span) -> "Tube":
        """The part of the tube that falls within the span."""
        inside = (self.frames >= span.start) & (self.frames < span.stop)
        return Tube(self.frames[inside], self.boxes[inside], self.label)

    def interpolated(self, frames: Sequence[int] | Int[np.ndarray, " frame"]) -> "Tube":
        """One box at each of these frames, moving in straight lines between the known boxes.

        Before the first and after the last known box, that box stays where it is.

        Raises:
            ValueError: if the tube has no box to start from.
        """
        if not len(self):
            raise ValueError("an empty tube has no boxes to interpolate between")
        at = np.asarray(frames, dtype=np.int64)
        corners = [np.interp(at, self.frames, self.boxes[:, side]) for side in range(4)]
        return Tube(at, np.stack(corners, axis=1), self.label)

    def to_dict(self) -> dict[str, Any]:
        """The tube as plain lists, for JSON."""
        boxes = [[round(float(x), 2) for x in box] for box in self.boxes]
        return {"label": self.label, "frames": self.frames.tolist(), "boxes": boxes}

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> "Tube":
        """The tube that `to_dict` wrote."""
        frames = np.asarray(record["frames"], dtype=np.int64)
        boxes = np.asarray(record["boxes"], dtype=np.float64).reshape(-1, 4)
        return cls(frames, boxes, record.get("label", ""))


def box_iou(
    a: Float[np.ndarray, "box 4"], b: Float[np.ndarray, "box 4"]
) -> Float[np.ndarray, " box"]:
    """Shared area over joint area of each box of `a` and the box of `b` in the same row.

    Boxes are (x1, y1, x2, y2). A box without area agrees with nothing, not even itself.
    """
    sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    shared = sides.clip(min=0).prod(axis=1)
    joint = (a[:, 2:] - a[:, :2]).prod(axis=1) + (b[:, 2:] - b[:, :2]).prod(axis=1) - shared
    return np.divide(shared, joint, out=np.zeros_like(shared), where=joint > 0)
