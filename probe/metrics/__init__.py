"""Agreement of two answers, in time and in space, and by the rules of four public evaluators.

Frames are 0-based source frames. Every figure lies between 0 and 1; nothing here is ever NaN. These
are pure functions; the method itself may not import them.
"""

from probe.metrics.intervals import bootstrap_interval, paired_difference
from probe.metrics.overlaps import spatial_iou, temporal_iou, tube_iou
from probe.metrics.protocols import PROTOCOLS, Ends, Protocol
from probe.metrics.scores import MeanScore, QueryScore, Scores, score, score_query
from probe.video import box_iou

__all__ = [
    "PROTOCOLS",
    "Ends",
    "MeanScore",
    "Protocol",
    "QueryScore",
    "Scores",
    "bootstrap_interval",
    "box_iou",
    "paired_difference",
    "score",
    "score_query",
    "spatial_iou",
    "temporal_iou",
    "tube_iou",
]
