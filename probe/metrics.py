"""How much two answers agree: in time, in space, and by the rules of four public evaluators.

Frames are 0-based source frames. Every figure lies between 0 and 1; nothing here is ever NaN.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from types import MappingProxyType

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from probe.video import Span, Tube, box_iou

DRAWS_AT_A_TIME = 100
"""Resamples held in memory together: 100 of the 10 000 queries of VidSTG are 8 MB."""


def temporal_iou(predicted: Span, truth: Span) -> float:
    """Frames in both spans, over frames in either (tIoU); 0 where both are empty.

    >>> temporal_iou(Span(0, 6), Span(2, 8))
    0.5
    """
    shared = len(predicted & truth)
    return shared / max(len(predicted) + len(truth) - shared, 1)


def tube_iou(predicted: Tube, truth: Tube) -> float:
    """Box overlap summed over shared frames, over the number of frames in either (vIoU)."""
    frames = len(np.union1d(predicted.frames, truth.frames))
    return float(_overlaps(predicted, truth).sum()) / max(frames, 1)


def spatial_iou(track: Tube, truth: Tube) -> float:
    """Mean box overlap over the frames of the truth (gt_vIoU): where, whatever the time.

    A frame in which the track has no box counts 0.
    """
    return float(_overlaps(track, truth).sum()) / max(len(truth), 1)


@dataclass(frozen=True)
class Ends:
    """How many frames after its last frame a span is taken to end.

    A span counts its frames up to but not including its end: 1 counts the last one, 0 loses it.
    """

    prediction: int
    truth: int


@dataclass(frozen=True)
class Protocol:
    """How a public evaluator counts; `PROTOCOLS` has the four, and `score` applies them.

    Whatever the protocol, vIoU is the box overlap summed over the compared frames in both spans,
    over the number of compared frames from the earlier start to the later end; a compared frame
    without a predicted box adds 0. gt_vIoU is the mean over the compared frames of the truth.
    """

    step: int | None
    """Frames 0, step, 2 step, ... are compared and all others dropped, before spans are read.
    None: the frames the caller sampled are compared, but spans are read from the whole tubes."""

    interpolates: bool
    """Whether a predicted box is drawn in, on a straight line, in each frame between two others.
    The truth is taken as annotated."""

    tiou_ends: Ends
    """The ends of the spans of which tIoU is taken."""

    viou_ends: Ends
    """The ends of the spans within which vIoU counts its frames."""

    tiou_counts_boxes: bool
    """Whether tIoU's shared frames are those with a box in both tubes, not those in both spans."""


PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {
        "tubedetr": Protocol(
            step=None,
            interpolates=False,
            tiou_ends=Ends(prediction=1, truth=1),
            viou_ends=Ends(prediction=1, truth=1),
            tiou_counts_boxes=False,
        ),
        "stcat": Protocol(
            step=1,
            interpolates=True,
            tiou_ends=Ends(prediction=1, truth=0),
            viou_ends=Ends(prediction=1, truth=0),
            tiou_counts_boxes=False,
        ),
        "hcstvg-official": Protocol(
            step=1,
            interpolates=False,
            tiou_ends=Ends(prediction=1, truth=1),
            viou_ends=Ends(prediction=1, truth=1),
            tiou_counts_boxes=True,
        ),
        "released-code": Protocol(
            step=10,
            interpolates=False,
            tiou_ends=Ends(prediction=0, truth=0),
            viou_ends=Ends(prediction=1, truth=1),
            tiou_counts_boxes=False,
        ),
    }
)
"""The conventions of public evaluators, by name, and what a perfect prediction scores in each.

n is the number of frames that are compared, all of which have boxes. For a truth that lies
between two compared frames (n = 0), vIoU and gt_vIoU are 0.

- `tubedetr` (datasets/hcstvg_eval.py): **1**. The annotation stores its end as exclusive and the
  prediction ends at its last frame + 1. tIoU counts source frames, vIoU the sampled ones.
- `stcat` (also CG-STVG, TA-STVG): **(n - 1) / n**, tIoU and vIoU alike. The annotation stores its
  last frame, which is then read as an exclusive end; the prediction ends at its last frame + 1.
  So the last true frame counts against every prediction that reaches it.
- `hcstvg-official` (eval_hcvg.py): **1**. Both ends are last frames, and their hull is counted with
  + 1. A shared frame is one with a box in both, so a gap in the boxes costs time as well as space.
- `released-code` (of the paper): **1 for n >= 2**. Both ends are last frames. vIoU counts them, so
  that it is 1 for n = 1 also; tIoU takes last - first as the length, so that there it is 0.
"""


@dataclass(frozen=True)
class QueryScore:
    """How well one query was answered."""

    tiou: float
    viou: float
    gt_viou: float


@dataclass(frozen=True)
class MeanScore:
    """Means over all queries, and the share of queries whose vIoU lies above 0.3 and 0.5."""

    m_tiou: float
    m_viou: float
    viou_at_03: float
    viou_at_05: float
    m_gt_viou: float


@dataclass(frozen=True)
class Scores:
    """How well a set of queries was answered under one protocol."""

    protocol: str
    per_query: Mapping[str, QueryScore]
    """Every query that has a truth, in the order of the truths."""
    missing: tuple[str, ...]
    """The queries that were not answered: 0 in every figure, and part of every mean."""

    @property
    def mean(self) -> MeanScore:
        """The figures that papers report, as shares and not percent."""
        queries = self.per_query.values()
        return MeanScore(
            m_tiou=fmean(query.tiou for query in queries),
            m_viou=fmean(query.viou for query in queries),
            viou_at_03=fmean(query.viou > 0.3 for query in queries),
            viou_at_05=fmean(query.viou > 0.5 for query in queries),
            m_gt_viou=fmean(query.gt_viou for query in queries),
        )


def score(
    predictions: Mapping[str, Tube],
    truths: Mapping[str, Tube],
    protocol: str,
    sampled_frames: Mapping[str, Sequence[int]] | None = None,
    *,
    tracks: Mapping[str, Tube] | None = None,
) -> Scores:
    """How well the predictions match the truths, under a named protocol.

    >>> tube = Tube(np.arange(50), np.tile([0.0, 0.0, 8.0, 8.0], (50, 1)))
    >>> for name in PROTOCOLS:
    ...     print(name, score({"a": tube}, {"a": tube}, name, {"a": range(0, 50, 5)}).mean.m_viou)
    tubedetr 1.0
    stcat 0.98
    hcstvg-official 1.0
    released-code 1.0

    Args:
        predictions: The answered tubes by query. A query without one, or with an empty one, counts
            as zero in every figure.
        truths: The annotated tubes by query.
        protocol: A name in `PROTOCOLS`.
        sampled_frames: The source frames the model was shown, by query; read by the protocols
            that compare those only.
        tracks: The predicted object over the whole video, by query, for gt_vIoU; where it is not
            given, the prediction stands in, and gt_vIoU is 0 outside the predicted span.

    Raises:
        ValueError: if there are no truths or one has no box, a prediction or track has no truth,
            the protocol is unknown, or it needs sampled frames that are not given.
    """
    rules = _known(protocol)
    tracks, sampled_frames = tracks or {}, sampled_frames or {}
    _check_truths(truths, predictions, tracks)
    answered = {query: tube for query, tube in predictions.items() if len(tube)}
    unsampled = [query for query in answered if query not in sampled_frames]
    if rules.step is None and unsampled:
        raise ValueError(
            f"{protocol} compares sampled frames only, and {_listed(unsampled)} has none; "
            "give sampled_frames: the source frames the model was shown, by query"
        )
    per_query = dict.fromkeys(truths, QueryScore(0.0, 0.0, 0.0))
    for query, predicted in answered.items():
        sampled = np.unique(np.asarray(sampled_frames.get(query, ()), dtype=np.int64))
        track = tracks.get(query, predicted)
        per_query[query] = _query_score(predicted, track, truths[query], rules, sampled)
    missing = tuple(query for query in truths if query not in answered)
    return Scores(protocol, per_query, missing)


def score_query(
    predicted: Tube,
    truth: Tube,
    protocol: str = "hcstvg-official",
    sampled_frames: Sequence[int] | None = None,
    *,
    track: Tube | None = None,
) -> QueryScore:
    """Score one predicted tube against the true one; the arguments are those of `score`.

    >>> tube = Tube(np.arange(4), np.tile([0.0, 0.0, 8.0, 8.0], (4, 1)))
    >>> score_query(tube.within(Span(0, 2)), tube).viou
    0.5

    Raises:
        ValueError: if the truth has no box, the protocol is unknown, or it needs sampled frames.
    """
    scores = score(
        {"": predicted},
        {"": truth},
        protocol,
        None if sampled_frames is None else {"": sampled_frames},
        tracks=None if track is None else {"": track},
    )
    return scores.per_query[""]


def bootstrap_interval(
    values: Sequence[float] | Float[np.ndarray, " query"],
    *,
    draws: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """Where the mean would lie, with probability `level`, had other queries been drawn.

    The percentile bootstrap. Queries are drawn one by one, so those that share a video are taken
    to be independent. Values that are all equal, or a single one, give a point: they say nothing
    about spread.

    >>> bootstrap_interval([0.4, 0.4, 0.4])
    (0.4, 0.4)

    Raises:
        ValueError: if there are no values, or one is not a finite number.
    """
    sample = _finite(values)
    if np.ptp(sample) == 0:
        return float(sample[0]), float(sample[0])
    interval = stats.bootstrap(
        (sample,),
        np.mean,
        n_resamples=draws,
        batch=DRAWS_AT_A_TIME,
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def paired_difference(
    a: Sequence[float] | Float[np.ndarray, " query"],
    b: Sequence[float] | Float[np.ndarray, " query"],
    *,
    draws: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float, float]:
    """By how much `a` is above `b` on the same queries: mean, low and high end of its interval.

    The n-th values of both must belong to the same query.

    Raises:
        ValueError: if they differ in number, are none, or one is not a finite number.
    """
    if len(a) != len(b):
        raise ValueError(f"{len(a)} values cannot be paired with {len(b)}; give one for each query")
    difference = _finite(a) - _finite(b)
    low, high = bootstrap_interval(difference, draws=draws, seed=seed, level=level)
    mean = low if low == high else float(difference.mean())  # equal differences: do not round
    return mean, low, high


def _query_score(
    predicted: Tube,
    track: Tube,
    truth: Tube,
    rules: Protocol,
    sampled: Int[np.ndarray, " frame"],
) -> QueryScore:
    if rules.interpolates:
        predicted, track = _without_gaps(predicted), _without_gaps(track)
    compared = sampled
    if rules.step is not None:
        compared = np.arange(0, max(predicted.span.stop, truth.span.stop), rules.step)
        predicted, truth = _at(predicted, compared), _at(truth, compared)
    spans = _span(predicted, rules.viou_ends.prediction), _span(truth, rules.viou_ends.truth)
    hull = _hull(*spans)
    shared = _at(truth, compared).within(spans[0] & spans[1])
    frames = np.count_nonzero((compared >= hull.start) & (compared < hull.stop))
    return QueryScore(
        tiou=_protocol_tiou(predicted, truth, rules),
        viou=float(_overlaps(predicted, shared).sum()) / max(frames, 1),
        gt_viou=spatial_iou(track, _at(truth, compared)),
    )


def _protocol_tiou(predicted: Tube, truth: Tube, rules: Protocol) -> float:
    ends = rules.tiou_ends
    spans = _span(predicted, ends.prediction), _span(truth, ends.truth)
    if not rules.tiou_counts_boxes:
        return temporal_iou(*spans)
    shared = len(np.intersect1d(predicted.frames, truth.frames))
    return shared / max(len(_hull(*spans)), 1)


def _overlaps(tube: Tube, truth: Tube) -> Float[np.ndarray, " frame"]:
    """Box overlap in each frame of the truth; 0 where the tube has no box."""
    overlaps = np.zeros(len(truth))
    _, ours, theirs = np.intersect1d(tube.frames, truth.frames, return_indices=True)
    overlaps[theirs] = box_iou(tube.boxes[ours], truth.boxes[theirs])
    return overlaps


def _at(tube: Tube, frames: Int[np.ndarray, " frame"]) -> Tube:
    kept = np.isin(tube.frames, frames)
    return Tube(tube.frames[kept], tube.boxes[kept], tube.label)


def _span(tube: Tube, end: int) -> Span:
    return Span(tube.span.start, tube.span.stop - 1 + end) if len(tube) else Span(0, 0)


def _hull(a: Span, b: Span) -> Span:
    return Span(min(a.start, b.start), max(a.stop, b.stop))


def _without_gaps(tube: Tube) -> Tube:
    return tube.interpolated(range(tube.span.start, tube.span.stop)) if len(tube) else tube


def _known(protocol: str) -> Protocol:
    if protocol not in PROTOCOLS:
        raise ValueError(f"no protocol is called {protocol!r}; there are {', '.join(PROTOCOLS)}")
    return PROTOCOLS[protocol]


def _check_truths(
    truths: Mapping[str, Tube], predictions: Mapping[str, Tube], tracks: Mapping[str, Tube]
) -> None:
    if not truths:
        raise ValueError("there are no truths to score against; give at least one annotated tube")
    empty = [query for query, truth in truths.items() if not len(truth)]
    if empty:
        raise ValueError(f"the truth of {_listed(empty)} has no box; give annotated tubes")
    strange = [query for query in (*predictions, *tracks) if query not in truths]
    if strange:
        raise ValueError(f"no truth for {_listed(strange)}; predict the annotated queries only")


def _listed(queries: Sequence[str]) -> str:
    """The first of these queries, and how many more there are."""
    return repr(queries[0]) + (f" (and {len(queries) - 1} more)" if len(queries) > 1 else "")


def _finite(
    values: Sequence[float] | Float[np.ndarray, " query"],
) -> Float[np.ndarray, " query"]:
    sample = np.asarray(values, dtype=np.float64)
    if not len(sample):
        raise ValueError("there are no values to take a mean of; give one for each query")
    if not np.isfinite(sample).all():
        raise ValueError("a value is NaN or infinite; a failed query counts as 0")
    return sample
