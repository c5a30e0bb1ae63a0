"""Grounding scores of several configurations side by side, with paired differences."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from probe.grounder import GrounderConfig, ground
from probe.metrics import Scores, bootstrap_interval, paired_difference, score
from probe.model import VideoLM
from probe.organism.benchmark import Case

PROTOCOL = "hcstvg-official"
FIGURES = ("viou", "tiou", "gt_viou")


def scores_of(
    model: VideoLM, cases: Sequence[Case], configs: Mapping[str, GrounderConfig]
) -> dict[str, Scores]:
    """Ground every case with every configuration; candidates come from the proposer."""
    answers: dict[str, dict[str, Any]] = {name: {} for name in configs}
    for case in cases:
        video = case.clip.video()
        for name, config in configs.items():
            answers[name][case.name] = ground(model, video, case.query, config=config)
    return {name: _scored(found, cases) for name, found in answers.items()}


def _scored(found: dict[str, Any], cases: Sequence[Case]) -> Scores:
    return score(
        {name: answer.tube for name, answer in found.items()},
        {case.name: case.truth for case in cases},
        PROTOCOL,
        tracks={name: answer.whole_track for name, answer in found.items()},
    )


def values(scores: Scores, figure: str) -> list[float]:
    """One figure of every query."""
    return [getattr(query, figure) for query in scores.per_query.values()]


def row(scores: Scores) -> dict[str, Any]:
    """The means, and an interval of m_vIoU."""
    return {**asdict(scores.mean), "m_viou_interval": bootstrap_interval(values(scores, "viou"))}


def difference(scores: Mapping[str, Scores], over: str, under: str) -> dict[str, Any]:
    """What one configuration adds to another, query by query, with intervals."""
    differences = {
        figure: paired_difference(values(scores[over], figure), values(scores[under], figure))
        for figure in FIGURES
    }
    return {"over": over, "under": under, **differences}


def draw_differences(axes: Any, labels: Sequence[str], differences: Sequence[Any]) -> None:
    """Paired differences with their intervals, one below the other, and a line at none."""
    gain, low, high = np.array(differences).T
    axes.errorbar(gain, labels, xerr=[gain - low, high - gain], fmt="o", color="#D55E00")
    axes.axvline(0, color="#9a9a9a", lw=1)
    axes.set(ylim=(len(labels) - 0.5, -0.5))
    axes.locator_params(axis="x", nbins=5)
    axes.tick_params(labelsize=7)
