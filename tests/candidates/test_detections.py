"""Linking: detections frame by frame become one track for each object, whoever follows them."""

import numpy as np
import pytest

from probe.candidates.detections import (
    Detection,
    DetectionConfig,
    box_around,
    drop_repeated,
    link_detections,
    select_new,
)
from probe.metrics import box_iou
from probe.video import Tube


def edges(mask):
    """The box around a mask as a list, empty for an empty mask."""
    box = box_around(mask)
    return [] if box is None else box.tolist()


def plain(tracks):
    return [track.to_dict() for track in tracks]


SIZE, LENGTH = 10.0, 50


def thing(speed, y, present=range(0, LENGTH, 10)):
    """An object that moves to the right, in the frames in which it is seen."""
    frames = np.array([*present])
    corners = np.stack([20.0 + speed * frames, np.full(len(frames), y)], axis=1)
    return Tube(frames, np.hstack([corners, corners + SIZE]))


def seen(things, frame, score=0.9, shift=0.0):
    boxes = [thing.box_at(frame) for thing in things]
    return [Detection(box + shift, score, "thing") for box in boxes if box is not None]


class Following:
    """Follows each object perfectly for as long as it is seen without a break."""

    def __init__(self, *things):
        self.things, self.asked = things, []

    def __call__(self, frame, found):
        self.asked.append((frame, len(found)))
        return [min(self.things, key=lambda t: self.away(t, frame, one)) for one in found]

    @staticmethod
    def away(track, frame, detection):
        box = track.box_at(frame)
        return np.inf if box is None else float(np.abs(box - detection.box).sum())


def test_an_object_that_is_found_again_and_again_is_one_track():
    things = [thing(1.0, 0.0), thing(-0.2, 50.0)]
    follow = Following(*things)
    found = {frame: seen(things, frame, shift=1.0) for frame in range(0, LENGTH, 10)}
    assert plain(link_detections(found, follow)) == plain(things)
    assert follow.asked == [(0, 2)], "followed once, together"


def test_an_object_that_appears_later_is_another_track_and_a_lost_one_begins_again():
    early, late = thing(1.0, 0.0, range(0, 30, 10)), thing(1.0, 0.0, range(40, 50, 10))
    other = thing(0.0, 80.0, range(20, 50, 10))
    found = {frame: seen([early, late, other], frame) for frame in range(0, LENGTH, 10)}
    follow = Following(early, late, other)
    assert plain(link_detections(found, follow)) == plain([early, other, late])
    assert follow.asked == [(0, 1), (20, 1), (40, 1)]


def test_of_too_many_objects_the_first_and_surest_are_followed():
    things = [thing(0.0, 30.0 * number) for number in range(4)]
    found = {0: [*seen(things[:1], 0, 0.5), *seen(things[1:], 0, 0.8)], 10: seen(things, 10)}
    linked = link_detections(found, Following(*things), DetectionConfig(limit=3))
    assert plain(linked) == plain(things[1:])


def test_an_object_whose_mask_is_nowhere_is_no_track():
    gone = Tube(np.empty(0, np.int64), np.empty((0, 4)))
    assert link_detections({0: seen([thing(0.0, 0.0)], 0)}, lambda *_: [gone]) == ()
    assert link_detections({0: [], 10: []}, Following()) == ()


def test_the_laws_of_new_detections():
    rng = np.random.default_rng(0)
    for _ in range(50):
        corners = rng.uniform(0, 60, (12, 2))
        boxes = np.hstack([corners, corners + rng.uniform(5, 40, (12, 2))])
        known = [*boxes[:3]]
        found = [
            Detection(box, float(score), "thing")
            for box, score in zip(boxes[3:], rng.random(9), strict=True)
        ]
        new = select_new(found, known, 0.5)
        assert new == select_new(found[::-1], known, 0.5), "their order does not matter"
        assert new == select_new(new, known, 0.5), "what is left claims nothing of the rest"
        for left_out in (one for one in found if one not in new):
            surer = [one.box for one in new if one.score > left_out.score]
            others = np.stack([*known, *surer])
            assert box_iou(np.broadcast_to(left_out.box, others.shape), others).max() >= 0.5


def test_a_box_goes_around_the_pixels_of_its_mask():
    mask = np.zeros((8, 10), dtype=bool)
    assert box_around(mask) is None
    mask[2, 3] = True
    assert edges(mask) == [3, 2, 4, 3]
    mask[5, 1] = True
    assert edges(mask) == [1, 2, 4, 6]


def test_a_track_that_begins_on_another_is_dropped_and_one_that_crosses_it_later_stays():
    first = thing(1.0, 0.0)
    late = first.within(first.span)
    again = Tube(late.frames[2:], late.boxes[2:] + 1.0, "another word for it")
    crossing = Tube(first.frames, [[5.0, 40.0, 15.0, 50.0], *first.boxes[1:].tolist()], "crossing")
    before = Tube([0, 40], [[200.0, 0, 210, 10], [200.0, 0, 210, 10]])
    assert plain(drop_repeated([first, crossing, before, again])) == plain(
        [first, crossing, before]
    )
    assert drop_repeated([first, crossing], DetectionConfig(limit=1)) == (first,)
    assert drop_repeated([first, again], DetectionConfig(same=1.0)) == (first, again)


@pytest.mark.parametrize(
    "wrong", [{"every": 0}, {"limit": 0}, {"same": 1.5}, {"box_threshold": -0.1}]
)
def test_impossible_numbers_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DetectionConfig(**wrong)
