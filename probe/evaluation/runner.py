"""A method run over a data set: each query answered once and written down at once.

Stopped at any moment and started again, a run goes on where it was and ends with the same results.
"""

import os
import platform
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from types import FrameType, MappingProxyType
from typing import Any, Protocol, runtime_checkable

import torch
from tqdm.auto import tqdm

from probe.datasets.samples import Kind
from probe.evaluation.bench import Plan
from probe.evaluation.runs import QueryResult, Run, open_run
from probe.grounding.answers import LIBRARIES
from probe.metrics import QueryScore, bootstrap_interval

FIGURES: Mapping[str, Callable[[QueryScore], float]] = MappingProxyType(
    {
        "m_tiou": lambda query: query.tiou,
        "m_viou": lambda query: query.viou,
        "viou_at_03": lambda query: float(query.viou > 0.3),
        "viou_at_05": lambda query: float(query.viou > 0.5),
        "m_gt_viou": lambda query: query.gt_viou,
    }
)
"""What is reported: the means of these over all queries."""


@runtime_checkable
class Answerer(Protocol):
    """Answers the queries of a plan, be it here or on other machines."""

    @property
    def plan(self) -> Plan:
        """What is to be answered, and how."""
        ...

    @property
    def ids(self) -> tuple[str, ...]:
        """All queries, in the order of the data set."""
        ...

    @property
    def config(self) -> Mapping[str, Any]:
        """All that the results follow from."""
        ...

    def answers(self, indices: Sequence[int]) -> Generator[QueryResult, None, None]:
        """The results of these queries, in whatever order they are finished."""
        ...


@dataclass(frozen=True)
class Outcome:
    """How far a run came."""

    summary: Mapping[str, Any]
    stopped: bool
    """Whether someone stopped it before its end."""


def evaluate(
    answerer: Answerer,
    folder: str | Path,
    *,
    limit: int | None = None,
    retry_failed: bool = False,
) -> Outcome:
    """Answer the queries that a run folder has no result of yet.

    The first request to stop (Ctrl-C) lets the query in hand finish; the second does not.

    Args:
        answerer: What answers; `Plan.open` gives one.
        folder: Where results are kept.
        limit: Only the first so many queries of the data set.
        retry_failed: Whether to ask those again that failed before.

    Raises:
        ValueError: if the folder is of another run or holds something else.
        RuntimeError: if another process is writing to it.
    """
    wanted = answerer.ids[:limit]
    started = environment(answerer.plan)
    with open_run(Path(folder), answerer.config, started) as run, _requests_to_stop() as stop:
        todo = [
            index
            for index, name in enumerate(wanted)
            if name not in run.results or (retry_failed and run.results[name].error)
        ]
        _work_off(answerer, todo, run, stop, of=len(wanted))
        stopped = any(name not in run.results for name in wanted)
        finished = [name for name in answerer.ids if name in run.results]
        summary = summarise([run.results[name] for name in finished], answerer.config)
        run.finish(finished, summary)
    return Outcome(summary, stopped)


def summarise(finished: Sequence[QueryResult], config: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a run, with 95 % bootstrap intervals, over all queries and by kind."""
    kinds: dict[Kind, list[QueryResult]] = {}
    for result in finished:
        kinds.setdefault(result.kind, []).append(result)
    groups = {"all": finished, **(kinds if len(kinds) > 1 else {})}
    return {
        "dataset": config["dataset"]["name"],
        "model": config["model"]["name"],
        "method": config["method"]["name"],
        "candidates": config["candidates"]["from"],
        "oracle": config["oracle"],
        "protocol": config["protocol"],
        "queries": len(finished),
        "of": config["dataset"]["queries"],
        "failed": [result.id for result in finished if result.error],
        "remarked": [result.id for result in finished if result.remarks],
        "figures": {name: _figures(group) for name, group in groups.items() if group},
    }


def _figures(results: Sequence[QueryResult]) -> dict[str, Any]:
    """Each figure's mean and interval."""
    found: dict[str, Any] = {"queries": len(results)}
    for name, share in FIGURES.items():
        values = [share(result.score) for result in results]
        low, high = bootstrap_interval(values)
        found[name] = {"mean": fmean(values), "low": low, "high": high}
    return found


def figure_lines(summary: Mapping[str, Any]) -> Iterator[str]:
    """The figures of a summary for the screen, in percent."""
    asked = f"{summary['queries']} of {summary['of']} queries, {len(summary['failed'])} failed"
    oracle = "; ORACLE: candidates are the truth" if summary["oracle"] else ""
    yield f"{summary['dataset']}, {summary['method']}: {asked}{oracle}"
    for kind, figures in summary["figures"].items():
        for name in FIGURES:
            mean, low, high = (100 * figures[name][end] for end in ("mean", "low", "high"))
            yield f"{kind:14} {name:10} {mean:5.1f}  [{low:.1f}, {high:.1f}]"


def environment(plan: Plan) -> dict[str, Any]:
    """What a start ran with, beyond what its results follow from."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "process": os.getpid(),
        "root": None if plan.root is None else str(plan.root.absolute()),
        "annotations": None if plan.annotations is None else str(plan.annotations.absolute()),
        "device": plan.device,
        "threads": torch.get_num_threads(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in LIBRARIES},
    }


def _work_off(
    answerer: Answerer, todo: Sequence[int], run: Run, stop: threading.Event, *, of: int
) -> None:
    """Answer and write down, with running means beside the bar."""
    with (
        tqdm(total=of, initial=of - len(todo), unit="query", dynamic_ncols=True) as bar,
        closing(answerer.answers(todo)) as answers,
    ):
        for result in answers:
            run.add(result)
            bar.set_postfix_str(_running(run.results.values()), refresh=False)
            bar.update()
            if stop.is_set():
                break


def _running(results: Iterable[QueryResult]) -> str:
    scores = [result.score for result in results]
    failed = sum(result.error is not None for result in results)
    means = f"m_vIoU {100 * fmean(one.viou for one in scores):.1f}"
    means += f" m_tIoU {100 * fmean(one.tiou for one in scores):.1f}"
    return f"{means} failed {failed}" if failed else means


@contextmanager
def _requests_to_stop() -> Iterator[threading.Event]:
    """Set by the first Ctrl-C or SIGTERM; after it, signals do again what they did before."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread can be told of signals
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in signals}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  as `signal` calls it
        stop.set()
        restore()

    for number in signals:
        signal.signal(number, note)
    try:
        yield stop
    finally:
        restore()
