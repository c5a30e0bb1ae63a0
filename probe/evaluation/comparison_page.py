"""Differences between the runs of a report on the same queries, corrected for their number."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from probe.evaluation.figures import list_values
from probe.evaluation.figures_page import NO_FIGURE
from probe.evaluation.page import Cell, Column, Heading, Interval, PageTable, Paragraph, Part, Row
from probe.evaluation.reported_runs import ReportedRun
from probe.evaluation.terms import FIGURE_NAMES, FIGURE_TERMS, make_columns
from probe.metrics import paired_difference
from probe.metrics.significance import paired_p_value, survive_holm


@dataclass(frozen=True)
class Difference:
    """A run's figure minus another's, on the same queries."""

    mean: float
    low: float
    high: float
    p: float
    """Probability with which chance alone makes a difference as great."""

    queries: int


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two runs, the first of which is measured by the second, and their differences by figure."""

    run: ReportedRun
    over: ReportedRun
    queries: int
    differences: Mapping[str, Difference]
    """A figure that the truth of no query allows is left out."""


def compare_runs(runs: Sequence[ReportedRun]) -> Iterator[Part]:
    """Tabulate the differences between any two runs on the queries that both have answered."""
    # Runs of two data sets have no query in common, which is no news.
    pairs = [(a, b) for a, b in combinations(runs, 2) if a.dataset == b.dataset]
    if not pairs:
        return
    yield Heading("Comparison on the same queries")
    refused = [(a, b, _explain_refusal(a, b)) for a, b in pairs]
    compared = [_compare(a, b) for a, b, reason in refused if not reason]
    if compared:
        yield from _tabulate(compared)
    for a, b, reason in refused:
        if reason:
            yield Paragraph(f"{a.label} and {b.label} are not comparable: {reason}.")


def _explain_refusal(a: ReportedRun, b: ReportedRun) -> str:
    """Say why two runs cannot be compared; nothing if they can be."""
    if not a.run.results.keys() & b.run.results.keys():
        return "other queries"
    if a.version != b.version:
        return "another version of the data set"
    if a.summary["protocol"] != b.summary["protocol"]:
        return f"scored by {a.summary['protocol']} and {b.summary['protocol']}"
    return ""


def _compare(a: ReportedRun, b: ReportedRun) -> Comparison:
    shared = [name for name in a.run.results if name in b.run.results]
    found: dict[str, Difference] = {}
    for name in FIGURE_NAMES:
        # The truth says which figures a query has, and it is the same for both runs.
        ours, theirs = (
            list_values(name, [run.run.results[query] for query in shared]) for run in (b, a)
        )
        if ours:
            p = paired_p_value(ours, theirs)
            found[name] = Difference(*paired_difference(ours, theirs), p, len(ours))
    return Comparison(b, a, len(shared), found)


def _tabulate(compared: Sequence[Comparison]) -> Iterator[Part]:
    tests = [(place, name) for place, one in enumerate(compared) for name in one.differences]
    survive = survive_holm([compared[place].differences[name].p for place, name in tests])
    survivors = {test for test, kept in zip(tests, survive, strict=True) if kept}
    yield Paragraph(
        f"Differences in percentage points with 95 % intervals of the paired bootstrap, from -100 "
        f"to 100 on the bar. There are {len(tests)}, and of so many about one in twenty has an "
        f"interval without 0 by chance alone; bold are the {len(survivors)} that survive Holm's "
        "correction of the paired t test over all of them."
    )
    rows = []
    for place, one in enumerate(compared):
        cells = (
            _make_cell(one.differences.get(name), one.queries, strong=(place, name) in survivors)
            for name in FIGURE_NAMES
        )
        about = Cell(one.run.label, f"over {one.over.label}")
        rows.append(Row((about, one.run.dataset, str(one.queries), *cells)))
    about = (
        Column("run", number=False),
        Column("benchmark", number=False),
        Column("queries", number=False),
    )
    figures = make_columns(FIGURE_TERMS, *FIGURE_NAMES.values())
    yield PageTable((*about, *figures), tuple(rows))


def _make_cell(difference: Difference | None, queries: int, *, strong: bool) -> Cell:
    if difference is None:
        return Cell(NO_FIGURE)
    mean, low, high = (100 * one for one in (difference.mean, difference.low, difference.high))
    some = "" if difference.queries == queries else f" of {difference.queries}"
    bar = Interval(low, mean, high, least=-100.0)
    return Cell(f"{mean:+.1f}", f"[{low:+.1f}, {high:+.1f}]{some}", bar, strong)
