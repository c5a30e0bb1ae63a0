"""The reported figures: the mean of one value over queries, with its 95 % interval."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from types import MappingProxyType
from typing import Any

from probe.evaluation.results import QueryResult
from probe.metrics import QueryScore, bootstrap_interval, wilson_interval

RIGHT_OVERLAP = 0.5
"""Overlap above which time, or place, is called right."""


@dataclass(frozen=True)
class Figure:
    """A reported figure: the mean of one value over all queries, with its 95 % interval.

    Queries whose truth does not allow the figure have no value, and are not part of the mean.
    """

    value: Callable[[QueryScore], float | None]
    interval: Callable[[Sequence[float]], tuple[float, float]] = bootstrap_interval


def _exceeds(overlap: float | None, limit: float) -> float | None:
    """Return 1 for an overlap above a limit, 0 for one below it, None for one that is not known."""
    return None if overlap is None else float(overlap > limit)


FIGURES: Mapping[str, Figure] = MappingProxyType(
    {
        "m_tiou": Figure(lambda query: query.tiou),
        "m_viou": Figure(lambda query: query.viou),
        "viou_at_03": Figure(lambda query: _exceeds(query.viou, 0.3)),
        "viou_at_05": Figure(lambda query: _exceeds(query.viou, 0.5)),
        "m_gt_viou": Figure(lambda query: query.gt_viou),
        # Near 1, where good methods are, the bootstrap's interval is too narrow.
        "right_track": Figure(
            lambda query: _exceeds(query.gt_viou, RIGHT_OVERLAP), wilson_interval
        ),
    }
)
"""The reported figures by name."""


def list_values(name: str, results: Iterable[QueryResult]) -> list[float]:
    """List the values of a figure of all queries whose truth allows it."""
    values = (FIGURES[name].value(result.score) for result in results)
    return [value for value in values if value is not None]


def compute_figures(results: Sequence[QueryResult]) -> dict[str, Any]:
    """Compute each figure's mean and interval over the queries that have it; None without any."""
    found: dict[str, Any] = {"queries": len(results)}
    for name, figure in FIGURES.items():
        values = list_values(name, results)
        found[name] = summarise_values(values, figure.interval) if values else None
    return found


def summarise_values(
    values: Sequence[float], interval: Callable[[Sequence[float]], tuple[float, float]]
) -> dict[str, float]:
    """Compute the mean of one value a query, its interval, and the number of queries."""
    low, high = interval(values)
    return {"mean": fmean(values), "low": low, "high": high, "queries": len(values)}
