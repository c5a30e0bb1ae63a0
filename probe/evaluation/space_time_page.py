"""The part of a report about time and space: which of the two keeps a method from the truth."""

from collections.abc import Iterator, Sequence
from statistics import fmean

from probe.evaluation.charts import Chart, Dot, Line
from probe.evaluation.figures import RIGHT_OVERLAP
from probe.evaluation.page import Charts, Heading, PageTable, Paragraph, Part, Row
from probe.evaluation.reported_runs import ReportedRun
from probe.evaluation.results import QueryResult
from probe.evaluation.terms import make_columns


def compare_time_and_space(runs: Sequence[ReportedRun]) -> Iterator[Part]:
    """Show how well queries were found in time and in space: shares, and a point for each query."""
    runs = [run for run in runs if _list_known(run)]
    if not runs:
        return  # both are known of no query
    yield Heading("Is time or space the bottleneck?")
    columns = make_columns({}, "both right", "only place right", "only time right", "neither")
    rows = tuple(Row((run.cell, *_format_quarters(run))) for run in runs)
    yield Paragraph(f"Share of queries, in percent; right is an overlap above {RIGHT_OVERLAP}.")
    yield PageTable(("run", *columns), rows)
    yield Charts(tuple(map(_draw_queries, runs)))


def _list_known(run: ReportedRun) -> list[tuple[QueryResult, float, float]]:
    """List each query of which both are known, with its overlaps in time and in space."""
    scored = [(result, result.score) for result in run.run.results.values()]
    return [
        (result, score.tiou, score.gt_viou)
        for result, score in scored
        if score.tiou is not None and score.gt_viou is not None
    ]


def _format_quarters(run: ReportedRun) -> tuple[str, ...]:
    known = _list_known(run)
    found = [(time > RIGHT_OVERLAP, place > RIGHT_OVERLAP) for _, time, place in known]
    wanted = ((True, True), (False, True), (True, False), (False, False))
    return tuple(f"{100 * found.count(quarter) / len(found):.0f}" for quarter in wanted)


def _draw_queries(run: ReportedRun) -> Chart:
    """Draw each query by its overlaps, and the means as lines."""
    known = _list_known(run)
    time, place = fmean(one for _, one, _ in known), fmean(one for _, _, one in known)
    dots = (
        Dot((x, y), 0, f"{result.query} ({result.id}): tIoU {y:.2f}, gt_vIoU {x:.2f}")
        for result, y, x in known
    )
    means = (Line(((place, 0.0), (place, 1.0))), Line(((0.0, time), (1.0, time))))
    caption = f"{run.label}: each query by its overlap in time and in space; dashed: means"
    return Chart(caption, "space: gt_vIoU", "time: tIoU", (*means, *dots))
