"""PointM, PointIt, mIoU and oIoU: known answers, and laws."""

import numpy as np
import pytest

from probe.metrics.referring import (
    RESPONSE_THRESHOLD,
    ReferringScore,
    average_scores,
    find_peak,
    score_found,
    score_response,
)

BOX = np.array([2.0, 1.0, 5.0, 4.0])
"""Pixels of columns 2 to 4 and rows 1 to 3."""


def draw_true():
    """An L in the box: two pixels of the box's corner are not in the mask."""
    truth = np.zeros((6, 8), dtype=bool)
    truth[1:4, 2:5] = True
    truth[1:3, 4] = False
    return truth


def draw_map(peak, *weak):
    response = np.zeros((6, 8))
    response[peak] = 1.0
    for place in weak:
        response[place] = 1e-3
    return response


@pytest.mark.parametrize(
    ("peak", "in_mask", "in_box"),
    [
        ((3, 4), True, True),  # the mask's last pixel
        ((1, 4), False, True),  # in the box, not in the mask
        ((1, 5), False, False),  # one column to the right of both
        ((0, 2), False, False),
        ((1, 2), True, True),  # the first pixel
    ],
)
def test_the_peak_is_in_the_mask_in_the_box_or_in_neither(peak, in_mask, in_box):
    score = score_response(draw_map(peak), draw_true(), BOX)
    assert (score.in_mask, score.in_box) == (in_mask, in_box)


def test_every_pixel_above_the_threshold_is_found_however_weak():
    truth = draw_true()  # 7 pixels
    score = score_response(draw_map((3, 4), (0, 0), (1, 2)), truth, BOX)
    assert (score.intersection, score.union) == (2, 8)
    weaker = np.where(draw_map((3, 4)) > 0, 1.0, RESPONSE_THRESHOLD)
    assert score_response(weaker, truth, BOX).union == 7  # what is not above it is not found
    # Three of seven pixels and nothing else.
    assert score_found(truth & (np.arange(8) < 3), truth).iou == pytest.approx(3 / 7)


def test_an_empty_map_points_at_nothing_even_where_the_thing_is_in_the_corner():
    truth = np.ones((6, 8), dtype=bool)
    empty = np.zeros((6, 8))
    assert find_peak(empty) is None
    score = score_response(empty, truth, np.array([0.0, 0.0, 8.0, 6.0]))
    assert score == ReferringScore.fail(truth)
    assert not score.in_mask


def test_of_equal_pixels_the_middle_one_is_the_peak_and_not_the_edge():
    response = np.zeros((6, 8))
    response[:3, :5] = 1.0  # what a strongest cell in the corner is, enlarged
    assert find_peak(response) == (1, 2)
    assert find_peak(response[::-1, ::-1]) == (4, 5)


def test_means_are_over_sentences_and_the_overall_iou_is_over_pixels():
    small, large = np.zeros((2, 40, 40), dtype=bool)
    small[:2, :2], large[:30, :30] = True, True
    scores = [score_found(small, small), score_found(large[::-1, ::-1] & large, large)]
    assert [round(one.iou, 3) for one in scores] == [1.0, 0.444]
    mean = average_scores(scores)
    assert mean.mean_iou == pytest.approx((1 + 400 / 900) / 2)
    assert mean.overall_iou == pytest.approx((4 + 400) / (4 + 900))
    # A sentence that is there twice counts twice.
    assert average_scores([*scores, scores[0]]).mean_iou > mean.mean_iou
    with pytest.raises(ValueError, match="no sentences"):
        average_scores([])


def test_sizes_must_agree():
    with pytest.raises(ValueError, match="picture's size"):
        score_found(np.ones((3, 4), dtype=bool), np.ones((4, 3), dtype=bool))
