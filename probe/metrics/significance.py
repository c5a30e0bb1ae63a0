"""Tests of many differences: how likely chance makes one, and which survive a correction."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import stats


def paired_p_value(
    a: Sequence[float] | Float[np.ndarray, " query"],
    b: Sequence[float] | Float[np.ndarray, " query"],
) -> float:
    """Compute how likely chance alone makes so great a difference: the paired t test, two-sided.

    Not the bootstrap, whose value would be no finer than one over the number of its draws: too
    coarse for a correction over many tests. A single query shows nothing: its value is 1.

    Args:
        a: One figure for each query.
        b: The figures of the same queries, in the same order.
    """
    differences = np.subtract(a, b)
    if len(differences) < 2:
        return 1.0
    # A t test divides by the spread. Without any, differences are all 0, or all of them a finding.
    if np.ptp(differences) == 0:
        return float(differences[0] == 0)
    found: Any = stats.ttest_1samp(differences, 0)
    return float(found.pvalue)


def survive_holm(p_values: Sequence[float], level: float = 0.05) -> list[bool]:
    """Tell which tests survive Holm's correction (1979) over all of them.

    The smallest p value is compared with the level over the number of tests, the next with the
    level over one test less, and so on to the first that is above; neither that nor any greater one
    survives. Then the probability that chance alone makes any of the survivors is at most `level`.

    >>> survive_holm([0.04, 0.001, 0.03])
    [False, True, False]

    Args:
        p_values: One for each test.
        level: Probability, from 0 to 1.
    """
    survivors: set[int] = set()
    for rank, place in enumerate(np.argsort(p_values, kind="stable").tolist()):
        if p_values[place] > level / (len(p_values) - rank):
            break
        survivors.add(place)
    return [place in survivors for place in range(len(p_values))]
