"""Frames of a video file: the time at which each is shown, and the pictures of the wanted ones.

FFmpeg conceals damage, skips what it cannot read and is vague about time. Here each frame belongs
to its presentation time and is whole and upright, or there is an error that says which frame and
why.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import groupby
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from jaxtyping import Float, Int, UInt8

from probe.files import check_file
from probe.video.animations import TICK, decode_pictures, is_picture, read_ticks
from probe.video.clocks import (
    LONGEST,
    PacketTimes,
    Part,
    choose_rate,
    close_holes,
    is_end,
    is_stopped,
    join_parts,
    list_packets,
    move_packet,
    spread_equal,
    usual_interval,
)
from probe.video.containers import describe_alpha, make_decoder, open_pictures
from probe.video.upright_frames import read_matrix, turn_upright

DEFAULT_FPS = 25.0
"""Frames per second of a source whose rate is not given: the rate of PAL video."""


SQUARE = 0.01
"""Share by which the sides of a pixel differ that counts as square: sizes are rounded."""

MOST_STRETCHED = 4.0
"""The most that one side of a pixel is longer than the other; more is a damaged number."""


@dataclass(frozen=True)
class Timetable:
    """Times at which the frames of a file are shown; it holds no frame itself."""

    ticks: Int[np.ndarray, " source"]
    """Times at which the frames are shown; in a numbered file, their numbers."""

    stored: Int[np.ndarray, " source"]
    """Times by which the file knows its frames: of a clock that jumps, those with its holes; of one
    too coarse for its frames, the same time for several of them."""

    end: int
    """Time at which the last frame ends."""

    tick: Fraction
    """Seconds per tick."""

    keys: Int[np.ndarray, " key"]
    """Presentation times from which decoding may start."""

    numbered: bool = False
    """True if the file stores no presentation times, so that frames can only be counted."""

    seekable: bool = False
    """True if the container finds the packet of a presentation time exactly."""

    drawn: bool = False
    """True if the file is a picture, animated or still, which Pillow reads."""

    parts: tuple[Part, ...] = ()
    """Parts of a joined file, each with a clock of its own; none of any other file."""

    note: str = ""
    """A sentence about what was guessed of the clock; empty if nothing was."""

    pixel_aspect: float = 1.0
    """Width of a pixel over its height, of upright pictures as a player shows them."""

    def __len__(self) -> int:
        return len(self.ticks)

    @property
    def times(self) -> Float[np.ndarray, " source"]:
        """Seconds at which each frame appears; the first is 0."""
        return (self.ticks - self.ticks[0]) * float(self.tick)

    def find(self, pts: int | None, earlier: int) -> int | None:
        """Find the frame that the file knows by a time, after so many others of the same time."""
        if pts is None:
            return None
        first, stop = np.searchsorted(self.stored, [pts, pts + 1])
        return None if first == stop else int(min(first + earlier, stop - 1))

    def key_before(self, index: int) -> int:
        """Return the last presentation time from which decoding reaches this frame."""
        return int(self.keys[np.searchsorted(self.keys, self.stored[index], side="right") - 1])


def read_timetable(path: Path) -> Timetable:
    """Read the times of all frames from the packets of a file.

    Nothing is decoded, unless packets have no times, pixels are not square, or the file is an
    animated picture.

    Raises:
        ValueError: if the file is no video, is cut short, or is damaged and its frames can only be
            counted by decoding.
    """
    check_file(path)
    if is_picture(path):
        ticks, end = read_ticks(path)
        return Timetable(ticks, ticks, end, TICK, np.zeros(1, np.int64), drawn=True)
    table = _read_packets(path)
    if table.pixel_aspect == 1 or not _is_on_its_side(path):
        return table
    return replace(table, pixel_aspect=1 / table.pixel_aspect)


def _read_packets(path: Path) -> Timetable:
    with open_pictures(path) as (container, stream):
        promised = len(stream.index_entries)
        packets = list(list_packets(container, stream))
        tick = stream.time_base or Fraction(1, av.time_base)
        name, alpha = container.format.name, describe_alpha(stream)
        rate, note = choose_rate(stream, name, packets)
        aspect = _read_pixel_aspect(stream)
    rate = rate or Fraction(DEFAULT_FPS)
    # The index of an MP4 lists all frames, also those of a download that was not finished.
    if len(packets) < promised:
        raise ValueError(
            f"{path}: cut short: {len(packets)} of its {promised} frames can be read; copy it "
            "again, or re-encode what there is"
        )
    # AVI stores no presentation times: FFmpeg makes them up from the order of the packets.
    if name == "avi" or not all(packet.timed for packet in packets):
        note = _join_notes(note, alpha)
        return replace(_count_frames(path, 1 / rate), note=note, pixel_aspect=aspect)
    shown, parts = join_parts(packets, tick)
    if not shown:
        raise _no_frames_error(path)
    stored = _list_times(path, shown, parts)
    if is_stopped(stored):
        still = f"its clock stands still; {float(rate):.5g} frames a second are assumed"
        note = _join_notes(still, alpha)
        return replace(_count_frames(path, 1 / rate), note=note, pixel_aspect=aspect)
    keyed = shown if parts else packets
    keys = np.array(sorted(packet.pts for packet in keyed if packet.key), dtype=np.int64)
    last = max(shown, key=lambda packet: packet.pts)
    _check_clock(path, (int(stored[-1]) - int(stored[0]) + last.duration) * tick)
    ticks, fine = spread_equal(stored, tick)
    even = "" if fine == tick else _describe_spread(tick)
    ticks, holes = close_holes(ticks, name, fine)
    # At least the usual interval: MPEG-TS and some encoders store too short a duration, or none.
    end = int(ticks[-1]) + max(int(last.duration * tick / fine), usual_interval(ticks))
    # Other containers have no exact index, and a seek may miss the packet. Of several frames of one
    # time, it would not tell how many came before.
    seekable = ("mp4" in name or "matroska" in name) and not parts and not even
    note = _join_notes(_describe_breaks(max(0, len(parts) - 1) + holes), even, alpha)
    table = Timetable(ticks, stored, end, fine, keys, seekable=seekable, parts=parts)
    return replace(table, note=note, pixel_aspect=aspect)


def _list_times(
    path: Path, shown: Sequence[PacketTimes], parts: Sequence[Part]
) -> Int[np.ndarray, " source"]:
    """List the times of all frames in order, one time for several of them if the file says so."""
    times = np.sort(np.array([packet.pts for packet in shown], dtype=np.int64))
    if (np.diff(times) > 0).all():
        return times
    # Two packets of one time may be the halves of one frame: only decoding tells.
    decoded = []
    with open_pictures(path) as (container, stream):
        for frames in _decode_packets(container, stream, parts):
            if frames is None:
                raise _damaged_error(path, len(decoded))
            decoded += [frame.pts for frame in frames if frame.pts is not None]
    found = np.sort(np.array(decoded, dtype=np.int64))
    found = found[np.isin(found, times)]
    if not len(found):
        raise _no_frames_error(path)
    return found


def decode(
    path: Path, table: Timetable, wanted: Sequence[int]
) -> UInt8[np.ndarray, "frame height width 3"]:
    """Decode the wanted frames, upright, without holding any other.

    Raises:
        ValueError: if one of them cannot be decoded, or they differ in size.
    """
    if table.drawn:
        pictures = enumerate(decode_pictures(path))
        found = {index: picture for index, picture in pictures if index in wanted}
        readable = len(found)
    else:
        found, readable = _find_frames(path, table, wanted)
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
    if table.drawn:
        yield from decode_pictures(path)
        return
    given = 0
    with open_pictures(path) as (container, stream):
        for index, frame in _decode_frames(container, stream, table):
            if index != given:  # one before it is damaged
                break
            yield turn_upright(frame)
            given += 1
    if given != len(table):
        raise _undecodable_error(path, table, given, given)


def _find_frames(
    path: Path, table: Timetable, wanted: Sequence[int]
) -> tuple[dict[int, np.ndarray], int]:
    """Decode the wanted frames, and count those that were read from the beginning for them."""
    found = _decode_by_seeking(path, table, wanted) if table.seekable else {}
    readable = 0
    # From the beginning, where seeking is not exact or did not reach every frame.
    if len(found) < len(wanted):
        with open_pictures(path) as (container, stream):
            for index, frame in _decode_frames(container, stream, table):
                readable += 1
                if index in wanted and index not in found:
                    found[index] = turn_upright(frame)
                if len(found) == len(wanted):
                    break
    return found, readable


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
                if table.stored[start] > key:
                    break  # the seek went too far, and frames would refer to others before it
                if index in sought:
                    found[index] = turn_upright(frame)
                if index >= max(sought):
                    break
    return found


def _check_clock(path: Path, seconds: Fraction) -> None:
    if seconds > LONGEST:
        raise ValueError(
            f"{path}: its clock is damaged: it runs for {float(seconds):.3g} seconds. "
            f"{_remedy(path)}"
        )


def _describe_breaks(count: int) -> str:
    if not count:
        return ""
    times = "once" if count == 1 else f"{count} times"
    return f"its clock restarts or jumps {times}; what follows is taken to come without a pause"


def _describe_spread(tick: Fraction) -> str:
    return (
        f"its clock has steps of {float(1000 * tick):.3g} ms, and gives several frames one time; "
        "these are taken to follow evenly within a step"
    )


def _join_notes(*notes: str) -> str:
    return "; ".join(filter(None, notes))


def _count_frames(path: Path, tick: Fraction) -> Timetable:
    """Count the frames of a file without presentation times; they follow at a constant rate."""
    with open_pictures(path) as (container, stream):
        length = 0
        for frames in _decode_packets(container, stream):
            if frames is None:
                raise _damaged_error(path, length)
            length += len(frames)
    if not length:
        raise _no_frames_error(path)
    start = np.zeros(1, np.int64)
    numbers = np.arange(length)
    return Timetable(numbers, numbers, length, tick, start, numbered=True)


def _decode_packets(
    container: InputContainer, stream: VideoStream, parts: Sequence[Part] = ()
) -> Iterator[list[VideoFrame] | None]:
    """Decode the frames that each packet completes, from the current place; None if damaged."""
    decoder, place = make_decoder(stream), 0
    for packet in container.demux(stream):
        move_packet(packet, place, parts)
        place += not is_end(packet)
        yield _decode_packet(decoder, packet)


def _decode_packet(decoder: VideoCodecContext, packet: Packet) -> list[VideoFrame] | None:
    try:
        return decoder.decode(packet)
    except FFmpegError:
        return None


def _decode_frames(
    container: InputContainer, stream: VideoStream, table: Timetable
) -> Iterator[tuple[int, VideoFrame]]:
    """Decode every sound frame from the current place in the file, with its source index.

    After damage, frames are not sound until the next key frame: FFmpeg fills in what is missing of
    those that they refer to.
    """
    number, earlier, before, sound = 0, 0, None, True
    for frames in _decode_packets(container, stream, table.parts):
        sound = sound and frames is not None
        for frame in frames or ():
            earlier = earlier + 1 if frame.pts == before else 0
            before = frame.pts
            index = number if table.numbered else table.find(frame.pts, earlier)
            number += 1
            sound = (sound or frame.key_frame) and not frame.is_corrupt
            if index is not None and sound:
                yield index, frame


def _read_pixel_aspect(stream: VideoStream) -> float:
    """Read the width of a stored pixel over its height; 1 if nothing sensible is said."""
    aspect = float(stream.sample_aspect_ratio or 1)
    sensible = 1 / MOST_STRETCHED <= aspect <= MOST_STRETCHED
    return aspect if sensible and abs(aspect - 1) > SQUARE else 1.0


def _is_on_its_side(path: Path) -> bool:
    """Tell whether the first frame is turned by a quarter before it is shown."""
    with open_pictures(path) as (container, stream):
        for frames in _decode_packets(container, stream):
            for frame in frames or ():
                a, b, *_ = read_matrix(frame)
                return abs(b) > abs(a)
    return False


def _no_frames_error(path: Path) -> ValueError:
    return ValueError(f"{path}: a video without frames; give one that has pictures")


def _damaged_error(path: Path, length: int) -> ValueError:
    return ValueError(f"{path}: damaged after {length} frames. {_remedy(path)}")


def _undecodable_error(path: Path, table: Timetable, index: int, readable: int) -> ValueError:
    return ValueError(
        f"{path}: frame {index} cannot be decoded; {readable} of {len(table)} frames could be "
        f"read. {_remedy(path)}"
    )


def _remedy(path: Path) -> str:
    return f"Re-encode it: ffmpeg -i '{path}' -c:v libx264 repaired.mp4"
