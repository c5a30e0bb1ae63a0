"""Figures of saying yes to what is there and no to what is not: AUROC, risk-coverage, calibration.

Each query has a score, greater where the method is surer that the thing is there. The score may be
infinite: a query that failed counts as the worst possible, minus infinity for a thing that is there
and plus infinity for one that is not. The `weigh_...` functions compute a figure with weights: a
query of weight 2 counts as if it were there twice. So all resamples of a bootstrap are computed in
one go, from scores that are sorted once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import digamma, expit

Values: TypeAlias = Sequence[float] | Float[np.ndarray, " query"]
Weights: TypeAlias = Float[np.ndarray, "draw query"]
"""The count of each query in each draw: whole numbers."""

Draws: TypeAlias = Float[np.ndarray, " draw"]
"""A figure in each draw; NaN where the queries that it needs were not drawn."""

RELIABILITY_BINS = 15
"""Bins of equal width, as many as Guo et al. (2017) use."""


def auroc(
    present: Sequence[float] | Float[np.ndarray, " present"],
    absent: Sequence[float] | Float[np.ndarray, " absent"],
) -> float:
    """Compute the probability that a present thing has a greater score than an absent one.

    This is the area under the ROC curve, as a count over all pairs in which a tie counts half
    (Mann and Whitney 1947; Hanley and McNeil 1982): 1 if all present things have greater scores,
    0.5 for chance. Only the order of scores matters.

    >>> auroc([3.0, 1.0], [0.0, 1.0])
    0.875

    Raises:
        ValueError: if there are no scores of either kind, or one is NaN.
    """
    scores = np.concatenate([_check_scores(present), _check_scores(absent)])
    there = np.arange(len(scores)) < len(present)
    return float(weigh_auroc(scores, there, np.ones((1, len(scores))))[0])


def weigh_auroc(
    scores: Float[np.ndarray, " query"], present: Bool[np.ndarray, " query"], weights: Weights
) -> Draws:
    """Compute the area under the ROC curve in each draw.

    Args:
        scores: The score of each query.
        present: True for each query whose thing is there.
        weights: The weight of each query in each draw.
    """
    sums = _TieGroups(scores)
    there, missing = sums.add(weights * present), sums.add(weights * ~present)
    # Absent things of a lower score, and half of those of the same.
    below = missing.cumsum(axis=1) - missing / 2
    pairs = there.sum(axis=1) * missing.sum(axis=1)
    return _divide((there * below).sum(axis=1), pairs)


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """The mean risk of the surest answers, for each number of answers."""

    coverage: Float[np.ndarray, " answer"]
    """Share of the queries that are answered: 1 / n, 2 / n, ... 1."""

    risk: Float[np.ndarray, " answer"]
    """Mean risk of these answers."""

    @property
    def area(self) -> float:
        """Area under the curve (AURC): the mean of the risk over all coverages."""
        return float(self.risk.mean())


def risk_coverage(confidence: Values, risk: Values) -> RiskCoverage:
    """Compute the mean risk of answers if only the surest are given, for each share of them.

    This is the risk-coverage curve of a selective predictor (El-Yaniv and Wiener 2010); its area is
    that of Geifman, Uziel and El-Yaniv (2019). Of queries with equal confidence, none is surer: the
    risk is the mean over all orders of them. Only the order of confidences matters.

    >>> curve = risk_coverage([2.0, 1.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0])
    >>> curve.risk.round(3).tolist(), round(curve.area, 3)
    ([0.0, 0.25, 0.333, 0.5], 0.271)

    Args:
        confidence: The score of each query; the greatest are answered first.
        risk: The loss if it is answered, such as 1 - vIoU.

    Raises:
        ValueError: if there are no queries, they differ in number, a confidence is NaN, or a risk
            is not finite.
    """
    # Negative, so that the surest are the first of an ascending order.
    surest, losses = -_check_scores(confidence), np.asarray(risk, dtype=np.float64)
    _check_pairs(surest, losses)
    if not np.isfinite(losses).all():
        raise ValueError("a risk is NaN or infinite; the risk of a query that failed is the worst")
    # Tied queries all get the mean of their risks, which gives the mean over their orders.
    groups = _TieGroups(surest)
    count = groups.add(np.ones((1, len(surest))))[0]
    mean = groups.add(losses[None])[0] / count
    answered = np.arange(1, len(surest) + 1)
    return RiskCoverage(answered / len(surest), mean.repeat(count.astype(int)).cumsum() / answered)


def weigh_risk_coverage(
    confidence: Float[np.ndarray, " query"], risk: Float[np.ndarray, " query"], weights: Weights
) -> Draws:
    """Compute the area under the risk-coverage curve in each draw.

    Args:
        confidence: The score of each query.
        risk: The loss if it is answered.
        weights: The weight of each query in each draw; whole numbers.
    """
    groups = _TieGroups(-confidence)
    count, loss = groups.add(weights), groups.add(weights * risk)
    before, lost = count.cumsum(axis=1) - count, loss.cumsum(axis=1) - loss
    mean = _divide(loss, count, empty=0.0)
    # Over k = 1 ... c answers of one group, the sum of (lost + k mean) / (before + k) is
    # c mean + (lost - before mean) (H(before + c) - H(before)) with harmonic numbers H. So no query
    # has to be repeated as often as it was drawn.
    harmonic = digamma(before + count + 1) - digamma(before + 1)
    area = (count * mean + (lost - before * mean) * harmonic).sum(axis=1)
    return _divide(area, count.sum(axis=1))


@dataclass(frozen=True, eq=False)
class Reliability:
    """Stated probabilities next to the share of queries of which they came true, in bins."""

    edges: Float[np.ndarray, " edge"]
    """The limits of the bins, from 0 to 1."""

    count: Int[np.ndarray, " bin"]
    """Queries whose probability lies in each bin; a limit belongs to the bin below it."""

    probability: Float[np.ndarray, " bin"]
    """Mean of the stated probabilities; 0 in an empty bin."""

    share: Float[np.ndarray, " bin"]
    """Share of the queries whose thing is there; 0 in an empty bin."""

    @property
    def error(self) -> float:
        """Expected calibration error: the mean distance of stated probability and share in a bin.

        Bins count by their number of queries.
        """
        gaps = abs(self.probability - self.share)
        return float((self.count * gaps).sum() / self.count.sum())


def measure_reliability(
    probability: Values,
    present: Sequence[bool] | Bool[np.ndarray, " query"],
    bins: int = RELIABILITY_BINS,
) -> Reliability:
    """Compare stated probabilities with what came true, in bins of equal width.

    The reliability diagram is that of Niculescu-Mizil and Caruana (2005), the expected calibration
    error that of Naeini, Cooper and Hauskrecht (2015), with the bins of Guo et al. (2017).

    >>> measure_reliability([0.9, 0.9, 0.1, 0.1], [True, False, False, False], bins=2).error
    0.25

    Args:
        probability: The stated probability that the thing is there, from 0 to 1, of each query.
        present: True for each query whose thing is there.
        bins: Number of bins.

    Raises:
        ValueError: if there are no queries, they differ in number, or a probability is none.
    """
    stated, came_true = _check_probabilities(probability), np.asarray(present, dtype=bool)
    _check_pairs(stated, came_true)
    place = _find_bins(stated, bins)
    count = np.bincount(place, minlength=bins)
    filled = np.maximum(count, 1)
    return Reliability(
        np.linspace(0, 1, bins + 1),
        count,
        np.bincount(place, stated, bins) / filled,
        np.bincount(place, came_true, bins) / filled,
    )


def weigh_calibration_error(
    probability: Float[np.ndarray, " query"],
    present: Bool[np.ndarray, " query"],
    weights: Weights,
    bins: int = RELIABILITY_BINS,
) -> Draws:
    """Compute the expected calibration error in each draw.

    Args:
        probability: The stated probability that the thing is there, of each query.
        present: True for each query whose thing is there.
        weights: The weight of each query in each draw.
        bins: Number of bins.
    """
    members = np.eye(bins)[_find_bins(probability, bins)]
    # The weights of a bin cancel: its share of the queries times the gap of its means.
    gaps = abs((weights * (probability - present)) @ members)
    return _divide(gaps.sum(axis=1), weights.sum(axis=1))


def brier_score(probability: Values, present: Sequence[bool] | Bool[np.ndarray, " query"]) -> float:
    """Compute the mean squared difference of stated probabilities and what came true (Brier 1950).

    It is 0 for a perfect forecast, and 0.25 for one that always says 0.5.

    >>> brier_score([1.0, 0.5], [True, False])
    0.125

    Raises:
        ValueError: if there are no queries, they differ in number, or a probability is none.
    """
    stated, came_true = _check_probabilities(probability), np.asarray(present, dtype=bool)
    _check_pairs(stated, came_true)
    return float(((stated - came_true) ** 2).mean())


def to_probability(margin: Values) -> Float[np.ndarray, " query"]:
    """Convert margins of yes over no in logits to probabilities of yes among the two answers."""
    return expit(_check_scores(margin))


class _TieGroups:
    """Queries in the order of their scores, equal ones together."""

    def __init__(self, scores: Float[np.ndarray, " query"]) -> None:
        self._order = np.argsort(scores, kind="stable")
        ordered = scores[self._order]
        # Infinite scores are equal, but their difference is NaN: compare instead of subtracting.
        self._starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])

    def add(self, values: Float[np.ndarray, "draw query"]) -> Float[np.ndarray, "draw group"]:
        """Sum values over each group of equal scores, the lowest score first."""
        return np.add.reduceat(values[:, self._order], self._starts, axis=1)


def _divide(above: np.ndarray, below: np.ndarray, empty: float = np.nan) -> np.ndarray:
    """Divide, and give a value of its own where there is nothing to divide by."""
    return np.divide(above, below, out=np.full(above.shape, empty), where=below != 0)


def _find_bins(probability: Float[np.ndarray, " query"], bins: int) -> Int[np.ndarray, " query"]:
    """Find the bin (low, high] of each probability; the first holds 0 too."""
    return np.clip(np.ceil(probability * bins).astype(int) - 1, 0, bins - 1)


def _check_scores(values: Values) -> Float[np.ndarray, " query"]:
    scores = np.asarray(values, dtype=np.float64)
    if not len(scores):
        raise ValueError("there are no scores; give one for each query")
    if np.isnan(scores).any():
        raise ValueError("a score is NaN; a query that failed has the worst score, an infinite one")
    return scores


def _check_probabilities(values: Values) -> Float[np.ndarray, " query"]:
    stated = _check_scores(values)
    if ((stated < 0) | (stated > 1)).any():
        raise ValueError("a probability is not between 0 and 1; give margins to to_probability")
    return stated


def _check_pairs(scores: np.ndarray, others: np.ndarray) -> None:
    if len(scores) != len(others):
        raise ValueError(
            f"{len(scores)} scores cannot be paired with {len(others)} values; give one each"
        )
