"""One clock for a file: joined parts, jumps, rates that lie; and a note of what was guessed."""

import struct
import warnings
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from probe.video import read_video, source_frames
from probe.video.encoding import write_video
from probe.video.parts import read_part
from tests.video.test_video import make_clip, number_of, numbered, numbers, turn

LENGTH = 12


def read_noted(path: Path, frames: int = LENGTH):
    """Read a video, and the one note that came with it."""
    with pytest.warns(UserWarning, match="clock|assumed|pixels") as noted:
        video = read_video(path, frames)
    (note,) = [str(one.message) for one in noted]
    assert note.startswith(f"{path}: ")
    assert "\n" not in note
    return video, note


def read_quietly(path: Path, frames: int = LENGTH):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_video(path, frames)


def shown_numbers(video) -> list[int]:
    return [number_of(frame) for frame in source_frames(video)]


def join(path: Path, *parts: Path) -> Path:
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


@pytest.mark.parametrize("copies", [2, 5])
def test_joined_streams_have_all_their_frames_on_one_clock(tmp_path, copies):
    one = make_clip(tmp_path / "one.ts", LENGTH)
    joined = join(tmp_path / "joined.ts", *[one] * copies)
    video, note = read_noted(joined)
    assert "restarts or jumps" in note
    assert video.source_length == copies * LENGTH
    assert np.diff(video.source_times) == pytest.approx(0.1)
    assert numbers(video) == tuple(index % LENGTH for index in video.indices)
    assert shown_numbers(video) == [*range(LENGTH)] * copies


def test_streams_of_different_lengths_and_starts_are_joined_in_the_order_of_the_file(tmp_path):
    parts = [
        make_clip(tmp_path / "a.ts", 15, pts=[900 + 10 * index for index in range(15)]),
        make_clip(tmp_path / "b.ts", 7, gop=3),
        make_clip(tmp_path / "c.ts", 9, pts=[20 * index for index in range(9)]),
    ]
    video, _ = read_noted(join(tmp_path / "joined.ts", *parts))
    assert shown_numbers(video) == [*range(15), *range(7), *range(9)]
    steps = [0.1] * (14 + 1 + 6 + 1) + [0.2] * 8
    assert np.diff(video.source_times) == pytest.approx(steps)


@pytest.mark.parametrize(("name", "seconds"), [("a.ts", 50_000), ("a.ts", 30), ("a.mkv", 50_000)])
def test_a_jump_of_the_clock_leaves_no_hole(tmp_path, name, seconds):
    pts = [10 * index + (100 * seconds if index >= LENGTH else 0) for index in range(2 * LENGTH)]
    video, _ = read_noted(make_clip(tmp_path / name, 2 * LENGTH, pts=pts), 2)
    assert video.indices == (6, 18)
    assert numbers(video) == video.indices
    assert video.source_times[-1] == pytest.approx(0.1 * (2 * LENGTH - 1))
    assert shown_numbers(video) == [*range(2 * LENGTH)]


@pytest.mark.parametrize("name", ["a.ts", "a.mkv", "a.mp4"])
def test_frames_that_are_shown_for_long_keep_their_times(tmp_path, name):
    slides = [1500 * index for index in range(8)]
    video = read_quietly(make_clip(tmp_path / name, 8, pts=slides), 8)
    assert video.source_times == pytest.approx(np.array(slides) / 100)
    if name != "a.ts":  # broadcasts of moving pictures do not stop for minutes
        pts = [*range(0, 100, 10), *range(30_000, 30_100, 10)]
        video = read_quietly(make_clip(tmp_path / name, 20, pts=pts), 8)
        assert video.source_times == pytest.approx(np.array(pts) / 100)


def write_ten_a_second(path):
    """Write a black video of ten frames a second, with no time stamps of our own."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(LENGTH):
            black = np.zeros((48, 64, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(black, format="rgb24")))
        container.mux(stream.encode(None))


def test_a_bare_stream_has_the_rate_of_its_own_header(tmp_path):
    path = tmp_path / "bare.h264"
    write_ten_a_second(path)
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == 25, "FFmpeg's guess, which is wrong"
    video, note = read_noted(path)
    assert video.fps == pytest.approx(10)
    assert "stores no times; 10 frames a second are assumed" in note


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_an_avi_has_the_rate_at_which_its_frames_follow(tmp_path, codec):
    # The file counts hundredths of a second, and says that it has a hundred frames in each.
    path = make_clip(tmp_path / "a.avi", LENGTH, codec=codec)
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == 100
    video, note = read_noted(path)
    assert video.fps == pytest.approx(10)
    assert "says 100 frames a second, but its frames are 10 a second" in note
    assert numbers(video) == video.indices


def test_an_avi_of_fields_has_the_rate_of_its_frames(tmp_path):
    path = tmp_path / "a.avi"
    write_ten_a_second(path)
    assert read_quietly(path).fps == pytest.approx(10)
    data = bytearray(path.read_bytes())
    start = data.index(b"strh") + 8 + 20  # scale and rate of the stream's header
    scale, rate = struct.unpack_from("<II", data, start)
    struct.pack_into("<II", data, start, scale, 2 * rate)
    path.write_bytes(data)
    video, note = read_noted(path)
    assert video.fps == pytest.approx(10)
    assert "says 20 frames a second, but its frames are 10" in note


# Pixels that are not square


def make_stretched(path: Path, aspect: str = "64/45") -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(aspect)
        for _ in range(LENGTH):
            black = np.zeros((120, 160, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(black, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.ts"])
def test_the_shape_of_pixels_is_read_and_said(tmp_path, name):
    video, note = read_noted(make_stretched(tmp_path / name))
    assert video.pixel_aspect == pytest.approx(64 / 45)
    assert video.size == (120, 160), "frames and boxes are of stored pixels"
    assert "1.422 times as wide as high" in note
    assert shown_numbers(video) == [0] * LENGTH


def test_pixels_of_a_picture_on_its_side_are_turned_with_it(tmp_path):
    path = turn(make_stretched(tmp_path / "a.mp4"), (0, 1, -1, 0))
    video, _ = read_noted(path)
    assert video.size == (160, 120)
    assert video.pixel_aspect == pytest.approx(45 / 64)


@pytest.mark.parametrize("aspect", ["1/1", "4320/4319", "100/1"])
def test_pixels_that_are_nearly_square_or_cannot_be_so_long_are_square(tmp_path, aspect):
    assert read_quietly(make_stretched(tmp_path / "a.mp4", aspect)).pixel_aspect == 1


# The length of a single frame


@pytest.mark.parametrize("seconds", [0.04, 3, 1200.5])
def test_a_file_of_one_frame_keeps_its_length(tmp_path, seconds):
    write_video(tmp_path / "a.mp4", [np.zeros((48, 64, 3), np.uint8)], 1 / seconds)
    assert read_quietly(tmp_path / "a.mp4", 1).time_at(1) == pytest.approx(seconds, rel=0.001)


def test_a_still_picture_is_shown_for_a_second(tmp_path):
    Image.new("RGB", (64, 48)).save(tmp_path / "still.png")
    assert read_quietly(tmp_path / "still.png", 1).time_at(1) == 1


@pytest.mark.parametrize("name", ["a.gif", "a.webm", "a.png", "a.avi"])
def test_a_name_of_another_kind_of_file_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=f"{name}: videos are written as MP4"):
        write_video(tmp_path / name, [np.zeros((48, 64, 3), np.uint8)], 10)
    assert not list(tmp_path.iterdir())


# Clocks that are too coarse


def write_timed(path: Path, pts: list[int], ticks: int = 1000, codec: str = "ffv1") -> Path:
    """Numbered frames at these times, in a container that keeps what it is given."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=ticks, options={"g": "1"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 142, 32, "yuv420p"
        stream.codec_context.time_base = Fraction(1, ticks)
        for index, time in enumerate(pts):
            picture = np.ascontiguousarray(numbered(index)[:, :142])
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, ticks)
            container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode(None))
    return path


def test_frames_that_a_coarse_clock_gives_one_time_are_all_there(tmp_path):
    # 4,000 a second, in Matroska's steps of a millisecond.
    video, note = read_noted(write_timed(tmp_path / "a.mkv", [*range(60)], 4000), 20)
    assert "steps of 1 ms" in note
    assert video.source_length == 60
    assert numbers(video) == video.indices
    assert shown_numbers(video) == [*range(60)]
    assert np.abs(video.source_times - np.arange(60) / 4000).max() <= 0.001
    assert read_part(tmp_path / "a.mkv", 0.004, 0.008, frames=4).source_length == 16


def test_one_time_for_two_frames_leaves_the_times_of_others_as_they_are(tmp_path):
    times = [0, 100, 200, 200, 300, 500]
    video, _ = read_noted(write_timed(tmp_path / "a.mkv", times), 6)
    assert shown_numbers(video) == [*range(6)]
    assert video.source_times == pytest.approx([0, 0.1, 0.2, 0.2005, 0.3, 0.5])


def test_a_clock_that_stands_still_is_replaced_by_the_usual_rate(tmp_path):
    video, note = read_noted(write_timed(tmp_path / "a.mkv", [0] * 5), 5)
    assert "its clock stands still" in note
    assert shown_numbers(video) == [*range(5)]


def test_damage_in_a_file_of_a_coarse_clock_is_said(tmp_path):
    path = write_timed(tmp_path / "a.mkv", [*range(60)], 4000, "libx264")
    with av.open(str(path)) as container:
        packet = bytes([*container.demux(video=0)][30])
    content = path.read_bytes()
    assert content.count(packet) == 1
    path.write_bytes(content.replace(packet, packet[:8] + bytes(len(packet) - 8)))
    with pytest.raises(ValueError, match=r"a\.mkv: (damaged after 3\d|frame 30 cannot)"):
        list(source_frames(read_video(path, 4)))
