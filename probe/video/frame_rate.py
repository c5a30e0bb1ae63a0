"""Numbers of frames to sample that grow with the length of a video."""

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

from probe.video.coercion import describe_given, to_whole

MOST_UNASKED = 128
"""Most frames that are sampled at a rate unless more are asked for: each is held in memory, with
6 MB at 1080p."""


@dataclass(frozen=True)
class FrameRate:
    """A number of frames for each second of a video, within limits.

    >>> FrameRate(2, least=4, most=64).count(10.0)
    20
    """

    per_second: float | int

    least: int = 1
    """The number for the shortest videos."""

    most: int = MOST_UNASKED
    """The number for the longest."""

    def __post_init__(self) -> None:
        try:
            rate = float(self.per_second)
        except (TypeError, ValueError, OverflowError):  # such as an integer of 400 digits
            rate = math.nan
        if not (math.isfinite(rate) and rate > 0):
            shown = describe_given(self.per_second)
            raise ValueError(f"a rate of {shown} frames a second; give a number above 0")
        least, most = to_whole(self.least, "least"), to_whole(self.most, "most")
        if not 1 <= least <= most:
            raise ValueError(
                f"at least {least} and at most {most} frames; give 1 or more, and the larger last"
            )

    def count(self, seconds: float) -> int:
        """Return the number of frames to sample of a video of this length."""
        # The limit before the rounding: an enormous rate gives a product that no integer can be.
        return max(self.least, round(min(self.per_second * seconds, self.most)))


Sampling: TypeAlias = int | FrameRate
"""A number of frames to sample, or a rate that gives one for each length of a video."""


def check_sampling(asked: Any) -> Sampling:
    """Return a number of frames or a rate as it is used.

    Raises:
        ValueError: if it is neither.
    """
    if isinstance(asked, FrameRate):
        return asked
    number = to_whole(asked, "the number of frames to sample")
    if number < 1:
        raise ValueError(f"cannot sample {number} frames; ask for at least 1")
    return number


def count_frames(asked: Sampling, seconds: float, available: int) -> int:
    """Return the number of frames to sample of a video.

    Args:
        asked: The number, or the rate.
        seconds: The length of the video.
        available: The number of frames that it has; there are not more to sample.
    """
    return min(available, asked.count(seconds) if isinstance(asked, FrameRate) else asked)
