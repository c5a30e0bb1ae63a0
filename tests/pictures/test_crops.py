"""A part of the frame that a processor cuts off is dark in every picture, and is a doubt."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from probe.drawing.figures import draw_frames
from probe.engine.attention import Heatmap
from probe.grounder import ground
from probe.pictures.crops import DIMMED, dim_outside
from probe.video import Tube, Video, read_video

REGION = (30.0, 0.0, 130.0, 100.0)


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(100, 256, (100, 160, 3), dtype=np.uint8)


def test_what_is_seen_stays_and_what_is_not_is_dark(picture):
    before = picture.copy()
    drawn = dim_outside(picture, REGION)
    assert (drawn[:, 30:130] == picture[:, 30:130]).all()
    outside = np.r_[0:29, 131:160]  # one column on either side is the line
    assert (drawn[:, outside] == np.rint(picture[:, outside] * DIMMED)).all()
    assert (picture == before).all()


def test_the_edge_shows_on_a_black_picture():
    drawn = dim_outside(np.zeros((100, 160, 3), np.uint8), REGION)
    assert (drawn[:, [29, 130]] > 100).all()
    assert (np.delete(drawn, [29, 130], axis=1) == 0).all()


@pytest.mark.parametrize("region", [(0.0, 0.0, 160.0, 100.0), (-9.0, -9.0, 169.0, 109.0)])
def test_a_frame_that_is_seen_whole_stays_as_it_is(picture, region):
    assert dim_outside(picture, region) is picture


@pytest.fixture
def wide(clip):
    """A clip of the shapes with as much again at its left and its right."""
    video = clip.video(4)
    frames = np.concatenate([video.frames, video.frames, video.frames], axis=2)
    return Video(frames, video.indices, video.source_times)


def test_figures_draw_the_crop_of_the_map(tiny, wide):
    view = tiny.watch(wide)
    cold = Heatmap(view.read("What jumps?")[0].heatmap(0).values * 0, view.grid.cells)
    ax = Figure().subplots()
    draw_frames(ax, wide, cold)
    for image, frame in zip(ax.images, wide.frames, strict=True):
        drawn = np.asarray(image.get_array())
        assert (drawn[:, 56:112] == frame[:, 56:112]).all()
        assert (drawn[:, :55] == np.rint(frame[:, :55] * DIMMED)).all()


@pytest.mark.slow
def test_an_answer_doubts_and_draws_what_was_cut_off(tiny, wide, tmp_path):
    track = Tube(np.arange(64), np.tile([60.0, 4.0, 90.0, 30.0], (64, 1)))
    answer = ground(tiny, wide, "the red circle", [track])
    assert [doubt for doubt in answer.doubts if "does not see" in doubt] == [
        "the model does not see 67% of the frame: its processor keeps the middle 56 x 56 of "
        "168 x 56 pixels"
    ]
    answer.overlay(tmp_path / "answer.mp4")
    drawn = read_video(tmp_path / "answer.mp4", 1)
    zoom = drawn.size[1] / 168
    seen, cut = (drawn.frames[0][:300, int(x * zoom) : int((x + 30) * zoom)] for x in (95, 5))
    figure = Figure()
    answer._draw(figure)
    row = np.asarray(figure.axes[0].images[0].get_array())
    assert row[:, :55].mean() < row[:, 56:112].mean()
    assert cut.mean() < 0.6 * seen.mean()


@pytest.mark.slow
def test_an_answer_about_a_frame_that_is_seen_whole_has_no_such_doubt(tiny, clip):
    track = Tube(np.arange(64), np.tile([4.0, 4.0, 30.0, 30.0], (64, 1)))
    answer = ground(tiny, clip.video(4), "the red circle", [track])
    assert not [doubt for doubt in answer.doubts if "does not see" in doubt]
