"""Further frames of a video that has been read: of a stretch in which something was found."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from probe.video.decoding import decode, read_timetable
from probe.video.images import list_images, read_pixels
from probe.video.tubes import Span
from probe.video.video import Video, check_length


def has_source(video: Video) -> bool:
    """Tell whether frames besides the sampled ones can be read: of an array nobody kept them."""
    return video.path is not None or video.reader is not None


def sample_stretch(video: Video, stretch: Span, frames: int) -> Video:
    """Sample a stretch of a video again, at the middles of equal parts of it.

    Frame numbers and clock stay those of the whole source, so that spans, tubes and times of one
    fit the other.

    Args:
        video: The video, read before with whatever frames.
        stretch: The source frames to sample from.
        frames: Number of frames to sample; a shorter stretch gives all it has.

    Raises:
        ValueError: as `read_frames`; or if the stretch is empty.
    """
    inside = stretch & Span(0, video.source_length)
    if not len(inside) or frames < 1:
        raise ValueError(
            f"cannot sample {frames} frames of {stretch} in a video of {video.source_length} "
            f"frames; give at least one frame, and a stretch of the video"
        )
    count = min(frames, len(inside))
    places = (2 * np.arange(count) + 1) * len(inside) // (2 * count)
    return read_frames(video, (inside.start + places).tolist())


def read_frames(video: Video, indices: Sequence[int]) -> Video:
    """Read these frames of the source of a video; its clock and its length stay as they are.

    Args:
        video: The video, read before with whatever frames.
        indices: Numbers of source frames, in order.

    Raises:
        ValueError: if the source was not kept, has changed, or a frame of it cannot be decoded.
    """
    if video.reader is not None:
        pictures = video.reader(indices)
    elif video.path is None:
        raise ValueError(
            f"{video!r} holds its {len(video)} sampled frames and nothing else of its source; "
            "give the file, or sample more frames of the array"
        )
    elif video.path.is_dir():
        pictures = _read_images(video.path, video.source_length, indices)
    else:
        pictures = _decode(video, video.path, indices)
    return replace(video, frames=pictures, indices=tuple(indices))


def _read_images(
    folder: Path, length: int, indices: Sequence[int]
) -> UInt8[np.ndarray, "frame height width 3"]:
    images = list_images(folder)
    check_length(folder, now=len(images), then=length)
    return np.stack([read_pixels(images[index]) for index in indices])


def _decode(
    video: Video, path: Path, indices: Sequence[int]
) -> UInt8[np.ndarray, "frame height width 3"]:
    table = read_timetable(path)
    # A part counts from its own first frame.
    part = range(video.source_length) if video.part is None else video.part
    if video.part is None or len(table) < part.stop:
        check_length(path, now=len(table), then=part.stop)
    return decode(path, table, [part.start + index for index in indices])
