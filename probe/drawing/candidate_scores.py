"""Bars of candidates: the score that the track rule gave each of them."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from probe.pictures.style import (
    ALSO_COLOUR,
    CHOSEN_COLOUR,
    QUIET_COLOUR,
    TEXT_SIZE,
    hide_upper_spines,
    require_finite,
    write_title,
)

MOST_BARS = 12
"""Candidates that are drawn; of more, those with the highest scores."""


def draw_candidate_scores(
    ax: Axes, scores: Sequence[float], chosen: int, *, others: Sequence[int] = (), title: str
) -> None:
    """Draw the score of each candidate as a bar: the chosen one blue, what else is meant purple.

    Args:
        ax: The axes to draw on.
        scores: One score for each candidate; minus infinity for one that was not asked about.
        chosen: The place of the chosen candidate.
        others: The places of those that are meant besides.
        title: Text above the bars.

    Raises:
        ValueError: if a score is not a number.
    """
    values = np.array(scores, dtype=float)
    shown = np.sort(np.argsort(-values, kind="stable")[:MOST_BARS])
    shown = shown[values[shown] > -np.inf]
    require_finite("a candidate's score", values[shown])
    named = {**dict.fromkeys(others, ALSO_COLOUR), chosen: CHOSEN_COLOUR}
    colours = [named.get(place, QUIET_COLOUR) for place in shown.tolist()]
    ax.bar(range(len(shown)), values[shown], color=colours, width=0.7)
    ax.set_xticks(range(len(shown)), [str(place + 1) for place in shown], fontsize=TEXT_SIZE)
    ax.axhline(0, color="black", lw=0.6)
    ax.set_ylabel("score", fontsize=TEXT_SIZE)
    few = "" if len(shown) == len(values) else f", the best {len(shown)} of {len(values)}"
    ax.set_xlabel(f"candidate{few}", fontsize=TEXT_SIZE)
    ax.tick_params(labelsize=TEXT_SIZE)
    write_title(ax, title)
    hide_upper_spines(ax)
