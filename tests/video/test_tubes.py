import numpy as np
import pytest

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
    again = Tube.from_dict(TUBE.to_dict())
    assert again.label == "cat"
    np.testing.assert_array_equal(again.frames, TUBE.frames)
    np.testing.assert_array_equal(again.boxes, TUBE.boxes)


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
    ],
)
def test_an_impossible_tube_is_refused(frames, boxes, complaint):
    with pytest.raises(ValueError, match=complaint):
        Tube(np.array(frames), np.array(boxes))
