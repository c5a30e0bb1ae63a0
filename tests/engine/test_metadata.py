"""The times that a model is told are those of the video, whatever its rate."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from tolerances import assert_equal_up_to_rounding
from zoo import moving, save_tiny

from probe.engine.metadata import FINEST, choose_rate, describe_times
from probe.engine.model import load
from probe.video import Video, read_video
from probe.video.encoding import write_video

RATES = tuple(map(Fraction, ("25", "30000/1001", "24000/1001", "1/7", "15/2")))


def sampled(times, indices, length=None):
    """A video of blank frames of which only the times matter."""
    blank = np.zeros((len(indices), 8, 8, 3), np.uint8)
    return Video(blank, tuple(indices), np.asarray(times, np.float64), length=length)


def uneven(frames=40, seed=0):
    """Times of a recording that drops frames: gaps of one to nine frames of a sixtieth second."""
    gaps = np.random.default_rng(seed).integers(1, 10, frames) / 60
    return np.concatenate([[0], gaps.cumsum()[:-1]])


@pytest.mark.parametrize("rate", RATES)
def test_frames_of_a_constant_rate_keep_their_numbers(rate):
    video = sampled(np.arange(200) / float(rate), (0, 24, 30, 199))
    found = describe_times(video)
    assert choose_rate(video) == rate
    assert (found.total_num_frames, found.frames_indices) == (200, [0, 24, 30, 199])
    assert found.duration == float(200 / rate)


@pytest.mark.parametrize("rate", RATES)
def test_no_frame_falls_short_of_the_second_at_which_it_is_shown(rate):
    frames = math.lcm(rate.numerator, rate.denominator) // rate.denominator * 2 + 1
    whole = [k for k in range(frames) if (k / rate).denominator == 1]
    # As a clock of ticks gives them: each a little off, by the rounding of one product.
    video = sampled(np.arange(frames) * float(1 / rate), whole)
    assert [int(time) for time in describe_times(video).timestamps] == [k / rate for k in whole]


def test_a_time_a_hair_before_a_second_is_that_second():
    times = np.array([0, 0.3, 0.9999999, 1.7, 2.99999999, 3.5])
    seconds = [int(time) for time in describe_times(sampled(times, range(6))).timestamps]
    assert seconds == [0, 0, 1, 1, 3, 3]


@pytest.mark.parametrize("rate", [30, 30000 / 1001, 24000 / 1001, 60])
def test_times_that_matroska_rounds_belong_to_the_rate_that_was_recorded(rate):
    exact, rounded = np.arange(200) / rate, np.round(np.arange(200) / rate, 3)
    places = (0, 30, 60, 150, 199)
    ours, truth = (describe_times(sampled(times, places)) for times in (rounded, exact))
    assert ours.frames_indices == truth.frames_indices
    assert ours.total_num_frames == 200
    assert_equal_up_to_rounding(ours.timestamps, truth.timestamps)
    assert [int(time) for time in ours.timestamps] == [int(time) for time in truth.timestamps]


@pytest.mark.parametrize("seed", range(20))
def test_a_varying_rate_gives_count_duration_and_times_of_one_clock(seed):
    times = uneven(seed=seed)
    places = sorted(np.random.default_rng(seed).choice(40, 7, replace=False).tolist())
    video = sampled(times, places)
    found = describe_times(video)
    end = video.time_at(video.source_length)
    assert choose_rate(video) == FINEST
    assert np.abs(np.array(found.timestamps) - video.times).max() < 1e-6
    assert found.duration == pytest.approx(end, abs=1e-6)
    # The rate of the samples is their number over the duration, as of any other video.
    assert abs(found.sampled_fps - 7 / end) < 1e-5


def test_a_single_picture_lasts_as_long_as_its_file_says():
    assert describe_times(sampled([0.0], [0], length=0.5)).duration == 0.5
    assert describe_times(sampled([0.0], [0])).duration == 1.0


@pytest.mark.slow
def test_a_file_of_varying_rate_has_its_own_times(tmp_path):
    times = uneven(30)
    pictures = np.random.default_rng(0).integers(0, 256, (30, 32, 32, 3), dtype=np.uint8)
    write_video(tmp_path / "uneven.mp4", iter(pictures), 30, times=times)
    video = read_video(tmp_path / "uneven.mp4", 6)
    assert np.abs(np.array(describe_times(video).timestamps) - video.times).max() < 1e-6
    assert np.ptp(np.diff(video.source_times)) > 0.01


# Models


def slow_then_fast():
    """Ten sampled frames of a clip of 14 s: 4 frames in the first 12 s, then 60 in the last two."""
    times = np.concatenate([np.arange(4) * 3.0, 12 + np.arange(60) / 30])
    return Video(moving(10).frames, (0, 1, 2, 3, 4, 15, 30, 40, 50, 63), times)


def open_tiny(family, folder):
    save_tiny(family, folder)
    return load(folder, dtype="float32")


@pytest.mark.slow
def test_qwen_counts_the_seconds_of_a_cell_from_the_duration(tmp_path):
    model = open_tiny("qwen2_5_vl", tmp_path)
    view = model.watch(slow_then_fast())
    # Five cells of two sampled frames in 14 s are 2.8 s each, at two positions a second.
    time = view.prefix.positions[0][view.grid.positions].unflatten(0, (5, -1))[:, 0]
    assert (time - time[0]).tolist() == torch.tensor([0, 5.6, 11.2, 16.8, 22.4]).long().tolist()


@pytest.mark.slow
@pytest.mark.parametrize("family", ["smolvlm", "qwen3_vl"])
def test_times_in_the_text_are_those_of_the_frames(family, tmp_path):
    model, video = open_tiny(family, tmp_path), slow_then_fast()
    checkpoint = model.checkpoint
    inputs = checkpoint.process(video, checkpoint.writer(before=0).text("What jumps?"))
    text = checkpoint.processor.tokenizer.decode(inputs["input_ids"][0])
    if family == "smolvlm":
        expected = [f"Frame from 00:{int(time):02d}:" for time in video.times]
        assert "0:00:14" in text
    else:
        pairs = video.times.reshape(-1, 2).mean(axis=1)
        expected = [f"<{time:.1f} seconds>" for time in pairs]
    places = [text.find(time, 0) for time in expected]
    assert -1 not in places
    assert places == sorted(places)
