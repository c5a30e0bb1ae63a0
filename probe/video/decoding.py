"""Frames of a video file: the time at which each is shown, and the pictures of the wanted ones.

FFmpeg conceals damage, skips what it cannot read and is vague about time. Here each frame belongs
to its presentation time and is whole and upright, or there is an error that says which frame and
why.
"""

from collections.abc import Iterator, Sequence
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
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from jaxtyping import Float, Int, UInt8

from probe.video.containers import open_pictures

DEFAULT_FPS = 25.0
"""Frames per second of a source whose rate is not given: the rate of PAL video."""

LONGEST = 10_000_000
"""Seconds, 116 days, between the first frame and the end from which a clock is taken for damaged:
it could be any number, and sums of it would not fit into 64 bits."""


@dataclass(frozen=True)
class Timetable:
    """Times at which the frames of a file are shown; it holds no frame itself."""

    ticks: Int[np.ndarray, " source"]
    """Presentation times of the frames; in a numbered file, their numbers."""

    end: int
    """Presentation time at which the last frame ends."""

    tick: Fraction
    """Seconds per tick."""

    keys: Int[np.ndarray, " key"]
    """Presentation times from which decoding may start."""

    numbered: bool = False
    """True if the file stores no presentation times, so that frames can only be counted."""

    seekable: bool = False
    """True if the container finds the packet of a presentation time exactly."""

    def __len__(self) -> int:
        return len(self.ticks)

    @property
    def times(self) -> Float[np.ndarray, " source"]:
        """Seconds at which each frame appears; the first is 0."""
        return (self.ticks - self.ticks[0]) * float(self.tick)

    def key_before(self, index: int) -> int:
        """Return the last presentation time from which decoding reaches this frame."""
        return int(self.keys[np.searchsorted(self.keys, self.ticks[index], side="right") - 1])


def read_timetable(path: Path) -> Timetable:
    """Read the times of all frames from the packets of a file.

    Nothing is decoded, unless packets have no times.

    Raises:
        ValueError: if the file is no video, is cut short, or is damaged and its frames can only be
            counted by decoding.
    """
    with open_pictures(path) as (container, stream):
        promised = len(stream.index_entries)
        packets = list(_list_packets(container, stream))
        tick = stream.time_base or Fraction(1, av.time_base)
        rate = stream.average_rate or stream.guessed_rate or Fraction(DEFAULT_FPS)
        name = container.format.name
    # The index of an MP4 lists all frames, also those of a download that was not finished.
    if len(packets) < promised:
        raise ValueError(
            f"{path}: cut short: {len(packets)} of its {promised} frames can be read; copy it "
            "again, or re-encode what there is"
        )
    # AVI stores no presentation times: FFmpeg makes them up from the order of the packets.
    if name == "avi" or not all(packet.timed for packet in packets):
        return _count_frames(path, 1 / rate)
    shown = _select_shown(packets)
    if not shown:
        raise _no_frames_error(path)
    ticks = np.array(sorted({packet.pts for packet in shown}), dtype=np.int64)
    keys = np.array(sorted(packet.pts for packet in packets if packet.key), dtype=np.int64)
    last = max(shown, key=lambda packet: packet.pts)
    _check_clock(path, (int(ticks[-1]) - int(ticks[0]) + last.duration) * tick)
    # At least the usual interval: MPEG-TS and some encoders store too short a duration, or none.
    end = int(ticks[-1]) + max(last.duration, _usual_interval(ticks))
    # Other containers have no exact index, and a seek may miss the packet.
    seekable = "mp4" in name or "matroska" in name
    return Timetable(ticks, end, tick, keys, seekable=seekable)


def decode(
    path: Path, table: Timetable, wanted: Sequence[int]
) -> UInt8[np.ndarray, "frame height width 3"]:
    """Decode the wanted frames, upright, without holding any other.

    Raises:
        ValueError: if one of them cannot be decoded, or they differ in size.
    """
    found = _decode_by_seeking(path, table, wanted) if table.seekable else {}
    readable = 0
    # From the beginning, where seeking is not exact or did not reach every frame.
    if len(found) < len(wanted):
        with open_pictures(path) as (container, stream):
            for index, frame in _decode_frames(container, stream, table):
                readable += 1
                if index in wanted and index not in found:
                    found[index] = _turn_upright(frame)
                if len(found) == len(wanted):
                    break
    missing = [index for index in wanted if index not in found]
    if missing:
        raise _undecodable_error(path, table, missing[0], readable)
    sizes = sorted({(picture.shape[1], picture.shape[0]) for picture in found.values()})
    if len(sizes) > 1:
        listed = " and ".join(f"{width} x {height}" for width, height in sizes)
        raise ValueError(f"{path}: the picture size changes ({listed}). {_remedy(path)}")
    first = found[wanted[0]]
    pictures = np.empty((len(wanted), *first.shape), first.dtype)
    for place, index in enumerate(wanted):
        pictures[place] = found.pop(index)  # so that no picture is held twice
    return pictures


def decode_all(path: Path, table: Timetable) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Decode every frame in order, upright, one at a time.

    Raises:
        ValueError: if one of them cannot be decoded.
    """
    given = 0
    with open_pictures(path) as (container, stream):
        for index, frame in _decode_frames(container, stream, table):
            if index != given:  # one before it is damaged
                break
            yield _turn_upright(frame)
            given += 1
    if given != len(table):
        raise _undecodable_error(path, table, given, given)


def _decode_by_seeking(
    path: Path, table: Timetable, wanted: Sequence[int]
) -> dict[int, np.ndarray]:
    """Decode the wanted frames from the last key frame before each; damaged ones are left out."""
    found = {}
    with open_pictures(path) as (container, stream):
        # Frames after the same key frame together, so that nothing is decoded twice.
        for key, group in groupby(wanted, key=table.key_before):
            sought = set(group)
            container.seek(key, stream=stream)
            start = None
            for index, frame in _decode_frames(container, stream, table):
                start = index if start is None else start
                if table.ticks[start] > key:
                    break  # the seek went too far, and frames would refer to others before it
                if index in sought:
                    found[index] = _turn_upright(frame)
                if index >= max(sought):
                    break
    return found


class _Packet(NamedTuple):
    """The entries of the container about one compressed frame."""

    pts: int
    timed: bool
    duration: int
    key: bool
    hidden: bool


def _list_packets(container: InputContainer, stream: VideoStream) -> Iterator[_Packet]:
    vp8 = stream.codec_context.name == "vp8"
    for packet in container.demux(stream):
        if packet.pts is None and not packet.size:
            continue  # PyAV's mark of the end
        # VP8 sends frames that are only referred to; bit 4 of the first byte says "show me".
        reference = vp8 and packet.size > 0 and not bytes(packet)[0] & 0x10
        hidden = packet.is_discard or not packet.size or reference
        timed = packet.pts is not None
        # Discarded packets are those before the start that an edit list of an MP4 sets.
        yield _Packet(packet.pts or 0, timed, packet.duration or 0, packet.is_keyframe, hidden)


def _select_shown(packets: list[_Packet]) -> list[_Packet]:
    """Select the frames that a player shows: none before the first key frame."""
    first = next((index for index, packet in enumerate(packets) if packet.key), len(packets))
    return [
        packet
        for packet in packets[first:]
        if not packet.hidden and packet.pts >= packets[first].pts
    ]


def _check_clock(path: Path, seconds: Fraction) -> None:
    if seconds > LONGEST:
        raise ValueError(
            f"{path}: its clock is damaged: it runs for {float(seconds):.3g} seconds. "
            f"{_remedy(path)}"
        )


def _usual_interval(ticks: Int[np.ndarray, " source"]) -> int:
    return int(np.median(np.diff(ticks))) if len(ticks) > 1 else 1


def _count_frames(path: Path, tick: Fraction) -> Timetable:
    """Count the frames of a file without presentation times; they follow at a constant rate."""
    with open_pictures(path) as (container, stream):
        length = 0
        for packet in container.demux(stream):
            frames = _decode_packet(packet)
            if frames is None:
                raise ValueError(f"{path}: damaged after {length} frames. {_remedy(path)}")
            length += len(frames)
    if not length:
        raise _no_frames_error(path)
    return Timetable(np.arange(length), length, tick, np.zeros(1, np.int64), numbered=True)


def _decode_packet(packet: Packet) -> list[VideoFrame] | None:
    """Decode the frames that the packet completes; None if it is damaged."""
    try:
        return packet.decode()
    except FFmpegError:
        return None


def _decode_frames(
    container: InputContainer, stream: VideoStream, table: Timetable
) -> Iterator[tuple[int, VideoFrame]]:
    """Decode every sound frame from the current place in the file, with its source index.

    After damage, frames are not sound until the next key frame: FFmpeg fills in what is missing of
    those that they refer to.
    """
    index_of: dict[int | None, int] = {int(tick): index for index, tick in enumerate(table.ticks)}
    number, sound = 0, True
    for packet in container.demux(stream):
        frames = _decode_packet(packet)
        sound = sound and frames is not None
        for frame in frames or ():
            index = number if table.numbered else index_of.get(frame.pts)
            number += 1
            sound = (sound or frame.key_frame) and not frame.is_corrupt
            if index is not None and sound:
                yield index, frame


def _turn_upright(frame: VideoFrame) -> UInt8[np.ndarray, "height width 3"]:
    """Turn and mirror a picture by the file's display matrix, as a player does."""
    picture = frame.to_ndarray(format="rgb24")
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return picture
    # ISO 14496-12: a pixel at (x, y) is shown at (ax + cy, bx + dy); a, b, u, c, d, v come first.
    a, b, _, c, d, _ = np.frombuffer(bytes(matrix), np.int32)[:6].tolist()
    # Only the nearest quarter turn and mirror: cameras write no others.
    if abs(b) > abs(a):
        picture, a, d = picture.swapaxes(0, 1), c, b
    picture = picture[:, ::-1] if a < 0 else picture
    picture = picture[::-1] if d < 0 else picture
    return np.ascontiguousarray(picture)


def _no_frames_error(path: Path) -> ValueError:
    return ValueError(f"{path}: a video without frames; give one that has pictures")


def _undecodable_error(path: Path, table: Timetable, index: int, readable: int) -> ValueError:
    return ValueError(
        f"{path}: frame {index} cannot be decoded; {readable} of {len(table)} frames could be "
        f"read. {_remedy(path)}"
    )


def _remedy(path: Path) -> str:
    return f"Re-encode it: ffmpeg -i '{path}' -c:v libx264 repaired.mp4"
