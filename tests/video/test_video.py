"""Every test clip shows the number of each frame as black and white blocks: its binary digits."""

import re
import struct
import wave
import weakref
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av.error import FFmpegError
from PIL import Image

import probe.video.decoding
from probe.video import Video, read_video, source_frames
from probe.video.encoding import write_video

pytestmark = pytest.mark.slow  # each is quick; what they share takes seconds

BITS = 9
BLOCK = 16


def numbered(number: int, height: int = 32) -> np.ndarray:
    digits = [255 * (number >> bit & 1) for bit in range(BITS)]
    row = np.repeat(np.array(digits, np.uint8), BLOCK)[:-1]  # 143 wide: the odd pixel is cut below
    return np.broadcast_to(row[None, :, None], (height, len(row), 3)).copy()


def number_of(frame: np.ndarray) -> int:
    centres = frame[frame.shape[0] // 2, BLOCK // 2 :: BLOCK, 0]
    return sum(int(level > 127) << bit for bit, level in enumerate(centres))


def numbers(video: Video) -> tuple[int, ...]:
    return tuple(number_of(frame) for frame in video.frames)


def make_clip(path: Path, length: int, *, codec="libx264", pts=None, gop=12, **options) -> Path:
    """A file of numbered frames, ten a second or shown at the given hundredths of a second."""
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=10, options={"g": str(gop)})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = BITS * BLOCK - 2, 32, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 100)
        for index in range(length):
            picture = numbered(index)[:, : BITS * BLOCK - 2]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts = 10 * index if pts is None else pts[index]
            frame.time_base = Fraction(1, 100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def turn(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Write a, b, c, d of the display matrix into the track header, by hand (ISO 14496-12)."""
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 44
    a, b, c, d = (value << 16 for value in matrix)
    data[start : start + 20] = struct.pack(">5i", a, b, 0, c, d)
    path.write_bytes(data)
    return path


# Sampling


def test_the_middle_of_each_stretch_is_sampled(tmp_path):
    video = read_video(make_clip(tmp_path / "clip.mp4", 30), 6)
    assert video.indices == (2, 7, 12, 17, 22, 27)
    assert numbers(video) == video.indices
    assert video.times == pytest.approx([0.2, 0.7, 1.2, 1.7, 2.2, 2.7])
    assert video.fps == pytest.approx(10)
    assert (len(video), video.source_length, video.size) == (6, 30, (32, 142))


@pytest.mark.parametrize(
    ("name", "codec", "gop"),
    [
        ("long.mp4", "libx264", 250),
        ("short.mp4", "libx264", 5),
        ("intra.mp4", "libx264", 1),
        ("clip.mkv", "libx264", 7),
        ("clip.webm", "libvpx", 9),
        ("clip.avi", "libx264", 8),
        ("clip.ts", "libx264", 8),
        ("bare.h264", "libx264", 8),
    ],
)
@pytest.mark.parametrize("count", [1, 7, 40, 41])
def test_pictures_belong_to_their_indices_in_every_container(tmp_path, name, codec, gop, count):
    video = read_video(make_clip(tmp_path / name, 41, codec=codec, gop=gop), count)
    assert video.source_length == 41
    assert len(video) == count
    assert numbers(video) == video.indices


def test_open_groups_of_pictures_are_decoded_from_before_them(tmp_path):
    path = tmp_path / "open.mp4"
    with av.open(str(path), "w") as container:
        options = {"g": "8", "x264-params": "open-gop=1:bframes=3:b-adapt=0:scenecut=0"}
        stream = container.add_stream("libx264", rate=10, options=options)
        stream.width, stream.height, stream.pix_fmt = 142, 32, "yuv420p"
        for index in range(60):
            picture = np.ascontiguousarray(numbered(index)[:, :142])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    for count in (5, 17, 59):
        video = read_video(path, count)
        assert numbers(video) == video.indices


def test_a_variable_rate_is_sampled_by_time_not_by_index(tmp_path):
    # Ten frames in the first second, then ten a second apart; by index, 2 would come first.
    pts = [10 * index for index in range(10)] + [100 * index for index in range(1, 11)]
    video = read_video(make_clip(tmp_path / "slow.mp4", 20, pts=pts), 4)
    middles = [10.1 * (2 * part + 1) / 8 for part in range(4)]
    shown = [max(i for i, tick in enumerate(pts) if tick / 100 <= middle) for middle in middles]
    assert list(video.indices) == shown == [10, 12, 15, 17]
    assert numbers(video) == video.indices
    assert video.source_times == pytest.approx(np.array(pts) / 100)


def test_a_frame_shown_for_long_is_not_sampled_twice(tmp_path):
    pts = [0, 10, 20, 900, 910, 920]
    video = read_video(make_clip(tmp_path / "still.mp4", 6, pts=pts), 5)
    assert len(set(video.indices)) == 5
    assert numbers(video) == video.indices


@pytest.mark.parametrize("name", ["late.mp4", "late.mkv", "late.ts"])
def test_time_starts_with_the_first_frame(tmp_path, name):
    pts = [700 + 10 * index for index in range(20)]
    video = read_video(make_clip(tmp_path / name, 20, pts=pts), 4)
    assert video.source_times[0] == 0
    assert numbers(video) == video.indices == (2, 7, 12, 17)


def test_frames_cut_away_by_an_edit_list_do_not_count(tmp_path):
    pts = [10 * (index - 3) for index in range(23)]
    path = make_clip(tmp_path / "cut.mp4", 23, pts=pts, use_editlist="1")
    with av.open(str(path)) as container:
        decoded = sum(1 for _ in container.decode(video=0))
    video = read_video(path, decoded)
    assert video.source_length == decoded < 23
    assert numbers(video) == tuple(range(23 - decoded, 23))


def test_a_short_video_gives_all_it_has_and_says_so(tmp_path):
    path = make_clip(tmp_path / "short.mp4", 3)
    with pytest.warns(UserWarning, match=r"short.mp4: 3 of the 20 frames asked for"):
        video = read_video(path)
    assert video.indices == (0, 1, 2)


def test_a_name_that_looks_like_a_protocol_is_a_file(tmp_path):
    video = read_video(make_clip(tmp_path / "pipe: 100%d?.mp4", 10), 2)
    assert numbers(video) == (2, 7)


# Orientation


def test_a_picture_stored_on_its_side_is_turned_upright(tmp_path):
    plain = read_video(make_clip(tmp_path / "a.mp4", 30), 4).frames
    # A telephone held upright: the stored top left corner is shown at the top right.
    side = read_video(turn(make_clip(tmp_path / "b.mp4", 30), (0, 1, -1, 0)), 4)
    assert side.size == (142, 32)
    assert (side.frames == np.rot90(plain, -1, axes=(1, 2))).all()
    other = read_video(turn(make_clip(tmp_path / "c.mp4", 30), (0, -1, 1, 0)), 4)
    assert (other.frames == np.rot90(plain, 1, axes=(1, 2))).all()
    down = read_video(turn(make_clip(tmp_path / "d.mp4", 30), (-1, 0, 0, -1)), 4)
    assert (down.frames == plain[:, ::-1, ::-1]).all()
    assert all(frame.shape == (142, 32, 3) for frame in source_frames(side))


def test_a_mirrored_picture_is_mirrored_back(tmp_path):
    plain = read_video(make_clip(tmp_path / "a.mp4", 30), 4).frames
    mirrored = read_video(turn(make_clip(tmp_path / "b.mp4", 30), (-1, 0, 0, 1)), 4)
    assert (mirrored.frames == plain[:, :, ::-1]).all()


def test_our_turn_agrees_with_the_angle_that_ffmpeg_reads(tmp_path):
    path = turn(make_clip(tmp_path / "b.mp4", 30), (0, 1, -1, 0))
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    upright = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
    assert (next(source_frames(read_video(path, 4))) == upright).all()


# Transparency


@pytest.mark.parametrize(
    ("name", "codec", "form"),
    [
        ("a.webm", "libvpx-vp9", "yuva420p"),
        ("a.mov", "qtrle", "argb"),
        ("b.mov", "png", "rgba"),
        ("a.mkv", "ffv1", "bgra"),
    ],
)
def test_what_is_transparent_in_a_video_shows_a_white_ground(tmp_path, name, codec, form):
    levels = np.zeros((32, 64, 4), np.uint8)
    levels[..., 0] = 200
    levels[:, 32:, 3] = 255
    with av.open(str(tmp_path / name), "w") as container:
        stream = container.add_stream(codec, rate=10, options={"g": "4"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 32, form
        for _ in range(10):
            frame = av.VideoFrame.from_ndarray(levels, format="rgba")
            container.mux(stream.encode(frame.reformat(format=form)))
        container.mux(stream.encode(None))
    video = read_video(tmp_path / name, 3)
    for frame in (*video.frames, *source_frames(video)):
        assert frame[16, 8].min() > 250
        assert np.abs(frame[16, 56].astype(int) - (200, 0, 0)).max() < 12


def test_a_transparency_that_no_decoder_reads_is_said(tmp_path, monkeypatch):
    with av.open(str(tmp_path / "a.webm"), "w") as container:
        stream = container.add_stream("libvpx-vp9", rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuva420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 64, 4), np.uint8), format="rgba")
        container.mux(stream.encode(frame.reformat(format="yuva420p")))
        container.mux(stream.encode(None))
    monkeypatch.setattr(av, "codecs_available", av.codecs_available - {"libvpx-vp9"})
    with pytest.warns(UserWarning, match="its transparency cannot be read without libvpx-vp9"):
        read_video(tmp_path / "a.webm", 1)


# Memory


@pytest.fixture
def alive(monkeypatch) -> list[int]:
    """How many decoded pictures were in memory each time that one more was decoded."""
    upright, held, counts = probe.video.decoding.turn_upright, weakref.WeakValueDictionary(), []

    def watched(frame):
        picture = upright(frame)
        held[len(counts)] = picture
        counts.append(len(held))
        return picture

    monkeypatch.setattr(probe.video.decoding, "turn_upright", watched)
    return counts


def test_only_the_sampled_frames_are_held(tmp_path, alive):
    read_video(make_clip(tmp_path / "long.mp4", 300, gop=50), 8)
    assert max(alive) == 8


def test_streaming_holds_one_frame_at_a_time(tmp_path, alive):
    video = read_video(make_clip(tmp_path / "long.mp4", 300, gop=50), 8)
    alive.clear()
    assert sum(1 for _ in source_frames(video)) == 300
    assert max(alive) <= 2
    assert len(list(source_frames(video))) == max(alive) == 300  # so holding them would show


def test_only_what_leads_to_a_wanted_frame_is_decoded(tmp_path, monkeypatch):
    path = make_clip(tmp_path / "long.mp4", 500, gop=10)
    decode, packets = probe.video.decoding._decode_packet, []

    def count(decoder, packet):
        packets.append(0)
        return decode(decoder, packet)

    monkeypatch.setattr(probe.video.decoding, "_decode_packet", count)
    video = read_video(path, 8)
    assert numbers(video) == video.indices
    assert 0 < len(packets) < 250


# Folders and arrays


def save_images(folder: Path, names: list[str]) -> Path:
    folder.mkdir()
    for index, name in enumerate(names):
        Image.fromarray(numbered(index)).save(folder / name)
    return folder


def test_a_folder_is_read_in_the_order_a_person_counts(tmp_path):
    names = [f"frame{index}.png" for index in range(12)]
    folder = save_images(tmp_path / "frames", names)
    (folder / "notes.txt").write_text("not an image")
    (folder / "._frame1.png").write_text("left by a Mac")
    video = read_video(folder, 12, fps=4)
    assert numbers(video) == tuple(range(12))
    assert video.times == pytest.approx(np.arange(12) / 4)
    assert numbers(read_video(folder, 3)) == (2, 6, 10)
    assert [number_of(frame) for frame in source_frames(video)] == list(range(12))


def test_an_array_is_sampled_like_a_file():
    array = np.stack([numbered(index) for index in range(30)])
    video = read_video(array, 6, fps=10)
    assert numbers(video) == video.indices == (2, 7, 12, 17, 22, 27)
    assert video.path is None
    nearest = [number_of(frame) for frame in source_frames(video)]
    assert nearest[:6] == [2, 2, 2, 2, 2, 7]
    assert len(nearest) == 30


PICTURES = np.stack([numbered(index) for index in range(30)])

SOURCES = {
    "tensor": torch.from_numpy(PICTURES),
    "tensor, colours first": torch.from_numpy(PICTURES).permute(0, 3, 1, 2),
    "array, colours first": PICTURES.transpose(0, 3, 1, 2),
    "list of PIL images": [Image.fromarray(picture) for picture in PICTURES],
    "list of PIL images with a palette": [Image.fromarray(one).convert("P") for one in PICTURES],
    "list of arrays": [*PICTURES],
    "tuple of tensors, colours first": tuple(torch.from_numpy(PICTURES).permute(0, 3, 1, 2)),
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_pictures_of_every_kind_are_sampled_like_an_array(source):
    expected, video = read_video(PICTURES, 6, fps=10), read_video(source, 6, fps=10)
    assert video.indices == expected.indices
    assert np.array_equal(video.frames, expected.frames)
    assert np.array_equal(video.source_times, expected.source_times)
    assert video.frames.flags["C_CONTIGUOUS"]


def test_of_a_list_of_images_in_files_only_the_sampled_ones_are_read(tmp_path):
    folder = save_images(tmp_path / "frames", [f"{index:02}.png" for index in range(30)])
    images = [Image.open(path) for path in sorted(folder.iterdir())]
    assert images[3].fp is not None
    images[3].fp.close()  # its size has been read, and its pixels cannot be any more
    assert numbers(read_video(images, 6)) == (2, 7, 12, 17, 22, 27)


@pytest.mark.parametrize("number", [6, np.int64(6), np.uint8(6), torch.tensor(6)])
def test_numbers_may_be_of_any_kind(number):
    assert len(read_video(PICTURES, number)) == 6
    assert read_video(PICTURES, 6, fps=number).fps == pytest.approx(6)


def test_a_path_may_be_text_or_a_path_below_the_home_folder(tmp_path, monkeypatch):
    path = make_clip(tmp_path / "clip.mp4", 5)
    monkeypatch.setenv("HOME", str(tmp_path))
    for source in (str(path), path, "~/clip.mp4", Path("~/clip.mp4")):
        assert numbers(read_video(source, 5)) == tuple(range(5))


def test_a_video_is_shown_in_one_line(tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", 64)
    assert repr(read_video(clip, 8)) == "Video(8 of 64 frames, 142 x 32, 10 fps, clip.mp4)"
    array = read_video(PICTURES, 6, fps=29.97002997)
    assert repr(array) == "Video(6 of 30 frames, 143 x 32, 29.97 fps, an array)"
    part = Video(array.frames, array.indices, array.source_times, clip, range(20, 50))
    assert repr(part).endswith("29.97 fps, frames 20 to 49 of clip.mp4)")
    strange = Video(array.frames, array.indices, array.source_times, Path("a\nb" * 80))
    assert "\n" not in repr(strange)
    assert len(repr(strange)) < 300


def test_every_frame_of_a_file_streams_in_order(tmp_path):
    video = read_video(make_clip(tmp_path / "clip.mp4", 41, gop=7), 5)
    assert [number_of(frame) for frame in source_frames(video)] == list(range(41))


# Bad input: one line, our own error, and what to do


def one_line(work) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the caller reads the message
        work()
    assert type(caught.value) is ValueError
    assert not isinstance(caught.value, FFmpegError)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_missing_file_is_named(tmp_path):
    assert "gone.mp4: no such file" in one_line(lambda: read_video(tmp_path / "gone.mp4"))


def test_an_empty_file_is_named(tmp_path):
    (tmp_path / "empty.mp4").touch()
    assert "0 bytes" in one_line(lambda: read_video(tmp_path / "empty.mp4"))


@pytest.mark.parametrize("name", ["text.txt", "text.mp4", "text.json"])
def test_a_text_file_is_no_video(tmp_path, name):
    (tmp_path / name).write_text("a line of words\n" * 99)
    assert "not a video" in one_line(lambda: read_video(tmp_path / name))


def test_sound_alone_is_no_video(tmp_path):
    with wave.open(str(tmp_path / "song.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(16000))
    message = one_line(lambda: read_video(tmp_path / "song.wav"))
    assert "no video stream; found only audio" in message


def test_a_video_without_frames_is_refused(tmp_path):
    whole = make_clip(tmp_path / "whole.mkv", 20).read_bytes()
    header = whole[
        : whole.index(bytes.fromhex("1F43B675")) + 16
    ]  # ends as the first cluster starts
    (tmp_path / "none.mkv").write_bytes(header)
    assert "without frames" in one_line(lambda: read_video(tmp_path / "none.mkv"))


def test_a_file_cut_short_before_its_index_is_refused(tmp_path):
    whole = make_clip(tmp_path / "whole.mp4", 30).read_bytes()
    (tmp_path / "part.mp4").write_bytes(whole[: whole.index(b"moov") - 200])
    assert "cut short" in one_line(lambda: read_video(tmp_path / "part.mp4"))


def test_a_file_cut_short_after_its_index_is_refused(tmp_path):
    path = make_clip(tmp_path / "whole.mp4", 60, movflags="faststart")
    (tmp_path / "part.mp4").write_bytes(path.read_bytes()[:-300])
    message = one_line(lambda: read_video(tmp_path / "part.mp4", 5))
    assert "of its 60 frames" in message


def spoilt(path: Path, first: int, last: int | None = None) -> Path:
    """The file with these packets of its pictures overwritten."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        places = [(packet.pos or 0, packet.size) for packet in packets[first:last]]
    data = bytearray(path.read_bytes())
    for start, size in places:
        data[start : start + size] = bytes(size)
    path.write_bytes(data)
    return path


def test_a_frame_that_cannot_be_decoded_is_an_error_not_a_substitute(tmp_path):
    path = spoilt(make_clip(tmp_path / "clip.mp4", 60, gop=10), first=30)
    message = one_line(lambda: read_video(path, 6))
    found = re.search(r"frame 35 cannot be decoded; (\d+) of 60 frames could be read", message)
    assert found is not None
    assert 25 <= int(found[1]) <= 30
    assert "ffmpeg -i" in message


def test_a_frame_that_refers_to_a_damaged_one_is_not_trusted(tmp_path):
    path = spoilt(make_clip(tmp_path / "clip.mp4", 60, gop=60), 20, 21)
    assert "cannot be decoded" in one_line(lambda: read_video(path, 6))


def test_damage_where_frames_can_only_be_counted_is_an_error(tmp_path):
    path = spoilt(make_clip(tmp_path / "clip.avi", 60, gop=10), 30, 31)
    assert "damaged after" in one_line(lambda: read_video(path, 6))


def test_damage_far_from_the_wanted_frames_does_no_harm(tmp_path):
    path = spoilt(make_clip(tmp_path / "clip.mp4", 60, gop=20), 50, 52)
    assert numbers(read_video(path, 1)) == (30,)


def test_streaming_stops_at_a_frame_that_cannot_be_decoded(tmp_path):
    path = make_clip(tmp_path / "clip.mp4", 60, gop=10)
    video = read_video(path, 6)
    spoilt(path, first=30)
    assert "cannot be decoded" in one_line(lambda: list(source_frames(video)))


def test_a_file_replaced_since_it_was_read_is_noticed(tmp_path):
    video = read_video(make_clip(tmp_path / "clip.mp4", 30), 6)
    make_clip(tmp_path / "clip.mp4", 20)
    assert "read it again" in one_line(lambda: list(source_frames(video)))


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "readme.md").write_text("nothing to see")
    assert "no images among its 1 files" in one_line(lambda: read_video(tmp_path))


def test_images_of_two_sizes_are_named_with_their_sizes(tmp_path):
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    Image.new("RGB", (50, 30)).save(tmp_path / "b.png")
    message = one_line(lambda: read_video(tmp_path))
    assert "a.png is 40 x 30" in message
    assert "b.png is 50 x 30" in message


@pytest.mark.parametrize("part", [slice(0, 0), slice(0, 60), slice(0, 900)])
def test_an_unreadable_image_is_named(tmp_path, part):
    noise = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "1.png")
    (tmp_path / "2.png").write_bytes((tmp_path / "1.png").read_bytes()[part])
    assert "2.png: cannot be read as an image" in one_line(lambda: read_video(tmp_path, 2))


@pytest.mark.parametrize(
    ("array", "complaint"),
    [
        (np.zeros((4, 8, 8), np.uint8), "shape"),
        (np.zeros((4, 2, 8, 8), np.uint8), "shape"),
        (np.zeros((8, 8, 3), np.uint8), "shape"),
        (np.zeros((0, 8, 8, 3), np.uint8), "shape"),
        (np.zeros((4, 8, 8, 3), np.float32), "float32"),
        (torch.zeros((4, 3, 8, 8)), "float32"),
        (torch.zeros((4, 8, 8), dtype=torch.uint8), r"shape (4, 8, 8) is no video"),
    ],
)
def test_an_array_that_is_no_video_is_refused(array, complaint):
    assert complaint in one_line(lambda: read_video(array))


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        (None, "None is no video; give the path of a file"),
        (7, "7 is no video"),
        (b"clip.mp4", "b'clip.mp4' is no video"),
        ({"path": "clip.mp4"}, "is no video"),
        (iter([]), "a list_iterator is no video"),
        ([], "an empty list is no video"),
        (["a.png"], "picture 0 of the list is 'a.png'; give a PIL image"),
        ([numbered(0), None], "picture 1 of the list is None"),
        ([numbered(0) / 255.0], "picture 0 of the list is an array of float64 of shape (32, 143,"),
        ([numbered(0)[..., 0]], "of shape (32, 143); give a PIL image"),
        ([numbered(0), numbered(1, height=40)], "1 of the list is 143 x 40 pixels but the first"),
    ],
)
def test_what_is_no_video_at_all_is_refused(source, complaint):
    assert complaint in one_line(lambda: read_video(source))


def test_a_video_that_has_been_read_is_not_read_again():
    video = read_video(np.stack([numbered(0)]), 1)
    assert "use it as it is" in one_line(lambda: read_video(video))


def test_numbers_that_make_no_sense_are_refused(tmp_path):
    array = np.zeros((4, 8, 8, 3), np.uint8)
    assert "at least 1" in one_line(lambda: read_video(array, 0))
    for number in (2.5, "2", None, [2, 3]):
        assert "whole number" in one_line(lambda number=number: read_video(array, number))
    for rate in (0.0, -1, float("nan"), "fast", [25]):
        assert "positive" in one_line(lambda rate=rate: read_video(array, 2, fps=rate))
    path = make_clip(tmp_path / "clip.mp4", 5)
    assert "its own times" in one_line(lambda: read_video(path, 2, fps=25.0))


@pytest.mark.parametrize("indices", [(0,), (1, 1), (2, 1), (0, 9), (-1, 0)])
def test_a_video_with_wrong_indices_cannot_be_made(indices):
    one_line(lambda: Video(np.zeros((2, 4, 4, 3), np.uint8), indices, np.arange(9.0)))


def test_a_video_whose_times_stand_still_cannot_be_made():
    one_line(lambda: Video(np.zeros((2, 4, 4, 3), np.uint8), (0, 1), np.zeros(3)))


# Writing


def test_what_is_written_reads_back_with_its_times(tmp_path):
    times = [0.0, 0.1, 0.2, 1.7, 1.8]
    write_video(tmp_path / "out.mp4", map(numbered, range(5)), 10, times=times)
    video = read_video(tmp_path / "out.mp4", 5)
    assert numbers(video) == (0, 1, 2, 3, 4)
    assert video.source_times == pytest.approx(times)
    assert video.size == (32, 144)  # 143 grew by one


@pytest.mark.parametrize("fps", [1, 10, 23.976, 29.97, 60])
def test_a_rate_survives_writing(tmp_path, fps):
    write_video(tmp_path / "out.mp4", map(numbered, range(12)), fps)
    assert read_video(tmp_path / "out.mp4", 3).fps == pytest.approx(fps, rel=1e-3)


def test_browsers_can_play_what_is_written(tmp_path):
    write_video(tmp_path / "out.mp4", map(numbered, range(5)), 10)
    data = (tmp_path / "out.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")


def test_colours_survive_writing(tmp_path):
    colours = np.array([[200, 40, 40], [40, 160, 60], [50, 60, 210]], np.uint8)
    picture = np.broadcast_to(colours.repeat(32, 0)[None], (64, 96, 3)).copy()
    write_video(tmp_path / "out.mp4", [picture] * 3, 10)
    back = read_video(tmp_path / "out.mp4", 3).frames[1]
    assert np.abs(back[32, 16::32].astype(int) - colours).max() < 8


def test_a_failure_leaves_no_file_and_keeps_the_old_one(tmp_path):
    def breaking():
        yield from map(numbered, range(100))  # more than x264 looks ahead: some are written
        assert len(list(tmp_path.iterdir())) == 2
        raise RuntimeError("the camera fell over")

    (tmp_path / "out.mp4").write_text("the old one")
    with pytest.raises(RuntimeError, match="fell over"):
        write_video(tmp_path / "out.mp4", breaking(), 10)
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
    assert (tmp_path / "out.mp4").read_text() == "the old one"


def test_nothing_to_write_is_an_error(tmp_path):
    assert "no frames" in one_line(lambda: write_video(tmp_path / "out.mp4", [], 10))
    unequal = [numbered(0), numbered(1, height=40)]
    assert "frame 1" in one_line(lambda: write_video(tmp_path / "out.mp4", unequal, 10))
    nowhere = tmp_path / "no" / "out.mp4"
    assert "does not exist" in one_line(lambda: write_video(nowhere, unequal, 10))
    assert not list(tmp_path.iterdir())
