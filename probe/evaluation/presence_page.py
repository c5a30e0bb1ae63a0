"""The part of a report about presence: a table, and curves of telling, risk and reliability."""

from collections.abc import Iterator, Mapping, Sequence
from math import sqrt
from typing import Any, TypeAlias

import numpy as np

from probe.evaluation.charts import Chart, Dot, Line, name_series
from probe.evaluation.figures_page import NO_FIGURE
from probe.evaluation.page import (
    Cell,
    Charts,
    Column,
    Heading,
    Interval,
    Key,
    PageTable,
    Paragraph,
    Part,
    Row,
)
from probe.evaluation.presence import ALL_KINDS, PresenceMargins
from probe.evaluation.reported_runs import ReportedRun
from probe.evaluation.terms import PRESENCE_TERMS, make_columns

LARGEST_DOT, LEAST_DOT = 14.0, 2.0
"""Radius of the dot of a bin that holds all queries, and of the smallest dot: a bin of a single
query can still be seen. Units of a chart."""

CURVE_POINTS = 200
"""Points of a curve of telling at most: more than one in two units would not be seen."""

Presence: TypeAlias = Mapping[str, Any]
"""Figures from `summarise_presence`."""


def show_presence(runs: Sequence[ReportedRun]) -> Iterator[Part]:
    """Show the figures of runs that were asked about absent things; nothing without any."""
    if not runs:
        return
    found = [run.summary["presence"] for run in runs]
    kinds = tuple(dict.fromkeys(kind for presence in found for kind in presence["absent"]))
    yield Heading("Is it there? Figures in percent, with 95 % intervals over clips")
    yield Paragraph(
        "Each clip is asked about what is in it, and about things that are not, each wrong in one "
        "way. A query that failed counts as the worst answer."
    )
    yield PageTable(
        (
            Column("run", number=False),
            Column("queries", number=False),
            *make_columns(PRESENCE_TERMS, "AUROC"),
            *(Column(kind, f"AUROC against absent queries wrong in: {kind}") for kind in kinds),
            *make_columns(PRESENCE_TERMS, "AURC", "least AURC", "says yes to", "ECE", "Brier"),
        ),
        tuple(Row((run.cell, *_make_cells(run.summary["presence"], kinds))) for run in runs),
    )
    yield Key(tuple((name_series(place), run.label) for place, run in enumerate(runs)))
    yield Charts((_draw_telling(runs), _draw_risk(runs), _draw_reliability(runs)))


def _make_cells(presence: Presence, kinds: Sequence[str]) -> Iterator[Cell]:
    areas, curve, fit = (presence[part] for part in ("auroc", "risk_coverage", "calibration"))
    absent = sum(presence["absent"].values())
    yield Cell(f"{presence['present']} present", f"{absent} absent")
    yield _make_cell(areas[ALL_KINDS], chance=50.0)
    yield from (_make_cell(areas.get(kind), chance=50.0) for kind in kinds)
    yield from (Cell(NO_FIGURE),) * 3 if curve is None else _describe_risk(curve)
    yield _make_cell(None if fit is None else fit["error"])
    yield _make_cell(None if fit is None else fit["brier"])


def _describe_risk(curve: Mapping[str, Any]) -> Iterator[Cell]:
    least, yes = curve["least_area"], curve["model_says_yes"]
    yield _make_cell(curve["area"])
    yield Cell(f"{100 * least:.1f}")
    if yes is None:
        yield Cell(NO_FIGURE)
    else:
        yield Cell(f"{100 * yes['coverage']:.1f}", f"risk {100 * yes['risk']:.1f}")


def _make_cell(figure: Mapping[str, float] | None, *, chance: float | None = None) -> Cell:
    if figure is None:
        return Cell(NO_FIGURE)
    value, low, high = (100 * figure[name] for name in ("value", "low", "high"))
    bar = Interval(low, value, high, chance=chance)
    return Cell(f"{value:.1f}", f"[{low:.1f}, {high:.1f}]", bar)


# Curves


def _draw_telling(runs: Sequence[ReportedRun]) -> Chart:
    """Draw for each run the share of present things that are told, by the share of false alarms."""
    chance = Line(((0.0, 0.0), (1.0, 1.0)), name="chance")
    lines = (
        Line(_list_telling(run), place, f"{run.label}: present told, by absent taken for present")
        for place, run in enumerate(runs)
    )
    caption = "Telling what is there (ROC), for every limit of the margin; dashed: chance"
    return Chart(caption, "absent, above the limit", "present, above the limit", (chance, *lines))


def _list_telling(run: ReportedRun) -> tuple[tuple[float, float], ...]:
    """List the shares of absent and of present queries above each limit, from the highest on."""
    asked = PresenceMargins.collect(list(run.run.results.values()))
    assert asked is not None, "runs without absent queries are not shown"
    limits = np.unique(asked.margin)[::-1]
    shares = [
        [float((margins >= limit).mean()) for limit in limits]
        for margins in (asked.margin[~asked.present], asked.margin[asked.present])
    ]
    points = [(0.0, 0.0), *zip(*shares, strict=True)]
    places = np.linspace(0, len(points) - 1, min(len(points), CURVE_POINTS)).round().astype(int)
    return tuple(points[place] for place in places)


def _draw_risk(runs: Sequence[ReportedRun]) -> Chart:
    """Draw for each run the mean risk of its surest answers, and the share of present things."""
    marks: list[Line | Dot] = []
    for place, run in enumerate(runs):
        presence = run.summary["presence"]
        # Without a truth there is no risk; the run is still part of the key, for other curves.
        curve = presence["risk_coverage"] or {"coverage": [], "risk": []}
        points = tuple(zip(curve["coverage"], curve["risk"], strict=True))
        share = presence["present"] / (presence["present"] + sum(presence["absent"].values()))
        marks.append(Line(((share, 0.0), (share, 1.0)), name="share of things that are there"))
        marks.append(Line(points, place, f"{run.label}: risk of the surest answers"))
    caption = "Risk of the surest answers; dashed: as many as there are present things"
    return Chart(caption, "share answered, surest first", "mean risk", tuple(marks))


def _draw_reliability(runs: Sequence[ReportedRun]) -> Chart:
    """Draw for each run how often the thing is there, by the stated probability."""
    marks: list[Line | Dot] = [Line(((0.0, 0.0), (1.0, 1.0)), name="as often as stated")]
    for place, run in enumerate(runs):
        fit = run.summary["presence"]["calibration"]
        if fit is not None:
            marks += _mark_bins(fit["bins"], place, run.label)
    caption = "How often the thing is there; a larger dot holds more queries; dashed: as stated"
    return Chart(caption, "stated probability of yes", "share that is there", tuple(marks))


def _mark_bins(
    bins: Sequence[Mapping[str, float]], series: int, label: str
) -> Iterator[Line | Dot]:
    filled = [one for one in bins if one["queries"]]
    queries = sum(one["queries"] for one in filled)
    yield Line(tuple((one["probability"], one["share"]) for one in filled), series, label)
    for one in filled:
        # The area and not the radius grows with the number, as an eye compares areas.
        radius = LEAST_DOT + (LARGEST_DOT - LEAST_DOT) * sqrt(one["queries"] / queries)
        about = f"{label}: {one['queries']:.0f} queries, {100 * one['share']:.0f} % there"
        yield Dot((one["probability"], one["share"]), series, about, radius)
