"""Intervals of means, shares, paired differences and any other figure of queries."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

DRAWS_AT_A_TIME = 100
"""Resamples held in memory together: 100 of the 10 000 queries of VidSTG are 8 MB."""


def bootstrap_interval(
    values: Sequence[float] | Float[np.ndarray, " query"],
    *,
    draws: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """Compute the interval in which the mean of other queries would lie, with a given probability.

    This is the percentile bootstrap. Queries are drawn one by one, so those of one video are taken
    to be independent. A single value, or values that are all equal, give a point: they say nothing
    about spread.

    >>> bootstrap_interval([0.4, 0.4, 0.4])
    (0.4, 0.4)

    Args:
        values: One figure for each query.
        draws: Number of resamples.
        seed: Seed of the draws.
        level: Probability, from 0 to 1.

    Returns:
        The low and the high end.

    Raises:
        ValueError: if there are no values, or one is not a finite number.
    """
    sample = _check_finite(values)
    if np.ptp(sample) == 0:  # of which scipy warns, and gives NaN
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
    """Compute by how much `a` is above `b` on the same queries, with a bootstrap interval.

    Args:
        a: One figure for each query.
        b: The figures of the same queries, in the same order.
        draws: Number of resamples.
        seed: Seed of the draws.
        level: Probability with which the interval contains the difference, from 0 to 1.

    Returns:
        The mean difference, and the low and high end of its interval.

    Raises:
        ValueError: if they differ in number, are none, or one is not a finite number.
    """
    if len(a) != len(b):
        raise ValueError(f"{len(a)} values cannot be paired with {len(b)}; give one for each query")
    difference = _check_finite(a) - _check_finite(b)
    low, high = bootstrap_interval(difference, draws=draws, seed=seed, level=level)
    # Equal differences are their own mean, which a sum over them would round.
    mean = low if low == high else float(difference.mean())
    return mean, low, high


def wilson_interval(
    values: Sequence[float] | Float[np.ndarray, " query"], *, level: float = 0.95
) -> tuple[float, float]:
    """Compute the interval of a share by the method of Wilson (1927).

    Near 0 and 1 the bootstrap is too narrow: if all of 20 queries are right, it says that all
    others would be.

    >>> low, high = wilson_interval([1.0] * 20)
    >>> round(low, 3), high
    (0.839, 1.0)

    Args:
        values: 1 or True for each query that is counted, else 0.
        level: Probability with which the interval contains the share, from 0 to 1.

    Returns:
        The low and the high end.

    Raises:
        ValueError: if there are no values, or one is neither 0 nor 1.
    """
    counted = _check_finite(values)
    if not np.isin(counted, (0.0, 1.0)).all():
        raise ValueError(
            "a share counts queries, each 0 or 1; give bootstrap_interval other values"
        )
    interval = stats.binomtest(int(counted.sum()), len(counted)).proportion_ci(level, "wilson")
    return float(interval.low), float(interval.high)


def resample_clusters(
    statistic: Callable[[Float[np.ndarray, "draw query"]], Float[np.ndarray, " draw"]],
    clusters: Int[np.ndarray, " query"],
    *,
    draws: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """Compute the percentile interval of a figure if whole clusters of queries are drawn again.

    Queries about one clip are not independent: they are drawn together or not at all (the cluster
    bootstrap; Davison and Hinkley 1997, section 3.8). Two figures with the same clusters and seed
    see the same draws.

    Args:
        statistic: Computes the figure in each draw from the number of times that each query was
            drawn; NaN where it cannot be computed, and that draw is left out.
        clusters: The number of the cluster of each query, from 0 on.
        draws: Number of resamples.
        seed: Seed of the draws.
        level: Probability, from 0 to 1.

    Returns:
        The low and the high end.

    Raises:
        ValueError: if there are no queries, or the figure cannot be computed in any draw.
    """
    if not len(clusters):
        raise ValueError("there are no queries to draw from; give at least one")
    count, rng = int(clusters.max()) + 1, np.random.default_rng(seed)
    found = []
    for start in range(0, draws, DRAWS_AT_A_TIME):
        size = min(DRAWS_AT_A_TIME, draws - start)
        drawn = rng.multinomial(count, np.full(count, 1 / count), size)
        found.append(statistic(drawn[:, clusters].astype(np.float64)))
    values = np.concatenate(found)
    values = values[~np.isnan(values)]
    if not len(values):
        raise ValueError("the figure cannot be computed in any resample; give more queries")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _check_finite(
    values: Sequence[float] | Float[np.ndarray, " query"],
) -> Float[np.ndarray, " query"]:
    sample = np.asarray(values, dtype=np.float64)
    if not len(sample):
        raise ValueError("there are no values to take a mean of; give one for each query")
    if not np.isfinite(sample).all():
        raise ValueError("a value is NaN or infinite; a failed query counts as 0")
    return sample
