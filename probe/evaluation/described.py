"""A data set as videos with sentences about them, which response maps are trained on."""

from collections.abc import Callable, Sequence

from probe.candidates.proposals import propose_tracks
from probe.datasets import DataSet, Sample
from probe.evaluation.groups import group_queries
from probe.trained.responses.examples import Described, Material
from probe.video import Sampling, Span, Tube, Video


def describe_dataset(
    dataset: DataSet,
    frames: Sampling,
    *,
    find_proposals: Callable[[Video], Sequence[Tube]] = propose_tracks,
) -> list[Described]:
    """Collect the sentences of a data set by video.

    Of queries about one video that have the same truth, the first is taken: the others are about
    the same thing, and only a sentence about another one can be told from it. Where a time is
    known it is passed on; boxes are not.

    Args:
        dataset: The data set.
        frames: Frames to sample of each video.
        find_proposals: Finds the things of a video that may be meant.
    """
    # By recording: two sentences about one video are needed to be told apart.
    groups = group_queries(dataset, range(len(dataset)))
    return [_describe([dataset[i] for i in group], frames, find_proposals) for group in groups]


def _describe(
    samples: Sequence[Sample],
    frames: Sampling,
    find_proposals: Callable[[Video], Sequence[Tube]],
) -> Described:
    told = _leave_out_repeated(samples)

    def read() -> Material:
        footage = told[0].recording.read(frames)
        spans = (one.settle(footage).span for one in told)
        shown = tuple(None if span is None else footage.span_from_source(span) for span in spans)
        return Material(
            footage.video, tuple(map(_leave_out_empty, shown)), find_proposals(footage.video)
        )

    return Described(told[0].id, tuple(one.query for one in told), read, str(frames))


def _leave_out_repeated(samples: Sequence[Sample]) -> list[Sample]:
    """Leave out sentences about a thing that an earlier one is about, by the truth of both."""
    kept: list[Sample] = []
    for one in samples:
        if not any(one.query == other.query or _mean_the_same(one, other) for other in kept):
            kept.append(one)
    return kept


def _mean_the_same(one: Sample, other: Sample) -> bool:
    if one.annotation is not None or other.annotation is not None:
        return one.annotation == other.annotation
    mine, others = one.boxes, other.boxes
    return mine is not None and others is not None and mine == others


def _leave_out_empty(span: Span | None) -> Span | None:
    """Take a time outside the part that is shown for one that is not known."""
    return span if span is not None and len(span) else None
