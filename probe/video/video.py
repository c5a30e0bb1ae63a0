"""Videos: frames sampled evenly in time from a file, a folder or an array; every frame streamed.

Knows nothing of models. Frames are counted from 0 in the order in which they are shown, and times
are seconds since the first of them.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8

from probe.video.decoding import DEFAULT_FPS, decode, decode_all, read_timetable
from probe.video.images import image_size, in_words, list_images, read_image

CONSTANT_RATE_TOLERANCE = 0.002
"""Seconds by which the intervals of a constant rate may differ: Matroska rounds to 1 ms."""


@dataclass(frozen=True, eq=False)
class Video:
    """Frames sampled from a video, and when every frame of their source is shown.

    Raises:
        ValueError: if indices and frames differ in number, or indices or times do not increase
            or lie outside the source.
    """

    frames: UInt8[np.ndarray, "frame height width 3"]
    indices: tuple[int, ...]
    """The source frame that each sampled frame is."""

    source_times: Float[np.ndarray, " source"]
    """Seconds at which each source frame appears; the first is 0."""

    path: Path | None = None
    """The file or folder the frames came from; None for an array."""

    part: range | None = None
    """The frames of the file that are the source, which counts them from 0; None for all."""

    def __post_init__(self) -> None:
        if not len(self.frames) or len(self.frames) != len(self.indices):
            raise ValueError(
                f"a video of {len(self.frames)} frames has {len(self.indices)} indices; "
                "give one index for each frame, and at least one frame"
            )
        if (np.diff(self.indices) <= 0).any():
            raise ValueError("the indices of a video must increase, each listed once")
        if self.indices[0] < 0 or self.indices[-1] >= len(self.source_times):
            raise ValueError(
                f"indices {self.indices[0]} to {self.indices[-1]} leave the source, "
                f"which has {len(self.source_times)} frames counted from 0"
            )
        if self.source_times[0] != 0 or not (np.diff(self.source_times) > 0).all():
            raise ValueError("the source times of a video must start at 0 and increase")

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels, upright."""
        return self.frames.shape[1], self.frames.shape[2]

    @property
    def times(self) -> Float[np.ndarray, " frame"]:
        """Seconds at which each sampled frame appears."""
        return self.source_times[list(self.indices)]

    def time_at(self, frame: int) -> float:
        """Seconds at which a source frame appears; `source_length` stands for the end."""
        if frame < self.source_length:
            return float(self.source_times[frame])
        return float(self.source_times[-1] + 1 / self.fps)

    @property
    def source_length(self) -> int:
        """The number of frames of the source."""
        return len(self.source_times)

    @property
    def fps(self) -> float:
        """Source frames per second; where the rate varies, its median. 1 for a single frame."""
        if self.source_length == 1:
            return 1.0
        intervals = np.diff(self.source_times)
        if np.ptp(intervals) <= CONSTANT_RATE_TOLERANCE:
            return float(1 / intervals.mean())
        return float(1 / np.median(intervals))


def read_video(
    source: str | Path | np.ndarray, frames: int = 20, *, fps: int | float | None = None
) -> Video:
    """Sample a video evenly in time.

    The video is cut into `frames` equal stretches of time, and the frame shown at the middle of
    each is taken; where two middles show the same frame, the later takes the next one. The memory
    held is that of the sampled frames, however long the video.

    Args:
        source: a video file; a folder of images, in the natural order of their names (9 before
            10); or a uint8 array [frame, height, width, 3].
        frames: how many to sample. A shorter video gives all it has, with a warning.
        fps: the rate of a folder or an array, 25 unless given. A file knows its own times.

    Raises:
        ValueError: if the source is not one of these, or a wanted frame cannot be decoded.
    """
    if frames < 1:
        raise ValueError(f"cannot sample {frames} frames; ask for at least 1")
    if fps is not None and not (np.isfinite(fps) and fps > 0):
        raise ValueError(f"fps is {fps}; give a positive number of frames per second")
    if isinstance(source, np.ndarray):
        return _read_array(source, frames, fps or DEFAULT_FPS)
    path = Path(source).expanduser()
    if not path.exists():
        raise ValueError(f"{path}: no such file or folder (looked from {Path.cwd()})")
    if path.is_dir():
        return _read_folder(path, frames, fps or DEFAULT_FPS)
    if fps is not None:
        raise ValueError(f"{path}: a video file has its own times; leave out fps={fps}")
    return _read_file(path, frames)


def source_frames(video: Video) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Every frame of the source in order, one at a time: memory does not grow with length.

    The source of an array is not kept, so it gives for each source frame the sampled frame
    nearest in time.

    Raises:
        ValueError: if the file or folder has changed since it was read, or a frame of it cannot
            be decoded.
    """
    if video.path is None:
        return _nearest_samples(video)
    if video.path.is_dir():
        return _folder_frames(video.path, video.source_length)
    if video.part is not None:
        return _part_frames(video.path, video.part)
    return _file_frames(video.path, video.source_length)


def _middles(ticks: Int[np.ndarray, " source"], end: int, count: int) -> tuple[int, ...]:
    """The frames shown at the middle of `count` equal stretches of the time from 0 to `end`."""
    # In whole numbers: a middle often falls exactly on the edge between two frames.
    middles = (2 * np.arange(count) + 1) * end
    shown = np.searchsorted(ticks * (2 * count), middles, side="right") - 1
    step = np.arange(count)
    distinct = np.maximum.accumulate(shown - step) + step
    return tuple(np.minimum(distinct, len(ticks) - count + step).tolist())


def _count(name: str, available: int, asked: int) -> int:
    """How many frames to sample: those asked for, or all of a shorter video."""
    if available < asked:
        message = f"{name}: {available} of the {asked} frames asked for; the video has no more"
        warnings.warn(message, stacklevel=4)
    return min(available, asked)


def _check_length(path: Path, *, now: int, then: int) -> None:
    if now != then:
        raise ValueError(f"{path}: has {now} frames now but had {then} when read; read it again")


# Arrays


def _read_array(array: np.ndarray, frames: int, fps: int | float) -> Video:
    if array.ndim != 4 or array.shape[-1] != 3 or not array.size:
        raise ValueError(
            f"an array of shape {array.shape} is no video; give [frame, height, width, 3]"
        )
    if array.dtype != np.uint8:
        raise ValueError(f"an array of {array.dtype} is no video; give uint8 from 0 to 255")
    length = len(array)
    indices = _middles(np.arange(length), length, _count("array", length, frames))
    return Video(array[list(indices)], indices, np.arange(length) / fps)


def _nearest_samples(video: Video) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    for time in video.source_times:
        yield video.frames[np.abs(video.times - time).argmin()]


# Folders of images


def _read_folder(folder: Path, frames: int, fps: int | float) -> Video:
    images = list_images(folder)
    sizes = [image_size(image) for image in images]
    for image, size in zip(images, sizes, strict=True):
        if size != sizes[0]:
            raise ValueError(
                f"{folder}: {images[0].name} is {in_words(sizes[0])} pixels but {image.name} is "
                f"{in_words(size)}; give images of one size"
            )
    length = len(images)
    indices = _middles(np.arange(length), length, _count(str(folder), length, frames))
    pictures = np.stack([read_image(images[index]) for index in indices])
    return Video(pictures, indices, np.arange(length) / fps, folder)


def _folder_frames(path: Path, length: int) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    images = list_images(path)
    _check_length(path, now=len(images), then=length)
    yield from map(read_image, images)


# Files


def _read_file(path: Path, frames: int) -> Video:
    table = read_timetable(path)
    start = table.ticks[0]
    count = _count(str(path), len(table), frames)
    indices = _middles(table.ticks - start, int(table.end - start), count)
    return Video(decode(path, table, indices), indices, table.times, path)


def _file_frames(path: Path, length: int) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    table = read_timetable(path)
    _check_length(path, now=len(table), then=length)
    yield from decode_all(path, table)


def _part_frames(path: Path, part: range) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    table = read_timetable(path)
    if len(table) < part.stop:
        raise ValueError(
            f"{path}: has {len(table)} frames now, but a part up to frame {part.stop - 1} was "
            "read; read it again"
        )
    yield from islice(decode_all(path, table), part.start, part.stop)
