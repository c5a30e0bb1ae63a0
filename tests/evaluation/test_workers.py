"""With real Ray workers, one of which is killed half-way."""

import os
import signal
from dataclasses import replace

import psutil
import pytest
from published_formats import write_hcstvg
from tiny_detectors import save_tiny_finder, save_tiny_tracker

from probe.datasets import load_dataset
from probe.evaluation import (
    Detected,
    EvaluationConfig,
    Evaluator,
    Proposed,
    evaluate,
    read_run,
)
from probe.evaluation.workers import start_workers
from probe.grounding.sources import Search

LIMIT = 12


CODE = """
from probe.evaluation import METHODS


def answer(model, task):
    return METHODS["random-track"](model, task)
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """With a method of the user, whose folder only the driver has on its path."""
    code = tmp_path_factory.mktemp("code")
    (code / "method_for_workers.py").write_text(CODE)
    cache = Proposed(tmp_path_factory.mktemp("cache"))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(code)
        yield EvaluationConfig("shapes-val", method="method_for_workers:answer", candidates=cache)


class Killing:
    """A pool of which one worker is killed after a few answers."""

    def __init__(self, pool, after):
        self.config, self.ids, self.provenance = pool.config, pool.ids, pool.provenance
        self._pool, self._after = pool, after
        self.killed = 0

    def answers(self, indices):
        for number, result in enumerate(self._pool.answers(indices), start=1):
            if number == self._after:
                os.kill(worker_processes()[0], signal.SIGKILL)
                self.killed += 1
            yield result


def worker_processes():
    """The processes that Ray runs our workers in, which it names by what they do."""
    below = psutil.Process().children(recursive=True)
    return [process.pid for process in below if "ray::Worker" in " ".join(process.cmdline())]


def test_a_killed_worker_costs_nothing_and_the_results_are_those_of_one_process(
    config, organism, tmp_path
):
    alone = Evaluator(config, load_dataset("shapes-val"), organism)
    evaluate(alone, tmp_path / "alone", limit=LIMIT)
    with start_workers(config, "local", 2) as pool:
        pool = Killing(pool, after=3)
        assert not evaluate(pool, tmp_path / "pool", limit=LIMIT).stopped
    assert pool.killed == 1
    for name in ("results.jsonl", "summary.json", "config.json"):
        alike = [(tmp_path / folder / name).read_bytes() for folder in ("alone", "pool")]
        assert alike[0] == alike[1], name


def test_workers_search_with_a_detector_of_their_own_as_one_process_does(organism, tmp_path):
    write_hcstvg(tmp_path / "data", 1, (7, 8))
    save_tiny_finder(tmp_path / "finder")
    save_tiny_tracker(tmp_path / "tracker")
    search = Search(str(tmp_path / "finder"), str(tmp_path / "tracker"))
    config = EvaluationConfig(
        "hcstvg1", tmp_path / "data", method="centre", candidates=Detected(search)
    )
    evaluate(Evaluator(config, config.load_dataset(), organism), tmp_path / "alone")
    with start_workers(config, "local", 2) as pool:
        evaluate(pool, tmp_path / "pool")
    for name in ("results.jsonl", "config.json"):
        alone, together = ((tmp_path / folder / name).read_bytes() for folder in ("alone", "pool"))
        assert alone == together, name
    assert not read_run(tmp_path / "pool").results["7_a.b-c.mp4"].error


def test_what_cannot_start_is_one_line(config, tmp_path):
    with pytest.raises(ValueError, match="at least 1"), start_workers(config, "local", 0):
        pass
    absent = replace(config, dataset="hcstvg1", root=tmp_path / "absent")
    with pytest.raises(ValueError, match="no such folder"), start_workers(absent, "local", 1):
        pass
