"""The whole question's margin tells what is there from what is not; a word lens does so as well.

    python analyses/presence.py              draw from the stored numbers (seconds)
    python analyses/presence.py --measure    measure them again (one CPU core, six minutes)

Each clip has its query, and one hard absent query of each kind: a wrong colour, shape or action, or
words that are all true of the clip and only not of one thing ("binding"). The threshold is chosen
on shapes-val (greatest balanced accuracy) and reported on clips that nothing was chosen on.

Of the rivals, the word lens was added after the first look at the numbers. A clip that fails has no
margins: it is listed and left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any

import numpy as np
from common import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    Claim,
    Numbers,
    apply_holm,
    create_figure,
    describe_tests,
    draw_dots,
    draw_legend_below,
    draw_level,
    draw_tests,
    finish_figure,
    summarise_share,
)
from jaxtyping import Bool, Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from measurement import Case, Measurement, MeasurementConfig, Records
from scipy import stats
from tables import score_methods

from probe.candidates.proposals import propose_tracks
from probe.engine.model import VideoLM
from probe.evaluation.methods import Grounding, Lens
from probe.grounder import look
from probe.grounding.presence import measure_presence
from probe.grounding.presets import BEST, CAUSAL
from probe.grounding.queries import decompose
from probe.grounding.track_rules import CausalEffect
from probe.metrics import auroc, resample_clusters, risk_coverage
from probe.metrics.detection import Draws, Weights, weigh_auroc, weigh_risk_coverage

PRESENCE = "whole query's margin"
RIVALS = (
    "lower of both parts' margins",
    "greatest causal effect",
    "word lens, strongest cell",
    "peak of BEST's map",
)
LENS = Lens()
SCORES = (PRESENCE, *RIVALS)
"""Scores of how surely a thing is there, by name."""

ALL_KINDS = "all kinds"
PRESENT = ""
"""The kind of a clip's own query."""

CURVE_POINTS = 20


def measure(measurement: Measurement) -> Numbers:
    """Choose the threshold on other clips; measure AUROC, accuracy and risk-coverage on these."""
    chosen = measurement.for_choosing()
    threshold = choose_threshold(Answers.collect(chosen.measure_cases(_measure_margins)))
    records = measurement.measure_cases(_measure_clip)
    answers = Answers.collect(records)
    return {
        **measurement.provenance(records),
        "threshold": {"chosen_on": chosen.dataset.version, "clips": len(chosen.indices)}
        | threshold,
        "queries": {kind or "present": int((answers.kinds == kind).sum()) for kind in answers.all},
        "auroc": {
            name: {kind: measure_auroc(answers, name, kind) for kind in answers.groups}
            for name in SCORES
        },
        "differences": apply_holm([_compare_scores(answers, rival) for rival in RIVALS]),
        "accuracy": {
            name: measure_accuracy(answers, limit)
            for name, limit in (("0", 0.0), ("the threshold", threshold["value"]))
        },
        "risk_coverage": {name: _measure_risk(answers, name) for name in SCORES},
        "least_risk": risk_coverage(-answers.risk, answers.risk).area,
        "margins": {
            kind or "present": np.round(answers.scores(PRESENCE)[answers.kinds == kind], 3).tolist()
            for kind in answers.all
        },
    }


@dataclass(frozen=True, eq=False)
class Answers:
    """All queries of some clips, present and absent, with every score."""

    clips: Int[np.ndarray, " query"]
    """The place of each query's clip."""

    kinds: np.ndarray
    """The kind of each absent query; empty for a present one."""

    rows: Sequence[Mapping[str, float]]
    """The scores of each query, and the vIoU of its answer if it is a present one."""

    @classmethod
    def collect(cls, records: Records[Any]) -> "Answers":
        """Collect the queries of all clips."""
        found = [(clip, kind, row) for clip, one in enumerate(records) for kind, row in one.items()]
        clips, kinds, rows = zip(*found, strict=True)
        return cls(np.array(clips), np.array(kinds), rows)

    @property
    def all(self) -> tuple[str, ...]:
        """All kinds of queries, the present one first."""
        return tuple(dict.fromkeys(self.kinds.tolist()))

    @property
    def groups(self) -> tuple[str, ...]:
        """Kinds of absent queries, and before them all of these as one."""
        return (ALL_KINDS, *(kind for kind in self.all if kind != PRESENT))

    @property
    def present(self) -> Bool[np.ndarray, " query"]:
        """True for each query whose thing is there."""
        return self.kinds == PRESENT

    @property
    def risk(self) -> Float[np.ndarray, " query"]:
        """The loss if the query is answered: 1 - vIoU, and 1 if the thing is not there."""
        return np.array([1 - row.get("viou", 0.0) for row in self.rows])

    def scores(self, name: str) -> Float[np.ndarray, " query"]:
        """Return one score of every query."""
        return np.array([row[name] for row in self.rows])

    def among(self, group: str) -> Bool[np.ndarray, " query"]:
        """Return True for the present queries, and the absent ones of one kind or of all."""
        return self.present | (self.kinds == group) | (group == ALL_KINDS)


def _list_queries(case: Case) -> dict[str, str]:
    """List the queries of a clip by kind.

    Raises:
        ValueError: if the data set has no absent ones for it.
    """
    if not case.absent:
        raise ValueError(f"{case.name}: no query is known that is true of nothing in the video")
    return {PRESENT: case.query, **case.absent}


def _measure_margins(model: VideoLM, case: Case) -> dict[str, dict[str, float]]:
    """Measure the margin of each query of a clip."""
    queries = _list_queries(case)
    margins = measure_presence(model.watch(case.video), *queries.values())
    return {kind: {PRESENCE: margin} for kind, margin in zip(queries, margins, strict=True)}


def _measure_clip(model: VideoLM, case: Case) -> dict[str, dict[str, float]]:
    """Measure all scores of each query of a clip, and the vIoU of the answer to the present one."""
    view = model.watch(case.video)
    found: dict[str, dict[str, float]] = {}
    candidates = case.candidates or propose_tracks(case.video)
    for kind, query in _list_queries(case).items():
        asked = decompose(query)
        whole, *parts = measure_presence(view, asked.whole, asked.attribute, asked.action)
        # The map of `BEST`, which `CausalEffect` itself falls back on.
        where = look(view, BEST.parts(asked)[0], BEST)
        effects = CausalEffect()(view, asked, where, candidates)
        found[kind] = {
            PRESENCE: whole,
            RIVALS[0]: min(parts),
            # A doubt: no to the query and to its attributes, so that no effect was measured.
            RIVALS[1]: -inf if effects.doubts else max(effects.values),
            RIVALS[2]: LENS.measure_presence(model, case.video, [query])[0],
            RIVALS[3]: float(where.heatmap.values.max()),
        }
    scores = score_methods(model, case, {"": Grounding(CAUSAL)}, "hcstvg-official")
    found[PRESENT]["viou"] = scores[""]["m_viou"]
    return found


def choose_threshold(answers: Answers) -> dict[str, Any]:
    """Choose the threshold of greatest balanced accuracy: of all that are as good, the middle.

    Returns:
        The threshold, the range of equally good ones around it, and their balanced accuracy.
    """
    margins = np.unique(answers.scores(PRESENCE))
    # Between two neighbouring margins all thresholds decide alike.
    middles = (margins[1:] + margins[:-1]) / 2
    accuracy = np.array([_balance(answers, limit) for limit in middles])
    best = np.flatnonzero(accuracy >= accuracy.max() - 1e-12)
    widest = max(best.tolist(), key=lambda place: margins[place + 1] - margins[place])
    return {
        "value": round(float(middles[widest]), 2),
        "range": [float(margins[widest]), float(margins[widest + 1])],
        "balanced_accuracy": float(accuracy[widest]),
    }


def _balance(answers: Answers, limit: float) -> float:
    """Average the share of present queries above a limit and that of absent ones not above it."""
    above, present = answers.scores(PRESENCE) > limit, answers.present
    return float(above[present].mean() + (~above[~present]).mean()) / 2


def measure_accuracy(answers: Answers, limit: float) -> Numbers:
    """Measure which queries are told rightly by a limit, by kind, and balanced over both."""
    above, present = answers.scores(PRESENCE) > limit, answers.present
    right = above == present

    def resample(weights: Weights) -> Draws:
        there, missing = weights * present, weights * ~present
        return ((there @ right) / there.sum(1) + (missing @ right) / missing.sum(1)) / 2

    interval = resample_clusters(resample, answers.clips)
    return {
        "limit": limit,
        "balanced": {"mean": _balance(answers, limit), "interval": interval},
        **{
            kind or "present": summarise_share(right[answers.kinds == kind].astype(float))
            for kind in answers.all
        },
    }


def measure_auroc(answers: Answers, name: str, group: str) -> Numbers:
    """Measure the AUROC of one score, with an interval over clips."""
    scores, present, among = answers.scores(name), answers.present, answers.among(group)
    interval = resample_clusters(
        lambda weights: weigh_auroc(scores, present, weights * among), answers.clips
    )
    return {"mean": auroc(scores[present], scores[among & ~present]), "interval": interval}


def _compare_scores(answers: Answers, rival: str) -> Numbers:
    """Test by how much the AUROC of the whole margin is above that of a rival, over all kinds."""
    ours, theirs, present = answers.scores(PRESENCE), answers.scores(rival), answers.present

    def resample(weights: Weights) -> Draws:
        return weigh_auroc(ours, present, weights) - weigh_auroc(theirs, present, weights)

    mean = float(resample(np.ones((1, len(ours))))[0])
    low, high = resample_clusters(resample, answers.clips)
    # By the normal law: the bootstrap itself cannot tell p values below one over its draws.
    error = (high - low) / (2 * stats.norm.ppf(0.975))
    p = float(2 * stats.norm.sf(abs(mean) / error)) if error else float(mean == 0)
    return {"over": PRESENCE, "under": rival, "mean": mean, "interval": [low, high], "p": p}


def _measure_risk(answers: Answers, name: str) -> Numbers:
    """Measure the risk of the surest answers by one score."""
    scores, risk = answers.scores(name), answers.risk
    curve = risk_coverage(scores, risk)
    places = np.ceil(np.linspace(0, 1, CURVE_POINTS + 1)[1:] * len(scores)).astype(int) - 1
    interval = resample_clusters(partial(weigh_risk_coverage, scores, risk), answers.clips)
    return {
        "area": {"mean": curve.area, "interval": interval},
        "coverage": curve.coverage[places].tolist(),
        "risk": curve.risk[places].tolist(),
    }


def draw(numbers: Numbers) -> Figure:
    """Draw margins by kind, AUROC by kind, what each rival lacks, and risk-coverage curves."""
    figure = create_figure(10.4, 5.8)
    (margins, areas), (gains, risks) = figure.subplots(2, 2)
    _draw_margins(margins, numbers["margins"], numbers["threshold"]["value"])
    rows = numbers["auroc"]
    for place, (name, groups) in enumerate(rows.items()):
        lower = 0.15 * (place - (len(rows) - 1) / 2)
        draw_dots(areas, groups, COLOURS[place], label=name, lower=lower)
    draw_level(areas, 0.5, "chance")
    areas.set(xlim=(0, 1), xlabel="AUROC, present against absent")
    draw_legend_below(areas)
    draw_tests(gains, {f"over {one['under']}": one for one in numbers["differences"]})
    gains.set(xlabel=f"AUROC of the {PRESENCE}, all kinds, paired")
    gains.set_title(describe_tests(numbers["differences"]), loc="left")
    for (name, curve), colour in zip(numbers["risk_coverage"].items(), COLOURS, strict=True):
        risks.plot(curve["coverage"], curve["risk"], color=colour, label=name, lw=1.2)
    risks.set(xlim=(0, 1), ylim=(0, 1), xlabel="share of queries answered", ylabel="mean risk")
    risks.set_title(f"least area possible {numbers['least_risk']:.2f}", loc="left")
    return finish_figure(figure, numbers)


def _draw_margins(axes: Axes, margins: Mapping[str, Sequence[float]], threshold: float) -> None:
    """Draw the margins of each kind of query as dots, and the threshold as a line."""
    rng = np.random.default_rng(0)  # moves dots up and down, so that they do not hide each other
    for row, (kind, values) in enumerate(margins.items()):
        places = row + rng.uniform(-0.3, 0.3, len(values))
        colour = BLUE if kind == "present" else GREY
        axes.plot(values, places, "o", ms=1.5, color=colour, alpha=0.6)
    axes.set_yticks(range(len(margins)), list(margins))
    axes.set_ylim(len(margins) - 0.5, -0.5)
    draw_level(axes)
    draw_level(axes, threshold, f"threshold chosen on shapes-val: {threshold:+.2f}")
    axes.set(xlabel=f"{PRESENCE} (logits)")
    draw_legend_below(axes)


COLOURS = (BLUE, ORANGE, GREEN, PURPLE, GREY)

CLAIM = Claim(
    __file__,
    draw,
    measure,
    MeasurementConfig(data="shapes-report-2", clips=400),
    only_shapes="only the shapes have queries that are known to be true of nothing in a clip",
)

if __name__ == "__main__":
    CLAIM.run()
