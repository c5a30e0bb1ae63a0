"""Does what looks also matter? Attention beside what its removal does to the answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

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
from probe.interpret.knockouts import AT_ONCE, Cut
from probe.metrics import bootstrap_interval

FRACTIONS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
"""Shares of the video's cells at which curves are measured: dense where maps differ most."""


def causal_grounding(
    view: View,
    question: str,
    *,
    layers: Sequence[int] | None = None,
    batch_size: int = AT_ONCE,
) -> pd.DataFrame:
    """For every token of a question: how hard it looks, and what its looking does to the answer.

    The columns of `rank_tokens`, with `effect`: by how much the yes margin (yes minus no, in
    logits) drops when the token's attention to all visual cells is cut; below 0 where the token's
    looking speaks against yes.

    Args:
        view: The video.
        question: A yes-or-no question.
        layers: The decoder layers at which edges are cut; all by default.
        batch_size: Most readings in one pass.
    """
    (reading,) = view.read(question)
    cut_at = None if layers is None else tuple(layers)
    cuts = [Cut(tokens=(token,), layers=cut_at) for token in range(len(reading.tokens))]
    margins = _margins(view, question, cuts, batch_size)
    table = rank_tokens(reading)
    table["effect"] = [reading.margin - margins[index] for index in table["index"]]
    return table


@dataclass(frozen=True)
class Agreement:
    """Whether the tokens that look are those that matter, over a set of questions."""

    mean: float
    """Mean of the rank correlations: 1 the same order, 0 none, -1 the opposite."""
    interval: tuple[float, float]
    """Where the mean would lie, had other questions been drawn (95 %)."""
    per_question: tuple[float, ...]
    """Spearman's correlation over the tokens of each question."""


def rank_agreement(tables: Sequence[pd.DataFrame]) -> Agreement:
    """How well visual activation and causal effect agree on the order of a question's tokens.

    A question whose tokens all have the same activation or effect tells no order and counts 0.

    Args:
        tables: What `causal_grounding` gave, one for each question.

    Raises:
        ValueError: if there is no table.
    """
    correlations = [_correlation(table) for table in tables]
    interval = bootstrap_interval(correlations)
    return Agreement(float(np.mean(correlations)), interval, tuple(correlations))


def _correlation(table: pd.DataFrame) -> float:
    looking, mattering = table["activation"].to_numpy(), table["effect"].to_numpy()
    if np.ptp(looking) == 0 or np.ptp(mattering) == 0:
        return 0.0
    # Spearman's: Pearson's of the ranks.
    return float(np.corrcoef(stats.rankdata(looking), stats.rankdata(mattering))[0, 1])


@dataclass(frozen=True)
class Curve:
    """The yes margin as more and more of the video is cut away from a question, or shown to it."""

    fractions: tuple[float, ...]
    """Shares of the cells, from 0 to 1."""
    margins: tuple[float, ...]
    """Yes minus no at each, in logits."""

    @property
    def area(self) -> float:
        """Mean margin over the fractions (trapezoid rule): small if a deletion hits early."""
        width = self.fractions[-1] - self.fractions[0]
        return float(np.trapezoid(self.margins, self.fractions) / width)


def deletion_curve(
    view: View,
    question: str,
    heatmap: Heatmap,
    fractions: Sequence[float] = FRACTIONS,
    *,
    batch_size: int = AT_ONCE,
) -> Curve:
    """Cut all of the question's attention to the strongest cells, more and more of them.

    A map that shows what the answer rests on makes the margin fall early; `random_map` gives the
    control.

    Raises:
        ValueError: if the map is not of the view's cells, or fractions do not rise from 0 to 1.
    """
    strongest = _strongest(view, heatmap, fractions)
    return _curve(view, question, strongest, fractions, batch_size)


def insertion_curve(
    view: View,
    question: str,
    heatmap: Heatmap,
    fractions: Sequence[float] = FRACTIONS,
    *,
    batch_size: int = AT_ONCE,
) -> Curve:
    """Leave the question nothing to see but the strongest cells, more and more of them.

    Raises:
        ValueError: if the map is not of the view's cells, or fractions do not rise from 0 to 1.
    """
    strongest = _strongest(view, heatmap, fractions)
    return _curve(view, question, [~cells for cells in strongest], fractions, batch_size)


def random_map(cells: Cells, seed: int) -> Heatmap:
    """A map that knows nothing: its cells are in random order."""
    values = torch.rand(cells.shape, generator=torch.Generator().manual_seed(seed))
    return Heatmap(values, cells)


def _strongest(
    view: View, heatmap: Heatmap, fractions: Sequence[float]
) -> list[Bool[Tensor, "frame row column"]]:
    """The strongest cells of a map, as many as each fraction says."""
    if heatmap.cells != view.grid.cells:
        raise ValueError("the map shows other cells than the view; read it from this view")
    rises = all(low < high for low, high in pairwise(fractions))
    if len(fractions) < 2 or not rises or fractions[0] < 0 or fractions[-1] > 1:
        raise ValueError(f"fractions must rise between 0 and 1, two or more; found {fractions}")
    order = heatmap.values.flatten().argsort(descending=True, stable=True)
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order))
    return [
        (place < round(fraction * len(order))).unflatten(0, heatmap.cells.shape)
        for fraction in fractions
    ]


def _curve(
    view: View,
    question: str,
    hidden: Sequence[Bool[Tensor, "frame row column"]],
    fractions: Sequence[float],
    batch_size: int,
) -> Curve:
    margins = _margins(view, question, [Cut(cells=cells) for cells in hidden], batch_size)
    return Curve(tuple(fractions), tuple(margins))


def _margins(view: View, question: str, cuts: Sequence[Cut], batch_size: int) -> list[float]:
    """The yes margin under each cut; nothing but answers is read."""
    margins: list[float] = []
    for start in range(0, len(cuts), batch_size):
        some = cuts[start : start + batch_size]
        with torch.no_grad():
            logits = view.answer_logits(
                *[question] * len(some), interventions_per_question=[[cut] for cut in some]
            )
        margins += yes_minus_no(logits, view.checkpoint.answers).tolist()
    return margins
