"""The figures of a report: methods by benchmark, and a table for each data set.

Each figure is shown with its interval, next to what guesses score and what the candidates allow.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from probe.evaluation.page import Cell, Column, Heading, Interval, Key, PageTable, Paragraph, Part
from probe.evaluation.page import Row as PageRow
from probe.evaluation.published import CAVEAT, PUBLISHED, Published
from probe.evaluation.references import CEILING, CHANCE, REFERENCES
from probe.evaluation.reported_runs import ReportedRun
from probe.evaluation.runner import format_unknown
from probe.evaluation.terms import FIGURE_NAMES, FIGURE_TERMS, make_columns

NO_FIGURE = "-"
"""Text of a cell for which there is no figure."""

MAIN_FIGURE = "m_viou"
"""The figure by which methods are compared over benchmarks."""

REFERENCE_NAMES = {CHANCE: f"chance: {CHANCE}", CEILING: f"ceiling: {CEILING}"}
"""Names of references with the word that a reader looks for."""

BAR_KEY = Key(
    (
        ("mean", "mean"),
        ("reach", "95 % interval"),
        ("chance", "chance"),
        ("ceiling", "ceiling of the candidates"),
    )
)
"""The meaning of the marks below a figure, on a bar from 0 to 100 percent."""


@dataclass(frozen=True, eq=False)
class Comparable:
    """Runs about the same queries with the same candidates: they share their references."""

    runs: tuple[ReportedRun, ...]

    @property
    def references(self) -> Mapping[str, Any] | None:
        """Figures of guesses and of the ceiling; None if an earlier version wrote all runs."""
        known = (run.summary["references"] for run in self.runs)
        return next((one for one in known if one is not None), None)

    @property
    def about(self) -> str:
        """The candidates and the number of queries."""
        first = self.runs[0]
        return f"{first.candidates} · {first.summary['queries']} queries"


def group_comparable(runs: Sequence[ReportedRun]) -> list[Comparable]:
    """Group runs of one data set that have the same queries and candidates."""
    groups: dict[Any, list[ReportedRun]] = {}
    for run in runs:
        config = run.run.config
        # As text, since a config is nested. It lists all that candidates follow from.
        found = repr([config[name] for name in ("candidates", "split", "frames") if name in config])
        key = (run.version, run.summary["protocol"], found, frozenset(run.run.results))
        groups.setdefault(key, []).append(run)
    return [Comparable(tuple(group)) for group in groups.values()]


# Methods by benchmark


def compare_benchmarks(runs: Sequence[ReportedRun]) -> Iterator[Part]:
    """Tabulate the main figure of each method on each benchmark; nothing for a single one."""
    datasets = tuple(dict.fromkeys(run.dataset for run in runs))
    if len(datasets) < 2:
        return
    main = FIGURE_NAMES[MAIN_FIGURE]
    yield Heading(f"Methods by benchmark: {main} in percent")
    rows: dict[tuple[str, str], dict[str, Cell]] = {}
    quiet: dict[tuple[str, str], dict[str, Cell]] = {}
    for dataset in datasets:
        for group in group_comparable([run for run in runs if run.dataset == dataset]):
            for run in group.runs:
                _place(rows, _name_method(run), dataset, _make_main_cell(run, group.references))
            for name, figures in (group.references or {}).items():
                about = (REFERENCE_NAMES.get(name, name), group.runs[0].candidates)
                cell = make_cell(figures[MAIN_FIGURE], group.runs[0].summary["queries"])
                _place(quiet, about, dataset, cell)
    names = make_columns({}, *datasets)
    yield PageTable(
        (Column("method", number=False), *names),
        (*_fill_rows(rows, datasets), *_fill_rows(quiet, datasets, quiet=True)),
    )
    yield BAR_KEY


def _name_method(run: ReportedRun) -> tuple[str, str]:
    warning = " (ORACLE)" if run.summary["oracle"] else ""
    return f"{run.summary['method']}{warning}", f"{run.summary['model']} · {run.candidates}"


def _make_main_cell(run: ReportedRun, references: Mapping[str, Any] | None) -> Cell:
    figures = run.summary["figures"]["all"]
    return make_cell(figures[MAIN_FIGURE], figures["queries"], references, MAIN_FIGURE)


def _place(
    rows: dict[tuple[str, str], dict[str, Cell]], name: tuple[str, str], dataset: str, cell: Cell
) -> None:
    """Put a cell into the row of a name, or into a further one if its place is taken."""
    title, about = name
    number = 1
    # Two runs of one method on one data set, such as under two protocols, are two rows.
    while dataset in rows.setdefault(name, {}):
        number += 1
        name = (f"{title} ({number})", about)
    rows[name][dataset] = cell


def _fill_rows(
    rows: Mapping[tuple[str, str], Mapping[str, Cell]], datasets: Sequence[str], quiet: bool = False
) -> tuple[PageRow, ...]:
    return tuple(
        PageRow((Cell(*name), *(cells.get(one, Cell(NO_FIGURE)) for one in datasets)), quiet)
        for name, cells in rows.items()
    )


# One data set


def tabulate_figures(dataset: str, runs: Sequence[ReportedRun]) -> Iterator[Part]:
    """Tabulate the figures of a data set's runs, their references, and what others published."""
    yield Heading(f"{dataset}: figures in percent, with 95 % intervals over queries")
    groups = group_comparable(runs)
    rows = [row for group in groups for run in group.runs for row in _make_run_rows(run, group)]
    rows += [row for group in groups for row in _make_reference_rows(group)]
    # A data set may be published in parts: "vidstg" is a prefix of both kinds of its queries.
    published = {kind: found for kind, found in PUBLISHED.items() if kind.startswith(dataset)}
    for kind, found in published.items():
        rows += [_make_published_row(one, kind if kind != dataset else "all") for one in found]
    figures = make_columns(FIGURE_TERMS, *FIGURE_NAMES.values())
    yield PageTable(
        (Column("run", number=False), Column("queries", number=False), *figures), tuple(rows)
    )
    yield BAR_KEY
    for run in runs:
        said = format_unknown(run.summary["figures"]["all"])
        yield from (Paragraph(f"{run.label}: {sentence}.") for sentence in said)
    if published:
        yield Paragraph(CAVEAT)


def _make_run_rows(run: ReportedRun, group: Comparable) -> Iterator[PageRow]:
    summary = run.summary
    for kind, figures in summary["figures"].items():
        whole = kind == "all"
        asked = figures["queries"]
        failed = f"{len(summary['failed'])} failed"
        queries = Cell(f"{asked} of {summary['of']}", failed) if whole else Cell(str(asked), kind)
        about = run.cell if whole else Cell(run.label, f"{kind} queries only")
        # References are of all queries together.
        references = group.references if whole else None
        cells = (make_cell(figures[name], asked, references, name) for name in FIGURE_NAMES)
        yield PageRow((about, queries, *cells))


def _make_reference_rows(group: Comparable) -> Iterator[PageRow]:
    references = group.references
    asked = group.runs[0].summary["queries"]
    for name in REFERENCES if references is not None else ():
        figures = (references or {})[name]
        cells = (make_cell(figures[figure], asked) for figure in FIGURE_NAMES)
        about = Cell(REFERENCE_NAMES.get(name, name), group.about)
        yield PageRow((about, str(asked), *cells), quiet=True)


def _make_published_row(one: Published, kind: str) -> PageRow:
    figures = {
        "m_viou": one.m_viou,
        "viou_at_03": one.viou_at_03,
        "viou_at_05": one.viou_at_05,
    }
    cells = (f"{figures[name]:.1f}" if name in figures else NO_FIGURE for name in FIGURE_NAMES)
    about = Cell(one.model, f"{one.source} · candidates and protocol theirs · {kind}")
    return PageRow((about, "", *cells), quiet=True)


def make_cell(
    figure: Mapping[str, float] | None,
    queries: int,
    references: Mapping[str, Any] | None = None,
    name: str = "",
) -> Cell:
    """Make the cell of a figure: in percent, its interval, and of how many queries if not of all.

    Args:
        figure: Mean and interval, from 0 to 1; None if no query has it.
        queries: The number of queries of the run.
        references: Those of the run, to mark chance and ceiling; None to mark nothing.
        name: The name of the figure in the references.
    """
    if figure is None:
        return Cell(NO_FIGURE)
    mean, low, high = (100 * figure[end] for end in ("mean", "low", "high"))
    # Runs of earlier versions do not count the queries of a figure: all of them had it.
    some = "" if figure.get("queries", queries) == queries else f" of {figure['queries']}"
    chance, ceiling = (
        None if references is None or (found := references[one][name]) is None else found["mean"]
        for one in (CHANCE, CEILING)
    )
    bar = Interval(
        low,
        mean,
        high,
        chance=None if chance is None else 100 * chance,
        ceiling=None if ceiling is None else 100 * ceiling,
    )
    return Cell(f"{mean:.1f}", f"[{low:.1f}, {high:.1f}]{some}", bar)
