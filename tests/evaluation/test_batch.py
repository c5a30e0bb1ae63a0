"""Many queries with one load: each video is read and watched once, and a failure is one of many."""

import json
from dataclasses import replace
from typing import Any

import pytest

from probe.evaluation import Failure, ground_many
from probe.evaluation.faults import MachineError
from probe.grounder import ground
from probe.grounding.absence import Absence
from probe.grounding.answers import Answer
from probe.grounding.presets import BEST, PLAIN
from probe.organism.world import make_clip
from probe.video import read_video

CLIPS = (6, 7)


@pytest.fixture(scope="module")
def clips():
    return {seed: make_clip(seed) for seed in CLIPS}


@pytest.fixture(scope="module")
def asked(clips):
    """Queries about two videos in turn."""
    videos = {seed: clip.video() for seed, clip in clips.items()}
    return [
        (videos[seed], clips[seed].things[number].query) for number in range(2) for seed in CLIPS
    ]


def describe(answer):
    """All that an answer says, but for the time that it took."""
    assert isinstance(answer, Answer)
    return json.dumps({**answer.to_dict(), "timings": None})


@pytest.mark.slow
def test_answers_are_those_of_single_queries_and_a_video_is_watched_once(
    organism, asked, monkeypatch
):
    watched, watch = [], type(organism.decoder).read_video

    def count(*args, **named):
        watched.append(1)
        return watch(*args, **named)

    monkeypatch.setattr(type(organism.decoder), "read_video", count)
    found = list(ground_many(organism, asked, config="best"))
    assert len(watched) == len(CLIPS)
    # All queries about a video in a row, in the order in which the videos come.
    assert [one.place for one in found] == [0, 2, 1, 3]
    for one in found:
        video, query = asked[one.place]
        assert (one.id, one.query) == (str(one.place), query)
        assert describe(one.found) == describe(ground(organism, video, query, config="best"))


@pytest.mark.slow
def test_a_file_is_sampled_as_often_as_is_asked_or_as_the_model_wants(organism, clips, tmp_path):
    path, query = tmp_path / "clip.mp4", clips[7].things[0].query
    clips[7].write(path)
    pairs = [(path, query), (str(path), query)]
    for frames in (None, 4):
        first, second = ground_many(organism, pairs, config=BEST, frames=frames)
        count = frames or organism.preferred_frames
        expected = describe(ground(organism, read_video(path, count), query, config=BEST))
        assert describe(first.found) == describe(second.found) == expected
        assert first.video == str(path)


def test_what_fails_is_handed_on_and_the_others_are_answered(organism, asked, tmp_path):
    video, query = asked[0]
    (tmp_path / "broken.mp4").write_text("no video")
    pairs = [
        (tmp_path / "absent.mp4", query),
        (video, " "),
        (tmp_path / "broken.mp4", query),
        ("~nosuchuser.mp4", query),
        (tmp_path / ("a" * 300), query),
    ]
    reasons = ("no such video", "query is empty", "broken.mp4", "no such video", "aaa: no such")
    *failed, last = sorted(
        ground_many(organism, [*pairs, (video, query)], config=BEST), key=lambda one: one.place
    )
    for one, reason in zip(failed, reasons, strict=True):
        assert isinstance(one.found, Failure)
        assert reason in one.found.reason
        assert "\n" not in one.found.reason
    assert isinstance(last.found, Answer)


def test_a_thing_that_is_not_there_is_an_absence_where_presence_is_required(organism, asked):
    config = replace(PLAIN, require_presence=1e6)
    found = [one.found for one in ground_many(organism, asked[:1], config=config)]
    assert isinstance(found[0], Absence)


def test_a_fault_of_the_machine_stops(organism, asked, monkeypatch):
    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr("probe.evaluation.batch.ground", fail)
    with pytest.raises(MachineError, match="MemoryError"):
        list(ground_many(organism, asked))


def test_nothing_asked_is_nothing_found_and_what_is_no_pair_is_refused(organism, asked):
    assert list(ground_many(organism, [])) == []
    wrong: Any
    for wrong in ("clip.mp4", ("clip.mp4", "a dog", 3)):
        with pytest.raises(ValueError, match="give pairs of a video and a query"):
            # In an iterator, into which the types of the tests do not look.
            ground_many(organism, iter([asked[0], wrong]))
    with pytest.raises(ValueError, match="no preset is called 'bset'"):
        ground_many(organism, asked, config="bset")
