"""Choosing when: a run of consecutive frames from one score for each frame."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from probe.engine.grids import Cells
from probe.video import Span

SpanRule: TypeAlias = Callable[[Float[Tensor, " frame"]], range]
"""Chooses consecutive map frames from their scores."""


@dataclass(frozen=True)
class TopHull:
    """The hull of the highest-scoring frames: the paper's rule, K = 7 of 20 frames."""

    share: float = 7 / 20

    def __call__(self, scores: Float[Tensor, " frame"]) -> range:
        """The frames from the first to the last of the top ones."""
        top = scores.topk(_count(self.share, scores)).indices
        return range(int(top.min()), int(top.max()) + 1)


@dataclass(frozen=True)
class GrowFromPeak:
    """From the best frame, one at a time, to the higher neighbour: the release's rule, 11 of 20."""

    share: float = 11 / 20

    def __call__(self, scores: Float[Tensor, " frame"]) -> range:
        """The frames grown around the peak."""
        first = last = int(scores.argmax())
        values = scores.tolist()
        while last - first + 1 < _count(self.share, scores):
            before = values[first - 1] if first > 0 else float("-inf")
            after = values[last + 1] if last + 1 < len(values) else float("-inf")
            first, last = (first - 1, last) if before > after else (first, last + 1)
        return range(first, last + 1)


@dataclass(frozen=True)
class BestContrast:
    """The run whose mean stands out most from the rest: a span of no fixed length.

    Maximises (mean inside - mean outside) x sqrt(inside x outside / frames), the two-sample
    statistic of a single change in level; a longer run wins only if the added frames hold up.
    """

    def __call__(self, scores: Float[Tensor, " frame"]) -> range:
        """The run with the largest contrast; all frames where none stands out."""
        frames = len(scores)
        sums = torch.cat([scores.new_zeros(1), scores.cumsum(0)])
        best, chosen = 0.0, range(frames)
        for first in range(frames):
            for stop in range(first + 1, frames + (first > 0)):
                inside = stop - first
                mean_in = (sums[stop] - sums[first]) / inside
                mean_out = (sums[-1] - sums[stop] + sums[first]) / (frames - inside)
                contrast = float(
                    (mean_in - mean_out) * (inside * (frames - inside) / frames) ** 0.5
                )
                if contrast > best:
                    best, chosen = contrast, range(first, stop)
        return chosen


def best_span(
    scores: Float[Tensor, " frame"], cells: Cells, source_length: int, rule: SpanRule
) -> Span:
    """When: the source frames that the chosen map frames stand for.

    A map frame stands for the stretch of the video around it, up to half-way to its neighbours.

    Args:
        scores: One score for each map frame.
        cells: Which source frames the map frames cover.
        source_length: How many frames the video has.
        rule: How map frames are chosen.

    Raises:
        ValueError: if there are no frames, or a score is not a finite number.
    """
    if not len(scores):
        raise ValueError("there are no frame scores to choose a span from")
    if not torch.isfinite(scores).all():
        raise ValueError("a frame score is NaN or infinite; check the attention it came from")
    chosen = rule(scores)
    edges = cells.stretches(source_length)
    return Span(edges[chosen.start], edges[chosen.stop])


def _count(share: float, scores: Float[Tensor, " frame"]) -> int:
    return max(1, round(share * len(scores)))
