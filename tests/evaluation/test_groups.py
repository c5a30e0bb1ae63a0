"""Queries about the same pictures: read, searched and watched once, with the same results."""

import random
from dataclasses import replace

import numpy as np
import pytest
from published_formats import write_vidstg

from probe.datasets import DataSet, Sample, StoredVideo, load_dataset
from probe.evaluation import (
    EvaluationConfig,
    Evaluator,
    Oracle,
    Prediction,
    Proposed,
    Stored,
    evaluate,
    read_run,
)
from probe.evaluation.candidates import TracksOfVideo
from probe.evaluation.groups import group_queries, split_groups
from probe.grounding.queries import decompose
from probe.organism.world import make_clip
from probe.video import Span, Tube

CLIPS = (6, 7)


def write_samples(folder):
    """Several queries about each of a few clips, in an order that mixes the clips."""
    folder.mkdir(parents=True)
    samples = []
    for seed in CLIPS:
        clip, path = make_clip(seed), folder / f"{seed}.mp4"
        clip.write(path)
        for number, thing in enumerate(clip.things):
            name, video = f"{seed}/{number}", StoredVideo.from_path(path)
            absent = {"shape": f"the striped {thing.shape}"} if number == 0 else {}
            samples.append(Sample(name, thing.query, video, thing.tube(), absent=absent))
    random.Random(0).shuffle(samples)
    return samples


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return DataSet.from_samples("mine", write_samples(tmp_path_factory.mktemp("groups") / "clips"))


def open_evaluator(dataset, organism, method, candidates):
    return Evaluator(
        EvaluationConfig("shapes-val", method=method, candidates=candidates), dataset, organism
    )


def test_queries_of_one_recording_are_a_group_and_keep_their_order(dataset):
    groups = group_queries(dataset, range(len(dataset)))
    assert len(groups) == len(CLIPS)
    for group in groups:
        assert list(group) == sorted(group)
        assert len({dataset[index].recording for index in group}) == 1
    assert [group[0] for group in groups] == sorted(group[0] for group in groups)
    assert sorted(index for group in groups for index in group) == list(range(len(dataset)))
    some = group_queries(dataset, [5, 1])
    assert sorted(index for group in some for index in group) == [1, 5]


def test_segments_of_one_video_are_other_pictures(dataset):
    first, second = dataset[0], dataset[1]
    cut = [
        replace(sample, recording=sample.recording.cut(Span(start, start + 20)))
        for sample in (first, second)
        for start in (0, 20)
    ]
    named = [replace(sample, id=str(number)) for number, sample in enumerate(cut)]
    groups = group_queries(DataSet.from_samples("cut", named), range(4))
    same = first.recording == second.recording
    assert len(groups) == (2 if same else 4)


def test_a_query_that_cannot_be_made_is_a_group_of_its_own(dataset):
    def make(index):
        if index == 1:
            raise ValueError("broken")
        return dataset[index]

    groups = group_queries(replace(dataset, make=make), range(len(dataset)))
    assert (1,) in groups
    assert len(groups) == len(CLIPS) + 1


@pytest.mark.parametrize("name", ["vidstg", "shapes-val"])
def test_what_a_data_set_says_of_its_pictures_is_what_its_recordings_say(name, tmp_path):
    """Without making a sample, for which boxes would be read or a clip drawn."""
    if name == "vidstg":
        write_vidstg(tmp_path)
    dataset = load_dataset(name, tmp_path if name == "vidstg" else None)
    places = range(min(len(dataset), 12))
    by_recording = group_queries(replace(dataset, pictures=None), places)

    def refuse(_):
        raise AssertionError("a sample was made")

    assert group_queries(replace(dataset, make=refuse), places) == by_recording
    assert (len(by_recording) < len(places)) == (name == "vidstg")


def test_large_groups_are_divided_and_nothing_is_lost():
    assert split_groups([(1, 2, 3), (4,)], 2) == ((1, 2), (3,), (4,))
    assert split_groups([]) == ()


class Watching:
    """A method of the user's that looks at the video itself, and keeps what it was shown."""

    def __init__(self):
        self.views = []

    def __call__(self, model, task):
        self.views.append(model.watch(task.video))
        self.views[-1].read("What moves?")
        return Prediction(Span(0, 9), task.candidates[0], presence=0.0)

    def measure_presence(self, model, video, queries):
        self.views.append(model.watch(video))
        return [0.0] * len(queries)


def test_a_method_of_the_users_gets_one_view_for_all_queries_of_a_video(
    dataset, organism, monkeypatch
):
    method, passes, prefill = Watching(), [], type(organism.decoder).prefill

    def count(*args, **named):
        passes.append("prefill")
        return prefill(*args, **named)

    monkeypatch.setattr(type(organism.decoder), "prefill", count)
    monkeypatch.setattr("probe.evaluation.methods.METHODS", {"causal": method})
    results = list(
        open_evaluator(dataset, organism, "causal", Oracle()).answer_all(range(len(dataset)))
    )
    assert [result.error for result in results if result.error] == []
    absent = sum(bool(sample.absent) for sample in dataset)
    assert len(method.views) == len(dataset) + absent
    assert len({id(view.cache) for view in method.views}) == len(CLIPS)
    assert len(passes) == len(CLIPS)
    # Freed when they are left, although the method keeps them: they have to be read again.
    for view in {id(view.cache): view for view in method.views}.values():
        view.read("What moves?")
    assert len(passes) == 2 * len(CLIPS)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["best", "causal", "plain", "lens"])
def test_queries_that_share_a_video_have_the_results_of_queries_that_do_not(
    dataset, organism, tmp_path, method
):
    """Bit for bit, each of them asked by an evaluator that knows of no other."""
    candidates = Proposed(tmp_path / "tracks")
    shared = open_evaluator(dataset, organism, method, candidates)
    evaluate(shared, tmp_path / "run")
    together = read_run(tmp_path / "run").results
    assert tuple(together) == dataset.ids, "in the order of the file"
    for index, name in enumerate(dataset.ids):
        alone = open_evaluator(dataset, organism, method, candidates)
        (result,) = alone.answer_all([index])
        assert result.error is None
        assert result.to_line() == together[name].to_line()


@pytest.mark.slow
def test_a_video_is_read_searched_and_watched_once_for_all_queries(
    dataset, organism, tmp_path, monkeypatch
):
    counts = {"read": 0, "watch": 0, "prefill": 0, "propose": 0}

    def count(name, owner, attribute):
        plain = getattr(owner, attribute)

        def counted(*args, **named):
            counts[name] += 1
            return plain(*args, **named)

        monkeypatch.setattr(owner, attribute, counted)

    count("read", StoredVideo, "read")
    count("watch", type(organism.decoder), "read_video")
    count("prefill", type(organism.decoder), "prefill")
    count("propose", Proposed, "find")
    evaluator = open_evaluator(dataset, organism, "causal", Proposed(tmp_path / "tracks"))
    results = list(evaluator.answer_all(range(len(dataset))))
    assert not any(result.error for result in results)
    once = len(CLIPS)
    assert counts == {"read": once, "watch": once, "prefill": 2 * once, "propose": once}


def test_tracks_of_a_video_are_looked_for_once_and_those_of_the_next_again(dataset, tmp_path):
    groups = group_queries(dataset, range(len(dataset)))
    finder = Proposed(tmp_path / "tracks").open(device="cpu", dtype="auto")
    assert isinstance(finder, TracksOfVideo)
    found = []
    for group in groups:
        footage = dataset[group[0]].recording.read(4)
        samples = [dataset[index] for index in group]
        tracks = [finder.find(sample, footage, decompose(sample.query)) for sample in samples]
        assert all(one is tracks[0] for one in tracks)
        found.append(tracks[0])
    assert len({id(tracks) for tracks in found}) == len(groups)
    assert finder.describe() == Proposed(tmp_path).describe()
    (tmp_path / "files").mkdir()
    assert isinstance(Stored(tmp_path / "files").open(device="cpu", dtype="auto"), TracksOfVideo)


@pytest.mark.slow
def test_a_run_that_was_stopped_within_a_video_goes_on_with_the_same_results(
    dataset, organism, tmp_path
):
    evaluator = open_evaluator(dataset, organism, "best", Proposed(tmp_path / "tracks"))
    evaluate(evaluator, tmp_path / "whole")
    evaluate(evaluator, tmp_path / "run", limit=2)
    evaluate(evaluator, tmp_path / "run")
    whole, run = (tmp_path / name / "results.jsonl" for name in ("whole", "run"))
    assert run.read_bytes() == whole.read_bytes()


def test_a_video_that_cannot_be_read_is_one_failure_in_a_row(organism, tmp_path):
    """A run gives up after so many, and not because of one damaged file with many queries."""
    truth = Tube(np.array([0]), np.array([[0.0, 0.0, 9.0, 9.0]]))

    def ask(count, paths):
        samples = [
            Sample(f"{path}/{number}", "the red circle", StoredVideo.from_path(path), truth)
            for path in paths
            for number in range(count)
        ]
        return open_evaluator(
            DataSet.from_samples("gone", samples), organism, "whole-clip", Oracle()
        )

    gone = [tmp_path / f"{number}.mp4" for number in range(4)]
    many = evaluate(ask(6, gone[:1]), tmp_path / "one video", stop_after_failures=3)
    assert many.gave_up is None
    assert many.summary["queries"] == 6
    several = evaluate(ask(2, gone), tmp_path / "several", stop_after_failures=3)
    assert several.gave_up is not None
    assert several.summary["queries"] == 5
