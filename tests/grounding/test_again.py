"""Reading again inside the found span: more frames, by which span and boxes are refined."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tolerances import assert_equal_up_to_rounding

from probe.candidates.proposals import propose_tracks
from probe.engine.grids import Cells
from probe.engine.kept_views import keep_views
from probe.grounder import ground, ground_chunks
from probe.grounding.again import (
    ALL_READ,
    NO_MORE_FRAMES,
    FirstReading,
    ReadAgain,
    SecondReading,
    TimedScores,
    choose_jointly,
    match_scale,
    refine_track,
)
from probe.grounding.answers import Answer
from probe.grounding.presets import CAUSAL
from probe.grounding.queries import decompose
from probe.grounding.span_rules import TopHull
from probe.grounding.targets import NearBest
from probe.organism.world import LENGTH, make_clip
from probe.video import Span, Tube, Video, box_iou, read_part, read_video

AGAIN = replace(CAUSAL, again=ReadAgain())


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    make_clip(7).write(path, scale=1)
    return path


@pytest.fixture(scope="module")
def query(clip):
    return clip.things[0].query


def timed(frames, scores):
    cells = Cells(tuple((frame,) for frame in frames), 1, 1, (0.0, 0.0, 1.0, 1.0))
    return TimedScores(cells, torch.as_tensor(scores, dtype=torch.float32))


def first_of(video, scores, span, within=None):
    track, scored = Tube(0, [0, 0, 1, 1]), timed(video.indices, scores)
    return FirstReading(video, track, span, scored, within or Span(0, LENGTH), 8, TopHull())


def second(answer):
    """The second reading of an answer, which there must be."""
    assert answer.again is not None
    return answer.again


# The span of two readings


def slow_span(first, again, stretch):
    """Find the same frame by frame, in a video with a point for each of them."""
    early = first.timed.at(np.arange(LENGTH, dtype=float))
    late = again.at(np.arange(LENGTH, dtype=float))
    inside = [frame for frame in range(LENGTH) if frame in stretch]
    total = []
    for frame in range(LENGTH):
        other = early[frame]
        if frame in stretch:
            share = (late[frame] - late[inside].mean()) / late[inside].std()
            other = share * early[inside].std() + early[inside].mean()
        total.append(early[frame] + other)
    top = np.argsort(total)[-round(7 / 20 * LENGTH) :]
    return Span(int(top.min()), int(top.max()) + 1)


@pytest.mark.parametrize("seed", range(5))
def test_two_readings_choose_together_whatever_the_scale_of_the_second(video, seed):
    generator = torch.Generator().manual_seed(seed)
    first = first_of(video, torch.rand(8, generator=generator), Span(16, 40))
    stretch, frames = Span(8, 48), (10, 15, 20, 25, 30, 35, 40, 45)
    scores = torch.rand(8, generator=generator)
    found = choose_jointly(first, timed(frames, scores), stretch)
    assert found == slow_span(first, timed(frames, scores), stretch)
    assert found == choose_jointly(first, timed(frames, 40 * scores - 3), stretch)
    # A reading without differences, or the first one once more, changes nothing outside itself.
    alone = choose_jointly(first, first.timed, Span(0, LENGTH))
    assert alone == choose_jointly(first, first.timed, Span(20, 20))


def test_a_long_video_has_few_points_and_its_span_stays_within(video):
    seen = tuple(range(400, 6400, 800))
    long = replace(video, indices=seen, source_times=np.arange(6400) / 16)
    within = Span(100, 5000)
    first = first_of(long, torch.arange(8.0), Span(100, 800), within)
    found = choose_jointly(first, first.timed, within)
    assert within.start <= found.start < found.stop == within.stop
    assert len(found) == pytest.approx(7 / 20 * len(within), abs=len(within) / 100)


def test_matching_gives_mean_and_spread_inside_and_flat_values_the_mean():
    values, like = np.random.default_rng(0).normal(size=(2, 20))
    inside = np.arange(20) < 12
    matched = match_scale(values, like, inside)
    for measure in (np.mean, np.std):
        assert_equal_up_to_rounding(measure(matched[inside]), measure(like[inside]), scale=1)
    flat = match_scale(np.full(20, 3.0), like, inside)
    assert_equal_up_to_rounding(flat, np.full(20, like[inside].mean()), scale=1)


# The grounder


@pytest.mark.slow
def test_frames_of_the_file_between_those_read_first_are_read(organism, file, query, tmp_path):
    video = read_video(file, 8)
    plain, found = (ground(organism, video, query, config=one) for one in (CAUSAL, AGAIN))
    again = second(found)
    assert again.first_span == plain.span
    assert found.when == plain.when
    assert torch.equal(found.frame_scores, plain.frame_scores)
    assert len(again.frames) == len(again.scores) == 8
    assert set(again.frames) - set(video.indices)
    low, high = max(0, plain.span.start - 8), min(LENGTH, plain.span.stop + 8)
    assert all(low <= frame < high for frame in again.frames)
    assert found.span == again.span
    assert found.track is found.candidates[plain.candidates.index(plain.track)]
    found.save(tmp_path / "answer.json")
    loaded = Answer.load(tmp_path / "answer.json")
    assert loaded == found
    assert (second(loaded).span, second(loaded).frames) == (found.span, again.frames)
    assert loaded.config == AGAIN
    part = read_part(file, 0.5, frames=8)
    assert second(ground(organism, part, query, config=AGAIN)).frames


@pytest.mark.slow
def test_a_second_reading_is_that_of_its_frames_in_both_orders(organism, clip, query):
    seen = []

    def spy(first, read):
        def note(video, track):
            seen.append((video, read(video, track)))
            return seen[-1][1]

        return ReadAgain(2.0, frames=6)(first, note)

    found = ground(organism, clip.video(), query, config=replace(CAUSAL, again=spy))
    ((video, scores),) = seen
    np.testing.assert_array_equal(video.frames, clip.frames(video.indices))
    # By hand: the mean look of all tokens in both frame orders, and its peak in the track.
    view, question = organism.watch(video), found.when.question
    (there,), (back,) = view.read(question), view.reversed().read(question)
    maps = (there.mean_attention().mean(0) + back.mean_attention().mean(0).flip(0)) / 2
    share = torch.from_numpy(view.grid.cells.coverage(found.track)).to(maps)
    assert_equal_up_to_rounding(scores.scores, (maps * share).amax((1, 2)))


@pytest.mark.slow
def test_boxes_between_those_of_the_candidate_are_nearer_to_the_truth(organism):
    config = replace(CAUSAL, again=ReadAgain(find_tracks=propose_tracks), targets=NearBest())
    gains = []
    for seed in (7, *range(40_001, 40_006)):
        clip = make_clip(seed)
        thing = clip.things[0]
        found = ground(organism, clip.video(), thing.query, config=config)
        assert found.targets[0].track is found.track
        assert found.targets[0].span == found.span
        before = ground(organism, clip.video(), thing.query, config=CAUSAL).track
        assert set(before.frames) < set(found.track.frames)
        frames = list(second(found).frames)
        truth = thing.track().interpolated(frames).boxes
        new, old = (one.interpolated(frames).boxes for one in (found.track, before))
        gains.append(box_iou(new, truth).mean() - box_iou(old, truth).mean())
    assert np.mean(gains) > 0.02


@pytest.mark.slow
def test_what_has_no_more_frames_is_told_as_a_doubt_and_keeps_its_span(organism, clip, query):
    array = ground(organism, replace(clip.video(), reader=None), query, config=AGAIN)
    assert NO_MORE_FRAMES in array.doubts
    assert array.span == second(array).first_span
    first = first_of(clip.video(LENGTH), torch.rand(LENGTH), Span(16, 40))
    everything = ReadAgain()(first, lambda *_: pytest.fail("frames were read again"))
    assert everything == SecondReading(first.span, first.track, first.span, doubts=(ALL_READ,))
    assert "\n" not in NO_MORE_FRAMES + ALL_READ


@pytest.mark.slow
def test_a_long_video_that_is_read_in_parts_is_read_again_as_one(organism, clip, query):
    video, asked = clip.video(16), decompose(query)
    parts = [
        replace(video, frames=video.frames[place], indices=video.indices[place])
        for place in (slice(8), slice(8, 16))
    ]
    tracks = [thing.track().within(Span(4, LENGTH - 4)) for thing in clip.things]
    plain, found = (
        ground_chunks(organism, video, parts, asked, tracks, config) for config in (CAUSAL, AGAIN)
    )
    assert second(found).first_span == plain.span
    assert len(second(found).frames) == 8  # as many as are read at once, not as the video has
    assert found.track.span.start <= found.span.start < found.span.stop <= found.track.span.stop


def test_a_picture_is_read_once(organism, clip, query):
    picture = Video(clip.frames([30]), (0,), np.zeros(1))
    assert ground(organism, picture, query, config=AGAIN).again is None


@pytest.mark.slow
def test_a_second_reading_leaves_the_view_that_many_queries_share(organism, clip, video):
    model = keep_views(organism)
    view = model.watch(video)
    answers = [ground(model, video, thing.query, config=AGAIN) for thing in clip.things[:2]]
    assert model.watch(video) is view
    assert answers == [
        replace(ground(organism, video, one.queries.whole, config=AGAIN), timings=one.timings)
        for one in answers
    ]


def keep_first_half(first, read):  # noqa: ARG001
    """A rule of a user's own."""
    middle = (first.span.start + first.span.stop) // 2
    return SecondReading(Span(first.span.start, middle), first.track, first.span)


def test_a_rule_of_ones_own_corrects_the_span_and_is_found_again(organism, video, query, tmp_path):
    config = replace(CAUSAL, again=keep_first_half)
    found = ground(organism, video, query, config=config)
    assert len(found.span) == len(second(found).first_span) // 2
    found.save(tmp_path / "answer.json")
    assert Answer.load(tmp_path / "answer.json", video).config.again is keep_first_half


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"margin": -1.0}, "margin is -1.0; give a number of steps"), ({"frames": 1}, "frames is 1")],
)
def test_a_reading_of_nothing_is_refused(wrong, words):
    with pytest.raises(ValueError, match=words):
        ReadAgain(**wrong)


# The boxes


def test_only_the_same_object_adds_boxes():
    track = Tube([0, 8], [[0, 0, 10, 10], [8, 0, 18, 10]], "thing")
    same = Tube([2, 8], [[2, 0, 12, 10], [8, 1, 18, 11]])
    other = Tube([2, 3], [[30, 0, 40, 10], [30, 0, 40, 10]])
    found = refine_track(track, [other, same])
    assert found.frames.tolist() == [0, 2, 8]
    np.testing.assert_array_equal(found.boxes[1:], same.boxes)
    assert found.label == "thing"
    assert refine_track(track, [other]) is refine_track(track, []) is track
