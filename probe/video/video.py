"""Videos: frames sampled evenly in time from a file, a folder or an array; every frame streamed.

This module knows nothing of models. Frames are counted from 0 in the order in which they are shown,
and times are seconds since the first of them.
"""

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float, UInt8

from probe.video.animations import is_picture
from probe.video.coercion import describe_given, to_array, to_one_line
from probe.video.decoding import DEFAULT_FPS, decode, decode_all, read_timetable
from probe.video.frame_rate import Sampling, check_sampling, count_frames
from probe.video.images import (
    IMAGE_FORMATS,
    image_size,
    in_words,
    list_images,
    picture_size,
    put_colours_last,
    read_pixels,
    to_picture,
)
from probe.video.middles import find_middles
from probe.video.paths import find_source
from probe.video.previews import choose_row, write_frames_element, write_times

FrameReader: TypeAlias = Callable[[Sequence[int]], UInt8[np.ndarray, "frame height width 3"]]
"""Makes the pictures of source frames, given their numbers."""

CONSTANT_RATE_TOLERANCE = 0.002
"""Seconds by which the intervals of a constant rate may differ: Matroska rounds to 1 ms."""


@dataclass(frozen=True, eq=False)
class Video:
    """Frames sampled from a video, and the times at which all frames of their source are shown.

    Raises:
        ValueError: if indices and frames differ in number, or indices or times do not increase
            or lie outside the source.
    """

    frames: UInt8[np.ndarray, "frame height width 3"]
    indices: tuple[int, ...]
    """The number of each sampled frame in the source."""

    source_times: Float[np.ndarray, " source"]
    """Seconds at which each source frame appears; the first is 0."""

    path: Path | None = None
    """The file or folder the frames came from; None for an array."""

    part: range | None = None
    """The frames of the file that are the source, in which the first of them is frame 0; None if
    all frames are."""

    pixel_aspect: float = 1.0
    """Width of a pixel over its height when a player shows it; frames and boxes are of pixels as
    they are stored, whatever their shape."""

    length: float | None = None
    """Seconds of a source of a single frame; None if nothing says it, and of all others."""

    assumed_rate: bool = False
    """True if nobody said how many frames a second the source has: its times are a guess."""

    reader: FrameReader | None = None
    """Reads other frames of a source that is no file, by their numbers; None if there is none."""

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

    def __repr__(self) -> str:
        height, width = self.size
        name = "an array" if self.path is None else to_one_line(self.path.name)
        if self.part is not None:
            name = f"frames {self.part.start} to {self.part.stop - 1} of {name}"
        size = in_words((width, height))
        if self.source_length == 1:
            return f"Video(one picture, {size}, {name})"
        frames = f"{len(self)} of {self.source_length} frames"
        return f"Video({frames}, {size}, {self.fps:.5g} fps, {name})"

    def _repr_html_(self) -> str:
        """Show sampled frames in a row for Jupyter."""
        height, width = self.size
        shown = choose_row(len(self), width / height)
        captions = write_times(self.times[shown])
        return write_frames_element(self.frames[shown], captions, repr(self))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels, upright."""
        return self.frames.shape[1], self.frames.shape[2]

    @property
    def is_still(self) -> bool:
        """True for a single frame, which says where a thing is and nothing of when."""
        return len(self) == 1

    @property
    def times(self) -> Float[np.ndarray, " frame"]:
        """Seconds at which each sampled frame appears."""
        return self.source_times[list(self.indices)]

    def time_at(self, frame: int) -> float:
        """Return the seconds at which a source frame appears; for `source_length`, the end."""
        if frame < self.source_length:
            return float(self.source_times[frame])
        if self.length is not None:
            return self.length
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


def read_video(source: Any, frames: Any = 20, *, fps: Any = None) -> Video:
    """Sample a video evenly in time.

    The video is cut into `frames` equal stretches of time, and the frame shown at the middle of
    each is taken; where two middles show the same frame, the later takes the next one. The memory
    held is that of the sampled frames, however long the video.

    Args:
        source: A video file or an animated GIF, WebP, PNG or AVIF; a folder of images in natural
            order of their names (9 before 10), upright, scaled to 8 bits, and on white where they
            are transparent; a uint8 array or tensor [frame, height, width, 3] or
            [frame, 3, height, width]; or a list of PIL images or of such arrays, without their
            first axis. A file whose clock restarts, jumps or is not stored gets one, with a
            warning that says what was guessed. Pixels that are not square stay as they are stored,
            and so do boxes; a warning says it, and the overlay has the shape that players show.
        frames: Number of frames to sample, or a `FrameRate`. A shorter video gives all it has; with
            a warning, if it is a number.
        fps: Frames per second of a folder, an array or a list, 25 unless given. A file knows its
            own times.

    Raises:
        ValueError: if the source is not one of these, or a wanted frame cannot be decoded.
    """
    frames = check_sampling(frames)
    if isinstance(source, str | os.PathLike):
        path = find_source(source)
        if path.is_dir():
            return _read_folder(path, frames, fps)
        if fps is not None:
            raise ValueError(f"{path}: a video file has its own times; leave out fps={fps}")
        return _read_file(path, frames)
    if isinstance(source, list | tuple):
        return _read_pictures(source, frames, fps)
    if hasattr(source, "shape"):
        return _read_array(source, frames, fps)
    if isinstance(source, Video):
        raise ValueError(f"{source!r} has been read already; use it as it is")
    raise ValueError(
        f"{describe_given(source)} is no video; give the path of a file or of a folder of images, "
        "a uint8 array [frame, height, width, 3], or a list of pictures (read_image reads one)"
    )


def read_image(source: Any) -> Video:
    """Read a picture as a video of one frame, which every part of the toolkit takes.

    It is upright, of 8 bits, and on white where it is transparent, as `read_video` makes frames.

    Args:
        source: A file of a still picture; a PIL image; or a uint8 array or tensor
            [height, width, 3] or [3, height, width].

    Raises:
        ValueError: if the source is not one of these, or cannot be read.
    """
    if not isinstance(source, str | os.PathLike):
        return Video(to_picture(source, "the picture")[None], (0,), np.zeros(1))
    path = find_source(source)
    if path.is_dir():
        raise ValueError(f"{path}: a folder; give one picture of it, or read_video the folder")
    if not is_picture(path):
        raise ValueError(
            f"{path}: no picture that is read here ({', '.join(IMAGE_FORMATS)}, with a suffix that "
            "says so); convert it to PNG, or read_video it if it is a video"
        )
    video = _read_file(path, 1)
    if video.source_length > 1:
        raise ValueError(
            f"{path}: an animation of {video.source_length} pictures; read_video it, or save one "
            "of them"
        )
    return video


def source_frames(video: Video) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Give every frame of the source in order, one at a time: memory does not grow with length.

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


def _count_samples(name: str, available: int, asked: Sampling, seconds: float) -> int:
    """Return the number of frames to sample: those asked for, or all of a shorter video."""
    if isinstance(asked, int) and available < asked:
        message = f"{name}: {available} of the {asked} frames asked for; the video has no more"
        warnings.warn(message, stacklevel=4)  # of the caller of read_video, three functions up
    return count_frames(asked, seconds, available)


def _check_rate(fps: Any) -> float:
    try:
        rate = float(fps)
    except (TypeError, ValueError):
        rate = 0.0
    if not (np.isfinite(rate) and rate > 0):
        raise ValueError(f"fps is {fps}; give a positive number of frames per second")
    return rate


def check_length(path: Path, *, now: int, then: int) -> None:
    """Refuse a file or folder that has other frames than when it was read.

    Raises:
        ValueError: if the numbers differ.
    """
    if now != then:
        raise ValueError(f"{path}: has {now} frames now but had {then} when read; read it again")


# Arrays and lists


def _make_video(
    sampled: UInt8[np.ndarray, "frame height width 3"],
    indices: tuple[int, ...],
    length: int,
    fps: Any,
    path: Path | None = None,
) -> Video:
    """Make a video of sampled frames of a source that has no clock."""
    assumed = fps is None and length > 1
    return Video(sampled, indices, np.arange(length) / _find_rate(fps), path, assumed_rate=assumed)


def _find_rate(fps: Any) -> float:
    return DEFAULT_FPS if fps is None else _check_rate(fps)


def _read_array(source: Any, frames: Sampling, fps: Any) -> Video:
    array = put_colours_last(to_array(source))
    if array.ndim != 4 or array.shape[-1] != 3 or not array.size:
        raise ValueError(
            f"an array of shape {tuple(source.shape)} is no video; give [frame, height, width, 3] "
            f"(read_image reads one picture)"
        )
    if array.dtype != np.uint8:
        raise ValueError(f"an array of {array.dtype} is no video; give uint8 from 0 to 255")
    length = len(array)
    count = _count_samples("array", length, frames, length / _find_rate(fps))
    indices = find_middles(np.arange(length), length, count)
    return _make_video(np.ascontiguousarray(array[list(indices)]), indices, length, fps)


def _read_pictures(pictures: Sequence[Any], frames: Sampling, fps: Any) -> Video:
    if not pictures:
        raise ValueError("an empty list is no video; give at least one picture")
    names = [f"picture {number} of the list" for number in range(len(pictures))]
    sizes = list(map(picture_size, pictures, names))
    for name, size in zip(names, sizes, strict=True):
        if size != sizes[0]:
            raise ValueError(
                f"{name} is {in_words(size)} pixels but the first is {in_words(sizes[0])}; give "
                "pictures of one size"
            )
    length = len(pictures)
    count = _count_samples("list", length, frames, length / _find_rate(fps))
    indices = find_middles(np.arange(length), length, count)
    # The sampled ones only: Pillow keeps the pixels of an image once they have been asked for.
    sampled = np.stack([to_picture(pictures[index], names[index]) for index in indices])
    return _make_video(sampled, indices, length, fps)


def _nearest_samples(video: Video) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    for time in video.source_times:
        yield video.frames[np.abs(video.times - time).argmin()]


# Folders of images


def _read_folder(folder: Path, frames: Sampling, fps: Any) -> Video:
    images = list_images(folder)
    sizes = [image_size(image) for image in images]
    for image, size in zip(images, sizes, strict=True):
        if size != sizes[0]:
            raise ValueError(
                f"{folder}: {images[0].name} is {in_words(sizes[0])} pixels but {image.name} is "
                f"{in_words(size)}; give images of one size"
            )
    length = len(images)
    count = _count_samples(str(folder), length, frames, length / _find_rate(fps))
    indices = find_middles(np.arange(length), length, count)
    pictures = np.stack([read_pixels(images[index]) for index in indices])
    return _make_video(pictures, indices, length, fps, folder)


def _folder_frames(path: Path, length: int) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    images = list_images(path)
    check_length(path, now=len(images), then=length)
    yield from map(read_pixels, images)


# Files


def _read_file(path: Path, frames: Sampling) -> Video:
    table = read_timetable(path)
    notes = [table.note] if table.note else []
    if table.pixel_aspect != 1:
        notes.append(
            f"its pixels are shown {table.pixel_aspect:.4g} times as wide as high, by players and "
            "in the overlay; frames and boxes keep the stored pixels"
        )
    if notes:
        warnings.warn(f"{path}: {'; '.join(notes)}", stacklevel=3)  # of the caller of read_video
    start = table.ticks[0]
    # Nobody asks for twenty frames of a photo: the number is meant for videos.
    still = table.drawn and len(table) == 1
    seconds = float((table.end - start) * table.tick)
    count = 1 if still else _count_samples(str(path), len(table), frames, seconds)
    indices = find_middles(table.ticks - start, int(table.end - start), count)
    length = seconds if len(table) == 1 else None
    pictures = decode(path, table, indices)
    return Video(
        pictures, indices, table.times, path, pixel_aspect=table.pixel_aspect, length=length
    )


def _file_frames(path: Path, length: int) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    table = read_timetable(path)
    check_length(path, now=len(table), then=length)
    yield from decode_all(path, table)


def _part_frames(path: Path, part: range) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    table = read_timetable(path)
    if len(table) < part.stop:
        raise ValueError(
            f"{path}: has {len(table)} frames now, but a part up to frame {part.stop - 1} was "
            "read; read it again"
        )
    yield from islice(decode_all(path, table), part.start, part.stop)
