"""The frames of a video file: when each is shown, and the pictures of those that are wanted.

FFmpeg conceals damage, skips what it cannot read and is vague about time. Here a frame is the one
of its presentation time, whole and upright, or there is an error that says which frame and why.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from jaxtyping import Float, Int, UInt8

DEFAULT_FPS = 25.0
"""Frames per second of a source whose rate is not given: the rate of PAL video."""


@dataclass(frozen=True)
class Timetable:
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
    """Whether the container finds the packet at a presentation time exactly."""

    def __len__(self) -> int:
        return len(self.ticks)

    @property
    def times(self) -> Float[np.ndarray, " source"]:
        """Seconds at which each frame appears; the first is 0."""
        return (self.ticks - self.ticks[0]) * float(self.tick)

    def key_before(self, index: int) -> int:
        """The last presentation time from which decoding reaches this frame."""
        return int(self.keys[np.searchsorted(self.keys, self.ticks[index], side="right") - 1])


def read_timetable(path: Path) -> Timetable:
    """When each frame of a file is shown, from its packets; nothing is decoded if they say so.

    Raises:
        ValueError: if the file is no video, is cut short, or is damaged where only decoding tells
            how many frames there are.
    """
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
    return Timetable(ticks, end, tick, keys, seekable=seekable)


def decode(
    path: Path, table: Timetable, wanted: Sequence[int]
) -> UInt8[np.ndarray, "frame height width 3"]:
    """The wanted frames, upright, without holding any other.

    Raises:
        ValueError: if one of them cannot be decoded, or they differ in size.
    """
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
    sizes = sorted({(picture.shape[1], picture.shape[0]) for picture in found.values()})
    if len(sizes) > 1:
        listed = " and ".join(f"{width} x {height}" for width, height in sizes)
        raise ValueError(f"{path}: the picture size changes ({listed}). {_reencode(path)}")
    return np.stack([found[index] for index in wanted])


def decode_all(path: Path, table: Timetable) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Every frame in order, upright, one at a time.

    Raises:
        ValueError: if one of them cannot be decoded.
    """
    given = 0
    with _opened(path) as (container, stream):
        for index, frame in _decoded(container, stream, table):
            if index != given:
                break
            yield _upright(frame)
            given += 1
    if given != len(table):
        raise _undecodable(path, table, given, given)


def _decode_by_seeking(
    path: Path, table: Timetable, wanted: Sequence[int]
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
    only = " and ".join(found) or "a cover picture"
    raise ValueError(
        f"{path}: no video stream; found only {only}. Give a file with moving pictures"
    )


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


def _count_frames(path: Path, tick: Fraction) -> Timetable:
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
    return Timetable(np.arange(length), length, tick, np.zeros(1, np.int64), numbered=True)


def _decoded_packet(packet: Packet) -> list[VideoFrame] | None:
    """The frames that the packet completes; None if it is damaged."""
    try:
        return packet.decode()
    except FFmpegError:
        return None


def _decoded(
    container: InputContainer, stream: VideoStream, table: Timetable
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


def _undecodable(path: Path, table: Timetable, index: int, readable: int) -> ValueError:
    return ValueError(
        f"{path}: frame {index} cannot be decoded; {readable} of {len(table)} frames could be "
        f"read. {_reencode(path)}"
    )


def _reencode(path: Path) -> str:
    return f"Re-encode it: ffmpeg -i '{path}' -c:v libx264 repaired.mp4"
