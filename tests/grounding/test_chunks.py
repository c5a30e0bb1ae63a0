"""Videos of more frames than fit in a model's context: read in parts, answered as one."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from tolerances import assert_equal_up_to_rounding

import probe
from probe.engine.chunks import FEW, divide_video
from probe.grounder import ground, ground_chunks
from probe.grounding.chunks import find_shown, join_looks, weigh
from probe.grounding.looks import Look
from probe.grounding.queries import decompose
from probe.organism.world import make_clip
from probe.video import Tube, Video

pytestmark = pytest.mark.slow  # each is quick; what they share takes seconds

CLIPS, LENGTH, STEP, ASKED = 6, 64, 8, 5


@pytest.fixture(scope="module")
def model():
    return probe.load()


@pytest.fixture(scope="module")
def clips():
    return [make_clip((9, number)) for number in range(CLIPS)]


@pytest.fixture(scope="module")
def long_video(clips):
    """The clips one after the other, with as many frames a second as the model was shown."""
    videos = [clip.video(LENGTH) for clip in clips]
    frames = np.concatenate([video.frames for video in videos])
    sampled = tuple(range(STEP // 2, len(frames), STEP))
    return Video(frames[list(sampled)], sampled, np.arange(len(frames)) / videos[0].fps)


@pytest.fixture(scope="module")
def things(clips):
    """Every thing with its track in the long video."""
    return [
        (number, thing, Tube(thing.track().frames + number * LENGTH, thing.track().boxes))
        for number, clip in enumerate(clips)
        for thing in clip.things
    ]


def test_a_video_is_divided_evenly_among_as_few_parts_as_fit(model, long_video):
    parts = model.divide(long_video)
    assert [index for part in parts for index in part.indices] == list(long_video.indices)
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    per_frame = model.watch(parts[0]).grid.shape
    cells = per_frame[1] * per_frame[2]
    # One part fewer would not fit.
    assert len(long_video) / (len(parts) - 1) * cells > model.checkpoint.context - 200
    short = replace(long_video, frames=long_video.frames[:FEW], indices=long_video.indices[:FEW])
    assert divide_video(model.checkpoint, short) == [short]
    assert all(part.source_length == long_video.source_length for part in parts)


def test_a_thing_is_found_in_a_video_that_does_not_fit(model, long_video, things):
    with pytest.raises(ValueError, match="fit in the context"):
        model.watch(long_video)
    asked = Counter(thing.query for _, thing, _ in things)
    # The first one that its query tells from all others.
    thing, track = next(
        (thing, track)
        for number, thing, track in things
        if number == ASKED and asked[thing.query] == 1
    )
    answer = ground(model, long_video, thing.query, [track for *_, track in things])
    assert answer.track == track
    assert answer.span & track.span == answer.span
    truth = range(ASKED * LENGTH + thing.span.start, ASKED * LENGTH + thing.span.stop)
    assert set(range(answer.span.start, answer.span.stop)) & set(truth)
    assert len(answer.frame_scores) == len(long_video)
    assert answer.where.heatmap.cells.frames == tuple((i,) for i in long_video.indices)
    assert "48 frames do not fit in the context of the model: read in 2" in answer.doubts[0]


def test_an_answer_in_parts_is_saved_and_drawn_like_any_other(model, long_video, things, tmp_path):
    answer = ground(model, long_video, things[0][1].query, [track for *_, track in things])
    answer.save(tmp_path / "answer.json")
    assert probe.Answer.load(tmp_path / "answer.json", long_video) == answer
    answer.figure(tmp_path / "answer.png")
    assert (tmp_path / "answer.png").stat().st_size > 10_000


@pytest.mark.parametrize("config", [probe.CAUSAL, probe.ENTROPY_GRADIENT], ids=["cause", "fused"])
def test_one_part_alone_is_answered_as_the_whole_is(model, clips, config):
    """By an independent way: a video that fits, read by both functions."""
    video, thing = clips[0].video(8), clips[0].things[0]
    tracks = [one.track() for one in clips[0].things]
    whole = ground(model, video, thing.query, tracks, config=config)
    single = ground_chunks(model, video, [video], decompose(thing.query), tracks, whole.config)
    assert single.track == whole.track
    assert_equal_up_to_rounding(np.array(single.scores), np.array(whole.scores))
    weight = weigh(whole.when)
    assert_equal_up_to_rounding(single.frame_scores, whole.frame_scores * weight)
    assert single.presence == pytest.approx(whole.presence, abs=1e-4)


def test_maps_are_as_strong_as_the_model_is_sure(model, clips):
    view = model.watch(clips[0].video(8))
    (sure,) = view.read(f"Is there {clips[0].things[0].query} in this video?")
    (unsure,) = view.read("Is there a white cross that jumps in this video?")
    looks = [Look(one, (-1,), one.heatmap(-1)) for one in (sure, unsure)]
    joined = join_looks(looks)
    assert joined.heatmap.values.shape[0] == 16
    first, second = joined.heatmap.values.split(8)
    chances = torch.tensor([sure.margin, unsure.margin]).sigmoid()
    assert_equal_up_to_rounding(first, looks[0].heatmap.values * chances[0])
    assert_equal_up_to_rounding(second, looks[1].heatmap.values * chances[1])


def test_frames_that_show_a_track_are_found(model, clips):
    cells = model.watch(clips[0].video(8)).grid.cells
    track = Tube(np.arange(20, 40), np.zeros((20, 4)) + np.array([0, 0, 5, 5]))
    shown = find_shown(cells, track)
    assert [cells.frames[place][0] for place in shown] == [
        frame for (frame,) in cells.frames if 20 <= frame < 40
    ]
