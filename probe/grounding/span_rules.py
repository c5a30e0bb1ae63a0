"""Span rules: they choose consecutive frames, the "when", from one score for each frame.

A rule is any callable of this form; those here are the shipped ones. A user's own function can be
used wherever they can.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from probe.engine.grids import Cells
from probe.interpret.time_heads import interval_contrasts
from probe.video import Span, Video
from probe.video.coercion import describe_given

SpanRule: TypeAlias = Callable[[Float[Tensor, " frame"]], range]
"""Chooses consecutive frames of the map from their scores; after a second reading, consecutive
points in time."""


@dataclass(frozen=True)
class TopHull:
    """The hull of the highest-scoring frames: the paper's rule, K = 7 of 20 frames."""

    share: float = 7 / 20

    def __call__(self, scores: Float[Tensor, " frame"]) -> range:
        """Return the frames from the first to the last of the top ones."""
        top = scores.topk(_count_chosen(self.share, scores)).indices
        return range(int(top.min()), int(top.max()) + 1)


@dataclass(frozen=True)
class GrowFromPeak:
    """The best frame, grown by the higher neighbour one at a time: the release's rule, 11 of 20."""

    share: float = 11 / 20

    def __call__(self, scores: Float[Tensor, " frame"]) -> range:
        """Return the frames grown around the peak."""
        first = last = int(scores.argmax())
        values = scores.tolist()
        while last - first + 1 < _count_chosen(self.share, scores):
            before = values[first - 1] if first > 0 else float("-inf")
            after = values[last + 1] if last + 1 < len(values) else float("-inf")
            first, last = (first - 1, last) if before > after else (first, last + 1)
        return range(first, last + 1)


@dataclass(frozen=True)
class BestContrast:
    """The frames whose mean differs most from that of the rest: a span of no fixed length.

    They maximise (mean inside - mean outside) x sqrt(inside x outside / frames), the two-sample
    statistic of a change in level. A longer span wins only if the added frames are high as well.
    """

    def __call__(self, scores: Float[Tensor, " frame"]) -> range:
        """Return the frames with the largest contrast; all of them if no contrast is above 0."""
        contrasts, intervals = interval_contrasts(scores)
        if not intervals or not float(contrasts.max()) > 0:
            return range(len(scores))
        return intervals[int(contrasts.argmax())]


def best_span(
    scores: Float[Tensor, " frame"], cells: Cells, source_length: int, rule: SpanRule
) -> Span:
    """Choose the span of source frames with the highest scores, by a rule.

    A frame of the map covers the video around it, up to half-way to its neighbours.

    Args:
        scores: One score for each frame of the map.
        cells: The source frames that the frames of the map cover.
        source_length: The number of frames of the video.
        rule: The rule that chooses among the frames of the map.

    Raises:
        ValueError: if there are no frames, a score is not a finite number, or the rule does not
            give consecutive frames.
    """
    chosen = choose_frames(scores, rule)
    edges = cells.stretches(source_length)
    return Span(edges[chosen.start], edges[chosen.stop])


def choose_frames(scores: Float[Tensor, " frame"], rule: SpanRule) -> range:
    """Choose consecutive frames by a rule.

    Raises:
        ValueError: as `best_span`.
    """
    if not len(scores):
        raise ValueError("there are no frame scores to choose a span from")
    if not torch.isfinite(scores).all():
        raise ValueError("a frame score is NaN or infinite; check the attention it came from")
    chosen = rule(scores)
    _check_chosen(chosen, len(scores))
    return chosen


def only_frame(video: Video) -> Span:
    """Return the span of the one frame of a picture."""
    (index,) = video.indices
    return Span(index, index + 1)


def _check_chosen(chosen: Any, frames: int) -> None:
    # A rule may be a user's own.
    consecutive = isinstance(chosen, range) and chosen.step == 1
    if not consecutive or not 0 <= chosen.start < chosen.stop <= frames:
        raise ValueError(
            f"the span rule gave {describe_given(chosen)}; it must give a range of consecutive "
            f"frames of the map, within range({frames}) and not empty"
        )


def _count_chosen(share: float, scores: Float[Tensor, " frame"]) -> int:
    return max(1, round(share * len(scores)))
