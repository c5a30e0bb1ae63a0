"""Numbers of the frames that are sampled: those shown at the middle of equal stretches of time."""

import numpy as np
from jaxtyping import Int


def find_middles(ticks: Int[np.ndarray, " source"], end: int, count: int) -> tuple[int, ...]:
    """Return the frames shown at the middle of `count` equal stretches of time, 0 to `end`."""
    # In whole numbers: a middle often falls exactly on the edge between two frames. In those of
    # Python, which hold the products of any clock; rounding down passes no whole tick.
    middles = [(2 * part + 1) * end // (2 * count) for part in range(count)]
    shown = np.searchsorted(ticks, np.array(middles, dtype=np.int64), side="right") - 1
    step = np.arange(count)
    # A frame that is shown for long holds several middles: the later ones move on by one each, and
    # those that this pushes over the end move back.
    distinct = np.maximum.accumulate(shown - step) + step
    return tuple(np.minimum(distinct, len(ticks) - count + step).tolist())
