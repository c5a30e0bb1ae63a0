"""Figures of a run about presence: does the method tell what is there from what is not?

Each clip has its annotated query, whose thing is there, and absent queries of several kinds. A
query that failed counts as the worst possible answer: a thing that is there as surely absent, one
that is not as surely there. So a method cannot gain by failing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf, nan
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from probe.evaluation.results import QueryResult
from probe.metrics import (
    auroc,
    brier_score,
    measure_reliability,
    resample_clusters,
    risk_coverage,
    to_probability,
)
from probe.metrics.detection import (
    Draws,
    Weights,
    weigh_auroc,
    weigh_calibration_error,
    weigh_risk_coverage,
)

LOGITS = "logits"
"""The scale on which 0 is the limit between yes and no, and a sigmoid gives a probability."""

ALL_KINDS = "all"
"""The name of the figure over absent queries of every kind."""

CURVE_POINTS = 20
"""Points of the risk-coverage curve that a summary holds: at 5 %, 10 %, ... of the queries."""


@dataclass(frozen=True, eq=False)
class PresenceMargins:
    """All queries of a run, present and absent, with what the method said of each."""

    clip: Int[np.ndarray, " query"]
    """The place of the query's clip in the run."""

    kind: tuple[str, ...]
    """The kind of an absent query; empty for a present one."""

    margin: Float[np.ndarray, " query"]
    """Certainty that the thing is there; infinite for a query that failed."""

    risk: Float[np.ndarray, " query"]
    """The loss if the query is answered: 1 - vIoU, and 1 if the thing is not there; NaN if the
    truth of the query does not allow a vIoU."""

    @classmethod
    def collect(cls, results: Sequence[QueryResult]) -> "PresenceMargins | None":
        """Collect the queries of a run; None if none was asked about an absent thing."""
        if not any(result.absent for result in results):
            return None
        rows = [row for clip, result in enumerate(results) for row in _list_rows(clip, result)]
        clips, kinds, margins, risks = zip(*rows, strict=True)
        return cls(np.array(clips), tuple(kinds), np.array(margins), np.array(risks))

    @property
    def present(self) -> Bool[np.ndarray, " query"]:
        """True for each query whose thing is there."""
        return np.array([not kind for kind in self.kind])

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of absent queries, in the order in which they occur."""
        return tuple(dict.fromkeys(kind for kind in self.kind if kind))

    def among(self, kind: str) -> Bool[np.ndarray, " query"]:
        """Return True for each present query, and each absent one of a kind or of all kinds."""
        return np.array([one in ("", kind) or kind == ALL_KINDS for one in self.kind])

    def with_risk(self) -> "PresenceMargins | None":
        """Return the queries of the clips whose risk is known; None if there is no such clip."""
        clips = self.clip[self.present & ~np.isnan(self.risk)]
        known = np.isin(self.clip, clips)
        if not known.any():
            return None
        kinds = tuple(kind for kind, kept in zip(self.kind, known, strict=True) if kept)
        return PresenceMargins(self.clip[known], kinds, self.margin[known], self.risk[known])


def _list_rows(clip: int, result: QueryResult) -> Iterator[tuple[int, str, float, float]]:
    """List the clip, kind, margin and risk of each query of a result."""
    presence = -inf if result.presence is None else result.presence
    overlap = result.score.viou
    yield clip, "", presence, nan if overlap is None else 1 - overlap
    for kind, margin in result.absent.items():
        yield clip, kind, inf if margin is None else margin, 1.0


def summarise_presence(results: Sequence[QueryResult], scale: str | None) -> dict[str, Any] | None:
    """Compute AUROC by kind, risk-coverage and calibration, with 95 % intervals over clips.

    Clips are resampled with all their queries. AUROC compares all present queries with the absent
    ones of a kind. The risk is 1 - vIoU, and 1 for an absent thing that is answered. Calibration
    and the limit between yes and no exist for margins in logits only; they count present and absent
    queries as often as they are there.

    Args:
        results: The finished queries.
        scale: The scale of the margins: `LOGITS`, or another text.

    Returns:
        Plain values; None if the method was asked about no absent thing.
    """
    asked = PresenceMargins.collect(results)
    if asked is None:
        return None
    risked = asked.with_risk()
    return {
        "present": int(asked.present.sum()),
        "absent": {kind: asked.kind.count(kind) for kind in asked.kinds},
        "auroc": {kind: _find_auroc(asked, kind) for kind in (ALL_KINDS, *asked.kinds)},
        "risk_coverage": None if risked is None else _describe_risk(risked, scale),
        "calibration": _find_calibration(asked) if scale == LOGITS else None,
    }


def _describe_risk(asked: PresenceMargins, scale: str | None) -> dict[str, Any]:
    """Describe the risk-coverage curve of queries of which the risk is known."""
    curve = risk_coverage(asked.margin, asked.risk)
    places = np.ceil(np.linspace(0, 1, CURVE_POINTS + 1)[1:] * len(asked.margin)).astype(int) - 1
    return {
        "area": _find_area(asked),
        # No order of these answers has less: what remains above it is the margins' fault.
        "least_area": risk_coverage(-asked.risk, asked.risk).area,
        "model_says_yes": _find_yes(asked) if scale == LOGITS else None,
        "coverage": curve.coverage[places].tolist(),
        "risk": curve.risk[places].tolist(),
    }


def _find_yes(asked: PresenceMargins) -> dict[str, float]:
    """Find how many queries the model says yes to, and the risk of answering these alone."""
    answered = asked.margin > 0
    risk = float(asked.risk[answered].mean()) if answered.any() else 0.0
    return {"coverage": float(answered.mean()), "risk": risk}


def _find_auroc(asked: PresenceMargins, kind: str) -> dict[str, float]:
    among, present = asked.among(kind), asked.present
    value = auroc(asked.margin[present], asked.margin[among & ~present])

    def resample(weights: Weights) -> Draws:
        return weigh_auroc(asked.margin, present, weights * among)

    return _with_interval(value, resample, asked.clip)


def _find_area(asked: PresenceMargins) -> dict[str, float]:
    value = risk_coverage(asked.margin, asked.risk).area
    resample = partial(weigh_risk_coverage, asked.margin, asked.risk)
    return _with_interval(value, resample, asked.clip)


def _find_calibration(asked: PresenceMargins) -> dict[str, Any]:
    stated, present = to_probability(asked.margin), asked.present
    found = measure_reliability(stated, present)
    squares = (stated - present) ** 2

    def resample_brier(weights: Weights) -> Draws:
        return weights @ squares / weights.sum(axis=1)

    return {
        "error": _with_interval(
            found.error, partial(weigh_calibration_error, stated, present), asked.clip
        ),
        "brier": _with_interval(brier_score(stated, present), resample_brier, asked.clip),
        "bins": [
            {"from": low, "to": high, "queries": count, "probability": said, "share": share}
            for low, high, count, said, share in zip(
                found.edges[:-1].tolist(),
                found.edges[1:].tolist(),
                found.count.tolist(),
                found.probability.tolist(),
                found.share.tolist(),
                strict=True,
            )
        ],
    }


def _with_interval(
    value: float, resample: Any, clips: Int[np.ndarray, " query"]
) -> dict[str, float]:
    low, high = resample_clusters(resample, clips)
    return {"value": value, "low": low, "high": high}


def format_presence(presence: Mapping[str, Any] | None) -> Iterator[str]:
    """Format the figures of `summarise_presence` for the screen, in percent; nothing for None."""
    if presence is None:
        return
    areas, curve, fit = (presence[part] for part in ("auroc", "risk_coverage", "calibration"))
    kinds = ", ".join(f"{kind} {100 * areas[kind]['value']:.1f}" for kind in presence["absent"])
    yield f"{'presence':14} {'AUROC':11} {format_percent(areas[ALL_KINDS])}  ({kinds})"
    if curve is not None:
        said = ""
        if (yes := curve["model_says_yes"]) is not None:
            said = f"; yes to {100 * yes['coverage']:.1f}, at risk {100 * yes['risk']:.1f}"
        least = f"least possible {100 * curve['least_area']:.1f}"
        yield f"{'presence':14} {'AURC':11} {format_percent(curve['area'])}  ({least}{said})"
    if fit is not None:
        brier = format_percent(fit["brier"]).strip()
        yield f"{'presence':14} {'ECE':11} {format_percent(fit['error'])}  (Brier {brier})"


def format_percent(figure: Mapping[str, float]) -> str:
    """Format a figure with its interval in percent.

    >>> format_percent({"value": 0.975, "low": 0.9666, "high": 0.98})
    ' 97.5  [96.7, 98.0]'
    """
    value, low, high = (100 * figure[name] for name in ("value", "low", "high"))
    return f"{value:5.1f}  [{low:.1f}, {high:.1f}]"
