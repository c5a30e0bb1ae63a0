import json
import os
import random
import signal
import sys
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from processes import kill_when
from published_formats import SCALE, write_hcstvg, write_vidstg

from probe.candidates.proposers import PLAIN, PROPOSERS
from probe.candidates.tracks import save_tracks
from probe.datasets import load_dataset
from probe.evaluation import (
    METHODS,
    EvaluationConfig,
    Evaluator,
    Oracle,
    Prediction,
    Proposed,
    Stored,
    evaluate,
    read_run,
)
from probe.evaluation.runner import summarise
from probe.grounder import ground
from probe.grounding.presets import BEST
from probe.grounding.queries import decompose
from probe.metrics import score
from probe.organism.world import LENGTH, SIDE, make_clip
from probe.video import Span, Tube

pytestmark = pytest.mark.slow  # each is quick; what they share takes seconds

LIMIT = 4


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def config(cache):
    """A method that costs nothing, where it does not matter what answers."""
    return EvaluationConfig("shapes-val", method="random-track", candidates=Proposed(cache))


@pytest.fixture(scope="module")
def evaluator(config, organism):
    return Evaluator(config, load_dataset("shapes-val"), organism)


@pytest.fixture(scope="module")
def whole(evaluator, tmp_path_factory):
    """A run of a few queries that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    evaluate(evaluator, folder, limit=LIMIT)
    return folder


def results_of(folder):
    return (folder / "results.jsonl").read_bytes()


class StopAfter:
    """An answerer that does something after some answers."""

    def __init__(self, evaluator, count, act):
        self.config, self.ids = evaluator.config, evaluator.ids
        self.provenance = evaluator.provenance
        self._evaluator, self._count, self._act = evaluator, count, act
        self.asked = []

    def answer_all(self, indices):
        for number, result in enumerate(self._evaluator.answer_all(indices), start=1):
            self.asked.append(result.id)
            if number == self._count:
                self._act()
            yield result


def test_each_query_has_one_line_in_the_order_of_the_data_set(whole, evaluator):
    lines = [json.loads(line) for line in results_of(whole).splitlines()]
    assert [line["id"] for line in lines] == list(evaluator.ids[:LIMIT])
    assert all(line["error"] is None for line in lines)


def test_the_grounder_answers_as_it_does_outside_and_says_how(evaluator):
    best = Evaluator(replace(evaluator.config, method="best"), evaluator.dataset, evaluator.model)
    (result,) = best.answer_all([2])
    sample = best.dataset[2]
    video = sample.recording.read(8).video
    answer = ground(best.model, video, sample.query, config=BEST)
    assert result.span == answer.span
    np.testing.assert_allclose(result.tube.boxes, answer.tube.boxes, atol=0.01)
    assert result.details["attribute"] == answer.queries.attribute
    assert result.details["where_tokens"] == [
        answer.where.token_texts[token] for token in answer.where.tokens
    ]


def test_a_line_is_scored_by_what_is_written_in_it(whole, evaluator):
    for place, result in enumerate(read_run(whole).results.values()):
        sample = evaluator.dataset[place]
        assert result.track is not None
        found = score(
            {"x": result.tube},
            {"x": sample.truth},
            "hcstvg-official",
            tracks={"x": result.track.interpolated(range(LENGTH))},
        ).per_query["x"]
        assert result.score.viou == pytest.approx(found.viou, abs=1e-6)
        assert result.score.gt_viou == pytest.approx(found.gt_viou, abs=1e-6)
        assert result.score.tiou == pytest.approx(found.tiou, abs=1e-6)


def test_the_summary_holds_the_means_of_the_lines_with_their_intervals(whole):
    summary = json.loads((whole / "summary.json").read_text())
    figures = summary["figures"]["all"]
    scores: list[Any] = [result.score for result in read_run(whole).results.values()]
    assert figures["m_viou"]["mean"] == pytest.approx(np.mean([one.viou for one in scores]))
    assert figures["viou_at_03"]["mean"] == np.mean([one.viou > 0.3 for one in scores])
    assert figures["m_tiou"]["low"] <= figures["m_tiou"]["mean"] <= figures["m_tiou"]["high"]
    assert (summary["queries"], summary["of"], summary["oracle"]) == (LIMIT, 500, False)


@pytest.mark.slow
def test_a_run_that_was_stopped_by_an_error_goes_on_and_repeats_nothing(evaluator, whole, tmp_path):
    def fall_over():
        raise MemoryError

    with pytest.raises(MemoryError):
        evaluate(StopAfter(evaluator, 2, fall_over), tmp_path / "run", limit=LIMIT)
    again = StopAfter(evaluator, 0, fall_over)
    evaluate(again, tmp_path / "run", limit=LIMIT)
    assert again.asked == list(evaluator.ids[1:LIMIT]), "the second answer was never handed over"
    for name in ("results.jsonl", "summary.json", "config.json"):
        assert (tmp_path / "run" / name).read_bytes() == (whole / name).read_bytes()


def test_ctrl_c_lets_the_query_in_hand_finish_and_ends_cleanly(evaluator, whole, tmp_path):
    def press():
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    outcome = evaluate(StopAfter(evaluator, 2, press), tmp_path / "run", limit=LIMIT)
    assert signal.getsignal(signal.SIGINT) is before
    assert outcome.stopped
    assert results_of(tmp_path / "run") == b"".join(results_of(whole).splitlines(True)[:2])
    assert not evaluate(evaluator, tmp_path / "run", limit=LIMIT).stopped
    assert results_of(tmp_path / "run") == results_of(whole)


@pytest.mark.slow
def test_kill_9_at_any_moment_loses_nothing_and_ends_the_same(evaluator, tmp_path):
    folder, limit = tmp_path / "run", 40
    evaluate(evaluator, tmp_path / "whole", limit=limit)
    rng = random.Random(0)
    path = folder / "results.jsonl"
    for lines in (1, 8, 16, 24):

        def has_lines(lines=lines):
            if not path.exists() or results_of(folder).count(b"\n") < lines:
                return False
            time.sleep(rng.uniform(0, 0.01))  # any moment of the next query
            return True

        kill_when(has_lines, evaluate, evaluator, folder, limit=limit)
        kept = [line for line in results_of(folder).splitlines(True) if line.endswith(b"\n")]
        assert lines <= len(kept) < limit
        assert set(kept) <= set(results_of(tmp_path / "whole").splitlines(True))
    evaluate(evaluator, folder, limit=limit)
    for name in ("results.jsonl", "summary.json", "config.json"):
        assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_the_cache_gives_the_same_candidates_and_keeps_them_once(evaluator, tmp_path, monkeypatch):
    kept = Proposed(tmp_path / "cache")
    sample = evaluator.dataset[0]
    footage = sample.recording.read(8)
    first = kept.find(sample, footage, decompose(sample.query))
    (file,) = (tmp_path / "cache").iterdir()
    idle = replace(PROPOSERS[PLAIN], propose=lambda video: pytest.fail(f"{video}: looked again"))
    monkeypatch.setattr("probe.evaluation.candidates.PROPOSERS", {PLAIN: idle})
    second = kept.find(sample, footage, decompose(sample.query))
    assert [track.frames.tolist() for track in first] == [track.frames.tolist() for track in second]
    assert all(np.array_equal(a.boxes, b.boxes) for a, b in zip(first, second, strict=True))
    monkeypatch.undo()
    file.write_text("[{")
    assert len(kept.find(sample, footage, decompose(sample.query))) == len(first), (
        "a file cut by a power failure"
    )
    other = evaluator.dataset[1]
    kept.find(other, other.recording.read(8), decompose(other.query))
    assert len(list((tmp_path / "cache").iterdir())) == 2


@pytest.mark.slow
def test_a_failed_query_counts_as_zero_and_is_asked_again_only_on_request(
    evaluator, whole, tmp_path, monkeypatch
):
    broken, usual = evaluator.ids[1], METHODS["random-track"]
    fixed = False

    def answer(model, task):
        if task.id == broken and not fixed:
            raise KeyError("a bug\nof two lines")
        return usual(model, task)

    monkeypatch.setitem(sys.modules, "flaky", SimpleNamespace(answer=answer))
    config = replace(evaluator.config, method="flaky:answer")
    evaluator = Evaluator(config, evaluator.dataset, evaluator.model)
    outcome = evaluate(evaluator, tmp_path / "run", limit=LIMIT)
    fixed = True
    results = read_run(tmp_path / "run").results
    assert str(results[broken].error).startswith("KeyError:")
    assert results[broken].score.viou == 0
    assert outcome.summary["failed"] == [broken]
    assert outcome.summary["figures"]["all"]["queries"] == LIMIT
    evaluate(evaluator, tmp_path / "run", limit=LIMIT)
    assert read_run(tmp_path / "run").results[broken].error
    evaluate(evaluator, tmp_path / "run", limit=LIMIT, retry_failed=True)
    assert results_of(tmp_path / "run") == results_of(whole)


def test_a_run_grows_with_its_limit_and_forgets_nothing(evaluator, whole, tmp_path):
    evaluate(evaluator, tmp_path / "run", limit=2)
    evaluate(evaluator, tmp_path / "run", limit=LIMIT)
    evaluate(evaluator, tmp_path / "run", limit=1)
    assert results_of(tmp_path / "run") == results_of(whole)


def test_another_method_does_not_continue_a_run(evaluator, whole):
    other = Evaluator(replace(evaluator.config, method="plain"), evaluator.dataset, evaluator.model)
    with pytest.raises(ValueError, match=r"method\.name = 'random-track', now it is 'plain'"):
        evaluate(other, whole, limit=LIMIT)


@pytest.mark.parametrize(
    ("protocol", "lost"),
    [("tubedetr", 0), ("stcat", 1), ("hcstvg-official", 0), ("released-code", 0)],
)
def test_a_perfect_answer_scores_what_each_protocol_says(
    organism, tmp_path, monkeypatch, protocol, lost
):
    """Through the whole harness: reading, answering, rounding, writing, scoring."""
    write_hcstvg(tmp_path, 1, (7,))
    truth = make_clip(7).things[0].tube()

    def answer(_, task):
        return Prediction(truth.span, task.candidates[0])

    monkeypatch.setattr("probe.evaluation.methods.METHODS", {"causal": answer})
    made = EvaluationConfig("hcstvg1", tmp_path, candidates=Oracle(), protocol=protocol)
    evaluator = Evaluator(made, load_dataset("hcstvg1", tmp_path), organism)
    (result,) = evaluator.answer_all([0])
    assert result.error is None
    assert result.score.viou == pytest.approx(1 - lost / len(truth), abs=2e-3)  # boxes are rounded


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "method"), [("hcstvg1", "best"), ("hcstvg2", "centre"), ("vidstg", "random-track")]
)
def test_the_whole_command_runs_on_published_folders(command, tmp_path, name, method):
    root = tmp_path / "data"
    write_vidstg(root) if name == "vidstg" else write_hcstvg(root, int(name[-1]))
    code, out, err = command("evaluate", name, "--root", root, "--check")
    assert (code, err.count("probe:")) == (0, 0), err
    words = ("--root", root, "--out", tmp_path / "run", "--oracle", "--method", method)
    code, out, err = command("evaluate", name, *words)
    assert code == 0, err
    assert "ORACLE" in out
    assert "0 failed" in out
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["figures"]["all"]["m_tiou"]["mean"] > 0
    kinds = {"all", "declarative", "interrogative"} if name == "vidstg" else {"all"}
    assert set(summary["figures"]) == kinds


def test_answers_about_a_part_are_in_source_frames(command, tmp_path):
    write_vidstg(tmp_path / "data", (7,), used=(16, 47))
    code, _, err = command(
        "evaluate", "vidstg-declarative", "--root", tmp_path / "data", "--out", tmp_path / "run",
        "--method", "centre", "--oracle",
    )  # fmt: skip
    assert code == 0, err
    (result,) = read_run(tmp_path / "run").results.values()
    assert result.span == Span(24, 40)
    assert 16 <= result.sampled[0] < result.sampled[-1] < 48
    assert result.track is not None
    assert result.track.span == Span(16, 48)


@pytest.mark.slow
def test_what_is_missing_is_listed_and_counts_as_zero(command, tmp_path):
    root = tmp_path / "data"
    write_hcstvg(root, 1)
    gone, renamed, _ = sorted(root.rglob("*.mp4"))
    gone.unlink()
    renamed.rename(renamed.with_suffix(".mkv"))
    code, out, err = command("evaluate", "hcstvg1", "--root", root, "--check")
    assert code == 2
    assert out.count("\nodd") == 1
    assert out.startswith("fails")
    assert "1 of 3 queries of hcstvg1 would fail" in err
    code, out, err = command(
        "evaluate", "hcstvg1", "--root", root, "--out", tmp_path / "run", "--method", "centre",
        "--cache", tmp_path / "cache",
    )  # fmt: skip
    assert code == 4, err
    assert "1 of 3 queries failed and count as zero" in err
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["failed"] == ["7_a.b-c.mp4"]
    assert summary["remarked"] == ["8_a.b-c.mp4"]
    results: Any = read_run(tmp_path / "run").results
    scores = [result.score.tiou for result in results.values()]
    assert scores[0] == 0
    assert summary["figures"]["all"]["m_tiou"]["mean"] == pytest.approx(sum(scores) / 3)


@pytest.mark.slow
def test_tracks_are_read_from_a_folder_by_the_videos_names(organism, tmp_path):
    """The authors' format and ours; a video without a file fails, and only that one."""
    write_hcstvg(tmp_path / "data", 1, (7, 8, 9))
    dataset = load_dataset("hcstvg1", tmp_path / "data")
    (tmp_path / "tracks").mkdir()
    side = SIDE * SCALE
    box = Tube(np.array([0, LENGTH - 1]), np.array([[1.0, 2.0, 30.0, 40.0]] * 2), "box")
    save_tracks([box], dataset[0].recording.read(2).video, tmp_path / "tracks" / "7_a.b-c.json")
    published = {
        "sample_frames": [3, 40],
        "dino_sam2_proposals": [
            {
                "track_id": 1,
                "bboxes": [[[5, 6, 50, 60]], [[5, 6, 50, 60]]],
                "rles": None,
                "class_name": "man",
                "box_format": "xyxy",
                "img_width": side,
                "img_height": side,
            }
        ],
    }
    (tmp_path / "tracks" / "8_a.b-c.json").write_text(json.dumps(published))
    made = EvaluationConfig("hcstvg1", tmp_path / "data", candidates=Stored(tmp_path / "tracks"))
    ours, theirs, none = Evaluator(made, dataset, organism).answer_all(range(3))
    assert ours.tube.boxes[0].tolist() == [1, 2, 30, 40]
    assert theirs.track is not None
    assert (theirs.track.label, theirs.track.frames.tolist()) == ("man", [3, 40])
    assert "no such file" in str(none.error)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("hcstvg1",), "give --root"),
        (("hcstvg1", "--root", "/absent"), "no such folder"),
        (("shapes-val", "--limit", "0"), "nothing to do"),
        (("shapes-val", "--oracle", "--tracks", "."), "leave out one"),
        (("shapes-val", "--tracks", "/absent"), "no such folder"),
        (("shapes-val", "--frames", "0"), "at least 1"),
        (("shapes-val", "--threads", "0"), "give 1 to 1024"),
        (("shapes-val", "--threads", "99999"), "give 1 to 1024"),
        (("shapes-val", "--threads", "2", "--ray", "local"), "leave out one of them"),
        (("shapes-val", "--ray", "local", "--workers", "999"), "999 workers are too many"),
        (("shapes-val", "--ray", "local", "--device", "spread"), "give 'cuda'"),
    ],
)
def test_wrong_use_is_one_line_and_starts_no_run(command, tmp_path, words, reason):
    code, _, err = command("evaluate", *words, "--out", tmp_path / "run")
    assert code == 2
    assert reason in err
    assert err.count("probe: ") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("words", "threads"), [((), 1), (("--threads", 2), 2)])
def test_the_shipped_model_runs_on_one_thread_unless_more_are_given(
    command, tmp_path, cache, words, threads
):
    kept = ("--out", tmp_path / "run", "--cache", cache, "--limit", 1, "--method", "centre")
    assert command("evaluate", "shapes-val", *kept, *words)[0] == 0
    assert read_run(tmp_path / "run").environment["threads"] == threads


def test_a_folder_that_cannot_be_made_is_one_line(command):
    """Nobody may make one there, not even root."""
    code, _, err = command("evaluate", "shapes-val", "--limit", 1, "--out", "/proc/self/run")
    assert code == 2
    assert "probe: /proc/self/run: cannot write there (" in err


def test_a_summary_of_two_kinds_reports_each(evaluator, whole):
    results = list(read_run(whole).results.values())
    asked = [replace(results[0], kind="interrogative"), *results[1:]]
    figures = summarise(asked, evaluator.provenance)["figures"]
    assert figures["interrogative"]["queries"] == 1
    assert figures["declarative"]["queries"] == LIMIT - 1
    assert figures["all"]["queries"] == LIMIT
