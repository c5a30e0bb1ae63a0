"""Parts of a video: a stretch of it, sampled as if the rest were not there."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from probe.video.decoding import Timetable, decode, read_timetable
from probe.video.frame_rate import Sampling, check_sampling, count_frames
from probe.video.paths import find_source
from probe.video.video import Video


def read_part(source: str | Path, start: Any = None, end: Any = None, *, frames: Any = 20) -> Video:
    """Sample a stretch of a video file evenly in time.

    The stretch is a video of its own: its first frame is frame 0 and its times start at 0, as a
    model is told them. `Video.part` says which frames of the file it is.

    Args:
        source: The video file.
        start: Seconds from the start of the file to the stretch; its beginning by default.
        end: Seconds from the start of the file to the end of the stretch; its end by default.
        frames: Number of frames to sample, or a `FrameRate`.

    Raises:
        ValueError: if the source is no video file, or no frame is shown in the stretch.
    """
    path, sampling = find_source(source), check_sampling(frames)
    if path.is_dir():
        raise ValueError(f"{path}: a folder of frames has no clock to cut it by; give a video file")
    first, last = _seconds("start", start, 0.0), _seconds("end", end, math.inf)
    table = read_timetable(path)
    (shown,) = np.nonzero((table.times >= first) & (table.times < last))
    if not len(shown):
        length = float((table.end - table.ticks[0]) * table.tick)
        until = "on" if last == math.inf else f"to {last:g} s"
        raise ValueError(
            f"{path}: no frame is shown from {first:g} s {until}; the video has {length:.2f} s"
        )
    return sample_part(path, table, range(int(shown[0]), int(shown[-1]) + 1), sampling)


def sample_part(path: Path, table: Timetable, part: range, frames: Sampling) -> Video:
    """Sample the middles of equal stretches of some frames in a row, which become a video.

    Args:
        path: The file.
        table: When its frames are shown.
        part: The frames.
        frames: The number to sample, or a rate.
    """
    # The last frame is shown until the next one starts, if there is one.
    ends = [*table.times, float((table.end - table.ticks[0]) * table.tick)]
    seconds = float(ends[part.stop] - ends[part.start])
    count = count_frames(frames, seconds, len(part))
    indices = tuple(((2 * np.arange(count) + 1) * len(part) // (2 * count)).tolist())
    pictures = decode(path, table, [part.start + index for index in indices])
    # As in a file cut to the part, time starts at 0: a model is told seconds of what it is shown.
    times = table.times[part.start : part.stop]
    return Video(
        pictures,
        indices,
        times - times[0],
        path,
        part,
        pixel_aspect=table.pixel_aspect,
        length=seconds if len(part) == 1 else None,
    )


def _seconds(name: str, given: Any, otherwise: float) -> float:
    if given is None:
        return otherwise
    try:
        seconds = float(given)
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise ValueError(f"the {name} of a part is {given!r}; give seconds from 0")
    return seconds
