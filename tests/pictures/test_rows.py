"""Rows of frames: which are drawn, where their heat and boxes lie, and what is written above."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from shown import drawn
from staged import staged_reading, staged_video

from probe.engine.attention import Heatmap
from probe.pictures.html import figure_as_html
from probe.pictures.rows import Tile, draw_norms, draw_row
from probe.video import Video
from probe.video.previews import FRAME_GAP, MOST_HTML_BYTES

ODD = "two $ signs $\\frac{$ <b>\nand a line end"


@pytest.fixture(scope="module")
def video():
    return staged_video(frames=20, height=90, width=160)


@pytest.fixture(scope="module")
def heatmap(video):
    return staged_reading(video, ["a"], layers=1, heads=1, side=6).heatmap(3)


@pytest.fixture
def ax():
    return Figure((6, 2), layout="constrained").subplots()


def titles(ax):
    return [label.get_text() for label in ax.get_xticklabels()]


def boxes(ax):
    """The boxes drawn on a row, each once, by their corners."""
    corners = [patch.get_bbox().extents for patch in ax.patches if isinstance(patch, Rectangle)]
    return np.unique(np.array(corners), axis=0)


def test_tiles_lie_side_by_side_with_their_boxes_and_titles(ax):
    picture = np.zeros((30, 40, 3), np.uint8)
    draw_row(
        ax, [Tile(picture, f"{n}", (((5.0, 6.0, 15.0, 16.0), "white", 1.0),)) for n in range(3)]
    )
    lefts = [image.get_extent()[0] for image in ax.images]
    assert lefts == pytest.approx([0, 40 * (1 + FRAME_GAP), 80 * (1 + FRAME_GAP)])
    assert boxes(ax) == pytest.approx(np.array([[x + 5, 6, x + 15, 16] for x in lefts]))
    assert titles(ax) == ["0", "1", "2"]
    assert list(ax.get_xticks()) == pytest.approx([left + 20 for left in lefts])


def test_pictures_keep_their_shape(ax):
    draw_row(ax, [Tile(np.zeros((30, 40, 3), np.uint8), "")] * 3)
    ax.figure.draw_without_rendering()
    (x1, y1), (x2, y2) = ax.transData.transform([(0, 30), (40, 0)])
    assert (x2 - x1) / (y2 - y1) == pytest.approx(4 / 3)


def test_text_above_a_row_is_drawn_as_it_is(ax):
    draw_row(ax, [Tile(np.zeros((30, 40, 3), np.uint8), ODD)] * 2, ODD)
    texts = [*ax.get_xticklabels(), ax.title, ax._left_title]
    assert not any(text.get_parse_math() or text.get_usetex() for text in texts[:2])
    assert ax.get_title(loc="left") == " ".join(ODD.split())
    assert np.asarray(drawn(ax.figure)).std() > 10


def test_a_long_title_is_cut_to_the_width_of_the_axes(ax):
    draw_row(ax, [Tile(np.zeros((30, 40, 3), np.uint8), "")] * 5, "a word " * 99)
    figure = ax.figure
    figure.draw_without_rendering()
    title = ax._left_title.get_window_extent()
    assert 0.7 * figure.bbox.width < title.width < figure.bbox.width


@pytest.mark.parametrize("strongest", [0, 7, 13, 19])
def test_the_strongest_frame_is_among_those_drawn_and_its_cell_is_outlined(
    video, heatmap, ax, strongest
):
    values = torch.rand(20, 6, 6, generator=torch.Generator().manual_seed(strongest)) / 2
    values[strongest, 2, 4] = 1
    one = Heatmap(values, heatmap.cells)
    place = video.indices[strongest]
    for shown, wanted in ((None, str(place)), (video, f"{video.time_at(place):.1f} s")):
        ax.clear()
        assert one.plot(ax, video=shown) is ax
        (box,) = boxes(ax)
        tile = int(box[0] // (160 * (1 + FRAME_GAP)))
        assert titles(ax)[tile].removeprefix("frame ") == wanted
        inside = box - np.array([1, 0, 1, 0]) * tile * 160 * (1 + FRAME_GAP)
        assert inside == pytest.approx(one.cells.box(2, 4))
        assert "the strongest is 1" in ax.get_title(loc="left")


def test_without_a_video_the_map_of_a_cropped_region_fills_its_tiles(heatmap, ax):
    values = torch.zeros(20, 6, 6)
    values[0, 0, 0] = 1
    cells = replace(heatmap.cells, region=(40.0, 0.0, 130.0, 90.0))
    Heatmap(values, cells).plot(ax)
    assert ax.images[0].get_extent() == [0, 90, 90, 0]
    (box,) = boxes(ax)
    assert box == pytest.approx([0, 0, 15, 15])


def test_frames_are_drawn_in_the_maps_order(video, heatmap, ax):
    forwards = titles(heatmap.plot(ax, video=video))
    ax.clear()
    backwards = titles(heatmap.reversed().plot(ax, video=video))
    assert forwards == sorted(forwards, key=lambda title: float(title[:-2]))
    assert backwards[0] == forwards[-1]
    assert backwards[-1] == forwards[0]


def test_heat_is_laid_over_the_pictures(video, heatmap, ax):
    hot = torch.zeros(20, 6, 6)
    hot[:, 0, 0] = 1
    Heatmap(hot, heatmap.cells).plot(ax, video=video)
    places = [video.times.tolist().index(float(title[:-2])) for title in titles(ax)]
    for image, place in zip(ax.images, places, strict=True):
        difference = np.asarray(image.get_array()).astype(int) - video.frames[place]
        changed = np.abs(difference).max(-1)
        assert changed[:15, :26].max() > 60
        assert changed[45:].max() == changed[:, 80:].max() == 0


@pytest.mark.slow
@pytest.mark.parametrize("size", [(90, 160), (160, 90), (64, 64)])
@pytest.mark.parametrize("frames", [1, 2, 9])
def test_maps_of_any_shape_and_length_fit(size, frames):
    video = staged_video(frames, *size)
    heatmap = staged_reading(video, ["a"], layers=1, heads=1, side=4).heatmap(0)
    for shown in (None, video):
        figure = Figure((6, 2), layout="constrained")
        ax = heatmap.plot(figure.subplots(), video=shown)
        assert 1 <= len(ax.images) <= frames
        assert len(figure_as_html(figure)) <= MOST_HTML_BYTES


def test_titles_of_many_narrow_frames_do_not_overlap():
    video = staged_video(20, 160, 90)
    heatmap = staged_reading(video, ["a"], layers=1, heads=1, side=4).heatmap(0)
    for shown in (None, video):
        figure = Figure((6, 2), layout="constrained")
        ax = heatmap.plot(figure.subplots(), video=shown)
        figure.draw_without_rendering()
        places = [label.get_window_extent() for label in ax.get_xticklabels()]
        assert len(places) == 8
        assert all(one.x1 < other.x0 for one, other in pairwise(places))


def test_a_map_that_is_not_finite_is_refused(heatmap, ax):
    broken = replace(heatmap, values=heatmap.values.clone().fill_(torch.nan))
    with pytest.raises(ValueError, match="NaN"):
        broken.plot(ax)


def test_a_map_of_another_video_is_refused(video, heatmap, ax):
    other = Video(video.frames[:3], (0, 1, 2), video.source_times)
    with pytest.raises(ValueError, match="source frame 5, which is not among"):
        heatmap.plot(ax, video=other)


def test_half_precision_maps_that_carry_a_gradient_are_drawn(heatmap, ax):
    learnt = heatmap.values.to(torch.bfloat16).requires_grad_()
    assert replace(heatmap, values=learnt).plot(ax).images


def test_lengths_of_vectors_are_drawn_from_black_to_yellow(ax):
    norms = np.zeros((3, 4, 4))
    norms[1, 2, 3], norms[2, 0, 0] = 2.0, 1.0
    draw_norms(ax, norms, ODD)
    brightness = [np.asarray(image.get_array()).astype(int).sum(-1) for image in ax.images]
    assert titles(ax) == ["map frame 0", "1", "2"]
    assert brightness[1][2, 3] > brightness[2][0, 0] > 100 > brightness[0].max()


def test_vectors_of_zeros_are_drawn_black(ax):
    draw_norms(ax, np.zeros((3, 4, 4)), "")
    assert all(np.asarray(image.get_array()).max() < 10 for image in ax.images)
