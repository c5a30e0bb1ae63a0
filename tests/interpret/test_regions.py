import math

import numpy as np
import pytest
import torch
from tolerances import assert_equal_up_to_rounding

from probe import Heatmap, Tube
from probe.interpret.regions import POINT_REACH, weigh_cells
from probe.video.masks import Mask

BOX = (3.0, 10.0, 20.0, 31.0)


@pytest.fixture(scope="module")
def view(tiny, video):
    return tiny.watch(video)


def draw_box(size, box):
    """The pixels whose centres lie in a box."""
    y, x = np.indices(size) + 0.5
    return (x > box[0]) & (x < box[2]) & (y > box[1]) & (y < box[3])


def test_a_box_and_its_other_forms_are_one_region(view):
    video, cells = view.video, view.grid.cells
    pixels = draw_box(video.size, BOX)
    expected = cells.inside(Tube(range(video.source_length), [BOX] * video.source_length)).float()
    assert 0 < expected.sum() < expected.numel()
    forms = [
        BOX,
        np.array(BOX),
        torch.tensor(BOX),
        dict.fromkeys((0, video.source_length - 1), BOX),
        pixels,
        Mask.from_pixels(pixels),
        np.stack([pixels] * len(video)),
        expected.bool(),
        expected,
        Heatmap(expected, cells),
    ]
    for form in forms:
        assert torch.equal(weigh_cells(view, form), expected)


def test_the_weight_near_points_is_a_gaussian_of_the_distance_to_the_nearest(view):
    points, cells = [(5.0, 9.0), (30.0, 12.5), (41.0, 50.0)], view.grid.cells
    left, top, right, bottom = cells.region
    reach = POINT_REACH * math.hypot(right - left, bottom - top)
    expected = torch.zeros(cells.shape)
    for row in range(cells.rows):
        for column in range(cells.columns):
            x1, y1, x2, y2 = cells.box(row, column)
            near = min(math.dist(((x1 + x2) / 2, (y1 + y2) / 2), point) for point in points)
            expected[:, row, column] = math.exp(-(near**2) / (2 * reach**2))
    assert_equal_up_to_rounding(weigh_cells(view, points), expected)


def test_more_points_never_weigh_less_and_a_point_weighs_its_own_cell_most(view):
    one, other = (5.0, 9.0), (41.0, 50.0)
    alone, both = weigh_cells(view, one), weigh_cells(view, [one, other])
    assert (both >= alone).all()
    assert torch.equal(both, torch.maximum(alone, weigh_cells(view, [other])))
    cells = view.grid.cells
    row, column = divmod(int(alone[0].argmax()), cells.columns)
    x1, y1, x2, y2 = cells.box(row, column)
    assert x1 <= one[0] <= x2
    assert y1 <= one[1] <= y2


def test_points_of_a_frame_count_for_the_map_frame_nearest_in_time(view):
    sources = view.grid.cells.frames
    weights = weigh_cells(view, {sources[2][0] + 1: [(20, 20)]})
    assert weights[2].any()
    assert not weights[[place for place in range(len(sources)) if place != 2]].any()


@pytest.mark.parametrize(
    "region",
    [{8: BOX, 40: (20, 20, 40, 40)}, {8: (5, 5), 40: [(9, 9), (30, 30)]}, BOX, (12.0, 40.0)],
)
def test_a_region_turns_round_with_the_video(view, region):
    turned = weigh_cells(view.reversed(), region)
    assert torch.equal(turned.flip(0), weigh_cells(view, region))


@pytest.mark.parametrize(
    ("region", "words"),
    [
        ("the circle", "a region is 'the circle'; give a Tube"),
        ([1, 2, 3], r"a region is \[1, 2, 3\]; give a Tube"),
        ([[1, 2, 3, 4]] * 2, "a region is .*; give a Tube"),
        ((200.0, 10.0, 220.0, 30.0), "holds none of the .* cells; the model sees the pixels"),
        ((20.0, 10.0, 3.0, 30.0), "x1 <= x2"),
        ((99.0, 10.0), r"the point \(99, 10\) lies outside"),
        ((float("nan"), 10.0), r"the point \(nan, 10\) lies outside"),
        (np.zeros((56, 56), dtype=bool), "holds none of the"),
        (np.ones((3, 3), dtype=bool), r"a mask of shape \(3, 3\) does not fit"),
        (np.full((2, 2, 2), 0.5), "weights of a region are .*; give numbers from 0 to 1"),
        ({}, "given for the source frames"),
        ({64: BOX}, r"given for the source frames \[64\]; give some of 0 to 63"),
        ({1.5: BOX}, "a frame of the region is 1.5"),
        ({0: BOX, 8: (4, 4)}, "a box in every frame, or a point"),
    ],
)
def test_what_is_no_region_is_refused_in_one_line(view, region, words):
    with pytest.raises(ValueError, match=words) as refused:
        weigh_cells(view, region)
    assert "\n" not in str(refused.value)
