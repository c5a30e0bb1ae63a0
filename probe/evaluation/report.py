"""A report of runs on one page: figures next to their rivals, comparisons, good and bad cases.

Scores are taken as the runs recorded them; videos are opened for pictures only.
"""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from probe.evaluation.cases_page import show_cases
from probe.evaluation.comparison_page import compare_runs
from probe.evaluation.figures_page import compare_benchmarks, tabulate_figures
from probe.evaluation.page import Heading, PageTable, Paragraph, Part, Row, Terms
from probe.evaluation.page_html import write_html
from probe.evaluation.page_markdown import write_markdown
from probe.evaluation.presence_page import show_presence
from probe.evaluation.reported_runs import ReportedRun, open_runs
from probe.evaluation.space_time_page import compare_time_and_space
from probe.evaluation.terms import FIGURE_TERMS, PRESENCE_TERMS
from probe.files import write_text

REPORT_TITLE = "Grounding Probe: runs"


def write_report(
    folders: Sequence[str | Path], out: str | Path, *, trusted: Collection[str] = ()
) -> tuple[Path, Path]:
    """Write a page about runs, as one HTML file and as Markdown without pictures next to it.

    Args:
        folders: Folders of runs that `evaluate` wrote.
        out: The HTML file; the Markdown file has the same name with the suffix `.md`.
        trusted: Functions of yours, as `module:qualname`, that may be called to open the data sets
            of the runs; those of this package always may.

    Returns:
        The paths of both files.

    Raises:
        ValueError: if a folder is not one of a run, or a run has no result yet.
    """
    runs = open_runs(folders)
    parts = list(_write_parts(runs, trusted))
    page = Path(out).with_suffix(".html")
    text = page.with_suffix(".md")
    write_text(page, write_html(REPORT_TITLE, parts))
    write_text(text, write_markdown(REPORT_TITLE, parts))
    return page, text


def _write_parts(runs: Sequence[ReportedRun], trusted: Collection[str]) -> Iterator[Part]:
    yield from compare_benchmarks(runs)
    for dataset in dict.fromkeys(run.dataset for run in runs):
        yield from tabulate_figures(dataset, [run for run in runs if run.dataset == dataset])
    yield from compare_runs(runs)
    asked = [run for run in runs if run.summary["presence"] is not None]
    yield from show_presence(asked)
    yield from compare_time_and_space(runs)
    yield Heading("Answers")
    for run in runs:
        yield from show_cases(run, trusted)
    yield from _list_problems(runs)
    yield Heading("What the figures mean")
    yield Terms((*FIGURE_TERMS.items(), *(PRESENCE_TERMS.items() if asked else ())))


def _list_problems(runs: Sequence[ReportedRun]) -> Iterator[Part]:
    """List failed queries, each of which counted as zero, odd videos, and notes on the runs."""
    found = [part for run in runs for part in _list_problems_of(run)]
    if found:
        yield Heading("To be known of these runs")
        yield from found


def _list_problems_of(run: ReportedRun) -> Iterator[Part]:
    results = run.run.results.values()
    failed = [Row((one.id, one.query, one.error)) for one in results if one.error]
    if failed:
        yield Heading(f"{run.label}: {len(failed)} failed, each counted as zero", level=3)
        yield PageTable(("id", "query", "error"), tuple(failed))
    odd = [Row((one.id, "; ".join(one.remarks))) for one in results if one.remarks]
    if odd:
        yield Heading(f"{run.label}: {len(odd)} not as annotated", level=3)
        yield PageTable(("id", "remark"), tuple(odd))
    if run.run.notes:
        yield Heading(f"{run.label}: notes", level=3)
        yield from (Paragraph(note) for note in run.run.notes)
