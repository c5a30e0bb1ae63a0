"""A rate gives each video as many frames as its length asks for."""

import warnings

import numpy as np
import pytest

from probe.datasets.drawn import SHAPES_VAL, DrawnVideo
from probe.datasets.footage import StoredVideo
from probe.video import FrameRate, Span, count_frames, read_video
from probe.video.encoding import write_video

ONE = FrameRate(1.0, most=64)


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.2, 1), (1.0, 1), (5.4, 5), (9.6, 10), (64.0, 64), (3600.0, 64)]
)
def test_a_second_has_a_frame_up_to_the_ceiling(seconds, expected):
    assert ONE.count(seconds) == expected


def test_a_rate_starts_at_its_floor():
    assert FrameRate(2.0, least=4).count(0.1) == 4


def test_a_number_is_a_number_whatever_the_length():
    assert [count_frames(20, seconds, 1000) for seconds in (1.0, 100.0)] == [20, 20]


def test_there_are_no_more_frames_than_the_video_has():
    assert count_frames(FrameRate(2.0, least=4), 10.0, available=3) == 3


@pytest.mark.parametrize("fps", [5.0, 25.0])
def test_arrays_and_lists_are_sampled_at_a_rate(fps):
    pictures = np.zeros((50, 8, 8, 3), np.uint8)
    expected = round(50 / fps)
    for source in (pictures, list(pictures)):
        assert len(read_video(source, ONE, fps=fps)) == expected


def test_a_file_is_sampled_at_a_rate_of_its_own_clock(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, (30, 32, 32, 3), dtype=np.uint8)
    write_video(tmp_path / "six-seconds.mp4", iter(pictures), 5)
    video = read_video(tmp_path / "six-seconds.mp4", ONE)
    assert len(video) == 6
    # Evenly in time, each from the middle of a second.
    assert np.abs(np.diff(video.times) - 1).max() < 1e-6
    cut = StoredVideo("six-seconds", tmp_path / "six-seconds.mp4", segment=Span(10, 30))
    assert len(cut.read(ONE).video) == 4
    assert len(cut.read(FrameRate(3)).video) == 12


def test_a_short_video_warns_of_a_number_that_was_asked_for_and_of_no_rate():
    pictures = np.zeros((3, 8, 8, 3), np.uint8)
    with pytest.warns(UserWarning, match="3 of the 5 frames asked for"):
        read_video(pictures, 5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read_video(pictures, FrameRate(100.0))) == 3


def test_a_drawn_clip_is_sampled_at_a_rate():
    case = SHAPES_VAL.case(0)
    drawn = DrawnVideo(case.name, case.clip, case.world)
    seconds = drawn.read(8).video.time_at(72)
    assert len(drawn.read(FrameRate(2.0)).video) == round(2 * seconds)


def test_an_enormous_rate_gives_as_many_frames_as_the_limit():
    assert FrameRate(1e308, most=20).count(100.0) == 20
    assert FrameRate(1e308, most=20).count(0.0) == 1


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf"), 10**400])
def test_a_rate_that_is_none_is_refused(rate):
    with pytest.raises(ValueError, match=r"a rate of .* frames a second; give a number above 0"):
        FrameRate(rate)


@pytest.mark.parametrize(("least", "most"), [(0, 4), (5, 4)])
def test_limits_that_are_none_are_refused(least, most):
    with pytest.raises(ValueError, match=f"at least {least} and at most {most} frames"):
        FrameRate(1.0, least, most)
