"""Runs of a method over a data set: each query is answered once and written down at once.

A run that is stopped at any moment and started again goes on where it was, and ends with the same
results.
"""

import signal
import threading
import warnings
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from types import FrameType
from typing import Any, Protocol, runtime_checkable

from probe.datasets import QueryKind
from probe.evaluation.config import EvaluationConfig
from probe.evaluation.evaluator import Evaluator
from probe.evaluation.figures import FIGURES, compute_figures, list_values
from probe.evaluation.presence import format_presence, summarise_presence
from probe.evaluation.references import CEILING, CHANCE, summarise_references
from probe.evaluation.results import QueryResult
from probe.evaluation.runs import Run, open_run
from probe.evaluation.starts import describe_environment
from probe.progress import make_bar

STOP_AFTER_FAILURES = 20
"""Queries that may fail in a row. If half of all queries fail, so many do once in a million."""


@runtime_checkable
class Answerer(Protocol):
    """Something that answers queries: an `Evaluator` in this process, or workers in others."""

    @property
    def config(self) -> EvaluationConfig:
        """The configuration of the evaluation."""
        ...

    @property
    def ids(self) -> tuple[str, ...]:
        """Names of all queries, in the order of the data set."""
        ...

    @property
    def provenance(self) -> Mapping[str, Any]:
        """All that the results follow from, in plain values."""
        ...

    def answer_all(self, indices: Sequence[int]) -> Generator[QueryResult, None, None]:
        """Answer these queries; results come in the order in which they are finished."""
        ...


@dataclass(frozen=True)
class Outcome:
    """The state of a run at the end of `evaluate`."""

    summary: Mapping[str, Any]
    """The figures and counts that `summary.json` holds."""

    stopped: bool
    """True if it ended before all wanted queries were answered."""

    gave_up: str | None = None
    """The reason why it ended by itself: too many queries failed in a row."""


def evaluate(
    answerer: Answerer | EvaluationConfig,
    folder: str | Path,
    *,
    limit: int | None = None,
    retry_failed: bool = False,
    stop_after_failures: int | None = STOP_AFTER_FAILURES,
) -> Outcome:
    """Answer the queries that a run folder has no result of yet.

    The first request to stop (Ctrl-C) lets the current query finish; the second does not.

    >>> from tempfile import TemporaryDirectory
    >>> from probe.evaluation import EvaluationConfig, Oracle, evaluate
    >>> config = EvaluationConfig("shapes-val", method="whole-clip", candidates=Oracle())
    >>> with TemporaryDirectory() as folder:
    ...     outcome = evaluate(config, folder, limit=2)
    >>> outcome.summary["queries"], outcome.summary["of"], outcome.summary["failed"]
    (2, 500, [])

    Args:
        answerer: A configuration, or an `Evaluator` that has opened one.
        folder: The folder of the run: results are kept there, and found again.
        limit: The number of queries to answer, from the first on; None for all.
        retry_failed: Whether to ask those again that failed before.
        stop_after_failures: Queries that may fail in a row before the run ends by itself, because
            something is wrong with all of them; None for any number. Those about one video that
            fail for one reason count once.

    Returns:
        The figures so far.

    Raises:
        ValueError: if the folder is of another run, holds something else or cannot be written, or
            data set or model cannot be opened.
        RuntimeError: if another process is writing to it; a `MachineError` if there is no room, no
            memory or no device to go on with, which says nothing of the query that was asked.
    """
    if isinstance(answerer, EvaluationConfig):
        answerer = Evaluator.open(answerer)
    wanted = answerer.ids[:limit]
    started = describe_environment(answerer.config)
    with open_run(Path(folder), answerer.provenance, started) as run, watch_signals() as stop:
        todo = [
            index
            for index, name in enumerate(wanted)
            if name not in run.results or (retry_failed and run.results[name].error)
        ]
        for note in run.notes:
            warnings.warn(f"{folder}: {note}", stacklevel=2)
        gave_up = _answer_all(
            answerer, todo, run, stop, of=len(wanted), most_failures=stop_after_failures
        )
        stopped = any(name not in run.results for name in wanted)
        # Of all queries: the run may hold more than this start asked for, from a larger limit.
        finished = [name for name in answerer.ids if name in run.results]
        summary = summarise([run.results[name] for name in finished], answerer.provenance)
        run.finish(finished, summary)
    return Outcome(summary, stopped, gave_up)


def summarise(finished: Sequence[QueryResult], config: Mapping[str, Any]) -> dict[str, Any]:
    """Compute the figures of a run, with 95 % intervals, over all queries and by kind."""
    kinds: dict[QueryKind, list[QueryResult]] = {}
    for result in finished:
        kinds.setdefault(result.kind, []).append(result)
    groups = {"all": finished, **(kinds if len(kinds) > 1 else {})}
    return {
        "dataset": config["dataset"]["name"],
        "model": config["model"]["name"],
        "method": _name_method(config["method"]),
        "candidates": config["candidates"]["from"],
        "oracle": config["oracle"],
        "protocol": config["protocol"],
        "queries": len(finished),
        "of": config["dataset"]["queries"],
        "failed": [result.id for result in finished if result.error],
        "remarked": [result.id for result in finished if result.remarks],
        "figures": {name: compute_figures(group) for name, group in groups.items() if group},
        "references": _summarise_references(finished),
        "presence": summarise_presence(finished, config["method"].get("presence")),
    }


def _summarise_references(finished: Sequence[QueryResult]) -> dict[str, Any] | None:
    """Compute the references of a run; None if an earlier version wrote any of its results."""
    if not finished or not all(result.references for result in finished):
        return None  # the mean over the others alone would be one of other queries
    return summarise_references([result.references for result in finished])


def _name_method(method: Mapping[str, Any]) -> str:
    """Name a method and the rules that took the place of its own."""
    rules = method.get("rules", {})  # runs of earlier versions have none
    return ", ".join([method["name"], *(f"{kind} {name}" for kind, name in rules.items())])


def format_figures(summary: Mapping[str, Any]) -> Iterator[str]:
    """Format the figures of a summary for the screen, in percent."""
    asked = f"{summary['queries']} of {summary['of']} queries, {len(summary['failed'])} failed"
    oracle = "; ORACLE: candidates are the truth" if summary["oracle"] else ""
    yield f"{summary['dataset']}, {summary['method']}: {asked}{oracle}"
    for kind, figures in summary["figures"].items():
        for name in FIGURES:
            yield f"{kind:14} {name:11} {_format_figure(figures[name], figures['queries'])}"
    yield from _format_references(summary["references"])
    yield from format_unknown(summary["figures"]["all"])
    yield from format_presence(summary["presence"])


def _format_figure(figure: Mapping[str, float] | None, queries: int) -> str:
    if figure is None:
        return "    -"
    mean, low, high = (100 * figure[end] for end in ("mean", "low", "high"))
    some = "" if figure["queries"] == queries else f"  over {figure['queries']} of {queries}"
    return f"{mean:5.1f}  [{low:.1f}, {high:.1f}]{some}"


def _format_references(references: Mapping[str, Any] | None) -> Iterator[str]:
    """Say next to the figures what chance and the best of the candidates score."""
    for name in (CHANCE, CEILING) if references else ():
        figures = (references or {})[name]
        known = [f"{one} {100 * figures[one]['mean']:.1f}" for one in FIGURES if figures[one]]
        yield f"{'reference':14} {name}: {', '.join(known) or 'no truth is known'}"


def format_unknown(figures: Mapping[str, Any]) -> Iterator[str]:
    """Say in a sentence that some queries have no truth for some figures; nothing if all have."""
    counts = {name: (figures[name] or {"queries": 0})["queries"] for name in FIGURES}
    asked = figures["queries"]
    if any(count < asked for count in counts.values()):
        time, place, both = (counts[name] for name in ("m_tiou", "m_gt_viou", "m_viou"))
        yield (
            f"of {asked} queries, the time is known of {time}, the place of {place}, both of "
            f"{both}; a figure is over those that have it, and the others count nowhere"
        )


def _answer_all(
    answerer: Answerer,
    todo: Sequence[int],
    run: Run,
    stop: threading.Event,
    *,
    of: int,
    most_failures: int | None,
) -> str | None:
    """Answer queries and write each result, showing means so far next to a progress bar.

    Returns:
        The reason to give up, if too many queries failed in a row.
    """
    in_row, last = 0, None
    with (
        make_bar(total=of, initial=of - len(todo), unit="query", dynamic_ncols=True) as bar,
        closing(answerer.answer_all(todo)) as answers,  # ends its threads, even after an error
    ):
        for result in answers:
            run.add(result)
            bar.set_postfix_str(_format_means(run.results.values()), refresh=False)
            bar.update()
            # A video that cannot be read fails with all queries about it, which come in a row: that
            # is one failure. A query without a video could not be read itself.
            failure = (result.video or result.id, result.error)
            in_row = 0 if not result.error else in_row + (failure != last)
            last = failure
            # Something is wrong with all of them: to go on would write down zeros for hours.
            if most_failures is not None and in_row >= most_failures:
                return f"{in_row} queries in a row failed, the last one: {result.error}"
            if stop.is_set():
                break
    return None


def _format_means(results: Iterable[QueryResult]) -> str:
    results = list(results)
    failed = sum(result.error is not None for result in results)
    shown = [
        f"{text} {100 * fmean(values):.1f}"
        for name, text in {"m_viou": "m_vIoU", "m_tiou": "m_tIoU"}.items()
        if (values := list_values(name, results))
    ]
    return " ".join([*shown, *([f"failed {failed}"] if failed else [])])


@contextmanager
def watch_signals() -> Iterator[threading.Event]:
    """Give an event that the first Ctrl-C or SIGTERM sets; the second has its usual effect."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # Python lets only the main thread handle signals
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in signals}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    # From then on a second Ctrl-C ends the program, even in a query that takes for ever.
    def note(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  as `signal` calls it
        stop.set()
        restore()

    for number in signals:
        signal.signal(number, note)
    try:
        yield stop
    finally:
        restore()
