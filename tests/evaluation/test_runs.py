import json
import os
import sys

import numpy as np
import pytest
from processes import call_in_copy

from probe.evaluation.runs import QueryResult, open_run, read_run
from probe.metrics import QueryScore
from probe.video import Span, Tube

CONFIG = {
    "dataset": {"name": "d", "version": "1", "queries": 3},
    "model": {"name": "organism"},
    "method": {"name": "best", "layers": (0, 1)},
    "candidates": {"from": "files"},
    "oracle": False,
    "protocol": "stcat",
}
ENVIRONMENT = {"started": "now"}


def result(name, viou=0.5, **changes):
    track = Tube(
        np.array([3, 9]), np.array([[0.0, 1.0, 2.0, 3.0], [1.123, 1.0, 2.0, 3.0]]), "a <b>"
    )
    score = QueryScore(0.25, viou, 1.0)
    return QueryResult(
        name, "wer läuft?", "interrogative", "v.mp4", Span(4, 8), track, (3, 9), score, **changes
    )


def started(folder, config=CONFIG):
    return open_run(folder, config, ENVIRONMENT)


def test_a_line_is_one_line_and_holds_the_whole_result():
    line = result("1", remarks=("odd\nlength",), details={"tokens": ["a"]}).to_line()
    assert line.count(b"\n") == 1
    again = QueryResult.from_line(line)
    assert again.to_line() == line
    assert again.span == Span(4, 8)
    assert again.score == QueryScore(0.25, 0.5, 1.0)
    assert again.tube.frames.tolist() == [4, 5, 6, 7]


def test_a_result_that_failed_has_an_empty_tube_and_zeros():
    failed = QueryResult.from_line(QueryResult("1", error="gone").to_line())
    assert len(failed.tube) == 0
    assert failed.score == QueryScore(0.0, 0.0, 0.0)


def test_what_is_added_is_in_the_file_at_once_and_found_again(tmp_path):
    with started(tmp_path / "run") as run:
        run.add(result("a"))
        assert (tmp_path / "run" / "results.jsonl").read_bytes() == result("a").to_line()
    with started(tmp_path / "run") as run:
        assert list(run.results) == ["a"]
        run.add(result("b"))
    assert list(read_run(tmp_path / "run").results) == ["a", "b"]


@pytest.mark.parametrize("cut", [1, 20, -1])
def test_a_torn_last_line_is_cut_off_and_nothing_else(tmp_path, cut):
    with started(tmp_path / "run") as run:
        run.add(result("a"))
    path = tmp_path / "run" / "results.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + result("b").to_line()[:cut])
    assert list(read_run(tmp_path / "run").results) == ["a"]
    with started(tmp_path / "run") as run:
        assert list(run.results) == ["a"]
        assert path.read_bytes() == whole
        run.add(result("b"))
    assert path.read_bytes() == whole + result("b").to_line()


def test_a_last_line_of_zeros_as_a_power_failure_leaves_it_is_cut_off(tmp_path):
    with started(tmp_path / "run") as run:
        run.add(result("a"))
    path = tmp_path / "run" / "results.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b"\0" * 40 + b"\n")
    with started(tmp_path / "run"):
        assert path.read_bytes() == whole


def test_damage_before_the_last_line_is_not_passed_over(tmp_path):
    with started(tmp_path / "run") as run:
        run.add(result("a"))
    path = tmp_path / "run" / "results.jsonl"
    path.write_bytes(b"{}\n" + path.read_bytes())
    with pytest.raises(ValueError, match="line 1"), started(tmp_path / "run"):
        pass
    with pytest.raises(ValueError, match="line 1"):
        read_run(tmp_path / "run")


def test_the_last_line_of_a_query_counts(tmp_path):
    with started(tmp_path / "run") as run:
        run.add(QueryResult("a", error="gone"))
        run.add(result("b"))
        run.add(result("a"))
    kept = read_run(tmp_path / "run").results
    assert kept["a"].error is None
    assert len(kept) == 2


def test_at_the_end_lines_stand_in_the_given_order_whatever_came_first(tmp_path):
    files = []
    for order in ("abc", "cab"):
        with started(tmp_path / order) as run:
            for name in order:
                run.add(result(name))
            run.finish("abc", {"queries": 3})
        files.append((tmp_path / order / "results.jsonl").read_bytes())
        assert json.loads((tmp_path / order / "summary.json").read_text()) == {"queries": 3}
    assert files[0] == files[1]


def test_another_config_is_refused_in_one_line_that_names_it(tmp_path):
    with started(tmp_path / "run") as run:
        run.add(result("a"))
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    other = {**CONFIG, "method": {"name": "paper", "layers": (0, 1)}}
    message = r"method.name = 'best', now it is 'paper'"
    with pytest.raises(ValueError, match=message) as caught, started(tmp_path / "run", other):
        pass
    assert "\n" not in str(caught.value)
    after = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    assert {**after, "lock": b""} == {**before, "lock": b""}


def test_an_option_more_or_less_is_another_config_too(tmp_path):
    with started(tmp_path / "run"):
        pass
    fewer = {name: part for name, part in CONFIG.items() if name != "protocol"}
    for other in ({**CONFIG, "more": 1}, fewer):
        with pytest.raises(ValueError, match="was begun with"), started(tmp_path / "run", other):
            pass


def test_each_start_is_noted_and_the_last_one_read(tmp_path):
    for number in range(3):
        with open_run(tmp_path / "run", CONFIG, {"number": number}):
            pass
    assert (tmp_path / "run" / "environment.jsonl").read_text().count("\n") == 3
    assert read_run(tmp_path / "run").environment == {"number": 2}


def start_and_end(folder):
    with started(folder):
        return os.getpid()


def test_a_second_writer_is_told_who_is_the_first(tmp_path):
    """The lock is the system's: a real second process meets it."""
    first = f"process {os.getpid()} is writing this run"
    with started(tmp_path / "run") as run:
        run.add(result("a"))
        with pytest.raises(RuntimeError, match=first):
            call_in_copy(start_and_end, tmp_path / "run")
        assert list(read_run(tmp_path / "run").results) == ["a"], "reading needs no lock"
    assert call_in_copy(start_and_end, tmp_path / "run") != os.getpid()


def test_what_a_killed_writer_left_is_removed_by_the_next_that_has_the_lock(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("lock", ".partial-0123456789ab-config.json"):
        (folder / name).write_text("half")
    with started(folder) as run:
        run.add(result("a"))
        assert not list(folder.glob(".partial-*"))
        (folder / ".partial-ba9876543210-summary.json").write_text("half")
        with pytest.raises(RuntimeError, match="is writing this run"), started(folder):
            pass
        assert list(folder.glob(".partial-*")), "it may be the one that is being written"
    assert list(read_run(folder).results) == ["a"]


def test_where_the_system_has_no_locks_runs_can_be_read_and_not_written(tmp_path, monkeypatch):
    """As on Windows, whose Python has no `fcntl`."""
    with started(tmp_path / "run") as run:
        run.add(result("a"))
    monkeypatch.setitem(sys.modules, "fcntl", None)
    assert list(read_run(tmp_path / "run").results) == ["a"]
    with pytest.raises(RuntimeError, match="has no fcntl") as caught, started(tmp_path / "run"):
        pass
    assert "\n" not in str(caught.value)


def test_a_run_without_a_start_is_one_line(tmp_path):
    with started(tmp_path / "run"):
        pass
    (tmp_path / "run" / "environment.jsonl").unlink()
    with pytest.raises(ValueError, match="holds no start of the run"):
        read_run(tmp_path / "run")


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"holds notes\.txt and no run"), started(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(ValueError, match="not the folder of a run"):
        read_run(tmp_path)
