"""Clocks of video files: packets in the order of the file, joined parts, rates of counted frames.

A recording may be joined from parts that each have a clock of their own, and a container may say a
rate that its stream does not have. Here there is one clock a file, and a note where it was guessed.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from jaxtyping import Int

from probe.video.containers import BARE

JOINABLE = frozenset({"mpegts", "mpeg"})
"""Containers of broadcasts, of which files are joined by copying one after the other."""

JUMP, JUMP_ELSEWHERE = 10, 3600
"""Seconds by which the clock of a broadcast jumps where no frame is shown for so long, as FFmpeg
has it; other containers say how long a frame is shown, and it may be for minutes."""

RARE = 100
"""Usual intervals that a jump has at least: a slide show has frames that are shown for long."""

STEP_BACK = 1
"""Seconds by which decoding times go back only where a clock restarts, at any packet; at a key
frame, any step back is a restart."""

MOST_AT_ONCE = 500
"""Frames that a coarse clock gives one time, at most: no camera takes more in a millisecond. So
many parts of a tick, of the longest clock, still fit into 64 bits."""

LONGEST = 10_000_000
"""Seconds, 116 days, between the first frame and the end from which a clock is taken for damaged:
it could be any number, and sums of it would not fit into 64 bits."""

SAME_RATE = 0.01
"""Share by which two rates differ that are one."""


class PacketTimes(NamedTuple):
    """The entries of the container about one compressed frame."""

    pts: int
    dts: int | None
    timed: bool
    duration: int
    key: bool
    hidden: bool


class Part(NamedTuple):
    """A part of a file with a clock of its own, and its place on the clock of the file."""

    start: int
    """Number of its first packet."""

    shift: int
    """Ticks that are added to its times."""

    least: int
    """The time, before that, of the first frame that is shown."""


def list_packets(container: InputContainer, stream: VideoStream) -> Iterator[PacketTimes]:
    """List the entries of all packets of a stream, in the order of the file."""
    vp8 = stream.codec_context.name == "vp8"
    for packet in container.demux(stream):
        if is_end(packet):
            continue
        # VP8 sends frames that are only referred to; bit 4 of the first byte says "show me".
        reference = vp8 and packet.size > 0 and not bytes(packet)[0] & 0x10
        # Discarded packets are those before the start that an edit list of an MP4 sets.
        hidden = packet.is_discard or not packet.size or reference
        timed = packet.pts is not None
        duration = packet.duration or 0
        yield PacketTimes(packet.pts or 0, packet.dts, timed, duration, packet.is_keyframe, hidden)


def is_end(packet: Packet) -> bool:
    """Tell whether a packet is PyAV's mark of the end."""
    return packet.pts is None and not packet.size


def select_shown(packets: Sequence[PacketTimes]) -> list[PacketTimes]:
    """Select the frames that a player shows: none before the first key frame."""
    first = next((index for index, packet in enumerate(packets) if packet.key), len(packets))
    return [
        packet
        for packet in packets[first:]
        if not packet.hidden and packet.pts >= packets[first].pts
    ]


def usual_interval(ticks: Int[np.ndarray, " frame"]) -> int:
    """Return the median of the differences between times that increase; 1 if there is none."""
    return int(np.median(np.diff(ticks))) if len(ticks) > 1 else 1


def is_stopped(ticks: Int[np.ndarray, " frame"]) -> bool:
    """Tell whether so many frames have one time that their clock says nothing about them."""
    _, counts = np.unique(ticks, return_counts=True)
    return len(ticks) > 1 and (len(counts) == 1 or int(counts.max()) > MOST_AT_ONCE)


def spread_equal(
    ticks: Int[np.ndarray, " frame"], tick: Fraction
) -> tuple[Int[np.ndarray, " frame"], Fraction]:
    """Spread frames of one time evenly over the tick that the clock cannot divide.

    Args:
        ticks: Times of the frames that are shown, in an order that does not decrease.
        tick: Seconds per tick.

    Returns:
        Times that increase, the first of them 0, and the seconds per tick of these; if no two
        frames have one time, what was given.
    """
    _, starts, counts = np.unique(ticks, return_index=True, return_counts=True)
    most = int(counts.max())
    if most == 1:
        return ticks, tick
    later = np.arange(len(ticks)) - np.repeat(starts, counts)
    return (ticks - ticks[0]) * most + later * most // np.repeat(counts, counts), tick / most


def close_holes(
    ticks: Int[np.ndarray, " frame"], name: str, tick: Fraction
) -> tuple[Int[np.ndarray, " frame"], int]:
    """Close the holes that a jump of the clock leaves: the next frame comes as soon as usual.

    Args:
        ticks: Times of the frames that are shown, in increasing order.
        name: FFmpeg's name of the container.
        tick: Seconds per tick.

    Returns:
        The times without holes, and the number of holes.
    """
    steps = np.diff(ticks)
    if not len(steps):
        return ticks, 0
    usual = np.sort(steps)[(len(steps) - 1) // 2]
    jump = max((JUMP if name in JOINABLE else JUMP_ELSEWHERE) / tick, RARE * int(usual))
    # No jump of years: such a clock is damaged, and is refused.
    holes = (steps > float(jump)) & (steps <= float(LONGEST / tick))
    steps[holes] = usual
    return ticks[0] + np.concatenate([[0], np.cumsum(steps)]), int(holes.sum())


def join_parts(
    packets: Sequence[PacketTimes], tick: Fraction
) -> tuple[list[PacketTimes], tuple[Part, ...]]:
    """Put all parts of a file on one clock: the next starts when the one before it has ended.

    Args:
        packets: Those of the whole file, in its order.
        tick: Seconds per tick.

    Returns:
        The packets that are shown, with times of the one clock; and the parts, none if the file has
        one clock already.
    """
    starts = _find_starts(packets, tick)
    if len(starts) == 1:
        return select_shown(packets), ()
    joined: list[PacketTimes] = []
    parts: list[Part] = []
    interval = 0
    for start, stop in pairwise([*starts, len(packets)]):
        shown = select_shown(packets[start:stop])
        if not shown:  # no frame of it can be decoded, and none has a time
            parts.append(Part(start, 0, max(packet.pts for packet in packets) + 1))
            continue
        ticks = np.unique([packet.pts for packet in shown])
        least = int(ticks[0])
        shift = joined[-1].pts + interval - least if joined else 0
        interval = usual_interval(ticks)
        parts.append(Part(start, shift, least))
        moved = [packet._replace(pts=packet.pts + shift) for packet in shown]
        joined += sorted(moved, key=lambda packet: packet.pts)
    return joined, tuple(parts)


def move_packet(packet: Packet, number: int, parts: Sequence[Part]) -> None:
    """Put a packet that was read again on the one clock; one that is not shown gets no time."""
    if not parts or packet.pts is None:
        return
    part = max((part for part in parts if part.start <= number), key=lambda part: part.start)
    packet.pts = packet.pts + part.shift if packet.pts >= part.least else None
    packet.dts = None if packet.dts is None else packet.dts + part.shift


def choose_rate(
    stream: VideoStream, name: str, packets: Sequence[PacketTimes]
) -> tuple[Fraction | None, str]:
    """Choose the rate of frames that can only be counted.

    Returns:
        Frames per second, None if nothing says it; and a note of what was guessed, or nothing.
    """
    stated = stream.average_rate or stream.guessed_rate
    if name in BARE:
        written = stream.codec_context.framerate or stream.guessed_rate or stated
        return written, f"stores no times; {_write_rate(written)} frames a second are assumed"
    if name != "avi":
        return stated, ""
    better = _measure_rate(packets, stream.time_base) or stated
    written = stream.codec_context.framerate
    # H.264 counts the two fields of a frame, and some programs write their rate into the file.
    if stream.codec_context.name == "h264" and written and better and _agree(better, 2 * written):
        better = written
    if stated is None or better is None or _agree(better, stated):
        return stated, ""
    return better, (
        f"its header says {_write_rate(stated)} frames a second, but its frames are "
        f"{_write_rate(better)} a second, which are assumed"
    )


def _find_starts(packets: Sequence[PacketTimes], tick: Fraction) -> list[int]:
    """Find the packets at which a clock starts: the first, and each after a step back."""
    starts, before = [0], None
    for place, packet in enumerate(packets):
        step = 0 if before is None or packet.dts is None else packet.dts - before
        if step < 0 and (packet.key or step < -STEP_BACK / tick):
            starts.append(place)
        before = packet.dts if packet.dts is not None else before
    return starts


def _measure_rate(packets: Sequence[PacketTimes], tick: Fraction | None) -> Fraction | None:
    """Divide the frames of an AVI by the time that they take; the file counts left-out ones too."""
    times = [packet.dts for packet in packets if packet.dts is not None]
    if tick is None or len(times) < 2 or times[-1] <= times[0]:
        return None
    return Fraction(len(times) - 1, times[-1] - times[0]) / tick


def _agree(one: Fraction, other: Fraction) -> bool:
    return abs(one - other) <= SAME_RATE * other


def _write_rate(rate: Fraction | None) -> str:
    return "25" if rate is None else f"{float(rate):.5g}"
