"""Agreement of two answers, in time and in space, by the rules of four public evaluators.

Then figures of telling what is there from what is not, and intervals of every kind of figure.
Frames are 0-based source frames. Every figure lies between 0 and 1; nothing here is ever NaN. These
are pure functions; the method itself may not import them.
"""

from probe.metrics.detection import (
    Reliability,
    RiskCoverage,
    auroc,
    brier_score,
    measure_reliability,
    risk_coverage,
    to_probability,
)
from probe.metrics.intervals import (
    bootstrap_interval,
    paired_difference,
    resample_clusters,
    wilson_interval,
)
from probe.metrics.overlaps import spatial_iou, temporal_iou, tube_iou
from probe.metrics.protocols import PROTOCOLS, Ends, Protocol
from probe.metrics.scores import (
    Known,
    MeanScore,
    QueryScore,
    Scores,
    score,
    score_place,
    score_query,
    score_time,
)
from probe.video import box_iou

__all__ = [
    "PROTOCOLS",
    "Ends",
    "Known",
    "MeanScore",
    "Protocol",
    "QueryScore",
    "Reliability",
    "RiskCoverage",
    "Scores",
    "auroc",
    "bootstrap_interval",
    "box_iou",
    "brier_score",
    "measure_reliability",
    "paired_difference",
    "resample_clusters",
    "risk_coverage",
    "score",
    "score_place",
    "score_query",
    "score_time",
    "spatial_iou",
    "temporal_iou",
    "to_probability",
    "tube_iou",
    "wilson_interval",
]
