"""Track rules and frame rules: which candidate is meant, and how strongly each frame of it is.

A rule is any callable of the stated form; those here are the shipped ones. A user's own function
does as well, everywhere.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from jaxtyping import Float
from torch import Tensor

from probe.candidates.tracks import track_scores
from probe.engine.view import View
from probe.grounding.looks import Look
from probe.grounding.queries import Queries
from probe.video import Tube

TrackRule: TypeAlias = Callable[
    [View, Queries, Look, Sequence[Tube]], Float[Tensor, " track"] | Sequence[float]
]
"""Scores candidate tracks, given the video as the model sees it, the query's parts, the look for
the attribute part, and the candidates; the highest score wins."""

FrameRule: TypeAlias = Callable[[View, Queries, Look, Tube], Float[Tensor, " frame"]]
"""Scores the frames of the map, given the video as the model sees it, the query's parts, the look
for the action part, and the chosen track; a span rule chooses among them."""


@dataclass(frozen=True)
class AttentionPeak:
    """The strongest cell of the map inside each candidate, over all frames: the paper's choice."""

    def __call__(
        self,
        view: View,  # noqa: ARG002
        queries: Queries,  # noqa: ARG002
        where: Look,
        candidates: Sequence[Tube],
    ) -> Float[Tensor, " track"]:
        """Score each candidate by its strongest cell; one partly inside counts in part."""
        return track_scores(candidates, where.heatmap)


@dataclass(frozen=True)
class PeakInTrack:
    """The strongest cell of the map inside the track, frame by frame: the paper's choice."""

    def __call__(
        self,
        view: View,  # noqa: ARG002
        queries: Queries,  # noqa: ARG002
        when: Look,
        track: Tube,
    ) -> Float[Tensor, " frame"]:
        """Score each frame by its strongest cell inside the track; 0 where that has no box."""
        return when.heatmap.peak_within(track)


def choose_track(candidates: Sequence[Tube], scores: Sequence[float]) -> Tube:
    """Return the candidate with the highest score; of equal ones, the first.

    Raises:
        ValueError: if there is no candidate, not one score for each, or a score that is not a
            number.
    """
    if not candidates:
        raise ValueError("there is no candidate to choose; load or propose tracks first")
    if len(scores) != len(candidates):
        raise ValueError(
            f"the track rule gave {len(scores)} scores for {len(candidates)} candidates; it must "
            f"give one for each"
        )
    if any(score != score for score in scores):
        raise ValueError("a track's score is NaN, so no track is the best; check the heatmap")
    ordered = list(scores)
    return candidates[ordered.index(max(ordered))]
