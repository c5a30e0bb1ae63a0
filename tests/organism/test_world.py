import numpy as np
import pytest

from probe.organism.questions import describe, make_questions
from probe.organism.world import COLOURS, LENGTH, MOTIONS, SIDE, make_clip, sample_indices
from probe.video import read_video

CLIPS = [make_clip((5, index)) for index in range(40)]


def test_a_seed_is_a_clip():
    one, other = make_clip((1, 2)), make_clip((1, 2))
    assert one == other
    np.testing.assert_array_equal(one.frame(9), other.frame(9))
    assert make_clip((1, 3)) != one


@pytest.mark.parametrize("clip", CLIPS[:20], ids=range(20))
def test_boxes_hold_their_masks_exactly(clip):
    for thing in clip.things:
        track = thing.track()
        for index in (0, thing.span.start + 5, LENGTH - 1):
            rows, columns = np.nonzero(clip.mask(thing, index))
            box = track.boxes[index]
            drawn = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            assert (drawn - box)[:2].min() >= -0.5  # a pixel is in if its centre is
            assert (drawn - box)[2:].max() <= 0.5
            assert np.abs(drawn - box).max() <= 1.5  # the sharp corners of a triangle


def test_things_never_touch_or_leave_the_frame():
    for clip in CLIPS:
        for index in range(0, LENGTH, 7):
            masks = np.stack([clip.mask(thing, index) for thing in clip.things])
            assert masks.sum(axis=0).max() == 1
            for thing in clip.things:
                box = np.array(thing.box(index))
                assert box.min() >= 0
                assert box.max() <= SIDE


def test_a_thing_is_painted_in_its_colour_where_its_mask_is():
    for clip in CLIPS[:10]:
        for thing in clip.things:
            frame = 0 if thing.span.start > 0 else LENGTH - 1
            painted = clip.frame(frame)[clip.mask(thing, frame)]
            assert np.abs(np.median(painted, axis=0) - COLOURS[thing.colour]).max() < 3


def test_names_are_unique_and_most_clips_share_something():
    shared = 0
    for clip in CLIPS:
        names = [thing.attribute for thing in clip.things]
        assert len(set(names)) == len(names)
        words = [word for thing in clip.things for word in (thing.colour, thing.shape)]
        shared += len(set(words)) < len(words)
    assert shared >= len(CLIPS) / 2


def test_nothing_happens_outside_the_span():
    for clip in CLIPS:
        for thing in clip.things:
            before = {thing.pose(index) for index in range(thing.span.start)}
            after = {thing.pose(index) for index in range(thing.span.stop, LENGTH)}
            assert len(before) <= 1
            assert len(after) <= 1


def test_motion_shows_in_no_single_frame():
    for clip in CLIPS:
        for thing in clip.things:
            if thing.action in MOTIONS:
                poses = [thing.pose(index) for index in range(LENGTH)]
                assert {pose.radius for pose in poses} == {thing.radius}
                assert not any(pose.glowing or pose.winking for pose in poses)
                assert len({(pose.x, pose.y) for pose in poses}) > 5


def test_questions_are_denied_as_often_as_affirmed():
    for index, clip in enumerate(CLIPS):
        answers = [q.answer for q in make_questions(clip, np.random.default_rng(index))]
        assert answers.count("Yes") == answers.count("No") == 7


def test_answers_are_true():
    for index, clip in enumerate(CLIPS):
        triples = {f"{thing.attribute} that {thing.action}" for thing in clip.things}
        for question in make_questions(clip, np.random.default_rng(index)):
            if question.kind == "colour+shape+action":
                said = question.text.split(" ", 3)[3].removesuffix(" in this video?")
                assert (said in triples) == (question.answer == "Yes")


def test_a_caption_names_everything():
    caption = describe(CLIPS[0])
    assert all(f"{thing.attribute} {thing.action}" in caption for thing in CLIPS[0].things)


def test_a_clip_written_as_video_is_read_back(tmp_path):
    clip = CLIPS[0]
    clip.write(tmp_path / "clip.mp4")
    video = read_video(tmp_path / "clip.mp4", 8)
    assert video.indices == sample_indices(8)
    assert video.source_length == LENGTH
    height = video.size[0] // SIDE
    small = video.frames[:, height // 2 :: height, height // 2 :: height].astype(int)
    assert np.abs(small - clip.video().frames).mean() < 6


def test_pairs_that_are_left_out_are_in_no_clip_and_leave_clips_that_lack_them_as_they_were():
    pairs = {("red", "cross"), ("blue", "square")}
    kept = 0
    for index in range(60):
        plain, without = make_clip((5, index)), make_clip((5, index), pairs)
        assert not pairs & {(thing.colour, thing.shape) for thing in without.things}
        kept += plain == without
        if not pairs & {(thing.colour, thing.shape) for thing in plain.things}:
            assert plain == without
    assert 0 < kept < 60
