"""Worker processes that answer queries, on one machine or a cluster, through Ray.

A worker that has finished gets the next queries, all about one video, so that none waits for
another. If a worker is lost, its queries go to another. Only the driver process writes results.
"""

import os
import sys
from collections import Counter, deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from probe.datasets import DataSet
from probe.engine.model_files import SPREAD, choose_device
from probe.evaluation.config import EvaluationConfig
from probe.evaluation.evaluator import Evaluator
from probe.evaluation.faults import MachineError
from probe.evaluation.groups import group_queries, split_groups
from probe.evaluation.results import QueryResult
from probe.evaluation.scoring import make_failed

LOCAL_CLUSTER = "local"
"""Address that means a cluster started on this machine, for this run."""

WORKERS_PER_CPU = 4
"""Most workers for each CPU of this machine; more of them only wait for each other."""

TRIES = 2
"""Workers lost on one query before the query itself is taken to be the reason."""


class Worker:
    """The code of a worker process; Ray makes an actor of it."""

    def __init__(self, config: EvaluationConfig, paths: Sequence[str]) -> None:
        self._config = config
        self._paths = paths
        self._evaluator: Evaluator | None = None

    def open(self) -> Mapping[str, Any]:
        """Load everything and return all that the results will follow from."""
        # Names of user code must be found as they are in the driver, and Ray passes on its current
        # folder only. Last on the path, so that nothing of this machine's own is replaced.
        sys.path.extend(path for path in self._paths if path not in sys.path)
        self._evaluator = Evaluator.open(self._config)
        return self._evaluator.provenance

    def answer(self, index: int) -> bytes:
        """Answer a query and return the line of its result."""
        assert self._evaluator is not None
        prepared = self._evaluator.prepare(self._evaluator.ask(index))
        return self._evaluator.answer(prepared).to_line()


@dataclass(frozen=True, eq=False)
class WorkerPool:
    """Workers that have all opened the same configuration; an `Answerer`."""

    config: EvaluationConfig
    provenance: Mapping[str, Any]
    _dataset: DataSet
    _ray: ModuleType
    _workers: tuple[Any, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        """Names of the queries, in the order of the data set."""
        return self._dataset.ids

    def answer_all(self, indices: Sequence[int]) -> Generator[QueryResult, None, None]:
        """Answer these queries; results come in the order in which they are finished.

        Raises:
            RuntimeError: if all workers were lost; a `MachineError` if the machine of one cannot go
                on.
        """
        groups = split_groups(group_queries(self._dataset, indices))
        waiting, lost = deque(map(deque, groups)), Counter[int]()
        idle, busy = list(self._workers), {}
        while waiting or busy:
            _hand_out(waiting, idle, busy)
            if not busy:
                raise RuntimeError(
                    f"all {len(self._workers)} workers were lost; start again to go on with the "
                    f"{sum(map(len, waiting))} queries that are left"
                )
            (done, *_), _ = self._ray.wait(list(busy))
            worker, group = busy.pop(done)
            index = group.popleft()
            # First in the row, so that the worker that has read and watched its video goes on.
            waiting.extendleft([group] if group else [])
            try:
                line = self._ray.get(done)
            except self._ray.exceptions.RayActorError:
                # The worker is not idle again: its process is gone, and none is started for it.
                lost[index] += 1
                if lost[index] < TRIES:
                    waiting.appendleft(deque([index]))
                else:
                    error = f"{TRIES} workers were lost on this query"
                    yield make_failed(self._dataset, index, error)
                continue
            except self._ray.exceptions.RayTaskError as failure:
                # A query that fails gives a result. Only a fault of the machine is an error.
                raise MachineError(str(failure.cause)) from failure
            idle.append(worker)
            yield QueryResult.from_line(line)


def _hand_out(waiting: deque[deque[int]], idle: list[Any], busy: dict[Any, Any]) -> None:
    """Give each idle worker the next query of a group: the last to finish gets the first group.

    Args:
        waiting: Groups of queries that no worker is busy with.
        idle: Workers, the last to finish at the end.
        busy: Worker and group by Ray's reference to the result.
    """
    while idle and waiting:
        worker, group = idle.pop(), waiting.popleft()
        busy[worker.answer.remote(group[0])] = worker, group


@contextmanager
def start_workers(config: EvaluationConfig, address: str, workers: int) -> Iterator[WorkerPool]:
    """Start workers that open a configuration, and stop them at the end of the block.

    Args:
        config: What is to be evaluated; on every machine, data and code have the same paths.
        address: A Ray cluster's address, or "local" to start one on this machine.
        workers: The number of workers; each has a GPU of its own if the device is one.

    Raises:
        ValueError: if data set or model cannot be opened, or there are too few CPUs or GPUs.
        RuntimeError: if Ray is not installed, or the workers do not see the same data and weights.
    """
    cpus = os.cpu_count() or 1
    if workers < 1:
        raise ValueError(f"{workers} workers cannot answer; give at least 1")
    if address == LOCAL_CLUSTER and workers > WORKERS_PER_CPU * cpus:
        raise ValueError(
            f"{workers} workers are too many for {cpus} CPUs; give at most {WORKERS_PER_CPU * cpus}"
        )
    device = choose_device(config.model, config.device)
    if device is None:
        raise ValueError(
            f"the device {SPREAD!r} is for one process; give 'cuda', a GPU a worker, or 'cpu'"
        )
    dataset = config.load_dataset()
    ray = _import_ray()
    ray.init(
        address=None if address == LOCAL_CLUSTER else address,
        # Ray starts no more workers than it counts CPUs, and there may be several for each.
        num_cpus=max(workers, cpus) if address == LOCAL_CLUSTER else None,
        include_dashboard=False if address == LOCAL_CLUSTER else None,
        log_to_driver=False,
        logging_level="ERROR",
    )
    try:
        needs = {"num_cpus": 1, "num_gpus": int(device.type == "cuda")}
        _check_resources(ray.cluster_resources(), needs, workers)
        # Ray shows a worker its own GPU only, whatever number that has on the machine.
        theirs = replace(config, device="cuda") if needs["num_gpus"] else config
        paths = [str(Path(path).absolute()) for path in sys.path]
        actor = ray.remote(Worker).options(**needs)
        actors = tuple(actor.remote(theirs, paths) for _ in range(workers))
        yield WorkerPool(config, _open_all(ray, actors), dataset, ray, actors)
    finally:
        ray.shutdown()


def _open_all(ray: ModuleType, workers: Sequence[Any]) -> Mapping[str, Any]:
    """Have all workers load everything, and return all that their results follow from."""
    try:
        first, *others = ray.get([worker.open.remote() for worker in workers])
    except ray.exceptions.RayTaskError as failure:
        raise ValueError(f"a worker cannot start: {failure.cause}") from failure
    except ray.exceptions.RayActorError as failure:
        raise RuntimeError("a worker was lost while it started; give fewer --workers") from failure
    if any(other != first for other in others):
        raise RuntimeError("workers found different data or weights; give each machine the same")
    return first


def _check_resources(there: Mapping[str, float], needs: Mapping[str, int], workers: int) -> None:
    """Refuse more workers than a cluster has CPUs or GPUs for: Ray would wait for ever."""
    for name, key in (("CPU", "num_cpus"), ("GPU", "num_gpus")):
        if (found := int(there.get(name, 0))) < workers * needs[key]:
            raise ValueError(
                f"{workers} workers need {workers * needs[key]} {name}s, there are {found}; give "
                "fewer --workers"
            )


def _import_ray() -> ModuleType:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # By default workers have the lowest priority on the machine; a run without Ray does not.
    os.environ.setdefault("RAY_worker_niceness", "0")
    try:
        import ray
        import ray.exceptions
    except ImportError as missing:
        raise RuntimeError(
            "Ray is not installed; install it with: pip install 'grounding-probe[ray]'"
        ) from missing
    return ray
