import json
import os
import sys

import numpy as np
import pytest
from processes import call_in_copy, start_copy

from probe.evaluation import EvaluationConfig, Oracle, evaluate, write_report
from probe.evaluation.runs import QueryResult, open_run, read_run
from probe.evaluation.starts import describe_environment, note_changes, read_starts
from probe.metrics import QueryScore
from probe.video import Span, Tube

pytestmark = pytest.mark.slow  # each is quick; what they share takes seconds

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


# Damage that no killed process leaves.


@pytest.fixture
def finished(tmp_path):
    """A finished run of two queries."""
    with started(tmp_path / "run") as run:
        for name in "ab":
            run.add(result(name))
        run.finish("ab", {"queries": 2})
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "holds no start of the run"),
        (b"\n", "line 1: damaged"),
        (b'{"started": "no', "holds no start of the run"),
        (b"[]\n", "line 1: not a start of a run"),
        (b"7\n", "line 1: not a start of a run"),
        (b'{"versions": 7}\n', "line 1: not a start of a run"),
        (b'{"root": ["a"]}\n', "line 1: not a start of a run"),
        (b'{}\n{"a": \n', "line 2: damaged"),
        (b"\xff\xfe\n", "line 1: damaged"),
        (b"[" * 5000 + b"]" * 5000 + b"\n", "line 1: damaged"),
    ],
)
def test_a_damaged_file_of_starts_is_one_line(finished, tmp_path, content, reason):
    (finished / "environment.jsonl").write_bytes(content)
    for read in (read_run, lambda folder: write_report([folder], tmp_path / "page.html")):
        with pytest.raises(ValueError, match=reason) as refused:
            read(finished)
        assert "\n" not in str(refused.value)
        assert "environment.jsonl" in str(refused.value)


def test_a_torn_start_is_cut_off_at_the_next(finished):
    path = finished / "environment.jsonl"
    path.write_bytes(path.read_bytes() + b'{"started": "no')
    with started(finished):
        pass
    assert path.read_text() == '{"started": "now"}\n' * 2


def test_a_damaged_file_of_starts_can_be_deleted(finished):
    (finished / "environment.jsonl").write_bytes(b"[]\n")
    with pytest.raises(ValueError, match="delete this file"), started(finished):
        pass
    (finished / "environment.jsonl").unlink()
    with started(finished) as run:
        assert list(run.results) == ["a", "b"]


@pytest.mark.parametrize("name", ["dataset", "model", "method", "candidates", "oracle", "protocol"])
@pytest.mark.parametrize("value", [None, 7, "x", [], {}, {"name": 7, "from": []}])
def test_a_damaged_config_is_one_line(finished, tmp_path, name, value):
    path = finished / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), name: value}))
    if (name, value) == ("protocol", "x"):
        return  # a protocol of another version is only shown
    with pytest.raises(ValueError, match=r"config\.json: damaged; ") as refused:
        write_report([finished], tmp_path / "page.html")
    assert "\n" not in str(refused.value)
    with pytest.raises(ValueError, match="was begun with"), started(finished):
        pass


def test_a_config_of_a_hundred_levels_is_refused_without_a_deep_stack(finished):
    path = finished / "config.json"
    config = json.loads(path.read_text())
    deep = '{"a": ' * 90 + "1" + "}" * 90
    path.write_text(json.dumps({**config, "x": 0}).replace('"x": 0', f'"x": {deep}'))
    with pytest.raises(ValueError, match="was begun with"), started(finished):
        pass


def test_other_libraries_than_at_the_start_are_told(tmp_path):
    first = {"versions": {"torch": "2.9.0", "av": "15"}}
    later = {"versions": {"torch": "2.13.0", "av": "15"}}
    with open_run(tmp_path / "run", CONFIG, first) as run:
        assert run.notes == ()
        run.add(result("a"))
    with open_run(tmp_path / "run", CONFIG, first) as run:
        assert run.notes == ()
    assert read_run(tmp_path / "run").notes == ()
    with open_run(tmp_path / "run", CONFIG, later) as run:
        (note,) = run.notes
    assert "(torch 2.9.0 to 2.13.0)" in note
    with open_run(tmp_path / "run", CONFIG, first):
        pass
    assert read_run(tmp_path / "run").notes == (note,), "some results are of the other version"
    _, page = write_report([tmp_path / "run"], tmp_path / "page.html")
    assert "torch 2.9.0 to 2.13.0" in page.read_text()


def test_code_of_the_user_that_was_changed_is_told(tmp_path, monkeypatch):
    """It is no other run: whoever asks failed queries again has mended the code first."""
    path = tmp_path / "mended_method.py"
    path.write_text("def answer(model, task): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    config = EvaluationConfig("shapes-val", method="mended_method:answer", candidates=Oracle())
    before = describe_environment(config)
    assert list(before["code"]) == ["mended_method"]
    path.write_text("def answer(model, task): pass\n")
    after = describe_environment(config)
    assert note_changes([before, before]) == ()
    (note,) = note_changes([before, after])
    assert "your code has changed since the first start (mended_method)" in note
    assert describe_environment(Prepared.config)["code"] == {}
    assert read_starts(tmp_path / "absent") == []


# Runs that are killed at each point at which they write.


class Prepared:
    """An answerer whose answers are there already, so that a run is nothing but its writing."""

    config = EvaluationConfig("shapes-val", method="random-track", candidates=Oracle())
    provenance = CONFIG
    ids = ("a", "b")

    def answer_all(self, indices):
        for index in indices:
            yield result(self.ids[index], presence=float(index), absent={"colour": -1.5})


WRITING = ("open", "os.rename", "os.remove", "os.truncate", "os.mkdir")
"""What Python tells of before it is done."""


def die_while_writing(folder, point):
    """Run, and end without any warning at the given point: before a file is opened, renamed, cut
    or removed, or before or after it is flushed to the disk."""
    reached = 0

    def count(*_):
        nonlocal reached
        reached += 1
        if reached == point:
            os._exit(9)

    def watch(event, arguments):
        if event in WRITING and str(folder) in str(arguments[0]):
            count()

    sys.addaudithook(watch)
    flush = os.fsync
    os.fsync = lambda handle: (count(), flush(handle), count())[1]
    evaluate(Prepared(), folder)


@pytest.mark.slow
def test_a_run_that_is_killed_at_any_point_of_its_writing_loses_nothing(tmp_path):
    evaluate(Prepared(), tmp_path / "whole")
    names = ("results.jsonl", "summary.json", "config.json")
    whole = {name: (tmp_path / "whole" / name).read_bytes() for name in names}
    lines, point, codes = whole["results.jsonl"].splitlines(True), 0, []
    while not codes or codes[-1] == 9:
        point += 1
        folder = tmp_path / f"run-{point}"
        process = start_copy(die_while_writing, folder, point)
        process.join()
        codes.append(process.exitcode)
        path = folder / "results.jsonl"
        kept = path.read_bytes().splitlines(True) if path.exists() else []
        assert kept == lines[: len(kept)], "whole lines only, and in order"
        for name in names[1:]:
            if (folder / name).exists():
                assert (folder / name).read_bytes() == whole[name], "never half of it"
        evaluate(Prepared(), folder)
        assert {name: (folder / name).read_bytes() for name in names} == whole
        assert list(folder.glob(".partial-*")) == []
    assert codes[-1] == 0
    assert len(codes) > 30, "there are that many points"
