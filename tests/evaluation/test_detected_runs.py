"""Runs whose candidates a detector finds and whose queries are split by a model or a file."""

import json

import numpy as np
import pytest
from published_formats import SCALE, write_hcstvg, write_vidstg
from tiny_detectors import save_tiny_finder, save_tiny_tracker

import probe.grounding.sources
from probe.evaluation import EvaluationConfig, read_run
from probe.evaluation.candidates import Detected
from probe.grounding.sources import Search
from probe.organism.world import make_clip
from probe.video import source_frames


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two data sets, two detectors and files of sub-queries."""
    folder = tmp_path_factory.mktemp("detected")
    write_hcstvg(folder / "hcstvg", 1, (7, 8))
    write_vidstg(folder / "vidstg", (7,), used=(16, 47))
    save_tiny_finder(folder / "finder")
    save_tiny_finder(folder / "other", seed=1)
    save_tiny_tracker(folder / "tracker")
    split = {"decompose_attribute": ["the white circle"], "decompose_action": ["a circle winks"]}
    half = {"decompose_attribute": ["the white circle"]}
    files = {
        "split": {"7_a.b-c.mp4": split, "8_a.b-c": half},
        "changed": {"7_a.b-c.mp4": half},
        "foreign": {"another.mp4": split},
    }
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def evaluated(command, folder, tmp_path):
    """Evaluate one of the folders: exit code, lines of error, the run's folder."""

    def run(dataset, *words, finder="finder", out="run"):
        root = folder / ("vidstg" if dataset.startswith("vidstg") else "hcstvg")
        if finder is not None:
            words += ("--detector", folder / finder, "--tracker", folder / "tracker")
            words += ("--cache", tmp_path / "cache")
        code, _, err = command("evaluate", dataset, "--root", root, "--out", tmp_path / out, *words)
        lines = err.replace("\r", "\n").splitlines()
        errors = [line for line in lines if line.startswith("probe: ") and "note:" not in line]
        assert len(errors) == bool(code), err
        return code, "".join(errors), tmp_path / out

    return run


@pytest.mark.slow
def test_a_detector_is_loaded_once_and_what_it_finds_of_each_subject_is_kept(
    evaluated, tmp_path, monkeypatch
):
    loads, load = [], probe.grounding.sources.load_detector

    def counted(*names, **options):
        loads.append(names)
        return load(*names, **options)

    monkeypatch.setattr(probe.grounding.sources, "load_detector", counted)
    code, _, run = evaluated("hcstvg1", "--method", "centre")
    assert code == 0
    assert len(loads) == 1
    kept = [json.loads(file.read_text()) for file in (tmp_path / "cache").iterdir()]
    subjects = {make_clip(seed).things[0].shape for seed in (7, 8)}
    assert {content["key"]["phrases"][0] for content in kept} == subjects
    results = read_run(run).results.values()
    assert [result.error for result in results] == [None, None]
    assert {result.track.label for result in results if result.track is not None} == subjects
    candidates = read_run(run).config["candidates"]
    assert candidates["from"] == "a detector"
    assert candidates["numbers"]["every"] == 10


@pytest.mark.slow
def test_a_run_refuses_to_continue_under_another_detector_or_none(evaluated):
    evaluated("hcstvg1", "--limit", 1)
    code, error, _ = evaluated("hcstvg1", finder="other")
    assert (code, "was begun with candidates.detection" in error) == (2, True)
    code, error, _ = evaluated("hcstvg1", finder=None)
    assert (code, "was begun with candidates.from = 'a detector'" in error) == (2, True)


@pytest.mark.slow
def test_where_nothing_is_found_the_query_fails_alone_and_counts_as_zero(evaluated, tmp_path):
    evaluated("hcstvg1", "--method", "centre", "--limit", 1)
    (kept,) = (tmp_path / "cache").iterdir()
    content = json.loads(kept.read_text())
    kept.write_text(json.dumps({**content, "tracks": []}))
    code, _, run = evaluated("hcstvg1", "--method", "centre", out="again")
    assert code == 4
    first, second = read_run(run).results.values()
    assert "the detector finds no" in str(first.error)
    assert (first.score.viou, first.score.tiou, second.error) == (0, 0, None)


@pytest.mark.slow
def test_of_a_part_only_its_own_frames_are_searched(folder, organism):
    search = Search(str(folder / "finder"), str(folder / "tracker"))
    config = EvaluationConfig(
        "vidstg", folder / "vidstg", method="centre", candidates=Detected(search)
    )
    dataset = config.load_dataset()
    footage = dataset[0].recording.read(4)
    shown = list(source_frames(footage.video))
    assert len(shown) == 32
    drawn = make_clip(7).frame(16 + 31, scale=SCALE)
    assert np.abs(shown[-1].astype(int) - drawn).mean() < 8  # lossy encoding
    finder = config.candidates.open(device="cpu", dtype="auto")
    sample = dataset[0]
    queries = config.splitter.split(organism, sample.id, sample.query)
    for track in finder.find(sample, footage, queries):
        assert set(track.frames.tolist()) <= {0, 10, 20, 30, 31}


@pytest.mark.slow
def test_the_file_of_sub_queries_is_what_is_asked(evaluated, folder):
    words = ("--split", folder / "split.json", "--oracle")
    code, _, run = evaluated("hcstvg1", *words, finder=None)
    assert code == 0
    first, second = (result.details for result in read_run(run).results.values())
    assert (first["attribute"], first["action"]) == ("the white circle", "a circle winks")
    assert (first["fallbacks"], second["fallbacks"]) == ([], ["action"])
    code, error, _ = evaluated("hcstvg1", "--oracle", finder=None)
    assert (code, "was begun with split.by = 'file', now it is 'rules'" in error) == (2, True)
    code, error, _ = evaluated(
        "hcstvg1", "--split", folder / "changed.json", "--oracle", finder=None
    )
    assert (code, "was begun with split.content" in error) == (2, True)


@pytest.mark.slow
def test_a_detector_looks_for_the_subject_that_the_split_names(evaluated, folder, tmp_path):
    evaluated("hcstvg1", "--method", "centre", "--split", folder / "split.json", "--limit", 1)
    (kept,) = (tmp_path / "cache").iterdir()
    assert json.loads(kept.read_text())["key"]["phrases"] == ["circle"]
    assert make_clip(7).things[0].shape != "circle"


@pytest.mark.slow
def test_the_model_itself_may_split(evaluated):
    code, _, run = evaluated(
        "vidstg", "--split", "model", "--oracle", "--method", "plain", finder=None
    )
    assert code == 0
    details = [result.details for result in read_run(run).results.values()]
    assert {tuple(one["fallbacks"]) for one in details} == {("attribute", "action")}, (
        "the shipped model cannot write"
    )
    assert read_run(run).config["split"] == {"by": "model"}


def test_a_file_about_other_videos_is_refused_before_the_run(evaluated, folder, tmp_path):
    for words in (("hcstvg1",), ("hcstvg1", "--check"), ("vidstg",)):
        code, error, _ = evaluated(
            *words, "--split", folder / "foreign.json", "--oracle", finder=None
        )
        assert code == 2
        assert "has no sub-queries for any of 2 queries, looked for names such as" in error
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--detector", "a", "--tracks", "."), "leave out one of them"),
        (("--detector", "a", "--oracle"), "--oracle and --detector both give candidates"),
        (("--tracker", "a"), "--tracker is of no use without a detector"),
        (("--split", "model", "--method", "centre"), "asks for no part of a query"),
        (("--split", "model", "--method", "direct"), "asks for no part of a query"),
        (("--split", "/absent.json"), "/absent.json: no such file"),
        (("--detector", "/absent"), "/absent: no such folder"),
        (("--attention", "flash_attention_2"), "flash-attn"),
    ],
)
def test_contradictions_are_refused_before_anything_is_done(evaluated, tmp_path, words, reason):
    code, error, _ = evaluated("hcstvg1", *words, finder=None)
    assert code == 2
    assert reason in error
    assert not (tmp_path / "run").exists()


def test_how_attention_is_computed_is_part_of_what_a_run_follows_from(evaluated):
    evaluated("hcstvg1", "--limit", 1, "--oracle", finder=None)
    code, error, _ = evaluated("hcstvg1", "--oracle", "--attention", "eager", finder=None)
    assert (code, "model.attention = 'sdpa', now it is 'eager'" in error) == (2, True)
