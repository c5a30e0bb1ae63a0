"""Pictures written as an MP4 that browsers play: H.264, its index before its pictures.

This module knows how to write a video file, and nothing of where the pictures come from.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace
from av.video.stream import VideoStream
from jaxtyping import Float, UInt8

from probe.files import write_atomically

OUTPUT_TICKS = 90_000
"""Ticks per second of written videos: the common multiple of the usual frame rates."""

OUTPUT_OPTIONS = {"crf": "18", "preset": "veryfast", "mbtree": "0"}
"""Quality of x264 (18 can hardly be told from the source) and its effort. Without macroblock trees:
on CPUs with AVX-512 they gave another file of the same frames in each run, and a model answers a
little differently to each."""

SUFFIXES = ("", ".mp4", ".m4v")
"""Endings of the names of written files, which are always MP4s."""

BT601 = 6
"""The code of the BT.601 colour space (SMPTE 170M) in the H.264 stream (ITU-T H.273)."""


def write_video(
    path: str | Path,
    frames: Iterable[UInt8[np.ndarray, "height width 3"]],
    fps: int | float,
    *,
    times: Sequence[float] | Float[np.ndarray, " frame"] | None = None,
) -> None:
    """Write an MP4 that browsers play: H.264, 4:2:0, its index before its pictures.

    An odd width or height grows by one pixel, a copy of the last, as 4:2:0 needs even ones. The
    file appears under its name only when it is complete.

    Args:
        path: Where to write; an existing file is replaced.
        frames: Pictures of one size; they are taken one at a time.
        fps: Frames per second.
        times: Seconds at which each frame appears, for a rate that varies.

    Raises:
        ValueError: if there are no frames, they differ in size, the file cannot be written, or its
            name is that of another kind of file.
    """
    path = check_suffix(path)
    if not (np.isfinite(fps) and fps > 0):
        raise ValueError(f"fps is {fps}; give a positive number of frames per second")
    # At most 1001, the denominator of the television rates, such as 30000/1001: exact for these.
    # A rate below 1 is of a picture that is shown for long, so its seconds are kept instead.
    rate = Fraction(fps).limit_denominator(1001)
    rate = rate if fps >= 1 else 1 / Fraction(1 / fps).limit_denominator(1001)
    with write_atomically(path) as temporary:
        try:
            _encode(path, temporary, frames, rate, times)
        except FFmpegError as error:
            raise ValueError(f"{path}: cannot be written ({error.strerror})") from error


def check_suffix(path: str | Path) -> Path:
    """Refuse a name that says that a written video is something else than an MP4.

    Raises:
        ValueError: if the suffix is of another kind of file.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path}: videos are written as MP4; give a name that ends in .mp4")
    return path


def _encode(
    path: Path,
    temporary: Path,
    frames: Iterable[UInt8[np.ndarray, "height width 3"]],
    rate: Fraction,
    times: Sequence[float] | Float[np.ndarray, " frame"] | None,
) -> None:
    stream = None
    size = None
    # The index first, so that browsers can start to play before the whole file is there.
    options = {"movflags": "faststart"}
    with av.open(str(temporary), "w", format="mp4", options=options) as container:
        for number, picture in enumerate(frames):
            if stream is None:  # the encoder needs the size, which the first picture tells
                size = picture.shape
                stream = _output_stream(container, picture, rate)
            if picture.shape != size:
                raise ValueError(f"frame {number} is {picture.shape} but the first is {size}")
            seconds = number / rate if times is None else times[number]
            for packet in stream.encode(_output_frame(picture, round(seconds * OUTPUT_TICKS))):
                container.mux(packet)
        if stream is None:
            raise ValueError(f"{path}: there are no frames to write")
        for packet in stream.encode():  # the pictures that the encoder has held back
            container.mux(packet)


def _output_stream(container: OutputContainer, picture: np.ndarray, rate: Fraction) -> VideoStream:
    stream = container.add_stream("libx264", rate=rate, options=OUTPUT_OPTIONS)
    height, width = picture.shape[:2]
    stream.height, stream.width = height + height % 2, width + width % 2
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = Fraction(1, OUTPUT_TICKS)
    stream.colorspace = BT601
    return stream


def _output_frame(picture: np.ndarray, tick: int) -> VideoFrame:
    height, width = picture.shape[:2]
    even = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
    # The colour space is chosen here and named in the stream: players guess BT.709 for a large
    # picture, and would show other colours.
    frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU601)
    frame.pts, frame.time_base = tick, Fraction(1, OUTPUT_TICKS)
    return frame
