"""Files that are no videos, or would read something else or take all memory, are refused."""

import io
import os
import shutil
import socket
import struct
import subprocess
import sys
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.error import FFmpegError
from PIL import Image

from probe.video import read_video
from probe.video.containers import FORMATS, PROTOCOLS
from probe.video.images import IMAGE_FORMATS, MOST_PIXELS, read_pixels
from probe.video.middles import find_middles

CASES = Path(__file__).parents[1] / "cases"

ROOT = Path(__file__).parents[2]


def make_clip(path, length=10, *, pts=None, codec="libx264", size=(64, 48)):
    """A file of grey frames that grow lighter, ten a second or at these hundredths of a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = Fraction(1, 100)
        for index in range(length):
            picture = np.full((size[1], size[0], 3), 20 * index, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame = frame.reformat(format=stream.pix_fmt)
            frame.pts = 10 * index if pts is None else pts[index]
            frame.time_base = Fraction(1, 100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def refusal(source, frames=2):
    """The message of the error with which a video is refused: one line that names it."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the caller reads the message
        read_video(source, frames)
    assert type(caught.value) is ValueError
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < len(str(source)) + 300
    return message


# Text that names other files


@pytest.fixture
def server():
    """An address at which nobody has called yet; its list grows with each who does."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)  # who called is waiting already
        yield listening


def was_called(listening):
    try:
        listening.accept()
    except BlockingIOError:
        return False
    return True


LISTS = {
    "a list": "ffconcat version 1.0\nfile clip.mp4\n",
    "a list of itself": "ffconcat version 1.0\nfile {name}\n",
    "a list of an address": "ffconcat version 1.0\nfile http://127.0.0.1:{port}/clip.mp4\n",
    "a playlist": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nclip.mp4\n#EXT-X-ENDLIST\n",
    "a playlist without an end": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nclip.mp4\n",
    "a playlist of an address": (
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:{port}/clip.ts\n"
    ),
    "a session": (
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        "m=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\n"
    ),
    "a manifest": (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
        "<BaseURL>http://127.0.0.1:{port}/</BaseURL></Period></MPD>"
    ),
}


@pytest.mark.parametrize("suffix", [".mp4", ".m3u8", ".txt", ".sdp", ".mpd", ".ffconcat"])
@pytest.mark.parametrize("text", LISTS.values(), ids=LISTS)
def test_text_that_names_other_files_is_refused_and_none_is_opened(tmp_path, server, text, suffix):
    make_clip(tmp_path / "clip.mp4", 3)
    path = tmp_path / f"list{suffix}"
    path.write_text(text.format(name=path.name, port=server.getsockname()[1]))
    assert "a text file, not a video" in refusal(path)
    assert not was_called(server)


def test_a_call_would_be_noticed(server):
    with socket.create_connection(server.getsockname()):
        assert was_called(server)


def test_the_danger_is_real(tmp_path):
    make_clip(tmp_path / "clip.mp4", 3)
    path = tmp_path / "list.mp4"
    path.write_text(LISTS["a list"])
    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 3


def test_what_ffmpeg_opens_on_behalf_of_a_file_is_held_to_the_same_lists(tmp_path, server):
    # Shown with lists of FFmpeg's that are allowed here, and name what is not.
    make_clip(tmp_path / "clip.mp4", 3)
    path = tmp_path / "list.mp4"
    for text, allowed in (("a list", "concat"), ("a list of an address", "concat,mov")):
        path.write_text(LISTS[text].format(port=server.getsockname()[1]))
        options = {"protocol_whitelist": ",".join(PROTOCOLS), "format_whitelist": allowed}
        with pytest.raises(FFmpegError):
            av.open(f"file:{path}", options=options)
    assert not was_called(server)


def test_only_known_containers_and_plain_files_are_read():
    assert PROTOCOLS == ("file",)
    assert not {"concat", "hls", "dash", "sdp", "rtsp", "image2", "lavfi", "tty"} & set(FORMATS)
    known = {one for name in av.formats_available for one in name.split(",")}
    assert set(FORMATS) <= known | {"vvc"}, "no name is misspelt"


# Damage


@pytest.mark.parametrize(
    ("name", "tag", "codec"),
    [
        ("a.mp4", b"avc1", "libx264"),
        ("a.avi", b"H264", "libx264"),
        ("a.mkv", b"V_MPEG4/ISO/AVC", "libx264"),
        ("a.webm", b"V_VP8", "libvpx"),
    ],
)
def test_a_damaged_name_of_the_codec_is_said(tmp_path, name, tag, codec):
    path = make_clip(tmp_path / name, codec=codec)
    content = path.read_bytes()
    assert tag in content
    path.write_bytes(content.replace(tag, b"Q" * len(tag)))
    assert "of a codec that FFmpeg does not know" in refusal(path)


def test_a_damaged_program_stream_is_refused():
    assert "of a codec that FFmpeg does not know" in refusal(CASES / "unknown-codec.mpg")


@pytest.mark.parametrize("pts", [[0, 10, 10**13], [-(10**13), 0, 10]])
def test_a_clock_that_cannot_be_is_said(tmp_path, pts):
    path = make_clip(tmp_path / "a.mkv", 3, pts=pts)
    assert "its clock is damaged" in refusal(path)


def test_samples_are_the_middles_of_equal_parts_however_large_the_clock():
    rng = np.random.default_rng(0)
    for scale in (1, 1000, 2**50):
        for _ in range(50):
            ticks = np.unique(rng.integers(0, 60, 20)) * scale
            ticks -= ticks[0]
            end, count = int(ticks[-1]) + scale, int(rng.integers(1, len(ticks) + 1))
            chosen = find_middles(ticks, end, count)
            shown = [
                max(i for i, tick in enumerate(ticks.tolist()) if tick * 2 * count <= middle)
                for middle in [(2 * part + 1) * end for part in range(count)]
            ]
            if len(set(shown)) == count:
                assert list(chosen) == shown
            assert len(set(chosen)) == count


# Pictures that are too large


def write_png(path, width, height):
    """A black picture of one bit a pixel, by hand: no memory is needed for it."""

    def chunk(kind, content):
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    packed, row = zlib.compressobj(1), bytes(1 + (width + 7) // 8)
    pixels = b"".join(packed.compress(row) for _ in range(height)) + packed.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    end = chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + end)
    return path


PEAK = """
import sys, warnings
from probe.video import read_video
warnings.simplefilter("ignore")
with open("/proc/self/status") as status:
    before = int(status.read().partition("VmHWM:")[2].split()[0])
try:
    read_video(sys.argv[1], 4)
except ValueError as failure:
    print(failure)
with open("/proc/self/status") as status:
    print(int(status.read().partition("VmHWM:")[2].split()[0]) - before)
"""


def read_elsewhere(path):
    """Read a video in a process of its own; its message, and the megabytes that it took."""
    command = [sys.executable, "-c", PEAK, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    message, taken = done.stdout.splitlines()
    return message, int(taken) / 1024


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured in /proc")
@pytest.mark.parametrize("size", [(30_000, 30_000), (13_000, 13_000), (9_000, 9_000)])
def test_a_picture_that_is_too_large_is_refused_before_memory_is_taken(tmp_path, size):
    path = write_png(tmp_path / "frames.png", *size)
    folder = tmp_path / "frames"
    folder.mkdir()
    shutil.copy(path, folder / "1.png")
    for source in (path, folder):
        message, taken = read_elsewhere(source)
        assert "million" in message
        assert taken < 100


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured in /proc")
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.ts"])
def test_a_video_of_pictures_that_are_too_large_is_refused(tmp_path, name):
    # Small pictures, of which the container says that they are small, and larger ones after them.
    path = make_clip(tmp_path / name, 4, codec="mjpeg" if name != "a.ts" else "mpeg2video")
    content = path.read_bytes()
    if name == "a.ts":
        start = content.index(b"\0\0\1\xb3")  # 12 bits of width, 12 of height (ISO 13818-2)
        path.write_bytes(content[: start + 4] + b"\xff\xff\xff" + content[start + 7 :])
    else:
        large = struct.pack(">HH", 60_000, 60_000)
        path.write_bytes(content.replace(struct.pack(">HH", 48, 64), large))
        assert path.read_bytes() != content
    message, taken = read_elsewhere(path)
    assert message.startswith(str(path))
    assert taken < 200


@pytest.mark.slow
def test_the_largest_pictures_of_videos_are_read(tmp_path):
    assert read_pixels(write_png(tmp_path / "a.png", 7680, 4320)).shape == (4320, 7680, 3)
    over = write_png(tmp_path / "b.png", 8192, 4321)
    assert MOST_PIXELS == 8192 * 4320
    with pytest.raises(ValueError, match=r"b\.png: pictures of 8192 x 4321 .* at most 35 million"):
        read_pixels(over)


def test_an_image_that_somebody_opened_is_not_decoded_if_it_is_too_large(tmp_path):
    said = "picture 0 of the list: pictures of 8192 x 4321"
    path = write_png(tmp_path / "a.png", 8192, 4321)
    with Image.open(path) as image, pytest.raises(ValueError, match=said):
        read_video([image], 1)


# Images


@pytest.mark.parametrize("form", IMAGE_FORMATS)
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_images_of_every_format_are_read_whatever_their_suffix(tmp_path, form, suffix):
    written = io.BytesIO()
    Image.new("RGB", (20, 10), (200, 30, 30)).save(written, form)
    (tmp_path / f"1{suffix}").write_bytes(written.getvalue())
    (picture,) = read_video(tmp_path, 1).frames
    assert picture.shape == (10, 20, 3)
    assert np.abs(picture[5, 10].astype(int) - (200, 30, 30)).max() < 8


def test_no_program_is_run_to_read_an_image(tmp_path):
    # Pillow starts Ghostscript for this format.
    Image.new("RGB", (20, 10)).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "1.png")
    assert "1.png: cannot be read as an image" in refusal(tmp_path)


# What is no file


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("https://example.com/clip.mp4", "download it first"),
        ("HTTP://example.com/clip.mp4", "download it first"),
        ("https:/example.com/clip.mp4", "download it first"),
        ("s3://bucket/clip.mp4", "download it first"),
        ("rtsp://camera/stream", "record it to one first"),
        ("udp://@:1234", "record it to one first"),
        ("file:///data/my%20clip.mp4", "give the path of the file alone: /data/my clip.mp4"),
    ],
)
def test_an_address_is_called_one_and_shown_as_it_was_typed(address, said):
    message = refusal(address)
    assert message.startswith(f"{address}: an address; ")
    assert said in message
    if "//" in address:  # as the command line has it
        assert refusal(Path(address)) == message


def test_an_address_of_any_length_is_shown_in_one_line():
    assert len(refusal("https://example.com/" + "a\nb" * 10**6)) < 600


def test_a_file_that_looks_like_an_address_is_read(tmp_path, monkeypatch):
    (tmp_path / "https:").mkdir()
    make_clip(tmp_path / "https:" / "clip.mp4", 3)
    monkeypatch.chdir(tmp_path)
    assert len(read_video("https://clip.mp4", 2)) == 2


def test_what_is_neither_file_nor_folder_has_a_message_of_its_own(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket.mp4"))
        (tmp_path / "loop.mp4").symlink_to("loop.mp4")
        (tmp_path / "nowhere.mp4").symlink_to("gone.mp4")
        (tmp_path / "empty").mkdir()
        problems = {
            "pipe.mp4": "a pipe, not an ordinary file",
            "socket.mp4": "not an ordinary file",
            "loop.mp4": "Too many levels of symbolic links",
            "nowhere.mp4": "no such file",
            "empty": "no images among its 0 files",
            "clip\0.mp4": "no such file",
            "n" * 300: "File name too long); give another path",
        }
        for name, problem in problems.items():
            assert problem in refusal(tmp_path / name)
    for device in ("/dev/null", "/dev/zero"):
        assert "a device, not an ordinary file" in refusal(device)
    assert "standard input" in refusal("-")
    assert "empty" in refusal("")
    assert "no such file" in refusal("~nobody-of-this-name/clip.mp4")


def test_a_folder_may_hold_a_pipe_by_the_name_of_an_image(tmp_path):
    Image.new("RGB", (20, 10)).save(tmp_path / "1.png")
    os.mkfifo(tmp_path / "2.png")
    assert "2.png: a pipe, not an ordinary file" in refusal(tmp_path)


def test_a_name_of_any_bytes_is_read(tmp_path):
    for name in (b"d\xf6g.mp4", "犬 🎉.mp4".encode(), b"a\nb.mp4", b"\x1b[31m.mp4", b"%d\\'.mp4"):
        path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
        shutil.copy(make_clip(tmp_path / "clip.mp4", 3), path)
        video = read_video(path, 2)
        assert len(video) == 2
        assert "\n" not in repr(video)
