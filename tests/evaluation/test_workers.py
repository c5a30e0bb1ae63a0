"""With real Ray workers, one of which is killed half-way."""

import os
import signal
from dataclasses import replace

import psutil
import pytest
from published_formats import write_hcstvg
from tiny_detectors import save_tiny_finder, save_tiny_tracker

from probe.datasets import load_dataset
from probe.evaluation import evaluate
from probe.evaluation.bench import Bench, Plan
from probe.evaluation.candidates import Detected, Proposed
from probe.evaluation.runs import read_run
from probe.evaluation.workers import hire
from probe.grounding.sources import Search

LIMIT = 12


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    return Plan("shapes-val", method="random-track", candidates=Proposed(cache))


class Killing:
    """A crew of which one worker is killed after a few answers."""

    def __init__(self, crew, after):
        self.plan, self.ids, self.config = crew.plan, crew.ids, crew.config
        self._crew, self._after = crew, after
        self.killed = 0

    def answers(self, indices):
        for number, result in enumerate(self._crew.answers(indices), start=1):
            if number == self._after:
                os.kill(worker_processes()[0], signal.SIGKILL)
                self.killed += 1
            yield result


def worker_processes():
    """The processes that Ray runs our workers in, which it names by what they do."""
    below = psutil.Process().children(recursive=True)
    return [process.pid for process in below if "ray::Worker" in " ".join(process.cmdline())]


def test_a_killed_worker_costs_nothing_and_the_results_are_those_of_one_process(
    plan, organism, tmp_path
):
    alone = Bench(plan, load_dataset("shapes-val"), organism)
    evaluate(alone, tmp_path / "alone", limit=LIMIT)
    with hire(plan, "local", 2) as crew:
        crew = Killing(crew, after=3)
        assert not evaluate(crew, tmp_path / "crew", limit=LIMIT).stopped
    assert crew.killed == 1
    for name in ("results.jsonl", "summary.json", "config.json"):
        alike = [(tmp_path / folder / name).read_bytes() for folder in ("alone", "crew")]
        assert alike[0] == alike[1], name


def test_workers_search_with_a_detector_of_their_own_as_one_process_does(organism, tmp_path):
    write_hcstvg(tmp_path / "data", 1, (7, 8))
    save_tiny_finder(tmp_path / "finder")
    save_tiny_tracker(tmp_path / "tracker")
    search = Search(str(tmp_path / "finder"), str(tmp_path / "tracker"))
    plan = Plan("hcstvg1", tmp_path / "data", method="centre", candidates=Detected(search))
    evaluate(Bench(plan, plan.named(), organism), tmp_path / "alone")
    with hire(plan, "local", 2) as crew:
        evaluate(crew, tmp_path / "crew")
    for name in ("results.jsonl", "config.json"):
        alone, together = ((tmp_path / folder / name).read_bytes() for folder in ("alone", "crew"))
        assert alone == together, name
    assert not read_run(tmp_path / "crew").results["7_a.b-c.mp4"].error


def test_what_cannot_start_is_one_line(plan, tmp_path):
    with pytest.raises(ValueError, match="at least 1"), hire(plan, "local", 0):
        pass
    absent = replace(plan, dataset="hcstvg1", root=tmp_path / "absent")
    with pytest.raises(ValueError, match="no such folder"), hire(absent, "local", 1):
        pass
