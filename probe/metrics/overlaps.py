"""Overlap of two answers: of spans in time, of tubes in space and time."""

import numpy as np
from jaxtyping import Float

from probe.video import Span, Tube, box_iou


def temporal_iou(predicted: Span, truth: Span) -> float:
    """Divide frames in both spans by frames in either (tIoU); 0 if both are empty.

    >>> temporal_iou(Span(0, 6), Span(2, 8))
    0.5
    """
    shared = len(predicted & truth)
    # At least 1, here and below: two empty answers agree in nothing, and must not divide by 0.
    return shared / max(len(predicted) + len(truth) - shared, 1)


def tube_iou(predicted: Tube, truth: Tube) -> float:
    """Divide the box overlap summed over shared frames by the number of frames in either (vIoU)."""
    frames = len(np.union1d(predicted.frames, truth.frames))
    return float(frame_overlaps(predicted, truth).sum()) / max(frames, 1)


def spatial_iou(track: Tube, truth: Tube) -> float:
    """Average the box overlap over the frames of the truth (gt_vIoU), whatever the time.

    A frame in which the track has no box counts 0.
    """
    return float(frame_overlaps(track, truth).sum()) / max(len(truth), 1)


def frame_overlaps(tube: Tube, truth: Tube) -> Float[np.ndarray, " frame"]:
    """Compute the box overlap in each frame of the truth; 0 where the tube has no box."""
    overlaps = np.zeros(len(truth))
    _, ours, theirs = np.intersect1d(tube.frames, truth.frames, return_indices=True)
    overlaps[theirs] = box_iou(tube.boxes[ours], truth.boxes[theirs])
    return overlaps
