"""References for the figures of a run: guesses that read nothing, and the best of the candidates.

Guesses read neither the model nor the query. Their figures are computed exactly, as means over all
candidates and not by drawing some. The ceiling is the candidate that fits the truth best, at the
true time: no choice among these candidates scores more. (A method that reads a map may add its
bright parts to proposed tracks if none of them touches its peak; these come from the model, are not
among the candidates here, and may lie above the ceiling.)
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from types import MappingProxyType
from typing import TypeAlias

from probe.datasets import Footage, Sample
from probe.evaluation.figures import FIGURES, summarise_values
from probe.evaluation.methods import Prediction, centred_span, find_largest
from probe.evaluation.scoring import score_prediction
from probe.metrics import QueryScore, bootstrap_interval
from probe.video import Span, Tube

References: TypeAlias = Mapping[str, Mapping[str, float]]
"""Figures of one query, by reference and figure. A figure that the query's truth does not allow is
left out."""


@dataclass(frozen=True)
class Guess:
    """A guess: some of the candidates, each as likely as the others, in the middle of the video."""

    largest: bool
    """True for the largest candidate alone, False for any of them."""

    share: float
    """Length of the middle part over that of the video."""

    def list_predictions(self, footage: Footage, tracks: Sequence[Tube]) -> list[Prediction]:
        """List the predictions that the guess may give, which are equally likely."""
        span = centred_span(footage.video, self.share)
        chosen = [find_largest(tracks)] if self.largest else tracks
        return [Prediction(span, track) for track in chosen]


GUESSES: Mapping[str, Guess] = MappingProxyType(
    {
        "any track, middle half": Guess(largest=False, share=0.5),
        "any track, whole clip": Guess(largest=False, share=1.0),
        "largest track, middle half": Guess(largest=True, share=0.5),
        "largest track, whole clip": Guess(largest=True, share=1.0),
    }
)
"""The guesses by name. The last two are the methods `largest-track-middle-half` and `whole-clip`;
the first is what `random-track` gives on average."""

CHANCE = "any track, middle half"
"""The guess that is called chance."""

CEILING = "best candidate, true time"
"""The name of the ceiling: the most that a choice among the candidates can score."""

REFERENCES = (*GUESSES, CEILING)
"""The references by name."""


def compute_references(
    sample: Sample, footage: Footage, tracks: Sequence[Tube], protocol: str
) -> dict[str, dict[str, float]]:
    """Compute the expected figures of each guess for one query, and those of its best candidate.

    Args:
        sample: The query with its truth, settled on this video.
        footage: The pictures that a method is shown.
        tracks: The candidates, at least one.
        protocol: A name in `probe.metrics.PROTOCOLS`.
    """

    # Scored as a run scores, rounding of boxes included, so that both can be compared to the digit.
    def list_scores(predictions: Sequence[Prediction]) -> list[QueryScore]:
        return [score_prediction(sample, footage, one, protocol).score for one in predictions]

    found = {
        name: _reduce(list_scores(guess.list_predictions(footage, tracks)), fmean)
        for name, guess in GUESSES.items()
    }
    span = _find_true_span(sample, footage)
    # Each figure by itself: the track that overlaps most in the true time need not do so outside.
    found[CEILING] = _reduce(list_scores([Prediction(span, track) for track in tracks]), max)
    return found


def make_worst_references(score: QueryScore) -> dict[str, dict[str, float]]:
    """Make the references of a query without candidates: 0 in each figure that a score has."""
    return {name: _reduce([score], lambda values: 0.0 * sum(values)) for name in REFERENCES}


def _find_true_span(sample: Sample, footage: Footage) -> Span:
    """Find the true time in frames of the footage; all of it if the time is not known."""
    whole = Span(0, footage.video.source_length)
    shown = whole if sample.span is None else footage.span_from_source(sample.span)
    # A truth outside the footage cannot be answered: any time scores 0.
    return shown if len(shown) else whole


def _reduce(
    scores: Sequence[QueryScore], reduce: Callable[[Iterable[float]], float]
) -> dict[str, float]:
    """Reduce each figure of several answers to one query to a single value."""
    # All of them have the same figures, since these follow from what is known of the truth.
    values = {name: [figure.value(score) for score in scores] for name, figure in FIGURES.items()}
    return {
        name: reduce(one for one in found if one is not None)
        for name, found in values.items()
        if None not in found
    }


def summarise_references(
    references: Sequence[References],
) -> dict[str, dict[str, dict[str, float] | None]]:
    """Average the references of queries, figure by figure, with 95 % intervals over queries.

    Args:
        references: Those of each query, in the order of the data set, in which intervals are drawn
            again and again.

    Returns:
        By reference and figure: the `mean`, the `low` and `high` end of its interval, and over how
        many `queries`; None if no query has the figure.
    """
    return {
        name: {figure: _summarise(name, figure, references) for figure in FIGURES}
        for name in REFERENCES
    }


def _summarise(name: str, figure: str, references: Sequence[References]) -> dict[str, float] | None:
    values = [one[name][figure] for one in references if figure in one[name]]
    # The ceiling of a share counts queries. An expectation may lie between 0 and 1, where no
    # interval of a share, such as Wilson's, is defined.
    interval = FIGURES[figure].interval if name == CEILING else bootstrap_interval
    return summarise_values(values, interval) if values else None
