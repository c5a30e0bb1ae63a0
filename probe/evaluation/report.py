"""A report of runs on one page: figures next to published ones, comparisons, good and bad cases.

Scores are taken as the runs recorded them; videos are opened for pictures only.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import combinations
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from probe.datasets import DataSet, is_own, load_dataset
from probe.evaluation.answer_strips import draw_answer_strip
from probe.evaluation.page import (
    CaptionedPicture,
    Heading,
    PageTable,
    Paragraph,
    Part,
    Row,
    write_html,
    write_markdown,
)
from probe.evaluation.presence_page import NO_FIGURE, show_presence
from probe.evaluation.published import CAVEAT, PUBLISHED, Published
from probe.evaluation.results import QueryResult
from probe.evaluation.runner import format_unknown, list_values, summarise
from probe.evaluation.runs import StoredRun, read_run
from probe.files import write_text
from probe.metrics import paired_difference
from probe.pictures.style import CHOSEN_COLOUR, write_title

REPORT_TITLE = "Grounding Probe: runs"

CASES_SHOWN = 3
"""Best answers, and worst answers, shown of each run."""

FRAMES_READ = 24
"""Frames read of a video, from which those of its picture are chosen."""

RIGHT_OVERLAP = 0.5
"""Overlap above which time, or place, is called right."""

FIGURE_NAMES = {
    "m_tiou": "m_tIoU",
    "m_viou": "m_vIoU",
    "viou_at_03": "vIoU@0.3",
    "viou_at_05": "vIoU@0.5",
    "m_gt_viou": "m_gt_vIoU",
    "right_track": "right track",
}
"""Column headings of the figures."""


@dataclass(frozen=True, eq=False)
class ReportedRun:
    """A run on the page."""

    run: StoredRun
    name: str
    """Its folder, as short as tells it from the other runs."""

    summary: Mapping[str, Any]
    """Its figures, as far as it has come."""

    @property
    def label(self) -> str:
        """Its name, with a warning if the truth gave the candidates."""
        return f"{self.name} (ORACLE)" if self.summary["oracle"] else self.name

    @property
    def dataset(self) -> str:
        """The data set's name."""
        return self.summary["dataset"]

    def open_dataset(self, trusted: Collection[str]) -> DataSet:
        """Open the data set, to show its videos.

        Raises:
            ValueError: if it is not in its folder any more, has changed since the run, or is read
                by user code that is not trusted.
        """
        places = self.run.environment
        # A file of a user's goes by its name in results, and by its path on this machine.
        name = (places.get("dataset") if is_own(self.dataset) else None) or self.dataset
        # The name comes from a file, which may be anybody's, and to open it would run that code.
        if not is_own(name) and ":" in name and name not in trusted:
            raise ValueError(f"{name} is a function of a user; give --dataset {name} to run it")
        dataset = load_dataset(name, places.get("root"), places.get("annotations"))
        if dataset.version != self.run.config["dataset"]["version"]:
            raise ValueError(f"{self.dataset}: its annotations have changed since the run")
        return dataset


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
    entries = _open_runs(folders)
    parts = list(_write_parts(entries, trusted))
    page = Path(out).with_suffix(".html")
    text = page.with_suffix(".md")
    write_text(page, write_html(REPORT_TITLE, parts))
    write_text(text, write_markdown(REPORT_TITLE, parts))
    return page, text


def _open_runs(folders: Sequence[str | Path]) -> list[ReportedRun]:
    runs = [read_run(folder) for folder in folders]
    for run in runs:
        if not run.results:
            raise ValueError(f"{run.folder}: no query is finished yet; let it run first")
    # Names of folders are enough, unless two runs lie in folders of one name.
    short = [run.folder.absolute().name for run in runs]
    names = short if len(set(short)) == len(runs) else [str(run.folder) for run in runs]
    return [ReportedRun(run, name, _summarise(run)) for run, name in zip(runs, names, strict=True)]


def _summarise(run: StoredRun) -> dict[str, Any]:
    return summarise(list(run.results.values()), run.config)


def _write_parts(entries: Sequence[ReportedRun], trusted: Collection[str]) -> Iterator[Part]:
    for dataset in dict.fromkeys(entry.dataset for entry in entries):
        yield from _tabulate_figures(
            dataset, [entry for entry in entries if entry.dataset == dataset]
        )
    if pairs := list(combinations(entries, 2)):
        yield from _compare_runs(pairs)
    yield from show_presence(
        [
            (entry.label, entry.summary["presence"])
            for entry in entries
            if entry.summary["presence"] is not None
        ]
    )
    yield from _compare_time_and_space(entries)
    for entry in entries:
        yield from _show_cases(entry, trusted)
    for entry in entries:
        yield from _list_problems(entry)


# Tables


def _tabulate_figures(dataset: str, entries: Sequence[ReportedRun]) -> Iterator[Part]:
    """Tabulate the figures of a data set's runs, and those that others published on it."""
    yield Heading(f"{dataset}: figures in percent, with 95 % intervals over queries")
    rows = [row for entry in entries for row in _make_run_rows(entry)]
    # A data set may be published in parts: "vidstg" is a prefix of both kinds of its queries.
    published = {kind: found for kind, found in PUBLISHED.items() if kind.startswith(dataset)}
    for kind, found in published.items():
        rows += [_make_published_row(one, kind if kind != dataset else "all") for one in found]
    about = ("run", "method", "model", "candidates", "protocol", "queries", "answered", "failed")
    yield PageTable((*about, *FIGURE_NAMES.values()), tuple(rows))
    for entry in entries:
        said = format_unknown(entry.summary["figures"]["all"])
        yield from (Paragraph(f"{entry.label}: {sentence}.") for sentence in said)
    if published:
        yield Paragraph(CAVEAT)


def _make_run_rows(entry: ReportedRun) -> Iterator[Row]:
    summary = entry.summary
    for kind, figures in summary["figures"].items():
        answered = f"{figures['queries']}" + (f" of {summary['of']}" if kind == "all" else "")
        candidates = f"ORACLE: {summary['candidates']}" if summary["oracle"] else None
        about = (
            entry.label,
            summary["method"],
            summary["model"],
            candidates or summary["candidates"],
            summary["protocol"],
            kind,
            answered,
            str(len(summary["failed"])) if kind == "all" else "",
        )
        asked = figures["queries"]
        yield Row((*about, *(_format_interval(figures[name], asked) for name in FIGURE_NAMES)))


def _make_published_row(one: Published, kind: str) -> Row:
    figures = (
        NO_FIGURE,
        f"{one.m_viou:.1f}",
        f"{one.viou_at_03:.1f}",
        f"{one.viou_at_05:.1f}",
        NO_FIGURE,
        NO_FIGURE,
    )
    about = (one.source, "", one.model, "theirs", "theirs", kind, "", "")
    return Row((*about, *figures), quiet=True)


def _format_interval(figure: Mapping[str, float] | None, queries: int) -> str:
    """Format a figure, and of how many queries it is if some have none."""
    if figure is None:
        return NO_FIGURE
    mean, low, high = (100 * figure[name] for name in ("mean", "low", "high"))
    # Runs of earlier versions do not count the queries of a figure: all of them had it.
    some = "" if figure.get("queries", queries) == queries else f" of {figure['queries']}"
    return f"{mean:.1f} [{low:.1f}, {high:.1f}]{some}"


def _compare_runs(pairs: Sequence[tuple[ReportedRun, ReportedRun]]) -> Iterator[Part]:
    """Tabulate the differences between two runs on the queries that both have answered."""
    yield Heading("Comparison on the same queries")
    yield Paragraph(
        "Differences in percentage points with 95 % intervals of the paired bootstrap; an interval "
        "that holds 0 shows no difference."
    )
    rows = [Row((b.label, f"over {a.label}", *_format_differences(a, b))) for a, b in pairs]
    yield PageTable(("run", "", "queries", *FIGURE_NAMES.values()), tuple(rows))


def _format_differences(a: ReportedRun, b: ReportedRun) -> tuple[str, ...]:
    shared = [name for name in a.run.results if name in b.run.results]
    same_truth = a.run.config["dataset"]["version"] == b.run.config["dataset"]["version"]
    if not shared or not same_truth:
        return ("not comparable: other queries", *(NO_FIGURE for _ in FIGURE_NAMES))
    if a.summary["protocol"] != b.summary["protocol"]:
        return ("not comparable: another protocol", *(NO_FIGURE for _ in FIGURE_NAMES))
    found = [str(len(shared))]
    for name in FIGURE_NAMES:
        # The truth says which figures a query has, and it is the same for both runs.
        ours, theirs = (
            list_values(name, [entry.run.results[query] for query in shared]) for entry in (b, a)
        )
        found.append(_format_difference(ours, theirs, len(shared)))
    return tuple(found)


def _format_difference(ours: Sequence[float], theirs: Sequence[float], queries: int) -> str:
    if not ours:
        return NO_FIGURE
    mean, low, high = (100 * value for value in paired_difference(ours, theirs))
    some = "" if len(ours) == queries else f" of {len(ours)}"
    return f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]{some}"


def _list_problems(entry: ReportedRun) -> Iterator[Part]:
    """List failed queries, each of which counted as zero, odd videos, and notes on the run."""
    results = entry.run.results.values()
    failed = [Row((one.id, one.query, one.error)) for one in results if one.error]
    if failed:
        yield Heading(f"{entry.label}: {len(failed)} failed, each counted as zero")
        yield PageTable(("id", "query", "error"), tuple(failed))
    odd = [Row((one.id, "; ".join(one.remarks))) for one in results if one.remarks]
    if odd:
        yield Heading(f"{entry.label}: {len(odd)} not as annotated")
        yield PageTable(("id", "remark"), tuple(odd))
    if entry.run.notes:
        yield Heading(f"{entry.label}: to be known of this run")
        yield from (Paragraph(note) for note in entry.run.notes)


# Pictures


def _compare_time_and_space(entries: Sequence[ReportedRun]) -> Iterator[Part]:
    """Show how well queries were found in time and in space: shares, and a point for each query."""
    entries = [entry for entry in entries if _list_pairs(entry)]
    if not entries:
        return  # both are known of no query
    yield Heading("Is time or space the bottleneck?")
    columns = ("run", "both right", "only place right", "only time right", "neither")
    rows = tuple(Row((entry.label, *_format_quarters(entry))) for entry in entries)
    yield Paragraph(f"Share of queries, in percent; right is an overlap above {RIGHT_OVERLAP}.")
    yield PageTable(columns, rows)
    yield CaptionedPicture(
        _draw_scatter(entries),
        "Each query by its overlap in time (tIoU) and in space (gt_vIoU); dashed: means",
    )


def _list_pairs(entry: ReportedRun) -> list[tuple[float, float]]:
    """List the overlaps in time and in space of each query of which both are known."""
    scores = [result.score for result in entry.run.results.values()]
    pairs = [(score.tiou, score.gt_viou) for score in scores]
    return [(time, place) for time, place in pairs if time is not None and place is not None]


def _format_quarters(entry: ReportedRun) -> tuple[str, ...]:
    pairs = _list_pairs(entry)
    found = [(time > RIGHT_OVERLAP, place > RIGHT_OVERLAP) for time, place in pairs]
    wanted = ((True, True), (False, True), (True, False), (False, False))
    return tuple(f"{100 * found.count(quarter) / len(found):.0f}" for quarter in wanted)


def _draw_scatter(entries: Sequence[ReportedRun]) -> bytes:
    # Not through pyplot, which keeps every figure in memory until it is closed by hand.
    figure = Figure(figsize=(3.4 * min(len(entries), 4), 3.4 * -(-len(entries) // 4)), dpi=120)
    figure.set_layout_engine("constrained")
    grid = figure.subplots(-(-len(entries) // 4), min(len(entries), 4), squeeze=False)
    for ax in grid.flat[len(entries) :]:
        ax.set_axis_off()
    for ax, entry in zip(grid.flat, entries, strict=False):
        tiou, place = zip(*_list_pairs(entry), strict=True)
        ax.scatter(place, tiou, s=10, alpha=0.5, color=CHOSEN_COLOUR, lw=0)
        ax.axvline(sum(place) / len(place), color="#9a9a9a", lw=1, ls="--")
        ax.axhline(sum(tiou) / len(tiou), color="#9a9a9a", lw=1, ls="--")
        ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        ax.set_xlabel("space: gt_vIoU", fontsize=8)
        ax.set_ylabel("time: tIoU", fontsize=8)
        # The warning is a note, which is never cut, however long the name is.
        write_title(ax, entry.name, entry.label.removeprefix(entry.name))
        ax.tick_params(labelsize=7)
    file = BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _show_cases(entry: ReportedRun, trusted: Collection[str]) -> Iterator[Part]:
    """Show the best and the worst answers with pictures; a failed query has no answer."""
    answered = [result for result in entry.run.results.values() if result.error is None]
    if not answered:
        return
    # Many answers have a score of 0: the name puts those into one order on every machine.
    scored = [result for result in answered if _rank(result) is not None]
    ordered = sorted(scored or answered, key=lambda one: (-(_rank(one) or 0.0), one.id))
    count = min(CASES_SHOWN, (len(ordered) + 1) // 2)
    try:
        dataset = entry.open_dataset(trusted)
    except (ValueError, OSError) as failure:
        yield Heading(f"{entry.label}: best and worst answers")
        yield Paragraph(f"There are no pictures: {failure}")
        return
    worst = ordered[count:][::-1][:count]
    # Without any truth, no answer is better than another: some are shown, in the order of names.
    parts = {"best": ordered[:count], "worst": worst} if scored else {"first": ordered[:count]}
    for name, chosen in parts.items():
        if chosen:
            yield Heading(f"{entry.label}: {name} answers")
            yield from (_show_case(result, dataset) for result in chosen)


def _rank(result: QueryResult) -> float | None:
    """Return the figure by which an answer is better than another; None if it has no figure."""
    score = result.score
    if score.viou is not None:
        return score.viou + 1e-3 * (score.gt_viou or 0.0)  # of equal tubes, the better track
    return score.tiou if score.gt_viou is None else score.gt_viou


def _show_case(result: QueryResult, dataset: DataSet) -> Part:
    score = result.score
    figures = {"tIoU": score.tiou, "vIoU": score.viou, "gt_vIoU": score.gt_viou}
    known = [f"{name} {value:.2f}" for name, value in figures.items() if value is not None]
    caption = (
        f"{result.query} ({result.id}): {', '.join(known) or 'no truth is known'}; answer solid, "
        "truth dashed"
    )
    try:
        sample = dataset[dataset.ids.index(result.id)]
        footage = sample.recording.read(FRAMES_READ)
        sample = sample.settle(footage)
        picture = draw_answer_strip(footage, result.tube, sample, result.query)
        return CaptionedPicture(picture, caption)
    except (ValueError, OSError) as failure:
        return Paragraph(f"{caption}. There is no picture: {failure}")
