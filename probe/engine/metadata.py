"""The metadata of a video as processors take it: count, duration and indices on one clock.

Processors count frames at a constant rate, so that a number over the rate is a time, and the count
over the rate is the duration. Models write these times into the text, or compute positions of
them. A real file may have no constant rate, so the clock here need not be that of its frames.
"""

import math
from fractions import Fraction
from itertools import product

import numpy as np
from transformers.video_utils import VideoMetadata

from probe.video import Video

FINEST = Fraction(10**6)
"""Ticks a second of the clock of a video without a constant rate: each microsecond is a frame."""

DENOMINATORS = (1, 1001, 10**6)
"""Largest denominators of a rate, simplest first: 25 a second; 30,000 in 1,001 seconds, as NTSC
has; any other."""

ROUNDINGS = (1e-6, 1.01e-3)
"""Seconds by which frames may miss a rate and still have it: of an exact clock, and of Matroska's,
whose first and last frame are rounded to a millisecond."""


def describe_times(video: Video) -> VideoMetadata:
    """Describe when the sampled frames of a video were shown, and how long it is."""
    rate = choose_rate(video)
    height, width = video.size
    indices = [round(Fraction(float(time)) * rate) for time in video.times]
    end = round(Fraction(video.time_at(video.source_length)) * rate)
    count = max(end, indices[-1] + 1)
    return VideoMetadata(
        total_num_frames=count,
        fps=_round_down(rate),
        width=width,
        height=height,
        duration=float(count / rate),
        frames_indices=indices,
    )


def choose_rate(video: Video) -> Fraction:
    """Return the simplest rate at which all source frames lie, else that of a clock for any time.

    A rate that was measured between rounded times misses the true one a little, and the last of
    many frames by much more: 30 a second in Matroska are measured as 30.0015. Such a frame would be
    shown a second too early to a model that reads whole seconds.
    """
    times = np.append(video.source_times, video.time_at(video.source_length))
    measured, numbers = Fraction(video.fps), np.arange(len(times))
    for rounding, largest in product(ROUNDINGS, DENOMINATORS):
        rate = measured.limit_denominator(largest)
        # Slow rates round to 0: a frame in seven seconds is no whole number a second.
        if rate and np.abs(numbers / float(rate) - times).max() <= rounding:
            return rate
    return FINEST


def _round_down(rate: Fraction) -> float:
    """Return the largest number that is not above a rate: no time falls short of its second."""
    # The frame 1,001 seconds after the first, at 24,000 in 1,001, would be at 1000.9999999999999.
    nearest = float(rate)
    return nearest if Fraction(nearest) <= rate else math.nextafter(nearest, 0)
