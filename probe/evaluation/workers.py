"""Queries answered by many processes, on one machine or a cluster, through Ray.

Each worker asks for the next query when it has done the last, so that none waits for another. The
query of a worker that is lost goes to one of the others. Only the driver writes results.
"""

import os
from collections import Counter, deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

from probe.evaluation.bench import Bench, Plan
from probe.evaluation.runs import QueryResult

LOCAL = "local"
"""The address of a cluster that is started here, for this run."""

PER_CPU = 4
"""Workers for each CPU of this machine; more of them only wait for each other."""

TRIES = 2
"""Workers that may be lost on one query before it is taken to be the query's fault."""


class Worker:
    """A process that has a plan opened; Ray makes an actor of it."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._bench: Bench | None = None

    def open(self) -> Mapping[str, Any]:
        """Load everything; say what the results will follow from."""
        self._bench = self._plan.open()
        return self._bench.config

    def answer(self, index: int) -> bytes:
        """The line of a query's result."""
        assert self._bench is not None
        return self._bench.answer(self._bench.prepare(self._bench.ask(index))).to_line()


@dataclass(frozen=True, eq=False)
class Crew:
    """Workers that have all opened the same plan."""

    plan: Plan
    ids: tuple[str, ...]
    config: Mapping[str, Any]
    _ray: ModuleType
    _workers: tuple[Any, ...]

    def answers(self, indices: Sequence[int]) -> Generator[QueryResult, None, None]:
        """The results of these queries as they come in.

        Raises:
            RuntimeError: if all workers were lost.
        """
        waiting, lost = deque(indices), Counter[int]()
        idle, busy = list(self._workers), {}
        while waiting or busy:
            while idle and waiting:
                worker, index = idle.pop(), waiting.popleft()
                busy[worker.answer.remote(index)] = worker, index
            if not busy:
                raise RuntimeError(
                    f"all {len(self._workers)} workers were lost; start again to go on with the "
                    f"{len(waiting)} queries that are left"
                )
            (done, *_), _ = self._ray.wait(list(busy))
            worker, index = busy.pop(done)
            try:
                line = self._ray.get(done)
            except self._ray.exceptions.RayActorError:
                lost[index] += 1
                if lost[index] < TRIES:
                    waiting.appendleft(index)
                else:
                    error = f"{TRIES} workers were lost on this query"
                    yield QueryResult(self.ids[index], error=error)
                continue
            idle.append(worker)
            yield QueryResult.from_line(line)


@contextmanager
def hire(plan: Plan, address: str, workers: int) -> Iterator[Crew]:
    """Start workers and have them open a plan; let them go at the end.

    Args:
        plan: What is to be answered; each worker finds the data set in the same place.
        address: A Ray cluster's address, or "local" to start one on this machine.
        workers: How many; each has a GPU of its own if the plan's device is one.

    Raises:
        ValueError: if data set or model cannot be opened, or there is too little of a resource.
        RuntimeError: if Ray is not installed, or the workers do not see the same data and weights.
    """
    cpus = os.cpu_count() or 1
    if workers < 1:
        raise ValueError(f"{workers} workers cannot answer; give at least 1")
    if address == LOCAL and workers > PER_CPU * cpus:
        raise ValueError(
            f"{workers} workers are too many for {cpus} CPUs; give at most {PER_CPU * cpus}"
        )
    if plan.device == "auto":
        raise ValueError(
            "the device 'auto' is for one process; give 'cuda', a GPU a worker, or 'cpu'"
        )
    ids = plan.named().ids
    ray = _ray()
    ray.init(
        address=None if address == LOCAL else address,
        num_cpus=max(workers, cpus) if address == LOCAL else None,
        include_dashboard=False if address == LOCAL else None,
        log_to_driver=False,
        logging_level="ERROR",
    )
    try:
        needs = {"num_cpus": 1, "num_gpus": int(plan.device.startswith("cuda"))}
        _check_resources(ray.cluster_resources(), needs, workers)
        # Ray shows a worker no GPU but its own.
        theirs = replace(plan, device="cuda") if needs["num_gpus"] else plan
        hired = [ray.remote(Worker).options(**needs).remote(theirs) for _ in range(workers)]
        config = _opened(ray, hired)
        yield Crew(plan, ids, config, ray, tuple(hired))
    finally:
        ray.shutdown()


def _opened(ray: ModuleType, workers: Sequence[Any]) -> Mapping[str, Any]:
    """What all workers' results follow from."""
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
    """Ray would wait for ever for what a cluster does not have."""
    for name, key in (("CPU", "num_cpus"), ("GPU", "num_gpus")):
        if (found := int(there.get(name, 0))) < workers * needs[key]:
            raise ValueError(
                f"{workers} workers need {workers * needs[key]} {name}s, there are {found}; give "
                "fewer --workers"
            )


def _ray() -> ModuleType:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # By default workers give way to everything else on the machine, and a run without Ray does not.
    os.environ.setdefault("RAY_worker_niceness", "0")
    try:
        import ray
        import ray.exceptions
    except ImportError as missing:
        raise RuntimeError(
            "Ray is not installed; install it with: pip install 'grounding-probe[ray]'"
        ) from missing
    return ray
