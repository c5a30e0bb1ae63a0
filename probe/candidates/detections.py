"""Tracks from detections: which boxes and masks, frame by frame, belong to one object.

This module knows nothing of the models that find and follow.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from probe.video import Tube, box_iou
from probe.video.masks import Mask


@dataclass(frozen=True)
class DetectionConfig:
    """Every number of detection; those of GroundingDINO, and the step, are the paper's."""

    box_threshold: float | None = None
    """Least score of a box, from 0 to 1; None for the usual one of the detector, 0.4 for
    GroundingDINO."""

    text_threshold: float = 0.4
    """Least score, from 0 to 1, of a word that a box is called by. A box that is called by no word
    of the phrase is left out. Only the two GroundingDINOs score words."""

    every: int = 10
    """Source frames from one searched picture to the next."""

    same: float = 0.5
    """Box overlap (IoU) from which a detection is an object that is followed already."""

    limit: int = 20
    """Greatest number of followed objects: the first found, and in one frame the surest."""

    def __post_init__(self) -> None:
        for name in ("every", "limit"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("box_threshold", "text_threshold", "same"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"{name} is {value}; give a number from 0 to 1")

    def with_box_threshold(self, usual: float) -> "DetectionConfig":
        """Return the configuration with this least score of a box, unless it has one."""
        return self if self.box_threshold is not None else replace(self, box_threshold=usual)

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers by name."""
        return asdict(self)


PAPER_DETECTION = DetectionConfig()
"""The numbers of the paper, for the detector of the paper."""


@dataclass(frozen=True, eq=False)
class Detection:
    """A box in which the detector sees a thing that a phrase names."""

    box: Float[np.ndarray, " 4"]
    """In pixels of the source video."""

    score: float
    """Certainty of the detector, from 0 to 1."""

    label: str
    """The phrase."""


def link_detections(
    found: Mapping[int, Sequence[Detection]],
    follow: Callable[[int, Sequence[Detection]], Sequence[Tube]],
    config: DetectionConfig = PAPER_DETECTION,
) -> tuple[Tube, ...]:
    """Make one track for each object, from detections frame by frame.

    Args:
        found: The detections of each searched frame.
        follow: Gives the tracks, through the whole video, of detections in one frame.
        config: The overlap from which two boxes are the same object, and the number of objects.

    Returns:
        The tracks, in the order in which their objects were found; none is empty.
    """
    tracks: list[Tube] = []
    for frame in sorted(found):
        # Objects that were found in earlier frames have been followed to this one already.
        known = [box for track in tracks if (box := track.box_at(frame)) is not None]
        new = select_new(found[frame], known, config.same)[: config.limit - len(tracks)]
        if new:
            tracks += [track for track in follow(frame, new) if len(track)]
    return tuple(tracks)


def select_new(
    found: Sequence[Detection], known: Sequence[Float[np.ndarray, " 4"]], same: float
) -> list[Detection]:
    """Select the detections that overlap no known box and no surer detection.

    Args:
        found: The detections of one frame.
        known: Boxes of the objects that are followed already.
        same: Box overlap (IoU) from which two boxes are one object.

    Returns:
        The selected detections, surest first.
    """
    taken, new = [*known], []
    for detection in sorted(found, key=lambda detection: -detection.score):
        others = np.array(taken).reshape(-1, 4)
        boxes = np.broadcast_to(detection.box, others.shape)
        if not (box_iou(boxes, others) >= same).any():
            taken.append(detection.box)
            new.append(detection)
    return new


def drop_repeated(
    tracks: Sequence[Tube], config: DetectionConfig = PAPER_DETECTION
) -> tuple[Tube, ...]:
    """Drop tracks that begin on an object that is followed already, and those above the limit.

    Two phrases may name the same thing, and one phrase may be found twice in one place.

    Args:
        tracks: The tracks, in the order of their first frames; none is empty.
        config: The overlap from which two boxes are the same object, and the number of objects.
    """
    kept: list[Tube] = []
    for track in tracks:
        known = [box for other in kept if (box := other.box_at(track.frames[0])) is not None]
        boxes = np.broadcast_to(track.boxes[0], (len(known), 4))
        if not (box_iou(boxes, np.array(known).reshape(-1, 4)) >= config.same).any():
            kept.append(track)
    return tuple(kept[: config.limit])


def box_around(mask: Bool[np.ndarray, "height width"]) -> Float[np.ndarray, " 4"] | None:
    """Return the edges of the box that contains all pixels of a mask; None for an empty one."""
    (rows,), (columns,) = np.nonzero(mask.any(1)), np.nonzero(mask.any(0))
    if not len(rows):
        return None
    # Edges, not pixel numbers: a mask of one pixel has a box of width 1.
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], dtype=np.float64)


def tube_of_masks(masks: Mapping[int, Mask], label: str) -> Tube:
    """Make the tube of the frames in which a mask has pixels, with the box around them."""
    boxes = {frame: masks[frame].box for frame in sorted(masks)}
    present = {frame: box for frame, box in boxes.items() if box is not None}
    kept = [masks[frame] for frame in present]
    return Tube([*present], np.array([*present.values()], dtype=np.float64), label, kept)
