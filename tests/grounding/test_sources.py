"""Sub-queries by rules, model or file, candidates by file or detector, from the command line."""

import contextlib
import json
import sys

import pytest
from tiny_detectors import save_tiny_finder, save_tiny_tracker

from probe.cli import main
from probe.grounding.sources import split_by_asking
from probe.organism.world import make_clip

QUERY = "the red circle that jumps"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A clip, a tiny detector, and files of sub-queries."""
    folder = tmp_path_factory.mktemp("sources")
    make_clip(7).write(folder / "clip.mp4", scale=2)
    save_tiny_finder(folder / "finder")
    save_tiny_tracker(folder / "tracker")
    split = {"decompose_attribute": ["the white circle"], "decompose_action": ["a circle winks"]}
    files = {
        "split": {"clip.mp4": split},
        "half": {"clip.mp4": {"decompose_attribute": ["the white circle"]}},
        "malformed": {"clip.mp4": {"decompose_attribute": "the white circle"}},
    }
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def run(monkeypatch, capsys, tmp_path, folder):
    """Ground the clip in this process: the answer's record or None, output, lines of error."""

    def command(*words):
        out = tmp_path / "out"
        words = ["probe", "ground", folder / "clip.mp4", QUERY, "--out", out, *words]
        monkeypatch.setattr(sys, "argv", [str(word) for word in words])
        with contextlib.suppress(SystemExit):
            main()
        captured = capsys.readouterr()
        lines = captured.err.replace("\r", "\n").splitlines()
        notes = ("probe: note", "probe: answer")
        errors = [line for line in lines if line.startswith("probe: ")]
        errors = [line for line in errors if not line.startswith(notes)]
        answer = out / "answer.json"
        record = json.loads(answer.read_text()) if answer.exists() else None
        assert (record is None) == bool(errors), captured.err
        return record, captured.out, errors

    return command


@pytest.mark.slow
def test_a_model_that_writes_gibberish_leaves_the_whole_query_and_says_so(run, tiny_folder):
    record, out, _ = run("--split", "model", "--model", tiny_folder, "--preset", "plain")
    assert record["queries"] == {
        "whole": QUERY,
        "attribute": QUERY,
        "action": QUERY,
        "source": "model",
        "fallbacks": ["attribute", "action"],
    }
    assert record["where"]["question"] == f"Is there {QUERY} in this video?"
    assert "the whole of it was asked for the object and for the action" in out


@pytest.mark.slow
def test_a_file_of_sub_queries_is_what_is_asked(run, folder):
    record, _, _ = run("--split", folder / "split.json", "--preset", "plain")
    assert record["queries"]["source"] == "file"
    assert record["where"]["question"] == "Is there the white circle in this video?"
    assert record["when"]["question"] == "Is there a circle winks in this video?"


@pytest.mark.slow
def test_what_the_file_lacks_is_marked(run, folder):
    record, out, _ = run("--split", folder / "half.json")
    assert record["queries"]["fallbacks"] == ["action"]
    assert "the whole of it was asked for the action" in out


@pytest.mark.slow
def test_rules_split_and_a_detector_gives_candidates_labelled_with_the_subject(
    run, folder, tmp_path
):
    detector = ("--detector", folder / "finder", "--tracker", folder / "tracker")
    record, _, _ = run(*detector, "--cache", tmp_path / "cache")
    assert (record["queries"]["source"], record["queries"]["fallbacks"]) == ("rules", [])
    assert {track["label"] for track in record["candidates"]} == {"circle"}
    (kept,) = (tmp_path / "cache").iterdir()
    content = json.loads(kept.read_text())
    assert content["key"]["phrases"] == ["circle"]
    content["tracks"] = []
    kept.write_text(json.dumps(content))
    (tmp_path / "out" / "answer.json").unlink()
    _, _, (error,) = run(*detector, "--cache", tmp_path / "cache")
    assert "the detector finds no 'circle'" in error


@pytest.mark.slow
def test_bad_options_are_one_line_and_leave_nothing(run, folder, tmp_path):
    wrong = [
        (("--tracks", "a.json", "--detector", "b"), "leave out one of them"),
        (("--tracker", "a"), "--tracker is of no use without a detector"),
        (("--cache", "a"), "--cache is of no use without a detector"),
        (("--detector", tmp_path / "none"), "none: no such folder"),
        (("--detector", folder / "tracker"), "give one of grounding-dino"),
        (("--split", folder / "malformed.json"), "decompose_attribute must be a list"),
        (("--split", "sideways"), "sideways: no such file"),
    ]
    for words, named in wrong:
        record, _, errors = run(*words)
        assert record is None
        assert len(errors) == 1, errors
        assert named in errors[0]
        assert not (tmp_path / "out").exists()


def test_a_split_that_the_model_cannot_do_falls_back_and_is_marked(tiny):
    asked = split_by_asking(tiny, "the red circle that jumps")
    assert asked.source == "model"
    assert asked.fallbacks == ("attribute", "action")
    assert asked.attribute == asked.action == asked.whole
