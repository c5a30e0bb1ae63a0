"""From detections to tracks: which boxes and masks, frame by frame, are one object.

Knows nothing of the models that find and follow.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from probe.video import Tube, box_iou


@dataclass(frozen=True)
class DetectionConfig:
    """Every number of detection; thresholds and step are the paper's."""

    box_threshold: float = 0.4
    """How sure of a box the detector must be, from 0 to 1."""

    text_threshold: float = 0.4
    """How sure of a word the detector must be for a box to be called by it; a box that is called
    by no word of the phrase is left out."""

    every: int = 10
    """Source frames from one picture that is searched to the next."""

    same: float = 0.5
    """Box overlap (IoU) from which a detection is an object that is followed already."""

    limit: int = 20
    """Most objects followed: those found first, in a frame those found most surely."""

    def __post_init__(self) -> None:
        for name in ("every", "limit"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("box_threshold", "text_threshold", "same"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give a number from 0 to 1")


PAPER_DETECTION = DetectionConfig()
"""The numbers of the paper."""


@dataclass(frozen=True, eq=False)
class Detection:
    """A box in which the detector sees what a phrase names."""

    box: Float[np.ndarray, " 4"]
    """In pixels of the source video."""

    score: float
    """How sure the detector is, from 0 to 1."""

    label: str
    """The phrase."""


def link(
    found: Mapping[int, Sequence[Detection]],
    follow: Callable[[int, Sequence[Detection]], Sequence[Tube]],
    config: DetectionConfig = PAPER_DETECTION,
) -> tuple[Tube, ...]:
    """One track for each object, from detections frame by frame.

    Args:
        found: The detections of each searched frame.
        follow: Gives the tracks, through the whole video, of detections in one frame.
        config: When two boxes are the same object, and how many objects there may be.
    """
    tracks: list[Tube] = []
    for frame in sorted(found):
        known = [box for track in tracks if (box := track.box_at(frame)) is not None]
        new = unclaimed(found[frame], known, config.same)[: config.limit - len(tracks)]
        if new:
            tracks += [track for track in follow(frame, new) if len(track)]
    return tuple(tracks)


def unclaimed(
    found: Sequence[Detection], known: Sequence[Float[np.ndarray, " 4"]], same: float
) -> list[Detection]:
    """The detections that overlap no known box, nor one another, surest first.

    Of several on one object the surest stays.
    """
    taken, new = [*known], []
    for detection in sorted(found, key=lambda detection: -detection.score):
        others = np.array(taken).reshape(-1, 4)
        beside = np.broadcast_to(detection.box, others.shape)
        if not (box_iou(beside, others) >= same).any():
            taken.append(detection.box)
            new.append(detection)
    return new


def box_around(mask: Bool[np.ndarray, "height width"]) -> Float[np.ndarray, " 4"] | None:
    """The edges of the pixels that hold a mask; None for an empty one."""
    (rows,), (columns,) = np.nonzero(mask.any(1)), np.nonzero(mask.any(0))
    if not len(rows):
        return None
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], dtype=np.float64)


def tube_of(boxes: Mapping[int, Float[np.ndarray, " 4"] | None], label: str) -> Tube:
    """The tube of the frames that have a box."""
    present = {frame: box for frame, box in boxes.items() if box is not None}
    frames = np.array([*present], dtype=np.int64)
    return Tube(frames, np.array([*present.values()], dtype=np.float64).reshape(-1, 4), label)
