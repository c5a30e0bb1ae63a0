"""Cause next to attention: the effect of each token's attention, and of the cells a map ranks."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool
from scipy import stats
from torch import Tensor

from probe.engine.attention import Heatmap
from probe.engine.grids import Cells
from probe.engine.readings import yes_minus_no
from probe.engine.view import View
from probe.interpret.grounding_tokens import rank_tokens
from probe.interpret.knockouts import BATCH_SIZE, Cut
from probe.metrics import bootstrap_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVE_FRACTIONS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
"""Shares of the video's cells at which curves are measured: dense where maps differ most."""


def causal_grounding(
    view: View,
    question: str,
    *,
    layers: int | Sequence[int] | None = None,
    batch_size: int = BATCH_SIZE,
) -> pd.DataFrame:
    """Measure the attention of every token of a question, and its effect on the answer.

    The video is read once, the question once for each of its tokens.

    Args:
        view: The video.
        question: A yes-or-no question.
        layers: The decoder layers at which edges are cut; all by default.
        batch_size: Most readings in one pass.

    Returns:
        The columns of `rank_tokens`, and `effect`: the drop of the yes margin (yes minus no, in
        logits) when the token's attention to all visual cells is cut. Below 0 if the token's
        attention speaks against yes.
    """
    (reading,) = view.read(question)
    cuts = [Cut(tokens=token, layers=layers) for token in range(len(reading.tokens))]
    margins = _read_margins(view, question, cuts, batch_size)
    table = rank_tokens(reading)
    table["effect"] = [reading.margin - margins[index] for index in table["index"]]
    return table


@dataclass(frozen=True, repr=False)
class Agreement:
    """Rank correlation of visual activation and causal effect, over a set of questions."""

    mean: float
    """Mean of the rank correlations: 1 for the same order, 0 for none, -1 for the opposite."""
    interval: tuple[float, float]
    """Bootstrap interval of the mean over questions (95 %)."""
    per_question: tuple[float, ...]
    """Spearman's correlation over the tokens of each question."""

    def __repr__(self) -> str:
        low, high = self.interval
        count = len(self.per_question)
        return f"Agreement({self.mean:+.3f}, 95 % {low:+.3f} to {high:+.3f}, {count} questions)"


def rank_agreement(tables: Sequence[pd.DataFrame]) -> Agreement:
    """Measure how well activation and effect agree on the order of a question's tokens.

    A question whose tokens all have the same activation or effect has no order and counts 0.

    Args:
        tables: Tables of `causal_grounding`, one for each question.

    Raises:
        ValueError: if there is no table.
    """
    correlations = [_correlate_ranks(table) for table in tables]
    interval = bootstrap_interval(correlations)
    return Agreement(float(np.mean(correlations)), interval, tuple(correlations))


def _correlate_ranks(table: pd.DataFrame) -> float:
    activation, effect = table["activation"].to_numpy(), table["effect"].to_numpy()
    # Without an order there is no correlation: NaN, which would make the mean of all questions NaN.
    if np.ptp(activation) == 0 or np.ptp(effect) == 0:
        return 0.0
    # Spearman's correlation is Pearson's of the ranks, where equal values share their mean rank.
    # The well-known formula with squared differences of ranks holds only where none are equal.
    return float(np.corrcoef(stats.rankdata(activation), stats.rankdata(effect))[0, 1])


@dataclass(frozen=True, repr=False)
class Curve:
    """The yes margin as more and more of the video is hidden from a question, or shown to it."""

    fractions: tuple[float, ...]
    """Shares of the cells, from 0 to 1."""
    margins: tuple[float, ...]
    """Yes minus no at each of them, in logits."""

    def __repr__(self) -> str:
        first, last = (
            f"{margin:+.2f} at {fraction:.0%}"
            for margin, fraction in (
                (self.margins[place], self.fractions[place]) for place in (0, -1)
            )
        )
        return f"Curve(margin {first} to {last} of the cells, area {self.area:+.3f})"

    @property
    def area(self) -> float:
        """Mean margin over the fractions (trapezoid rule): small if a deletion hits early."""
        width = self.fractions[-1] - self.fractions[0]
        return float(np.trapezoid(self.margins, self.fractions) / width)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a point: `fraction` of the cells, and `margin` in logits."""
        return pd.DataFrame({"fraction": self.fractions, "margin": self.margins})

    def plot(self, ax: "Axes | None" = None, *, label: str | None = None) -> "Axes":
        """Draw the margin over the share of the cells.

        Args:
            ax: The axes to draw on, such as those of another curve; None for a new figure.
            label: A name for the legend.

        Returns:
            The axes.
        """
        # Imported where it is drawn: matplotlib takes long to import.
        from probe.pictures.style import TEXT_SIZE, hide_upper_spines, take_axes, write_legend

        ax = take_axes(ax)
        ax.plot(self.fractions, self.margins, marker=".", label=label)
        ax.set_xlabel("share of the cells", fontsize=TEXT_SIZE)
        ax.set_ylabel("yes minus no", fontsize=TEXT_SIZE)
        ax.tick_params(labelsize=TEXT_SIZE)
        hide_upper_spines(ax)
        if label is not None:
            write_legend(ax)
        return ax

    def _repr_html_(self) -> str:
        """Draw the curve for Jupyter."""
        from probe.pictures.html import plot_as_html  # see `plot`

        return plot_as_html(self)


def deletion_curve(
    view: View,
    question: str,
    heatmap: Heatmap,
    fractions: Sequence[float] = CURVE_FRACTIONS,
    *,
    batch_size: int = BATCH_SIZE,
) -> Curve:
    """Cut all of the question's attention to the strongest cells, more and more of them.

    A map that shows what the answer depends on makes the margin fall early; `random_map` gives the
    control.

    Args:
        view: The video.
        question: A yes-or-no question.
        heatmap: The map, with the cells of this view.
        fractions: Shares of the cells that are cut, from few to many.
        batch_size: Most readings in one pass.

    Raises:
        ValueError: if the map is not of the view's cells, or fractions do not rise from 0 to 1.
    """
    hidden = _choose_strongest(view, heatmap, fractions)
    return _measure_curve(view, question, hidden, fractions, batch_size)


def insertion_curve(
    view: View,
    question: str,
    heatmap: Heatmap,
    fractions: Sequence[float] = CURVE_FRACTIONS,
    *,
    batch_size: int = BATCH_SIZE,
) -> Curve:
    """Cut all of the question's attention but that to the strongest cells, more and more of them.

    The arguments are those of `deletion_curve`; fractions are the shares that are left.

    Raises:
        ValueError: if the map is not of the view's cells, or fractions do not rise from 0 to 1.
    """
    hidden = [~cells for cells in _choose_strongest(view, heatmap, fractions)]
    return _measure_curve(view, question, hidden, fractions, batch_size)


def random_map(cells: Cells, seed: int) -> Heatmap:
    """Make a map of random values, which knows nothing: the control of a curve."""
    values = torch.rand(cells.shape, generator=torch.Generator().manual_seed(seed))
    return Heatmap(values, cells)


def _choose_strongest(
    view: View, heatmap: Heatmap, fractions: Sequence[float]
) -> list[Bool[Tensor, "frame row column"]]:
    """Mark the strongest cells of a map, as many as each fraction says."""
    if heatmap.cells != view.grid.cells:
        raise ValueError("the map shows other cells than the view; read it from this view")
    rises = all(low < high for low, high in pairwise(fractions))
    if len(fractions) < 2 or not rises or fractions[0] < 0 or fractions[-1] > 1:
        raise ValueError(f"fractions must rise between 0 and 1, two or more; found {fractions}")
    # One stable order for all fractions: each set of cells contains the smaller ones, also where
    # values are equal, and the number of cells is exact, which a threshold could not promise.
    order = heatmap.values.flatten().argsort(descending=True, stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order))
    return [
        (rank < round(fraction * len(order))).unflatten(0, heatmap.cells.shape)
        for fraction in fractions
    ]


def _measure_curve(
    view: View,
    question: str,
    hidden: Sequence[Bool[Tensor, "frame row column"]],
    fractions: Sequence[float],
    batch_size: int,
) -> Curve:
    cuts = [Cut(cells=cells) for cells in hidden]
    margins = _read_margins(view, question, cuts, batch_size)
    return Curve(tuple(fractions), tuple(margins))


def _read_margins(view: View, question: str, cuts: Sequence[Cut], batch_size: int) -> list[float]:
    """Read the yes margin under each cut."""
    margins: list[float] = []
    for start in range(0, len(cuts), batch_size):
        some = cuts[start : start + batch_size]
        # Not `knock_out`: only the answers are wanted, and no rows of attention are computed.
        with torch.no_grad():
            logits = view.answer_logits(
                *[question] * len(some), interventions_per_question=[[cut] for cut in some]
            )
        margins += yes_minus_no(logits, view.checkpoint.answers).tolist()
    return margins
