"""Answers to "when" and "where": spans of frames, and boxes over time."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import compress
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float, Int

from probe.video.coercion import describe_given, to_boxes, to_frames, to_one_line, to_whole
from probe.video.masks import Mask, read_mask

Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, right and bottom edge in pixels of the source video."""


@dataclass(frozen=True, order=True, init=False)
class Span:
    """The source frames from `start` up to but not including `stop`.

    Both may be integers of any kind, such as NumPy's.

    >>> Span(3, 7) & Span(5, 9)
    Span(start=5, stop=7)

    Raises:
        ValueError: if one is not a whole number, or the span stops before it starts.
    """

    start: int
    stop: int

    def __init__(self, start: Any, stop: Any) -> None:
        # Written out, since a dataclass would type its arguments as narrowly as its fields.
        object.__setattr__(self, "start", to_whole(start, "the start of a span"))
        object.__setattr__(self, "stop", to_whole(stop, "the stop of a span"))
        if self.stop < self.start:
            raise ValueError(f"a span cannot stop at {self.stop}, before it starts at {self.start}")

    def __len__(self) -> int:
        return self.stop - self.start

    def __contains__(self, frame: Any) -> bool:
        return self.start <= to_whole(frame, "the frame that a span may contain") < self.stop

    def __and__(self, other: "Span") -> "Span":
        start = max(self.start, other.start)
        return Span(start, max(start, min(self.stop, other.stop)))


@dataclass(frozen=True, eq=False, init=False)
class Tube:
    """One box per frame: a candidate track, a prediction or the ground truth.

    Frames are 0-based source frames in increasing order; the object is absent from the frames
    that are not listed. Boxes are (x1, y1, x2, y2) in pixels of the source video. Lists, NumPy
    arrays and tensors are taken, and a single frame with a single box. Tubes are equal if frames,
    boxes, label and masks are.

    >>> Tube([4, 5], [[0, 0, 8, 8], [1, 0, 9, 8]], "man")
    Tube(2 boxes, frames 4 to 5, 'man')
    >>> Tube(4, [0, 0, 8, 8]).boxes
    array([[0., 0., 8., 8.]])

    Raises:
        ValueError: if frames are not whole numbers or boxes not four numbers each, frames, boxes
            and masks differ in number, frames do not increase, or a box is not finite or inside
            out.
    """

    frames: Int[np.ndarray, " box"]
    boxes: Float[np.ndarray, "box 4"]
    label: str = ""
    """The name of the object, if a detector or a person gave one."""

    masks: tuple[Mask | None, ...] = ()
    """The pixels of the object, one entry for each box, where a tracker gave them; empty if there
    are none at all."""

    def __init__(
        self, frames: Any, boxes: Any, label: str = "", masks: Iterable[Mask | None] = ()
    ) -> None:
        # Written out, since a dataclass would type its arguments as narrowly as its fields.
        object.__setattr__(self, "frames", to_frames(frames))
        object.__setattr__(self, "boxes", to_boxes(boxes))
        object.__setattr__(self, "label", label)
        object.__setattr__(self, "masks", _drop_absent(masks))
        self._check()

    @classmethod
    def from_checked(
        cls,
        frames: Int[np.ndarray, " box"],
        boxes: Float[np.ndarray, "box 4"],
        label: str,
        masks: Iterable[Mask | None] = (),
    ) -> "Tube":
        """Make a tube of arrays that were checked, as a file of 100,000 tubes is all at once."""
        tube = object.__new__(cls)
        fields = {"frames": frames, "boxes": boxes, "label": label, "masks": _drop_absent(masks)}
        for name, value in fields.items():
            object.__setattr__(tube, name, value)
        return tube

    def _check(self) -> None:
        if len(self.frames) != len(self.boxes):
            raise ValueError(f"a tube of {len(self.frames)} frames has {len(self.boxes)} boxes")
        if self.masks and len(self.masks) != len(self.boxes):
            raise ValueError(f"a tube of {len(self.boxes)} boxes has {len(self.masks)} masks")
        if len(self.frames) and self.frames[0] < 0:
            raise ValueError(f"a tube starts at frame {self.frames[0]}; frames count from 0")
        if (np.diff(self.frames) <= 0).any():
            raise ValueError("the frames of a tube must increase, each listed once")
        if not np.isfinite(self.boxes).all():
            raise ValueError("a tube has a box that is NaN or infinite")
        if (self.boxes[:, 2:] < self.boxes[:, :2]).any():
            turned = self.boxes[(self.boxes[:, 2:] < self.boxes[:, :2]).any(axis=1)][0]
            raise ValueError(
                f"the box {turned.tolist()} is inside out; give x1, y1, x2, y2 with x1 <= x2 and "
                f"y1 <= y2"
            )

    def __len__(self) -> int:
        return len(self.frames)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tube):
            return NotImplemented
        return (
            self.label == other.label
            and np.array_equal(self.frames, other.frames)
            and np.array_equal(self.boxes, other.boxes)
            and self.masks == other.masks
        )

    def __hash__(self) -> int:
        # As numbers, not as bytes: equal boxes may differ in precision, or in the sign of a zero.
        return hash((self.label, *self.frames.tolist(), *self.boxes[:1].ravel().tolist()))

    def __repr__(self) -> str:
        parts = ["1 box" if len(self) == 1 else f"{len(self)} boxes"]
        if len(self):
            last = f" to {self.frames[-1]}" if len(self) > 1 else ""
            parts.append(f"frame{'s' if last else ''} {self.frames[0]}{last}")
        if self.label:
            parts.append(to_one_line(repr(self.label)))
        if self.masks:
            parts.append(f"{sum(mask is not None for mask in self.masks)} with a mask")
        return f"Tube({', '.join(parts)})"

    @property
    def span(self) -> Span:
        """The frames from the first box to the last."""
        if not len(self):
            return Span(0, 0)
        return Span(self.frames[0], self.frames[-1] + 1)

    def box_at(self, frame: Any) -> Float[np.ndarray, " 4"] | None:
        """Return the box at a source frame; None if there is no box.

        Raises:
            ValueError: if the frame is not a whole number.
        """
        (found,) = np.nonzero(self.frames == to_whole(frame, "the frame of a box"))
        return self.boxes[found[0]] if len(found) else None

    def mask_at(self, frame: Any) -> Mask | None:
        """Return the mask at a source frame; None if there is none.

        Raises:
            ValueError: if the frame is not a whole number.
        """
        (found,) = np.nonzero(self.frames == to_whole(frame, "the frame of a mask"))
        return self.masks[found[0]] if self.masks and len(found) else None

    def within(self, span: Span) -> "Tube":
        """Return the part of the tube that falls within the span."""
        inside = (self.frames >= span.start) & (self.frames < span.stop)
        masks = compress(self.masks, inside)
        return Tube(self.frames[inside], self.boxes[inside], self.label, masks)

    def interpolated(self, frames: Any) -> "Tube":
        """Return a tube with a box at each of these frames, on straight lines between the known.

        Before the first and after the last known box, that box stays where it is. A known frame
        keeps its mask; between two of them there is none.

        Raises:
            ValueError: if the tube has no box to start from, or the frames are not whole numbers
                that increase.
        """
        if not len(self):
            raise ValueError("an empty tube has no boxes to interpolate between")
        at = to_frames(frames)
        corners = [np.interp(at, self.frames, self.boxes[:, side]) for side in range(4)]
        known = dict(zip(self.frames.tolist(), self.masks, strict=False))
        masks = map(known.get, at.tolist())
        return Tube(at, np.stack(corners, axis=1), self.label, masks)

    def to_dict(self) -> dict[str, Any]:
        """Convert the tube to plain lists, for JSON; boxes are rounded to 0.01 pixels.

        Masks are records in COCO run-length form, or None; there is no entry for them if the tube
        has none.
        """
        boxes = [[round(float(x), 2) for x in box] for box in self.boxes]
        record = {"label": self.label, "frames": self.frames.tolist(), "boxes": boxes}
        if self.masks:
            record["masks"] = [mask and mask.to_dict() for mask in self.masks]
        return record

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> "Tube":
        """Make the tube that `to_dict` wrote.

        Raises:
            ValueError: if frames, boxes or masks are not those of a tube.
        """
        masks = (
            mask and read_mask(f"mask {number}", mask)
            for number, mask in enumerate(record.get("masks") or ())
        )
        label = record.get("label")
        if label is not None and not isinstance(label, str):
            raise ValueError(f"the label {describe_given(label)} is no text; give one, or null")
        return cls(record["frames"], record["boxes"], label or "", masks)


def _drop_absent(masks: Iterable[Mask | None]) -> tuple[Mask | None, ...]:
    """Return the masks; none at all if no frame has one, so that equal tubes are equal."""
    found = tuple(masks)
    return found if any(found) else ()


def box_iou(
    a: Float[np.ndarray, "box 4"], b: Float[np.ndarray, "box 4"]
) -> Float[np.ndarray, " box"]:
    """Divide shared by joint area of each box of `a` and the box of `b` in the same row.

    Boxes are (x1, y1, x2, y2). A box without area agrees with nothing, not even itself.
    """
    sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    shared = sides.clip(min=0).prod(axis=1)
    joint = (a[:, 2:] - a[:, :2]).prod(axis=1) + (b[:, 2:] - b[:, :2]).prod(axis=1) - shared
    return np.divide(shared, joint, out=np.zeros_like(shared), where=joint > 0)
