"""Scores of predicted tubes, by query and on average, under a named protocol."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from jaxtyping import Int

from probe.metrics.overlaps import frame_overlaps, spatial_iou, temporal_iou
from probe.metrics.protocols import Protocol, find_protocol
from probe.video import Span, Tube


@dataclass(frozen=True)
class QueryScore:
    """The figures of one query, each from 0 to 1; None where the truth does not say enough."""

    tiou: float | None
    viou: float | None
    gt_viou: float | None


@dataclass(frozen=True)
class Known:
    """The parts of a query's truth that are annotated; figures of the others do not exist."""

    time: bool = True
    """True if it is known when the query holds: then there is a tIoU."""

    place: bool = True
    """True if boxes are known: then there is a gt_vIoU. With the time, too, there is a vIoU."""

    def restrict(self, score: QueryScore) -> QueryScore:
        """Return the figures that the truth allows, and None for the others."""
        return QueryScore(
            tiou=score.tiou if self.time else None,
            viou=score.viou if self.time and self.place else None,
            gt_viou=score.gt_viou if self.place else None,
        )

    @property
    def worst(self) -> QueryScore:
        """The figures of a query that failed: 0, but never for what is not known."""
        return self.restrict(QueryScore(0.0, 0.0, 0.0))


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
    """The figures of a set of queries under one protocol."""

    protocol: str
    per_query: Mapping[str, QueryScore]
    """The figures of every query that has a truth, in the order of the truths; none is None."""

    missing: tuple[str, ...]
    """The queries without an answer: 0 in every figure, and part of every mean."""

    @property
    def mean(self) -> MeanScore:
        """The figures that papers report, as shares and not percent."""
        queries = self.per_query.values()
        overlaps = [query.viou for query in queries if query.viou is not None]
        return MeanScore(
            m_tiou=fmean(query.tiou for query in queries if query.tiou is not None),
            m_viou=fmean(overlaps),
            viou_at_03=fmean(overlap > 0.3 for overlap in overlaps),
            viou_at_05=fmean(overlap > 0.5 for overlap in overlaps),
            m_gt_viou=fmean(query.gt_viou for query in queries if query.gt_viou is not None),
        )


def score(
    predictions: Mapping[str, Tube],
    truths: Mapping[str, Tube],
    protocol: str,
    sampled_frames: Mapping[str, Sequence[int]] | None = None,
    *,
    tracks: Mapping[str, Tube] | None = None,
) -> Scores:
    """Score predictions against truths, under a named protocol.

    >>> from probe.metrics import PROTOCOLS
    >>> tube = Tube(range(50), [[0, 0, 8, 8]] * 50)
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
        sampled_frames: The source frames that the model was shown, by query; needed by protocols
            that compare only those.
        tracks: The predicted object over the whole video, by query, for gt_vIoU; without it the
            prediction is taken, and gt_vIoU is 0 outside the predicted span.

    Raises:
        ValueError: if there are no truths or one has no box, a prediction or track has no truth,
            the protocol is unknown, or it needs sampled frames that are not given.
    """
    rules = find_protocol(protocol)
    tracks, sampled_frames = tracks or {}, sampled_frames or {}
    _check_truths(truths, predictions, tracks)
    answered = {query: tube for query, tube in predictions.items() if len(tube)}
    unsampled = [query for query in answered if query not in sampled_frames]
    if rules.step is None and unsampled:
        raise ValueError(
            f"{protocol} compares sampled frames only, and {_name_queries(unsampled)} has none; "
            "give sampled_frames: the source frames the model was shown, by query"
        )
    # A query without an answer counts as zero; left out, it would raise the means.
    per_query = dict.fromkeys(truths, QueryScore(0.0, 0.0, 0.0))
    for query, predicted in answered.items():
        sampled = np.unique(np.asarray(sampled_frames.get(query, ()), dtype=np.int64))
        track = tracks.get(query, predicted)
        per_query[query] = _score_tube(predicted, track, truths[query], rules, sampled)
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
    """Score one predicted tube against the true one.

    >>> tube = Tube(range(4), [[0, 0, 8, 8]] * 4)
    >>> score_query(tube.within(Span(0, 2)), tube).viou
    0.5

    Args:
        predicted: The predicted tube.
        truth: The annotated tube.
        protocol: A name in `PROTOCOLS`.
        sampled_frames: The source frames that the model was shown; needed by protocols that
            compare only those.
        track: The predicted object over the whole video, for gt_vIoU; the prediction if not given.

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


def score_time(
    predicted: Tube,
    truth: Span,
    protocol: str = "hcstvg-official",
    sampled_frames: Sequence[int] | None = None,
) -> QueryScore:
    """Score one predicted tube against a true span whose boxes are not known: tIoU alone.

    >>> tube = Tube(range(4), [[0, 0, 8, 8]] * 4)
    >>> score_time(tube, Span(0, 8))
    QueryScore(tiou=0.5, viou=None, gt_viou=None)

    Args:
        predicted: The predicted tube.
        truth: The annotated span.
        protocol: A name in `PROTOCOLS`.
        sampled_frames: The source frames that the model was shown; needed by protocols that
            compare only those.

    Raises:
        ValueError: if the span is empty, the protocol is unknown, or it needs sampled frames.
    """
    # No protocol looks at what is in a box to compute tIoU, so any boxes will do.
    frames = range(truth.start, truth.stop)
    anywhere = Tube(frames, np.zeros((len(truth), 4)))
    found = score_query(predicted, anywhere, protocol, sampled_frames)
    return Known(time=True, place=False).restrict(found)


def score_place(track: Tube, truth: Tube) -> QueryScore:
    """Score a predicted track against boxes of which it is not known when the query holds.

    Only gt_vIoU exists, over all frames with a true box: no public evaluator has such queries, so
    no protocol says which of them to leave out.

    >>> track = Tube(range(4), [[0, 0, 8, 8]] * 4)
    >>> score_place(track, Tube([0, 9], [[0, 0, 8, 8]] * 2))
    QueryScore(tiou=None, viou=None, gt_viou=0.5)

    Raises:
        ValueError: if the truth has no box.
    """
    if not len(truth):
        raise ValueError("the truth has no box; give annotated boxes")
    return QueryScore(tiou=None, viou=None, gt_viou=spatial_iou(track, truth))


def _score_tube(
    predicted: Tube,
    track: Tube,
    truth: Tube,
    rules: Protocol,
    sampled: Int[np.ndarray, " frame"],
) -> QueryScore:
    if rules.interpolates:
        predicted, track = _fill_gaps(predicted), _fill_gaps(track)
    compared = sampled
    # After the gaps are filled, since their ends may be frames that are not compared.
    if rules.step is not None:
        compared = np.arange(0, max(predicted.span.stop, truth.span.stop), rules.step)
        predicted, truth = _select_frames(predicted, compared), _select_frames(truth, compared)
    spans = (
        _span_to_end(predicted, rules.viou_ends.prediction),
        _span_to_end(truth, rules.viou_ends.truth),
    )
    hull = _hull(*spans)
    shared = _select_frames(truth, compared).within(spans[0] & spans[1])
    frames = int(np.count_nonzero((compared >= hull.start) & (compared < hull.stop)))
    return QueryScore(
        tiou=_compute_tiou(predicted, truth, rules),
        viou=float(frame_overlaps(predicted, shared).sum()) / max(frames, 1),
        gt_viou=spatial_iou(track, _select_frames(truth, compared)),
    )


def _compute_tiou(predicted: Tube, truth: Tube, rules: Protocol) -> float:
    ends = rules.tiou_ends
    spans = _span_to_end(predicted, ends.prediction), _span_to_end(truth, ends.truth)
    if not rules.tiou_counts_boxes:
        return temporal_iou(*spans)
    # Over all frames from the earlier start to the later end, also where the spans do not meet.
    shared = len(np.intersect1d(predicted.frames, truth.frames))
    return shared / max(len(_hull(*spans)), 1)


def _select_frames(tube: Tube, frames: Int[np.ndarray, " frame"]) -> Tube:
    kept = np.isin(tube.frames, frames)
    return Tube(tube.frames[kept], tube.boxes[kept], tube.label)


def _span_to_end(tube: Tube, end: int) -> Span:
    """Return the span of a tube that ends `end` frames after its last frame."""
    return Span(tube.span.start, tube.span.stop - 1 + end) if len(tube) else Span(0, 0)


def _hull(a: Span, b: Span) -> Span:
    """Return the shortest span that contains both."""
    return Span(min(a.start, b.start), max(a.stop, b.stop))


def _fill_gaps(tube: Tube) -> Tube:
    return tube.interpolated(range(tube.span.start, tube.span.stop)) if len(tube) else tube


def _check_truths(
    truths: Mapping[str, Tube], predictions: Mapping[str, Tube], tracks: Mapping[str, Tube]
) -> None:
    if not truths:
        raise ValueError("there are no truths to score against; give at least one annotated tube")
    empty = [query for query, truth in truths.items() if not len(truth)]
    if empty:
        raise ValueError(f"the truth of {_name_queries(empty)} has no box; give annotated tubes")
    strange = [query for query in (*predictions, *tracks) if query not in truths]
    if strange:
        raise ValueError(
            f"no truth for {_name_queries(strange)}; predict the annotated queries only"
        )


def _name_queries(queries: Sequence[str]) -> str:
    """Name the first of these queries, and the number of the others."""
    return repr(queries[0]) + (f" (and {len(queries) - 1} more)" if len(queries) > 1 else "")
