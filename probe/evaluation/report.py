"""What runs found, on one page: figures beside the published ones, comparisons, good and bad cases.

Scores are taken as the runs recorded them; videos are opened for pictures only.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from itertools import combinations
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from probe.datasets import load_dataset
from probe.datasets.samples import DataSet
from probe.drawing.figures import CHOSEN_COLOUR
from probe.evaluation.page import (
    Heading,
    Paragraph,
    Part,
    Picture,
    Row,
    Table,
    as_html,
    as_markdown,
)
from probe.evaluation.published import CAVEAT, PUBLISHED, Published
from probe.evaluation.runner import FIGURES, summarise
from probe.evaluation.runs import QueryResult, StoredRun, read_run
from probe.evaluation.strips import strip
from probe.metrics import paired_difference

TITLE = "Grounding Probe: runs"
NONE = "-"
SHOWN = 3
"""Best and worst answers shown of each run."""

SAMPLED = 24
"""Frames read of a video to choose the shown ones from."""

RIGHT = 0.5
"""Overlap from which time, or place, is called right."""

COLUMNS = {
    "m_tiou": "m_tIoU",
    "m_viou": "m_vIoU",
    "viou_at_03": "vIoU@0.3",
    "viou_at_05": "vIoU@0.5",
    "m_gt_viou": "m_gt_vIoU",
}


@dataclass(frozen=True, eq=False)
class Entry:
    """A run on the page."""

    run: StoredRun
    name: str
    """How it is told from the others."""

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Its figures, as far as it has come."""
        return summarise(list(self.run.results.values()), self.run.config)

    @property
    def label(self) -> str:
        """Its name, which says so where the truth gave the candidates."""
        return f"{self.name} (ORACLE)" if self.summary["oracle"] else self.name

    @property
    def dataset(self) -> str:
        """The data set's name."""
        return self.summary["dataset"]

    def opened(self) -> DataSet:
        """The data set, to show its videos.

        Raises:
            ValueError: if it is not where it was, or is another by now.
        """
        places = self.run.environment
        dataset = load_dataset(self.dataset, places["root"], places["annotations"])
        if dataset.version != self.run.config["dataset"]["version"]:
            raise ValueError(f"{self.dataset}: its annotations have changed since the run")
        return dataset


def write_report(folders: Sequence[str | Path], out: str | Path) -> tuple[Path, Path]:
    """Write the page of some runs as HTML, which stands alone, and as Markdown beside it.

    Returns:
        Both files.

    Raises:
        ValueError: if a folder is not one of a run, or a run has no result yet.
    """
    entries = _entries(folders)
    parts = list(_parts(entries))
    page = Path(out).with_suffix(".html")
    text = page.with_suffix(".md")
    for path, content in ((page, as_html(TITLE, parts)), (text, as_markdown(TITLE, parts))):
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(content, encoding="utf-8")
        partial.replace(path)
    return page, text


def _entries(folders: Sequence[str | Path]) -> list[Entry]:
    runs = [read_run(folder) for folder in folders]
    for run in runs:
        if not run.results:
            raise ValueError(f"{run.folder}: no query is finished yet; let it run first")
    short = [run.folder.absolute().name for run in runs]
    names = short if len(set(short)) == len(runs) else [str(run.folder) for run in runs]
    return [Entry(run, name) for run, name in zip(runs, names, strict=True)]


def _parts(entries: Sequence[Entry]) -> Iterator[Part]:
    for dataset in dict.fromkeys(entry.dataset for entry in entries):
        yield from _figures_of(dataset, [entry for entry in entries if entry.dataset == dataset])
    if pairs := list(combinations(entries, 2)):
        yield from _comparisons(pairs)
    yield from _time_or_space(entries)
    for entry in entries:
        yield from _cases(entry)
    for entry in entries:
        yield from _troubles(entry)


# Tables


def _figures_of(dataset: str, entries: Sequence[Entry]) -> Iterator[Part]:
    """The figures of a data set's runs, and what others published on it."""
    yield Heading(f"{dataset}: figures in percent, with 95 % intervals over queries")
    rows = [row for entry in entries for row in _run_rows(entry)]
    published = {kind: found for kind, found in PUBLISHED.items() if kind.startswith(dataset)}
    for kind, found in published.items():
        rows += [_published_row(one, kind if kind != dataset else "all") for one in found]
    about = ("run", "method", "model", "candidates", "protocol", "queries", "answered", "failed")
    yield Table((*about, *COLUMNS.values()), tuple(rows))
    if published:
        yield Paragraph(CAVEAT)


def _run_rows(entry: Entry) -> Iterator[Row]:
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
        yield Row((*about, *(_with_interval(figures[name]) for name in COLUMNS)))


def _published_row(one: Published, kind: str) -> Row:
    figures = (NONE, f"{one.m_viou:.1f}", f"{one.viou_at_03:.1f}", f"{one.viou_at_05:.1f}", NONE)
    about = (one.source, "", one.model, "theirs", "theirs", kind, "", "")
    return Row((*about, *figures), quiet=True)


def _with_interval(figure: Mapping[str, float]) -> str:
    mean, low, high = (100 * figure[name] for name in ("mean", "low", "high"))
    return f"{mean:.1f} [{low:.1f}, {high:.1f}]"


def _comparisons(pairs: Sequence[tuple[Entry, Entry]]) -> Iterator[Part]:
    """By how much one run is above another on the queries that both have answered."""
    yield Heading("Comparison on the same queries")
    yield Paragraph(
        "Differences in percentage points with 95 % intervals of the paired bootstrap; an interval "
        "that holds 0 shows no difference."
    )
    rows = [Row((b.label, f"over {a.label}", *_differences(a, b))) for a, b in pairs]
    yield Table(("run", "", "queries", *COLUMNS.values()), tuple(rows))


def _differences(a: Entry, b: Entry) -> tuple[str, ...]:
    shared = [name for name in a.run.results if name in b.run.results]
    same_truth = a.run.config["dataset"]["version"] == b.run.config["dataset"]["version"]
    if not shared or not same_truth:
        return ("not comparable: other queries", *(NONE for _ in COLUMNS))
    if a.summary["protocol"] != b.summary["protocol"]:
        return ("not comparable: another protocol", *(NONE for _ in COLUMNS))
    found = [str(len(shared))]
    for name in COLUMNS:
        values = [
            [FIGURES[name](entry.run.results[query].score) for query in shared] for entry in (b, a)
        ]
        mean, low, high = (100 * value for value in paired_difference(*values))
        found.append(f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]")
    return tuple(found)


def _troubles(entry: Entry) -> Iterator[Part]:
    """What failed, each of which counted as zero, and what was not as annotated."""
    results = entry.run.results.values()
    failed = [Row((one.id, one.query, one.error)) for one in results if one.error]
    if failed:
        yield Heading(f"{entry.label}: {len(failed)} failed, each counted as zero")
        yield Table(("id", "query", "error"), tuple(failed))
    odd = [Row((one.id, "; ".join(one.remarks))) for one in results if one.remarks]
    if odd:
        yield Heading(f"{entry.label}: {len(odd)} not as annotated")
        yield Table(("id", "remark"), tuple(odd))


# Pictures


def _time_or_space(entries: Sequence[Entry]) -> Iterator[Part]:
    """Each query as a point: how well it was found in time, and in space."""
    yield Heading("Is time or space the bottleneck?")
    columns = ("run", "both right", "only place right", "only time right", "neither")
    rows = tuple(Row((entry.label, *_quarters(entry))) for entry in entries)
    yield Paragraph(f"Share of queries, in percent; right is an overlap above {RIGHT}.")
    yield Table(columns, rows)
    yield Picture(
        _scatter(entries),
        "Each query by its overlap in time (tIoU) and in space (gt_vIoU); dashed: means",
    )


def _quarters(entry: Entry) -> tuple[str, ...]:
    scores = [result.score for result in entry.run.results.values()]
    found = [(score.tiou > RIGHT, score.gt_viou > RIGHT) for score in scores]
    wanted = ((True, True), (False, True), (True, False), (False, False))
    return tuple(f"{100 * found.count(quarter) / len(found):.0f}" for quarter in wanted)


def _scatter(entries: Sequence[Entry]) -> bytes:
    figure = Figure(figsize=(3.4 * min(len(entries), 4), 3.4 * -(-len(entries) // 4)), dpi=120)
    figure.set_layout_engine("constrained")
    grid = figure.subplots(-(-len(entries) // 4), min(len(entries), 4), squeeze=False)
    for ax in grid.flat[len(entries) :]:
        ax.set_axis_off()
    for ax, entry in zip(grid.flat, entries, strict=False):
        scores = [result.score for result in entry.run.results.values()]
        tiou, place = [one.tiou for one in scores], [one.gt_viou for one in scores]
        ax.scatter(place, tiou, s=10, alpha=0.5, color=CHOSEN_COLOUR, lw=0)
        ax.axvline(sum(place) / len(place), color="#9a9a9a", lw=1, ls="--")
        ax.axhline(sum(tiou) / len(tiou), color="#9a9a9a", lw=1, ls="--")
        ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        ax.set_xlabel("space: gt_vIoU", fontsize=8)
        ax.set_ylabel("time: tIoU", fontsize=8)
        ax.set_title(entry.label, fontsize=8, parse_math=False)
        ax.tick_params(labelsize=7)
    file = BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _cases(entry: Entry) -> Iterator[Part]:
    """The best and the worst answers with pictures; what failed gave no answer."""
    answered = [result for result in entry.run.results.values() if result.error is None]
    if not answered:
        return
    ordered = sorted(answered, key=lambda one: (-one.score.viou, -one.score.gt_viou, one.id))
    count = min(SHOWN, (len(ordered) + 1) // 2)
    try:
        dataset = entry.opened()
    except (ValueError, OSError) as failure:
        yield Heading(f"{entry.label}: best and worst answers")
        yield Paragraph(f"There are no pictures: {failure}")
        return
    worst = ordered[count:][::-1][:count]
    for name, chosen in (("best", ordered[:count]), ("worst", worst)):
        if chosen:
            yield Heading(f"{entry.label}: {name} answers")
            yield from (_case(result, dataset) for result in chosen)


def _case(result: QueryResult, dataset: DataSet) -> Part:
    score = result.score
    caption = (
        f"{result.query} ({result.id}): tIoU {score.tiou:.2f}, vIoU {score.viou:.2f}, gt_vIoU "
        f"{score.gt_viou:.2f}; answer drawn through, truth dashed"
    )
    try:
        sample = dataset[dataset.ids.index(result.id)]
        footage = sample.recording.read(SAMPLED)
        return Picture(strip(footage, result.tube, sample.truth, result.query), caption)
    except (ValueError, OSError) as failure:
        return Paragraph(f"{caption}. There is no picture: {failure}")
