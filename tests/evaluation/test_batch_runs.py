"""Runs of the grounder over many queries: kept at once, resumed, and never mixed with another."""

import json
import os
import signal
from dataclasses import replace

import pytest

from probe.datasets import DataSet, Sample, StoredVideo
from probe.evaluation.batch import Batch
from probe.evaluation.batch_runs import BatchLine, format_outcome, name_folder, run_batch
from probe.evaluation.faults import MachineError
from probe.grounding.answers import Answer
from probe.grounding.presets import BEST, PLAIN
from probe.organism.world import make_clip

pytestmark = pytest.mark.slow  # each is quick; what they share takes seconds


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Two queries about one clip, with one about a file that is not there between them."""
    folder = tmp_path_factory.mktemp("batch")
    clip = make_clip(7)
    clip.write(folder / "7.mp4")
    there, gone = (StoredVideo.from_path(folder / name) for name in ("7.mp4", "gone.mp4"))
    first, second, *_ = [thing.query for thing in clip.things]
    samples = [Sample("a", first, there), Sample("b/b", first, gone), Sample("C", second, there)]
    return DataSet.from_samples("mine", samples, version="1")


@pytest.fixture(scope="module")
def batch(dataset, organism):
    return Batch(dataset, organism, BEST)


@pytest.fixture(scope="module")
def whole(batch, tmp_path_factory):
    """A run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    run_batch(batch, folder)
    return folder


def lines_of(folder):
    lines = (folder / "results.jsonl").read_bytes().splitlines(keepends=True)
    return [BatchLine.from_line(line) for line in lines]


def files_of(folder):
    """All that must be the same however often a run was stopped, but for the time it took."""
    return {
        "lines": (folder / "results.jsonl").read_bytes(),
        "summary": (folder / "summary.json").read_bytes(),
        "config": (folder / "config.json").read_bytes(),
        "answers": {
            path.relative_to(folder): {**json.loads(path.read_text()), "timings": None}
            for path in folder.rglob("answer.json")
        },
    }


def test_each_query_has_a_line_in_the_order_of_the_file_and_its_answer(whole, dataset):
    lines = lines_of(whole)
    assert tuple(line.id for line in lines) == dataset.ids
    for line in (lines[0], lines[2]):
        answer = Answer.load(whole / line.answer)
        assert line.query == answer.queries.whole
        assert line.frames == (answer.span.start, answer.span.stop)
        assert line.seconds == answer.seconds
        assert (line.presence, line.doubts) == (
            pytest.approx(answer.presence, abs=1e-4),
            answer.doubts,
        )
    assert [line.status for line in lines] == ["found", "failed", "found"]
    assert "no such video" in str(lines[1].error)
    assert json.loads((whole / "summary.json").read_text()) == {
        "queries": 3, "of": 3, "found": 2, "absent": [], "failed": ["b/b"],
    }  # fmt: skip


def test_a_run_that_was_stopped_goes_on_repeats_nothing_and_ends_the_same(batch, whole, tmp_path):
    def fall_over(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_batch(batch, tmp_path / "run", tell=fall_over)
    told = []
    outcome = run_batch(batch, tmp_path / "run", tell=told.append)
    assert not outcome.stopped
    assert sorted(line.id for line in told) == ["C", "b/b"]
    assert files_of(tmp_path / "run") == files_of(whole)


def test_ctrl_c_lets_the_query_in_hand_finish_and_ends_cleanly(batch, whole, tmp_path):
    before = signal.getsignal(signal.SIGINT)
    told = []

    def press(line):
        told.append(line)
        os.kill(os.getpid(), signal.SIGINT)

    outcome = run_batch(batch, tmp_path / "run", tell=press)
    assert signal.getsignal(signal.SIGINT) is before
    assert outcome.stopped
    assert len(told) == len(lines_of(tmp_path / "run")) == 1
    assert not run_batch(batch, tmp_path / "run").stopped
    assert files_of(tmp_path / "run") == files_of(whole)


def test_failed_queries_are_asked_again_and_others_are_not(batch, whole, tmp_path):
    run_batch(batch, tmp_path / "run")
    told = []
    run_batch(batch, tmp_path / "run", tell=told.append)
    assert [line.id for line in told] == ["b/b"]
    assert files_of(tmp_path / "run") == files_of(whole)


def test_a_file_may_grow_but_not_change(batch, dataset, tmp_path):
    samples = list(dataset)
    folder = tmp_path / "run"
    part = DataSet.from_samples("mine", samples[:1], version="1")
    run_batch(replace(batch, dataset=part), folder)
    told = []
    run_batch(batch, folder, tell=told.append)
    assert "a" not in [line.id for line in told]
    other = replace(samples[0], query="the striped horse")
    changed = DataSet.from_samples("mine", [other, *samples[1:]], version="1")
    with pytest.raises(ValueError, match=r"the query of 'a' was .*, now it is 'the striped horse'"):
        run_batch(replace(batch, dataset=changed), folder)


def test_other_choices_do_not_continue_a_run(batch, whole):
    with pytest.raises(ValueError, match=r"was begun with grounder\..*; give --out another folder"):
        run_batch(replace(batch, config=PLAIN), whole)
    with pytest.raises(ValueError, match="was begun with frames = "):
        run_batch(replace(batch, frames=4), whole)


def test_an_absence_is_no_failure_and_has_an_answer_without_a_tube(batch, tmp_path):
    folder = tmp_path / "run"
    one = DataSet.from_samples("mine", [batch.dataset[0]], version="1")
    shy = replace(batch, dataset=one, config=replace(BEST, require_presence=1e6))
    run_batch(shy, folder)
    (line,) = lines_of(folder)
    assert line.status == "absent"
    assert line.presence is not None
    assert json.loads((folder / line.answer).read_text())["tube"] is None
    assert "absent" in format_outcome(line)


def test_pictures_are_written_where_they_are_asked_for(batch, tmp_path):
    one = replace(batch, dataset=DataSet.from_samples("mine", [batch.dataset[0]], version="1"))
    run_batch(one, tmp_path / "run", pictures=True)
    names = sorted(path.name for path in (tmp_path / "run" / "answers" / "a").iterdir())
    assert names == ["answer.json", "answer.mp4", "answer.png"]


def test_a_full_disk_stops_the_run_and_leaves_the_query_open(batch, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Answer, "save", refuse)
    with pytest.raises(MachineError, match="No space left"):
        run_batch(batch, tmp_path / "run")
    assert lines_of(tmp_path / "run") == []


@pytest.mark.parametrize(
    "line",
    [
        BatchLine("a", "v.mp4", "\u00e9", "found", (1, 5), (0.1, 0.5), 1.25, ("no",), "a.json"),
        BatchLine("b", "v.mp4", "it", "failed", error="broken"),
        BatchLine("c", "v.mp4", "it", "absent", presence=-2.0, answer="c.json"),
        BatchLine("d", "v.png", "it", "found", presence=2.0, answer="d.json"),
    ],
)
def test_a_line_is_read_as_it_was_written_and_refused_if_it_was_changed(line):
    written = line.to_line()
    assert BatchLine.from_line(written) == line
    assert "\n" not in format_outcome(line)
    with pytest.raises(ValueError, match="changed since it was written"):
        BatchLine.from_line(written.replace(b'"v.', b'"w.'))
    with pytest.raises(ValueError, match="not a result"):
        BatchLine.from_line(b'{"id": "a"}')


def test_folders_of_names_that_files_cannot_have_stay_apart():
    names = ("a", "A", "a/b", "a-b", "a b", "..", "", "x" * 300, "x" * 301, "é", "è")
    folders = [name_folder(name) for name in names]
    assert len({folder.lower() for folder in folders}) == len(names)
    assert all(folder and "/" not in folder and folder[0] != "." for folder in folders)
    assert max(map(len, folders)) < 100
