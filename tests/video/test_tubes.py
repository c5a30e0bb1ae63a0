import copy
import dataclasses
import pickle

import numpy as np
import pytest
import torch

from probe.video import Span, Tube

CORNERS = np.array([[0.0, 0.0, 10.0, 10.0], [10.0, 20.0, 30.0, 40.0]])
TUBE = Tube(np.array([2, 6]), CORNERS, "cat")


def test_a_span_counts_its_frames_and_knows_what_is_in_it():
    assert len(Span(3, 7)) == 4
    assert 3 in Span(3, 7)
    assert 7 not in Span(3, 7)


def test_spans_apart_share_nothing():
    assert len(Span(0, 3) & Span(5, 9)) == 0


def test_a_span_cannot_run_backwards():
    with pytest.raises(ValueError, match="before it starts"):
        Span(3, 2)


def test_interpolated_boxes_move_in_straight_lines_and_stay_at_the_ends():
    boxes = TUBE.interpolated([0, 2, 4, 6, 9]).boxes
    expected = np.stack([CORNERS[0], CORNERS[0], CORNERS.mean(0), CORNERS[1], CORNERS[1]])
    np.testing.assert_allclose(boxes, expected)


def test_a_tube_survives_json():
    assert Tube.from_dict(TUBE.to_dict()) == TUBE
    assert Tube.from_dict({"frames": [], "boxes": []}) == Tube([], [])


def test_within_cuts_and_box_at_finds():
    part = TUBE.within(Span(3, 10))
    assert part.frames.tolist() == [6]
    assert part.box_at(6) is not None
    assert part.box_at(2) is None


@pytest.mark.parametrize(
    ("frames", "boxes", "complaint"),
    [
        ([1, 1], [[0.0, 0.0, 1.0, 1.0]] * 2, "must increase"),
        ([-1], [[0.0, 0.0, 1.0, 1.0]], "count from 0"),
        ([0], [[0.0, 0.0, np.nan, 1.0]], "NaN"),
        ([0], [[5.0, 0.0, 1.0, 1.0]], "x1 <= x2"),
        ([0, 1], [0.0, 0.0, 1.0, 1.0], "a tube of 2 frames has 1 boxes"),
    ],
)
def test_an_impossible_tube_is_refused(frames, boxes, complaint):
    with pytest.raises(ValueError, match=complaint):
        Tube(np.array(frames), np.array(boxes))


# What people have


BOXES = [[0, 0, 10, 10], [10, 20, 30, 40]]


@pytest.mark.parametrize(
    ("frames", "boxes"),
    [
        ([2, 6], BOXES),
        ((2, 6), [np.array(box) for box in BOXES]),
        (range(2, 7, 4), np.array(BOXES, dtype=np.uint8)),
        (np.array([2, 6], dtype=np.uint16), np.array(BOXES, dtype=np.float32)),
        ([np.int64(2), np.int32(6)], [tuple(map(float, box)) for box in BOXES]),
        (torch.tensor([2, 6]), torch.tensor(BOXES)),
        (torch.tensor([2, 6]), torch.tensor(BOXES, dtype=torch.bfloat16, requires_grad=True)),
        ([torch.tensor(2), torch.tensor(6)], [*torch.tensor(BOXES, dtype=torch.float64)]),
    ],
)
def test_a_tube_is_the_same_whatever_its_numbers_come_in(frames, boxes):
    tube = Tube(frames, boxes, "cat")
    assert tube == TUBE
    assert hash(tube) == hash(TUBE)
    assert tube.frames.dtype == np.int64
    assert tube.boxes.dtype.kind == "f"
    box = tube.box_at(frames[1])
    assert box is not None
    assert box.tolist() == BOXES[1]


@pytest.mark.parametrize("frame", [7, [7], np.int64(7), np.array(7), torch.tensor(7)])
@pytest.mark.parametrize("box", [[1, 2, 3, 4], (1.0, 2.0, 3.0, 4.0), torch.tensor([[1, 2, 3, 4]])])
def test_a_single_frame_and_a_single_box_make_a_tube(frame, box):
    assert Tube(frame, box) == Tube(np.array([7]), np.array([[1.0, 2.0, 3.0, 4.0]]))


@pytest.mark.parametrize("none", [[], (), np.empty(0), np.empty((0, 4)), torch.empty(0)])
def test_nothing_is_a_tube_without_boxes(none):
    assert len(Tube([], none)) == 0
    assert Tube([], none).boxes.shape == (0, 4)
    assert Tube([], none).span == Span(0, 0)


def test_unsigned_frames_that_decrease_are_noticed():
    with pytest.raises(ValueError, match="must increase"):
        Tube(np.array([6, 2], dtype=np.uint8), BOXES)


def test_a_tube_keeps_the_precision_of_its_boxes():
    for precision in (np.float32, np.float64):
        assert Tube([2, 6], CORNERS.astype(precision)).boxes.dtype == precision


@pytest.mark.parametrize(
    ("frames", "boxes", "complaint"),
    [
        ("2 and 6", BOXES, "frames are '2 and 6'; give whole numbers"),
        ([0.5, 2.0], BOXES, r"frames are \[0.5, 2.0\]; give whole numbers"),
        ([True, False], BOXES, "frames are .* give whole numbers"),
        (None, BOXES, "frames are None"),
        ({2, 6}, BOXES, r"frames are \{2, 6\}"),
        ([[2], [6]], BOXES, "give whole numbers"),
        (Span(2, 6), BOXES, "frames are a Span; give whole numbers"),
        ([2, 6], None, r"boxes are None; give \(x1, y1, x2, y2\)"),
        ([2, 6], "boxes", "boxes are 'boxes'"),
        ([2, 6], [[0, 0, 1], [0, 0, 1, 1]], r"boxes are \[\[0, 0, 1\], \[0, 0, 1, 1\]\]"),
        ([2, 6], np.zeros((2, 5)), r"an array of float64 of shape \(2, 5\)"),
        ([2, 6], torch.zeros(2, 2, 4), r"an array of float32 of shape \(2, 2, 4\)"),
        ([2, 6], [["0", "0", "1", "1"]] * 2, "boxes are .* in pixels for each frame"),
        ([2, 6], [[0, 0, 1, 1j]] * 2, "boxes are .* in pixels for each frame"),
        (range(1000), [[0, 0, 1, "1"]] * 1000, "boxes are .* in pixels for each frame"),
    ],
)
def test_what_makes_no_tube_is_described_in_one_line(frames, boxes, complaint):
    with pytest.raises(ValueError, match=complaint) as caught:
        Tube(frames, boxes)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("kind", [int, np.int64, np.uint8, torch.tensor, np.array])
def test_a_span_takes_integers_of_any_kind(kind):
    span = Span(kind(3), kind(7))
    assert span == Span(3, 7)
    assert hash(span) == hash(Span(3, 7))
    assert type(span.start) is type(span.stop) is int
    assert kind(3) in span
    assert kind(7) not in span
    assert sorted([Span(3, 9), span, Span(kind(1), 2)]) == [Span(1, 2), Span(3, 7), Span(3, 9)]
    assert dataclasses.replace(span, stop=kind(5)) == Span(3, 5)


@pytest.mark.parametrize("wrong", [1.0, "3", None, [3], np.array([3, 4]), torch.tensor([3, 4])])
def test_what_is_no_frame_is_described_in_one_line(wrong):
    for work in (
        lambda: Span(wrong, 7),
        lambda: Span(0, wrong),
        lambda: wrong in Span(0, 5),
        lambda: TUBE.box_at(wrong),
    ):
        with pytest.raises(ValueError, match="give a whole number") as caught:
            work()
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="give whole numbers"):
        TUBE.interpolated([0.5])


# Equality, and how a tube is shown


def test_tubes_are_equal_if_all_they_hold_is():
    same = Tube(TUBE.frames.copy(), TUBE.boxes.copy(), "cat")
    assert same == TUBE
    assert {same: 1}[TUBE] == 1
    others = [
        Tube([2, 7], CORNERS, "cat"),
        Tube([2, 6], CORNERS + 0.01, "cat"),
        Tube([2, 6], CORNERS, "dog"),
        TUBE.within(Span(0, 5)),
        Tube([], [], "cat"),
    ]
    for other in others:
        assert other != TUBE
    assert len({TUBE, same, *others}) == 6
    assert TUBE.to_dict() != TUBE


def test_equal_tubes_have_one_hash_whatever_the_precision_and_the_sign_of_a_zero():
    one = Tube([0], np.array([[0.0, -0.0, 0.5, 1.0]], dtype=np.float32))
    other = Tube([0], np.array([[-0.0, 0.0, 0.5, 1.0]], dtype=np.float64))
    assert one == other
    assert hash(one) == hash(other)


def test_a_tube_can_be_copied_pickled_and_changed():
    assert pickle.loads(pickle.dumps(TUBE)) == copy.deepcopy(TUBE) == TUBE
    assert dataclasses.replace(TUBE, label="dog") == Tube(TUBE.frames, TUBE.boxes, "dog")
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(TUBE, "label", "dog")  # noqa: B010  type checkers know that it cannot be set


def test_a_tube_is_shown_in_one_line():
    long = Tube(range(64), np.tile(CORNERS[:1], (64, 1)), "man")
    assert repr(long) == "Tube(64 boxes, frames 0 to 63, 'man')"
    assert repr(long.within(Span(5, 6))) == "Tube(1 box, frame 5, 'man')"
    assert repr(Tube([], [])) == "Tube(0 boxes)"
    talkative = repr(Tube(long.frames, long.boxes, "the\nman " * 100))
    assert "\n" not in talkative
    assert len(talkative) < 300
