"""The score of one prediction, and the result as it is written down."""

from dataclasses import replace
from math import isfinite
from typing import Any

from probe.datasets import DataSet, Footage, Sample
from probe.evaluation.methods import Prediction
from probe.evaluation.results import QueryResult
from probe.metrics import QueryScore, score_place, score_query, score_time
from probe.video import Span, Tube


def score_prediction(
    sample: Sample, footage: Footage, prediction: Prediction, protocol: str
) -> QueryResult:
    """Score a prediction and return the result as it will be written down.

    Args:
        sample: The query with its truth.
        footage: The pictures that the prediction is about, in whose frames it counts.
        prediction: The predicted time and object.
        protocol: A name in `probe.metrics.PROTOCOLS`.
    """
    start, offset = prediction.span.start + footage.offset, footage.offset
    # Writing rounds the boxes. Scored before that, a line would not give its own score again.
    track = Tube.from_dict(footage.to_source(prediction.track).to_dict())
    result = make_result(
        sample,
        span=Span(start, start + len(prediction.span)),
        track=track,
        sampled=tuple(offset + index for index in footage.video.indices),
        remarks=sample.list_remarks(footage),
        details=prediction.details,
        presence=check_margin(prediction.presence),
    )
    shown = range(offset, offset + footage.video.source_length)
    return replace(result, score=_score(sample, result, track.interpolated(shown), protocol))


def _score(sample: Sample, result: QueryResult, track: Tube, protocol: str) -> QueryScore:
    """Score an answer by all that is known of the truth."""
    if sample.truth is not None:
        return score_query(result.tube, sample.truth, protocol, result.sampled, track=track)
    if sample.time is not None:
        return score_time(result.tube, sample.time, protocol, result.sampled)
    if sample.place is not None:
        return score_place(track, sample.place)
    return sample.known.worst  # nothing is known, so that no figure exists


def make_failed(dataset: DataSet, index: int, error: str) -> QueryResult:
    """Make the result of a query that failed: 0 in each figure that its truth allows."""
    try:
        return make_result(dataset[index], error=error)
    except ValueError:  # its annotation is of no use either
        return QueryResult(dataset.ids[index], error=error)


def make_result(sample: Sample, **found: Any) -> QueryResult:
    """Make the result of a sample from what was found; it counts as failed until it is scored."""
    about = {"query": sample.query, "kind": sample.kind, "video": sample.recording.name}
    return QueryResult(sample.id, **about, score=sample.known.worst, **found)


def check_margin(margin: Any) -> float | None:
    """Return a margin as a plain number; a method of a user's may give anything.

    Raises:
        ValueError: if it is not finite.
    """
    if margin is None:
        return None
    number = float(margin)
    if not isfinite(number):
        raise ValueError(f"the method measured a presence of {number}; give a finite number")
    return number
