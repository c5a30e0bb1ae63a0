"""Chance against a slow computation by hand, and against the methods that guess."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from probe.candidates.tracks import save_tracks
from probe.cli.console import ExitCode
from probe.datasets import load_dataset
from probe.evaluation import EvaluationConfig, Evaluator, Oracle, Proposed, Stored, evaluate
from probe.evaluation.chance import format_chance, measure_chance
from probe.grounding.sources import ByModel
from probe.metrics import score_query
from probe.video import Span, Tube

CLIPS = 3
MIDDLE, WHOLE = Span(16, 48), Span(0, 64)
"""The middle half of a clip, and all of it."""


def expect_by_hand(dataset, span):
    """Mean over clips of the mean over true tracks of every figure, one at a time."""
    rows = []
    for index in range(CLIPS):
        sample = dataset[index]
        found = []
        for track in sample.tracks:
            shown = Tube.from_dict(track.to_dict())  # rounded, as a run writes it
            tube = shown.interpolated(range(span.start, span.stop))
            score: Any = score_query(tube, sample.truth, track=shown.interpolated(range(64)))
            found.append(
                (score.tiou, score.viou, score.viou > 0.3, score.viou > 0.5,
                 score.gt_viou, score.gt_viou > 0.5)
            )  # fmt: skip
        rows.append(np.mean(found, axis=0))
    return np.mean(rows, axis=0)


def means(chance, guess):
    return [figure["mean"] for figure in chance.figures[guess].values()]


@pytest.fixture(scope="module")
def config():
    return EvaluationConfig("shapes-val", candidates=Oracle())


def test_chance_is_the_mean_over_all_candidates_and_clips(config):
    chance: Any = measure_chance(config, limit=CLIPS)
    dataset = load_dataset("shapes-val")
    for guess, span in (("any track, middle half", MIDDLE), ("any track, whole clip", WHOLE)):
        assert means(chance, guess) == pytest.approx(expect_by_hand(dataset, span), abs=1e-9)
    # True tracks of one clip lie apart, so one of them is right.
    things = [len(dataset[index].tracks) for index in range(CLIPS)]
    right = chance.figures["any track, whole clip"]["right_track"]
    assert right["mean"] == pytest.approx(np.mean([1 / count for count in things]))
    assert right["low"] <= right["mean"] <= right["high"]
    assert chance.tracks == pytest.approx(np.mean(things))
    assert (chance.queries, chance.of, chance.failed, chance.oracle) == (CLIPS, 500, {}, True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "guess"),
    [
        ("largest-track-middle-half", "largest track, middle half"),
        ("whole-clip", "largest track, whole clip"),
    ],
)
@pytest.mark.parametrize("protocol", ["hcstvg-official", "released-code"])
def test_a_guess_without_choice_is_the_method_of_its_name(
    organism, tmp_path, method, guess, protocol
):
    """On proposed tracks, under a protocol that compares sampled frames too."""
    config = EvaluationConfig(
        "shapes-val", method=method, candidates=Proposed(tmp_path / "cache"), protocol=protocol
    )
    evaluator = Evaluator(config, config.load_dataset(), organism)
    figures = evaluate(evaluator, tmp_path / "run", limit=CLIPS).summary["figures"]["all"]
    chance: Any = measure_chance(config, limit=CLIPS)
    assert chance.frames == evaluator.frames
    assert chance.candidates == "the proposer"
    for name, figure in chance.figures[guess].items():
        assert figure["mean"] == pytest.approx(figures[name]["mean"], abs=1e-6)


def test_a_query_without_candidates_counts_as_zero_and_is_named(config, tmp_path):
    dataset = load_dataset("shapes-val")
    sample = dataset[1]
    video = sample.recording.read(8).video
    save_tracks(sample.tracks, video, tmp_path / f"{sample.video_name}.json")
    chance: Any = measure_chance(replace(config, candidates=Stored(tmp_path)), limit=2)
    alone: Any = measure_chance(replace(config, candidates=Oracle()), limit=2)
    assert list(chance.failed) == [dataset.ids[0]]
    assert "no such file" in chance.failed[dataset.ids[0]]
    assert chance.tracks == len(sample.tracks) / 2
    for guess in chance.figures:
        right = chance.figures[guess]["right_track"]["mean"]
        assert right <= alone.figures[guess]["right_track"]["mean"]
    any_track = chance.figures["any track, middle half"]["right_track"]["mean"]
    assert any_track == pytest.approx(1 / len(sample.tracks) / 2)


def test_chance_is_a_table_in_percent(config):
    chance: Any = measure_chance(config, limit=2)
    first, heading, *rows, last = format_chance(chance)
    assert first.startswith("shapes-val, chance: 2 of 500 queries, 0 failed; 3.5 candidates")
    assert "ORACLE" in first
    assert heading.split() == list(chance.figures["any track, whole clip"])
    for row, (guess, figures) in zip(rows, chance.figures.items(), strict=True):
        assert row.startswith(guess)
        shown = [float(value) for value in row.removeprefix(guess).split()]
        percent = [100 * figure["mean"] for figure in figures.values()]
        assert shown == pytest.approx(percent, abs=0.06)
    assert last.startswith("percent, hcstvg-official")


def test_the_command_prints_chance_loads_no_model_and_writes_nothing(
    command, config, tmp_path, monkeypatch
):
    def refuse(*_, **__):
        raise AssertionError("a model was loaded")

    for module in ("probe.engine.model", "probe.evaluation.evaluator"):
        monkeypatch.setattr(f"{module}.load", refuse)
    monkeypatch.chdir(tmp_path)
    code, out, err = command("evaluate", "shapes-val", "--chance", "--oracle", "--limit", 2)
    assert code == 0, err
    assert out.splitlines() == list(format_chance(measure_chance(config, limit=2)))
    assert not list(tmp_path.iterdir())


def test_the_command_says_which_query_has_no_candidate_and_ends_as_a_run_does(command, tmp_path):
    words = ("--chance", "--tracks", tmp_path, "--limit", 2)
    code, out, err = command("evaluate", "shapes-val", *words)
    assert code == ExitCode.FAILED_QUERIES
    assert "2 of 500 queries, 2 failed; 0.0 candidates a query" in out
    assert "2 of 2 queries failed and count as zero; the first is shapes-val-v2/0000: " in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--check",), "each is done alone"),
        (("--model", "some/model"), "cannot say how many frames it samples; give --frames"),
        (("--limit", 0), "nothing to do"),
    ],
)
def test_wrong_use_of_chance_is_one_line(command, tmp_path, words, reason):
    code, _, err = command("evaluate", "shapes-val", "--chance", "--out", tmp_path / "run", *words)
    assert code == 2
    assert reason in err
    assert err.count("\n") == 1


def test_no_model_is_there_to_split_queries(config):
    with pytest.raises(ValueError, match="--split model: no model is loaded"):
        measure_chance(replace(config, splitter=ByModel()))


def test_another_model_needs_its_number_of_frames(config):
    other = replace(config, model="some/model", frames=4)
    assert measure_chance(other, limit=1).frames == 4
