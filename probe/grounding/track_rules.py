"""Track rules and frame rules: which candidate is meant, and how strongly each frame of it is.

A rule is any callable of the stated form; those here are the shipped ones. A user's own function
does as well, everywhere.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from probe.candidates.tracks import track_scores
from probe.engine.interventions import Intervention
from probe.engine.view import View
from probe.grounding.looks import Look
from probe.grounding.presence import QUESTIONS_A_PASS, read_margins
from probe.grounding.queries import Queries, as_question
from probe.interpret.knockouts import Cut
from probe.video import Tube

CHOSEN_BY_ATTENTION = "by the model's answers no track can be chosen: its attention chose"
"""The doubt of `CausalEffect` where the model says no: its scores are attention then."""

IN_NO_FRAME = (
    "no candidate is in any of the frames that the model read: none can be chosen by cause"
)
"""The doubt of `CausalEffect` where all candidates lie between the frames that were sampled."""


@dataclass(frozen=True)
class TrackScores:
    """One score for each candidate, and what should make a reader doubt them."""

    values: tuple[float, ...]
    doubts: tuple[str, ...] = ()
    """Sentences for people."""


TrackRule: TypeAlias = Callable[
    [View, Queries, Look, Sequence[Tube]], Float[Tensor, " track"] | Sequence[float] | TrackScores
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
class AttentionBySize:
    """The strongest cell inside each candidate over the root of the number of its cells.

    `AttentionPeak` gives a candidate that contains another the same peak, and so cannot choose
    between nested boxes, which detectors produce. Divided as `CausalEffect` divides, a larger one
    has to be stronger.
    """

    def __call__(
        self,
        view: View,  # noqa: ARG002
        queries: Queries,  # noqa: ARG002
        where: Look,
        candidates: Sequence[Tube],
    ) -> Float[Tensor, " track"]:
        """Score each candidate by its strongest cell; a cell partly inside counts in part."""
        cells = where.heatmap.cells
        sizes = torch.tensor([count_cells(cells.inside(track)) for track in candidates])
        return track_scores(candidates, where.heatmap) / sizes.sqrt()


@dataclass(frozen=True)
class CausalEffect:
    """The effect of each candidate's cells on the model's own answer.

    The question is asked with nothing of the video visible but one candidate's cells, and again
    with these cells cut away, for each candidate. Its score is the rise of the yes margin over that
    of the blind question, plus the fall from that of the seeing one, over the square root of the
    number of its cells: without the root a candidate that contains another, or the whole frame,
    would win.

    The whole query is asked if the model says yes to it, else its attribute part; if it says no to
    both, the attention map decides, which is told as a doubt. A candidate too small to lie on a
    cell has the cells that it covers most; one that is in no frame that was read has no score.
    """

    batch_size: int = QUESTIONS_A_PASS
    """Questions read in one pass."""

    limit: int = 300
    """Most candidates that are asked about. Of more, those with the strongest cell of the attention
    map are, which is told as a doubt; the others have no score (minus infinity)."""

    def __post_init__(self) -> None:
        for name in ("batch_size", "limit"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")

    def __call__(
        self, view: View, queries: Queries, where: Look, candidates: Sequence[Tube]
    ) -> TrackScores:
        """Score each candidate by what its cells are worth to the answer, in logits."""
        peaks = track_scores(candidates, where.heatmap)
        asked = self._choose_question(view, queries)
        if asked is None:
            return TrackScores(tuple(peaks.tolist()), (CHOSEN_BY_ATTENTION,))
        cells: dict[int, Bool[Tensor, "frame row column"]] = {}
        hidden = 0
        for place in peaks.argsort(descending=True, stable=True).tolist():
            if len(cells) == self.limit:
                break
            own = view.grid.cells.touched(candidates[place])
            # Hiding nothing changes nothing: an effect of 0 would beat what speaks for a no.
            if own.any():
                cells[place] = own
            else:
                hidden += 1
        if not cells:
            return TrackScores(tuple(peaks.tolist()), (IN_NO_FRAME,))
        kept = sorted(cells)
        values = np.full(len(candidates), -np.inf)
        values[kept] = self._measure_effects(view, asked, [cells[place] for place in kept])
        doubts = tell_left_out(len(candidates), len(kept), hidden)
        return TrackScores(tuple(values.tolist()), doubts)

    def _choose_question(self, view: View, queries: Queries) -> str | None:
        """Return the first of the whole query and its attribute part that the model says yes to."""
        for part in dict.fromkeys((queries.whole, queries.attribute)):
            question = as_question(part, view.checkpoint.medium)
            if read_margins(view, [question])[0] > 0:
                return question
        return None

    def _measure_effects(
        self, view: View, question: str, cells: Sequence[Bool[Tensor, "frame row column"]]
    ) -> Float[np.ndarray, " track"]:
        """Measure what each candidate's cells are worth to the answer, over the root of them."""
        changes: list[Sequence[Intervention]] = [(), (Cut(),)]
        changes += [(Cut(cells=~own),) for own in cells]
        changes += [(Cut(cells=own),) for own in cells]
        questions = [question] * len(changes)
        margins = np.array(read_margins(view, questions, changes, batch_size=self.batch_size))
        seeing, blind = margins[:2]
        alone, without = margins[2:].reshape(2, len(cells))
        sizes = np.array([int(own.sum()) for own in cells])
        return (alone - blind + seeing - without) / np.sqrt(sizes)


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


def tell_left_out(count: int, asked: int, hidden: int) -> tuple[str, ...]:
    """Tell how many candidates were not asked about, and why.

    Args:
        count: The candidates.
        asked: Those that were asked about.
        hidden: Those that were found to be in none of the frames that were read.
    """
    told = []
    if hidden:
        told.append(f"{hidden} of {count} candidates are in none of the frames that were read")
    if asked + hidden < count:
        told.append(f"only {asked} of {count} candidates were asked about: those looked at most")
    return tuple(told)


def count_cells(inside: Bool[Tensor, "frame row column"]) -> int:
    """Count the cells of a candidate; one that lies on no cell counts as one, to divide by."""
    return max(1, int(inside.sum()))


def score_tracks(
    rule: TrackRule, view: View, queries: Queries, where: Look, candidates: Sequence[Tube]
) -> TrackScores:
    """Score candidates by a rule, whichever form its scores have.

    Args:
        rule: The rule.
        view: The video as the model sees it.
        queries: The query's parts.
        where: The look for the attribute part.
        candidates: The tracks.

    Raises:
        ValueError: if there is no candidate.
    """
    if not candidates:
        raise ValueError("there is no candidate to choose; load or propose tracks first")
    found = rule(view, queries, where, candidates)
    if isinstance(found, TrackScores):
        return found
    return TrackScores(tuple(float(score) for score in found))


def choose_track(candidates: Sequence[Tube], scores: Sequence[float]) -> Tube:
    """Return the candidate with the highest score; of equal ones, the first.

    Raises:
        ValueError: if there is not one score for each, or a score that is not a number.
    """
    if len(scores) != len(candidates):
        raise ValueError(
            f"the track rule gave {len(scores)} scores for {len(candidates)} candidates; it must "
            f"give one for each"
        )
    if any(score != score for score in scores):
        raise ValueError("a track's score is NaN, so no track is the best; check the heatmap")
    ordered = list(scores)
    return candidates[ordered.index(max(ordered))]
