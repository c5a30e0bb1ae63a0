"""With real Ray workers, one of which is killed half-way."""

import os
import signal
from dataclasses import replace

import psutil
import pytest
from published_formats import write_hcstvg
from tiny_detectors import save_tiny_finder, save_tiny_tracker

from probe.evaluation import Detected, EvaluationConfig, Evaluator, Oracle, evaluate, read_run
from probe.evaluation.faults import MachineError
from probe.evaluation.workers import start_workers
from probe.grounding.sources import Search

CODE = """
from probe.evaluation import METHODS


def answer(model, task):
    return METHODS["random-track"](model, task)


class Plain:
    # As the preset, except that there is no memory for one query.

    def __call__(self, model, task):
        if task.id.endswith("/0003"):
            bytearray(1 << 60)
        return METHODS["plain"](model, task)

    def measure_presence(self, model, video, queries):
        return METHODS["plain"].measure_presence(model, video, queries)
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """A detector, and a method of the user, whose folder only the driver has on its path."""
    folder = tmp_path_factory.mktemp("workers")
    write_hcstvg(folder / "data", 1, range(7, 13))
    save_tiny_finder(folder / "finder")
    save_tiny_tracker(folder / "tracker")
    (folder / "method_for_workers.py").write_text(CODE)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield EvaluationConfig(
            "hcstvg1",
            folder / "data",
            method="method_for_workers:answer",
            candidates=Detected(Search(str(folder / "finder"), str(folder / "tracker"))),
        )


class Killing:
    """A pool of which one worker is killed after a few answers."""

    def __init__(self, pool, after):
        self.config, self.ids, self.provenance = pool.config, pool.ids, pool.provenance
        self._pool, self._after = pool, after
        self.killed = 0

    def answer_all(self, indices):
        for number, result in enumerate(self._pool.answer_all(indices), start=1):
            if number == self._after:
                os.kill(worker_processes()[0], signal.SIGKILL)
                self.killed += 1
            yield result


def worker_processes():
    """The processes that Ray runs our workers in, which it names by what they do."""
    below = psutil.Process().children(recursive=True)
    return [process.pid for process in below if "ray::Worker" in " ".join(process.cmdline())]


@pytest.mark.slow
def test_workers_of_which_one_is_killed_find_with_their_detectors_what_one_process_does(
    config, organism, tmp_path
):
    evaluate(Evaluator(config, config.load_dataset(), organism), tmp_path / "alone")
    with start_workers(config, "local", 2) as pool:
        pool = Killing(pool, after=2)
        assert not evaluate(pool, tmp_path / "pool").stopped
    assert pool.killed == 1
    for name in ("results.jsonl", "summary.json", "config.json"):
        alone, together = ((tmp_path / folder / name).read_bytes() for folder in ("alone", "pool"))
        assert alone == together, name
    assert not any(result.error for result in read_run(tmp_path / "pool").results.values())


def test_what_cannot_start_is_one_line(config, tmp_path):
    with pytest.raises(ValueError, match="at least 1"), start_workers(config, "local", 0):
        pass
    absent = replace(config, dataset="hcstvg1", root=tmp_path / "absent")
    with pytest.raises(ValueError, match="no such folder"), start_workers(absent, "local", 1):
        pass


@pytest.mark.slow
def test_workers_pass_on_margins_of_absent_things_and_a_fault_of_their_machine(
    config, organism, tmp_path
):
    """The path to the user's code is that of `config`."""
    plain = {"method": "method_for_workers:Plain", "candidates": Oracle()}
    shapes = replace(config, dataset="shapes-val", root=None, **plain)
    evaluate(Evaluator(shapes, shapes.load_dataset(), organism), tmp_path / "alone", limit=3)
    with start_workers(shapes, "local", 1) as pool:
        evaluate(pool, tmp_path / "pool", limit=3)
        alone, together = (
            (tmp_path / folder / "results.jsonl").read_bytes() for folder in ("alone", "pool")
        )
        assert alone == together
        assert all(one.absent for one in read_run(tmp_path / "pool").results.values())
        with pytest.raises(MachineError, match=r"MemoryError.*stays open") as stopped:
            evaluate(pool, tmp_path / "pool", limit=5)
    assert "\n" not in str(stopped.value)
    assert shapes.load_dataset().ids[3] not in read_run(tmp_path / "pool").results
