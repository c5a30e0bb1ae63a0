"""A fault of the machine stops a run and leaves the query open; one of a query counts as zero."""

import errno
import json
import resource
import sys
import warnings
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from av.error import MemoryError as FFmpegMemoryError
from processes import kill_when, start_copy
from published_formats import write_hcstvg

from probe.datasets import load_dataset
from probe.evaluation import (
    METHODS,
    Detected,
    EvaluationConfig,
    Evaluator,
    Oracle,
    Proposed,
    Stored,
    evaluate,
    read_run,
)
from probe.evaluation.faults import MachineError, explain_failure, find_machine_fault
from probe.grounding.queries import decompose
from probe.grounding.sources import Search

pytestmark = pytest.mark.slow  # most of them write whole runs

LIMIT = 4


@pytest.fixture(scope="module")
def evaluator(organism):
    config = EvaluationConfig("shapes-val", method="random-track", candidates=Oracle())
    return Evaluator(config, load_dataset("shapes-val"), organism)


@pytest.fixture(scope="module")
def whole(evaluator, tmp_path_factory):
    """A run of a few queries that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    evaluate(evaluator, folder, limit=LIMIT)
    return folder


def failing(evaluator, monkeypatch, fail, *, at=()):
    """An evaluator whose method calls `fail` at these queries, by default at all."""

    def answer(model, task):
        if not at or evaluator.ids.index(task.id) in at:
            fail()
        return METHODS["random-track"](model, task)

    monkeypatch.setitem(sys.modules, "failing", SimpleNamespace(answer=answer))
    config = replace(evaluator.config, method="failing:answer")
    return Evaluator(config, evaluator.dataset, evaluator.model)


def results_of(folder):
    return (folder / "results.jsonl").read_bytes()


def raise_error(error):
    raise error


def raise_from(error, cause):
    raise error from cause


MACHINE = {
    "numpy": lambda: np.empty(1 << 45),
    "torch on a CPU": lambda: torch.empty(1 << 45),
    "torch on a GPU": lambda: raise_error(torch.OutOfMemoryError("CUDA out of memory. Tried\nx")),
    "a lost GPU": lambda: raise_error(torch.AcceleratorError("CUDA error: unspecified launch")),
    "an old lost GPU": lambda: raise_error(RuntimeError("CUDA error: device-side assert")),
    "cuBLAS": lambda: raise_error(RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling")),
    "a full disk": lambda: raise_error(OSError(errno.ENOSPC, "No space left on device", "x")),
    "too many files": lambda: raise_error(OSError(errno.EMFILE, "Too many open files")),
    "a wrapped one": lambda: raise_from(
        ValueError("x: cannot be written"), OSError(errno.ENOSPC, "No space left on device")
    ),
}

QUERY = {
    "a bug": lambda: raise_error(KeyError("x")),
    "bad input": lambda: raise_error(ValueError("no box")),
    "its own file": lambda: raise_error(FileNotFoundError(errno.ENOENT, "No such file", "v.mp4")),
    "a file of another user": lambda: raise_error(PermissionError(errno.EACCES, "denied")),
    "a video that claims too much": lambda: raise_error(FFmpegMemoryError(12, "Cannot allocate")),
    "a shape": lambda: raise_error(RuntimeError("mat1 and mat2 shapes cannot be multiplied")),
}


@pytest.mark.parametrize("fail", MACHINE.values(), ids=MACHINE)
def test_a_fault_of_the_machine_leaves_the_query_open(
    evaluator, whole, monkeypatch, tmp_path, fail
):
    broken = failing(evaluator, monkeypatch, fail, at={2})
    with pytest.raises(MachineError) as stopped:
        evaluate(broken, tmp_path / "run", limit=LIMIT)
    text = str(stopped.value)
    assert text.startswith(f"{evaluator.ids[2]}: ")
    assert "\n" not in text
    assert "stays open" in text
    kept = read_run(tmp_path / "run").results
    assert list(kept) == list(evaluator.ids[:2])
    assert not any(one.error for one in kept.values())
    evaluate(failing(evaluator, monkeypatch, fail, at={99}), tmp_path / "run", limit=LIMIT)
    assert results_of(tmp_path / "run") == results_of(whole)


@pytest.mark.parametrize("fail", QUERY.values(), ids=QUERY)
def test_a_fault_of_a_query_is_written_down_and_the_run_goes_on(
    evaluator, monkeypatch, tmp_path, fail
):
    outcome = evaluate(failing(evaluator, monkeypatch, fail, at={1}), tmp_path / "run", limit=LIMIT)
    assert outcome.summary["failed"] == [evaluator.ids[1]]
    assert outcome.summary["queries"] == LIMIT
    assert (outcome.stopped, outcome.gave_up) == (False, None)


def test_the_fault_of_the_machine_is_found_among_causes_and_circles_end():
    inner = torch.OutOfMemoryError("CUDA out of memory")
    with pytest.raises(ValueError, match="a query") as outer:
        raise_from(ValueError("a query"), inner)
    assert find_machine_fault(outer.value) is inner
    handled = ValueError("too large: give a smaller one")
    handled.__context__, handled.__suppress_context__ = MemoryError(), True
    assert find_machine_fault(handled) is None, "whoever says from None has dealt with it"
    one, other = ValueError("a"), KeyError("b")
    one.__cause__, other.__cause__ = other, one
    assert find_machine_fault(one) is None
    assert explain_failure(KeyError("b"), "q") == "KeyError: 'b'"


def test_the_command_stops_with_one_line_and_exit_code_2(command, evaluator, monkeypatch, tmp_path):
    failing(evaluator, monkeypatch, MACHINE["torch on a GPU"], at={1})
    words = ("--oracle", "--method", "failing:answer", "--limit", 3, "--out", tmp_path / "run")
    code, _, err = command("evaluate", "shapes-val", *words)
    assert code == 2
    assert err.count("probe: ") == 1
    assert "Traceback" not in err
    assert "CUDA out of memory" in err


def test_a_run_with_failures_ends_with_an_exit_code_of_its_own(
    command, evaluator, monkeypatch, tmp_path
):
    failing(evaluator, monkeypatch, QUERY["bad input"], at={1})
    words = ("--oracle", "--method", "failing:answer", "--limit", 3, "--out", tmp_path / "run")
    code, out, err = command("evaluate", "shapes-val", *words)
    assert code == 4
    assert "1 of 3 queries failed and count as zero" in err
    assert "3 of 500 queries, 1 failed" in out, "the figures are printed all the same"


def test_a_run_stops_after_failures_in_a_row_and_says_so(evaluator, monkeypatch, tmp_path):
    asked = []

    def fail():
        asked.append(1)
        raise ValueError("no box")

    broken = failing(evaluator, monkeypatch, fail, at={1, 3, 4, 5, 6, 7, 8})
    outcome = evaluate(broken, tmp_path / "run", limit=9, stop_after_failures=3)
    assert outcome.gave_up == "3 queries in a row failed, the last one: no box"
    assert outcome.stopped
    assert outcome.summary["queries"] == 6, "a failure alone does not count"
    endless = evaluate(broken, tmp_path / "run", limit=9, stop_after_failures=None)
    assert (endless.gave_up, endless.summary["queries"]) == (None, 9)
    evaluate(broken, tmp_path / "run", limit=9)
    assert len(asked) == 7, "failed ones are asked again on request only"


def test_the_command_stops_after_failures_in_a_row(command, evaluator, monkeypatch, tmp_path):
    failing(evaluator, monkeypatch, QUERY["bad input"])
    words = ("--oracle", "--method", "failing:answer", "--limit", 5, "--out", tmp_path / "run")
    code, _, err = command("evaluate", "shapes-val", *words, "--stop-after-failures", 2)
    assert code == 4
    assert "stopped after 2 queries: 2 queries in a row failed, the last one: no box" in err
    assert "--retry-failed" in err
    code, _, err = command("evaluate", "shapes-val", *words, "--stop-after-failures", 0)
    assert code == 4
    assert "5 of 5 queries failed" in err
    code, _, err = command("evaluate", "shapes-val", *words, "--stop-after-failures", -1)
    assert code == 2


# The run's own files.


def call_with_room(room, said, act, *arguments):
    """Call a function in a copy of this process in which no file may grow above a size, as on a
    disk of that size; return the text that it returns."""
    start_copy(_call_with_room, room, said, act, *arguments).join()
    return said.read_text()


def _call_with_room(room, said, act, *arguments):
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    try:
        text = str(act(*arguments))
    except (ValueError, RuntimeError) as failure:
        text = f"{type(failure).__name__}: {failure}"
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    said.write_text(text)


def test_a_full_disk_stops_the_run_in_one_line_and_loses_nothing(evaluator, whole, tmp_path):
    """At every size of the disk, from nothing to enough for all but the last bytes."""
    lines = results_of(whole).splitlines(True)
    folder, most = tmp_path / "run", len(results_of(whole))
    sizes = (0, 40, len(lines[0]) - 1, len(lines[0]), len(lines[0] + lines[1]) + 100, most - 1)
    for room in sizes:
        text = call_with_room(
            room, tmp_path / "said", partial(evaluate, limit=LIMIT), evaluator, folder
        )
        assert text.startswith(("MachineError", "ValueError")), text
        assert "File too large" in text
        assert "\n" not in text
        assert not folder.exists() or list(folder.glob(".partial-*")) == []
    # Each attempt has kept whole lines, and the next one has gone on from them.
    assert results_of(folder).startswith(b"".join(lines[:-1]))
    evaluate(evaluator, folder, limit=LIMIT)
    for name in ("results.jsonl", "summary.json", "config.json"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()


def test_a_run_folder_that_cannot_be_used_is_one_line(evaluator, tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "run", "/proc/self/run"):
        with pytest.raises(ValueError, match=r"cannot be used") as refused:
            evaluate(evaluator, folder, limit=1)
        assert "\n" not in str(refused.value)


# The cache of tracks, which costs time and no answer.


@pytest.fixture
def unwritable(tmp_path):
    """A folder that nobody can make, not even root."""
    (tmp_path / "file").write_text("")
    return tmp_path / "file" / "cache"


def test_a_cache_that_cannot_be_written_is_one_note_and_the_run_goes_on(
    evaluator, unwritable, tmp_path
):
    tried, kept = (
        Evaluator(
            replace(evaluator.config, candidates=Proposed(folder)),
            evaluator.dataset,
            evaluator.model,
        )
        for folder in (unwritable, tmp_path / "cache")
    )
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        outcome = evaluate(tried, tmp_path / "tried", limit=LIMIT)
    assert outcome.summary["failed"] == []
    (note,) = [str(one.message) for one in notes if "tracks cannot be kept" in str(one.message)]
    assert note.startswith(f"{unwritable}: tracks cannot be kept there (Not a directory)")
    evaluate(kept, tmp_path / "kept", limit=LIMIT)
    assert results_of(tmp_path / "tried") == results_of(tmp_path / "kept")


def find_noting(evaluator, folder):
    """Find the tracks of a clip; say how many, and what was noted."""
    sample = evaluator.dataset[0]
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        found = Proposed(folder).find(sample, sample.recording.read(8), decompose(sample.query))
    return f"{len(found)} found; " + "; ".join(str(note.message) for note in notes)


def test_without_a_home_folder_tracks_are_kept_nowhere_and_that_is_said(
    evaluator, monkeypatch, tmp_path
):
    sample = evaluator.dataset[0]
    footage, queries = sample.recording.read(8), decompose(sample.query)
    expected = Proposed(tmp_path / "cache").find(sample, footage, queries)

    def find_nobody(_):
        raise KeyError("uid not found")

    monkeypatch.setattr("pwd.getpwuid", find_nobody)
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.warns(UserWarning, match="give --cache a folder, or set HOME"):
        homeless = Proposed()
    assert homeless.folder is None
    assert homeless.find(sample, footage, queries) == expected
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "mine"))
    assert Proposed().folder == tmp_path / "mine" / "grounding-probe" / "tracks"


def test_a_cache_without_room_is_a_note_too(evaluator, tmp_path):
    folder = tmp_path / "cache"
    text = call_with_room(100, tmp_path / "said", find_noting, evaluator, folder)
    assert text.count("tracks cannot be kept there (File too large)") == 1
    assert int(text.split()[0]) > 0
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("content", ["[{", "7", "[7]", '[{"frames": [1]}]', "[[]]", '{"a": 1}'])
def test_a_damaged_file_of_the_cache_is_replaced(evaluator, tmp_path, content):
    sample = evaluator.dataset[0]
    footage = sample.recording.read(8)
    first = Proposed(tmp_path).find(sample, footage, decompose(sample.query))
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_text(content)
    again = Proposed(tmp_path).find(sample, footage, decompose(sample.query))
    assert len(again) == len(first)
    assert file.read_bytes() == whole


@pytest.mark.slow
def test_a_detector_s_cache_that_cannot_be_written_is_a_note_too(unwritable, tmp_path):
    from tiny_detectors import save_tiny_finder, save_tiny_tracker

    save_tiny_finder(tmp_path / "finder")
    save_tiny_tracker(tmp_path / "tracker")
    search = Search(str(tmp_path / "finder"), str(tmp_path / "tracker"), unwritable)
    with pytest.warns(UserWarning, match="tracks cannot be kept there"):
        finder = Detected(search).open(device="cpu", dtype="float32")
    write_hcstvg(tmp_path / "data", 1, (7,))
    sample = load_dataset("hcstvg1", tmp_path / "data")[0]
    found = finder.find(sample, sample.recording.read(4), decompose(sample.query))
    assert isinstance(found, tuple)


def test_a_run_follows_from_the_content_of_the_tracks(evaluator, tmp_path):
    """One byte of one file, with its size and its name as before."""
    (tmp_path / "0001.json").write_text('{"a": 1}')
    before = Stored(tmp_path).describe()
    (tmp_path / "0001.json").write_text('{"a": 2}')
    after = Stored(tmp_path).describe()
    assert before["content"] != after["content"]
    assert {**before, "content": ""} == {**after, "content": ""}
    assert evaluator.provenance["candidates"] == {"from": "the truth (oracle)"}


def test_details_that_no_line_can_hold_are_a_failure_of_the_query(evaluator, monkeypatch, tmp_path):
    def answer(model, task):
        found = METHODS["random-track"](model, task)
        return replace(found, details={"tensor": torch.zeros(2)})

    monkeypatch.setitem(sys.modules, "odd", SimpleNamespace(answer=answer))
    config = replace(evaluator.config, method="odd:answer")
    outcome = evaluate(
        Evaluator(config, evaluator.dataset, evaluator.model), tmp_path / "run", limit=1
    )
    assert outcome.summary["failed"] == [evaluator.ids[0]]
    (one,) = read_run(tmp_path / "run").results.values()
    assert "not JSON serializable" in str(one.error)


@pytest.mark.slow
def test_a_killed_run_with_absent_queries_goes_on_with_the_same_margins(evaluator, tmp_path):
    told = Evaluator(replace(evaluator.config, method="plain"), evaluator.dataset, evaluator.model)
    evaluate(told, tmp_path / "whole", limit=3)
    path = tmp_path / "run" / "results.jsonl"

    def has_a_line():
        return path.exists() and path.read_bytes().count(b"\n") > 0

    kill_when(has_a_line, evaluate, told, tmp_path / "run", limit=3)
    evaluate(told, tmp_path / "run", limit=3)
    assert path.read_bytes() == results_of(tmp_path / "whole")
    assert all(json.loads(line)["absent"] for line in path.read_bytes().splitlines())
