"""Videos in and out: frames sampled evenly in time, every frame streamed, H.264 written.

Knows nothing of models. Frames are counted from 0 in the order in which they are shown, and times
are seconds since the first of them.
"""

import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace
from av.video.stream import VideoStream
from jaxtyping import Float, Int, UInt8
from PIL import Image

DEFAULT_FPS = 25.0
"""Frames per second of a folder or an array whose rate is not given: the rate of PAL video."""

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")

CONSTANT_RATE_TOLERANCE = 0.002
"""Seconds by which the intervals of a constant rate may differ: Matroska rounds to 1 ms."""

OUTPUT_TICKS = 90_000
"""Ticks per second of written videos: the common multiple of the usual frame rates."""

OUTPUT_OPTIONS = {"crf": "18", "preset": "veryfast"}
"""x264's quality (18: hardly told from the source) and effort."""

BT601 = 6
"""The code of the BT.601 colour space (SMPTE 170M) in the H.264 stream (ITU-T H.273)."""


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
        return _folder_frames(video)
    return _file_frames(video)


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
        path: where to write; an existing file is replaced.
        frames: all of one size; taken one at a time.
        fps: frames per second.
        times: seconds at which each frame appears, for a rate that varies.

    Raises:
        ValueError: if there are no frames, they differ in size, or the folder does not exist.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise ValueError(f"{path}: the folder {path.parent} does not exist; make it first")
    if not (np.isfinite(fps) and fps > 0):
        raise ValueError(f"fps is {fps}; give a positive number of frames per second")
    temporary = path.with_name(f".{path.name}.partial")
    try:
        _encode(temporary, frames, Fraction(fps).limit_denominator(1001), times)
        temporary.replace(path)
    except FFmpegError as error:
        raise ValueError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        temporary.unlink(missing_ok=True)


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
    images = _images(folder)
    sizes = [_image_size(image) for image in images]
    for image, size in zip(images, sizes, strict=True):
        if size != sizes[0]:
            raise ValueError(
                f"{folder}: {images[0].name} is {_by(sizes[0])} pixels but {image.name} is "
                f"{_by(size)}; give images of one size"
            )
    length = len(images)
    indices = _middles(np.arange(length), length, _count(str(folder), length, frames))
    pictures = np.stack([_image(images[index]) for index in indices])
    return Video(pictures, indices, np.arange(length) / fps, folder)


def _folder_frames(video: Video) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    assert video.path is not None
    images = _images(video.path)
    if len(images) != video.source_length:
        raise _changed(video, len(images))
    for path in images:
        yield _image(path)


def _images(folder: Path) -> list[Path]:
    """The images of a folder, 9 before 10."""
    files = [path for path in folder.iterdir() if not path.name.startswith(".")]
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    if not images:
        kinds = ", ".join(suffix[1:] for suffix in IMAGE_SUFFIXES)
        raise ValueError(f"{folder}: no images among its {len(files)} files; looked for {kinds}")
    return sorted(images, key=_natural)


def _natural(path: Path) -> list[str | int]:
    parts = re.split(r"([0-9]+)", path.name.lower())
    return [int(part) if part.isdecimal() else part for part in parts]


def _image_size(path: Path) -> tuple[int, int]:
    with _readable(path), Image.open(path) as image:
        return image.size


def _image(path: Path) -> UInt8[np.ndarray, "height width 3"]:
    with _readable(path), Image.open(path) as image:
        return np.array(image.convert("RGB"))


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises on broken images
        raise ValueError(f"{path}: cannot be read as an image; replace or remove it") from error


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


# Files


@dataclass(frozen=True)
class _Timetable:
    """When each frame of a file is shown, learned without keeping any of them."""

    ticks: Int[np.ndarray, " source"]
    """Presentation times of the frames; in a numbered file, their numbers."""

    end: int
    """When the last frame goes away."""

    tick: Fraction
    """Seconds per tick."""

    keys: Int[np.ndarray, " key"]
    """Presentation times from which decoding may start."""

    numbered: bool = False
    """Whether the file stores no presentation times, so that frames can only be counted."""

    seekable: bool = False

    def __len__(self) -> int:
        return len(self.ticks)

    def key_before(self, index: int) -> int:
        """The last presentation time from which decoding reaches this frame."""
        return int(self.keys[np.searchsorted(self.keys, self.ticks[index], side="right") - 1])


def _read_file(path: Path, frames: int) -> Video:
    table = _timetable(path)
    start = table.ticks[0]
    count = _count(str(path), len(table), frames)
    indices = _middles(table.ticks - start, int(table.end - start), count)
    pictures = _decode(path, table, indices)
    sizes = {picture.shape[:2] for picture in pictures}
    if len(sizes) > 1:
        listed = " and ".join(sorted(_by((width, height)) for height, width in sizes))
        raise ValueError(f"{path}: the picture size changes ({listed}); {_reencode(path)}")
    times = (table.ticks - start) * float(table.tick)
    return Video(np.stack(pictures), indices, times, path)


def _file_frames(video: Video) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    assert video.path is not None
    table = _timetable(video.path)
    if len(table) != video.source_length:
        raise _changed(video, len(table))
    given = 0
    with _opened(video.path) as (container, stream):
        for index, frame in _decoded(container, stream, table):
            if index != given:
                break
            yield _upright(frame)
            given += 1
    if given != len(table):
        raise _undecodable(video.path, table, given, given)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The file and its first stream of moving pictures; FFmpeg's errors become one sentence."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    if not path.stat().st_size:
        raise ValueError(f"{path}: the file is empty (0 bytes); copy or download it again")
    try:
        # "file:" keeps FFmpeg from reading a name such as "take 1: cut.mp4" as a protocol.
        with av.open(f"file:{path}", metadata_errors="replace") as container:
            stream = _pictures(path, container)
            stream.thread_type = "AUTO"
            yield container, stream
    except FFmpegError as error:
        raise ValueError(
            f"{path}: not a video, or cut short ({error.strerror}); copy it again or convert it "
            "to MP4"
        ) from error


def _pictures(path: Path, container: InputContainer) -> VideoStream:
    if container.format.name == "tty":  # FFmpeg draws text files as if on a terminal
        raise ValueError(f"{path}: a text file, not a video; give a video file")
    cover = Disposition.attached_pic
    for stream in container.streams.video:
        if not stream.disposition & cover:
            return stream
    found = sorted({stream.type for stream in container.streams if stream.type != "video"})
    only = f"found only {' and '.join(found)}" if found else "found nothing that plays"
    raise ValueError(f"{path}: no video stream; {only}. Give a file with moving pictures")


def _timetable(path: Path) -> _Timetable:
    with _opened(path) as (container, stream):
        promised = len(stream.index_entries)
        packets = list(_packets(container, stream))
        tick = stream.time_base or Fraction(1, av.time_base)
        rate = stream.average_rate or stream.guessed_rate or Fraction(DEFAULT_FPS)
        name = container.format.name
    if len(packets) < promised:
        raise ValueError(
            f"{path}: cut short: {len(packets)} of its {promised} frames can be read; copy it "
            "again, or re-encode what there is"
        )
    if name == "avi" or not all(packet.timed for packet in packets):
        return _count_frames(path, 1 / rate)
    shown = _shown(packets)
    if not shown:
        raise _no_frames(path)
    ticks = np.array(sorted({packet.pts for packet in shown}), dtype=np.int64)
    keys = np.array(sorted(packet.pts for packet in packets if packet.key), dtype=np.int64)
    last = max(shown, key=lambda packet: packet.pts)
    # MPEG-TS and some encoders store too short a duration, or none.
    end = int(ticks[-1]) + max(last.duration, _usual_interval(ticks))
    seekable = "mp4" in name or "matroska" in name
    return _Timetable(ticks, end, tick, keys, seekable=seekable)


class _Packet(NamedTuple):
    """What the container says about one compressed frame."""

    pts: int
    timed: bool
    duration: int
    key: bool
    hidden: bool


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[_Packet]:
    vp8 = stream.codec_context.name == "vp8"
    for packet in container.demux(stream):
        if packet.pts is None and not packet.size:
            continue  # PyAV's mark of the end
        # VP8 sends frames that are only referred to; bit 4 of the first byte says "show me".
        reference = vp8 and packet.size > 0 and not bytes(packet)[0] & 0x10
        hidden = packet.is_discard or not packet.size or reference
        timed = packet.pts is not None
        yield _Packet(packet.pts or 0, timed, packet.duration or 0, packet.is_keyframe, hidden)


def _shown(packets: list[_Packet]) -> list[_Packet]:
    """The frames that a player shows: none before the first from which decoding can start."""
    first = next((index for index, packet in enumerate(packets) if packet.key), len(packets))
    return [
        packet
        for packet in packets[first:]
        if not packet.hidden and packet.pts >= packets[first].pts
    ]


def _usual_interval(ticks: Int[np.ndarray, " source"]) -> int:
    return int(np.median(np.diff(ticks))) if len(ticks) > 1 else 1


def _count_frames(path: Path, tick: Fraction) -> _Timetable:
    """The timetable of a file without presentation times: its frames follow at a constant rate."""
    with _opened(path) as (container, stream):
        length = 0
        for packet in container.demux(stream):
            frames = _decoded_packet(packet)
            if frames is None:
                raise ValueError(f"{path}: damaged after {length} frames. {_reencode(path)}")
            length += len(frames)
    if not length:
        raise _no_frames(path)
    return _Timetable(np.arange(length), length, tick, np.zeros(1, np.int64), numbered=True)


def _decoded_packet(packet: Packet) -> list[VideoFrame] | None:
    """The frames that the packet completes; None if it is damaged."""
    try:
        return packet.decode()
    except FFmpegError:
        return None


def _decoded(
    container: InputContainer, stream: VideoStream, table: _Timetable
) -> Iterator[tuple[int, VideoFrame]]:
    """Every sound frame from where the file stands, with its source index.

    After damage, frames are not sound until the next key frame: FFmpeg patches what they refer to.
    """
    index_of: dict[int | None, int] = {int(tick): index for index, tick in enumerate(table.ticks)}
    number, sound = 0, True
    for packet in container.demux(stream):
        frames = _decoded_packet(packet)
        sound = sound and frames is not None
        for frame in frames or ():
            index = number if table.numbered else index_of.get(frame.pts)
            number += 1
            sound = (sound or frame.key_frame) and not frame.is_corrupt
            if index is not None and sound:
                yield index, frame


def _decode(path: Path, table: _Timetable, wanted: Sequence[int]) -> list[np.ndarray]:
    """The wanted frames, upright; each is the one of that presentation time or none at all."""
    found = _decode_by_seeking(path, table, wanted) if table.seekable else {}
    readable = 0
    if len(found) < len(wanted):
        with _opened(path) as (container, stream):
            for index, frame in _decoded(container, stream, table):
                readable += 1
                if index in wanted and index not in found:
                    found[index] = _upright(frame)
                if len(found) == len(wanted):
                    break
    missing = [index for index in wanted if index not in found]
    if missing:
        raise _undecodable(path, table, missing[0], readable)
    return [found[index] for index in wanted]


def _decode_by_seeking(
    path: Path, table: _Timetable, wanted: Sequence[int]
) -> dict[int, np.ndarray]:
    """Those of the wanted frames that are met by decoding from the key frame before each."""
    found = {}
    with _opened(path) as (container, stream):
        for key, group in groupby(wanted, key=table.key_before):
            sought = set(group)
            container.seek(key, stream=stream)
            start = None
            for index, frame in _decoded(container, stream, table):
                start = index if start is None else start
                if table.ticks[start] > key:
                    break  # the seek overshot: what refers back beyond it would be wrong
                if index in sought:
                    found[index] = _upright(frame)
                if index >= max(sought):
                    break
    return found


def _upright(frame: VideoFrame) -> UInt8[np.ndarray, "height width 3"]:
    """The picture as a player shows it, turned and mirrored by the file's display matrix."""
    picture = frame.to_ndarray(format="rgb24")
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return picture
    # ISO 14496-12: a pixel at (x, y) is shown at (ax + cy, bx + dy); a, b, u, c, d, v come first.
    a, b, _, c, d, _ = np.frombuffer(bytes(matrix), np.int32)[:6].tolist()
    if abs(b) > abs(a):
        picture, a, d = picture.swapaxes(0, 1), c, b
    picture = picture[:, ::-1] if a < 0 else picture
    picture = picture[::-1] if d < 0 else picture
    return np.ascontiguousarray(picture)


def _no_frames(path: Path) -> ValueError:
    return ValueError(f"{path}: a video without frames; give one that has pictures")


def _changed(video: Video, length: int) -> ValueError:
    return ValueError(
        f"{video.path}: has {length} frames now but had {video.source_length} when it was read; "
        "read it again"
    )


def _undecodable(path: Path, table: _Timetable, index: int, readable: int) -> ValueError:
    return ValueError(
        f"{path}: frame {index} cannot be decoded; {readable} of {len(table)} frames could be "
        f"read. {_reencode(path)}"
    )


def _reencode(path: Path) -> str:
    return f"Re-encode it: ffmpeg -i '{path}' -c:v libx264 repaired.mp4"


# Writing


def _encode(
    path: Path,
    frames: Iterable[UInt8[np.ndarray, "height width 3"]],
    rate: Fraction,
    times: Sequence[float] | Float[np.ndarray, " frame"] | None,
) -> None:
    stream = None
    size = None
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        for number, picture in enumerate(frames):
            if stream is None:
                size = picture.shape
                stream = _output_stream(container, picture, rate)
            if picture.shape != size:
                raise ValueError(f"frame {number} is {picture.shape} but the first is {size}")
            seconds = number / rate if times is None else times[number]
            for packet in stream.encode(_output_frame(picture, round(seconds * OUTPUT_TICKS))):
                container.mux(packet)
        if stream is None:
            raise ValueError(f"{path}: there are no frames to write")
        for packet in stream.encode():
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
    frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU601)
    frame.pts, frame.time_base = tick, Fraction(1, OUTPUT_TICKS)
    return frame
