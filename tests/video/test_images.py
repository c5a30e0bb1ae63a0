"""One loader for pictures of folders, files and lists: upright, of 8 bits, on white."""

import io
import struct
import warnings
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from probe.video import read_image, read_video, source_frames
from probe.video.checking import check_source
from probe.video.folders import list_videos
from probe.video.images import ORIENTATION, TURNS, list_images, picture_size, read_pixels
from tests.heif import write_tiled

UPRIGHT = np.zeros((60, 80, 3), np.uint8)
UPRIGHT[:30, :40] = (255, 0, 0)
UPRIGHT[:30, 40:] = (0, 255, 0)

UNDONE = {
    1: lambda picture: picture,
    2: lambda picture: picture[:, ::-1],
    3: lambda picture: picture[::-1, ::-1],
    4: lambda picture: picture[::-1],
    5: lambda picture: picture.swapaxes(0, 1),
    6: lambda picture: np.rot90(picture),
    7: lambda picture: picture[::-1, ::-1].swapaxes(0, 1),
    8: lambda picture: np.rot90(picture, -1),
}
"""Ways to store a picture so that each orientation of the EXIF standard brings it upright."""


def store_turned(path: Path, orientation: int) -> Path:
    image = Image.fromarray(np.ascontiguousarray(UNDONE[orientation](UPRIGHT)))
    tags = image.getexif()
    tags[ORIENTATION] = orientation
    image.save(path, exif=tags)
    return path


def refusal(source) -> str:
    with pytest.raises(ValueError, match=r"^[^\n]+$") as caught:
        read_video(source, 1)
    return str(caught.value)


# Orientation


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jfif", ".webp", ".avif", ".tiff"])
def test_a_folder_of_every_orientation_is_of_one_size_once_upright(tmp_path, suffix):
    assert set(UNDONE) == {1, *TURNS}
    for orientation in UNDONE:
        store_turned(tmp_path / f"{orientation}{suffix}", orientation)
    video = read_video(tmp_path, len(UNDONE))
    assert video.size == (60, 80)
    for frame in video.frames:
        assert np.abs(frame.astype(int) - UPRIGHT)[[10, 10, 50], [10, 70, 40]].max() < 40
    assert all(
        (one == other).all() for one, other in zip(source_frames(video), video.frames, strict=True)
    )


def test_sizes_are_compared_after_turning(tmp_path):
    store_turned(tmp_path / "1.png", 1)
    Image.fromarray(np.ascontiguousarray(np.rot90(UPRIGHT))).save(tmp_path / "2.png")
    assert "1.png is 80 x 60 pixels but 2.png is 60 x 80" in refusal(tmp_path)


def test_a_picture_is_upright_in_a_file_and_in_a_list_too(tmp_path):
    path = store_turned(tmp_path / "a.png", 6)
    with Image.open(path) as image:
        for source in (path, [image]):
            video = read_video(source, 1)
            assert (video.frames[0] == UPRIGHT).all()


def test_the_size_is_read_without_the_pixels(tmp_path):
    for tagged in (True, False):
        path = tmp_path / "a.png"
        store_turned(path, 6) if tagged else Image.fromarray(UPRIGHT).save(path)
        with Image.open(path) as image:
            assert picture_size(image, "a picture") == (80, 60)
            assert image.fp is not None  # Pillow closes it when it has read the pixels


def test_damaged_remarks_of_a_camera_leave_a_picture_as_it_is(tmp_path):
    Image.fromarray(UPRIGHT).save(tmp_path / "a.png", exif=b"Exif\0\0no remarks at all")
    assert (read_pixels(tmp_path / "a.png") == UPRIGHT).all()


# Depth


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_levels_of_16_bits_are_scaled(tmp_path, name):
    levels = np.linspace(0, 65535, 256).round().astype(np.uint16)
    Image.fromarray(np.tile(levels, (4, 1))).save(tmp_path / name)
    for source in (tmp_path, tmp_path / name):
        (frame,) = read_video(source, 1).frames
        assert (frame[0] == np.arange(256)[:, None]).all()


def test_a_gray_map_of_16_bits_is_scaled(tmp_path):
    path = tmp_path / "a.png"  # whatever the suffix says
    path.write_bytes(b"P5 3 1 65535\n" + np.array([0, 257 * 100, 65535], ">u2").tobytes())
    assert read_pixels(path)[0, :, 0].tolist() == [0, 100, 255]


def write_tiff(path: Path, bits: int, photometric: int, packed: bytes, width: int) -> Path:
    """A TIFF of one row by hand: Pillow writes no 12 bits, and no negatives of 16."""
    tags = [(256, width), (257, 1), (258, bits), (259, 1), (262, photometric), (273, 8)]
    tags += [(277, 1), (278, 1), (279, len(packed))]
    entries = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in tags)
    start = b"II*\0" + struct.pack("<I", 8 + len(packed)) + packed
    path.write_bytes(start + struct.pack("<H", len(tags)) + entries + bytes(4))
    return path


@pytest.mark.parametrize(("photometric", "expected"), [(1, [0, 128, 255]), (0, [255, 127, 0])])
def test_a_negative_of_16_bits_is_turned_over(tmp_path, photometric, expected):
    sixteen = np.array([0, 32768, 65535], "<u2").tobytes()
    frame = read_pixels(write_tiff(tmp_path / "16.tif", 16, photometric, sixteen, 3))
    assert frame[0, :, 0].tolist() == expected


def test_a_tiff_of_12_bits_is_as_white_as_it_says(tmp_path):
    twelve = bytes([0x00, 0x08, 0x00, 0xFF, 0xF0])  # 0, 2048 and 4095, packed
    path = write_tiff(tmp_path / "12.tif", 12, 1, twelve, 3)
    for source in (path, tmp_path):
        (frame,) = read_video(source, 1).frames
        assert frame[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize("suffix", [".ppm", ".pgm", ".pbm", ".pnm", ".PPM"])
def test_a_map_of_pixels_is_read_by_its_suffix(tmp_path, suffix):
    mode = {".pgm": "L", ".pbm": "1"}.get(suffix, "RGB")
    path = tmp_path / f"a{suffix}"
    Image.fromarray(UPRIGHT).convert(mode).save(path, "PPM")
    expected = np.array(Image.fromarray(UPRIGHT).convert(mode).convert("RGB"))
    assert (read_image(path).frames[0] == expected).all()
    assert (read_video(tmp_path, 1).frames[0] == expected).all()


def test_numbers_without_a_white_are_refused(tmp_path):
    Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "a.tif")
    assert "a.tif: its pixels are numbers of 32 bits" in refusal(tmp_path)
    picture = Image.fromarray(np.ones((4, 4), np.int32))
    assert "picture 0 of the list: its pixels are numbers of 32 bits" in refusal([picture])


# Transparency


def test_what_is_transparent_shows_a_white_ground(tmp_path):
    levels = np.zeros((1, 3, 4), np.uint8)
    levels[0, :, 3] = (0, 128, 255)
    half = Image.fromarray(levels)
    palette = Image.fromarray(np.array([[0, 1, 1]], np.uint8)).convert("P")
    palette.putpalette([0, 0, 0, 0, 0, 0])
    half.save(tmp_path / "half.png")
    palette.save(tmp_path / "palette.png", transparency=0)
    half.convert("LA").save(tmp_path / "grey.png")
    assert read_pixels(tmp_path / "half.png")[0, :, 1].tolist() == [255, 127, 0]
    assert read_pixels(tmp_path / "grey.png")[0, :, 1].tolist() == [255, 127, 0]
    assert read_pixels(tmp_path / "palette.png")[0, :, 1].tolist() == [255, 0, 0]


@pytest.mark.parametrize("name", ["a.avif", "a.mp4"])
def test_what_is_transparent_in_an_avif_shows_a_white_ground(tmp_path, name):
    levels = np.zeros((8, 8, 4), np.uint8)
    levels[:, 4:, 3] = 255
    Image.fromarray(levels).save(tmp_path / name, "AVIF")
    (frame,) = read_image(tmp_path / name).frames
    assert frame[4, 1].min() > 250
    assert frame[4, 6].max() < 5


# Pictures of tiles


CORNERS = ((250, 0, 0), (0, 0, 250), (0, 250, 0), (250, 250, 0))


def test_an_avif_of_tiles_is_read_whole(tmp_path):
    path = write_tiled(tmp_path / "a.avif", *CORNERS)
    (frame,) = read_image(path).frames
    assert frame.shape == (128, 128, 3)
    found = [frame[row, column].astype(int) for row in (32, 96) for column in (32, 96)]
    assert np.abs(np.array(found) - CORNERS).max() < 10


@pytest.mark.skipif("libx265" not in av.codecs_available, reason="FFmpeg without x265")
def test_a_heic_of_tiles_is_refused_and_not_read_in_part(tmp_path):
    path = write_tiled(tmp_path / "a.heic", *CORNERS)
    for read in (read_video, check_source):
        with pytest.raises(ValueError, match=r"a\.heic: a HEIC picture of 4 parts .* to PNG"):
            read(path)


# EXIF in what FFmpeg reads


@pytest.mark.parametrize("orientation", UNDONE)
def test_a_jpeg_without_a_suffix_is_upright(tmp_path, orientation):
    path = store_turned(tmp_path / "a.jpg", orientation).rename(tmp_path / "photo")
    (frame,) = read_video(path, 1).frames
    assert frame.shape == UPRIGHT.shape
    assert np.abs(frame.astype(int) - UPRIGHT)[[10, 10, 50], [10, 70, 40]].max() < 40


@pytest.mark.parametrize("name", ["a.avi", "a.mov", "a.mkv"])
def test_a_camera_may_put_remarks_into_every_frame(tmp_path, name):
    with av.open(str(tmp_path / name), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 80, 60, "yuvj420p"
        for index in range(6):
            written, tags = io.BytesIO(), Image.Exif()
            tags[0x010F] = "a camera"
            Image.new("RGB", (80, 60), (40 * index,) * 3).save(written, "JPEG", exif=tags)
            packet = av.Packet(written.getvalue())
            packet.stream, packet.pts, packet.dts = stream, index, index
            packet.time_base, packet.is_keyframe = Fraction(1, 10), True
            container.mux(packet)
    video = read_video(tmp_path / name, 6)
    assert video.frames[:, 5, 5, 0].tolist() == [0, 40, 80, 120, 160, 200]
    assert sum(1 for _ in source_frames(video)) == 6


# Folders


@pytest.mark.parametrize("videos", [["a.mp4", "b.mp4"], ["b.MKV"]])
def test_a_folder_of_pictures_and_videos_may_mean_either_and_is_refused(tmp_path, videos):
    for name in videos:
        (tmp_path / name).write_bytes(b"")
    assert list_videos(tmp_path) == [tmp_path / name for name in videos]
    Image.fromarray(UPRIGHT).save(tmp_path / "cover.png")
    said = rf"has pictures \(cover\.png\) and videos \({videos[0]}\), .*; move either kind"
    for read in (read_video, check_source, list_videos, list_images):
        with pytest.raises(ValueError, match=said) as caught:
            read(tmp_path)
        assert "\n" not in str(caught.value)
    for name in videos:
        (tmp_path / name).rename(tmp_path / f".{name}")
    assert list_images(tmp_path) == [tmp_path / "cover.png"]


def test_names_that_count_the_same_have_one_order_on_every_disk(tmp_path, monkeypatch):
    names = ["001.png", "01.png", "1.png", "A2.png", "a2.png", "a10.png"]
    for order in (names, names[::-1]):
        listed = [tmp_path / name for name in order]
        monkeypatch.setattr(Path, "iterdir", lambda _, listed=listed: iter(listed))
        assert [path.name for path in list_images(tmp_path)] == names


def test_a_frame_and_its_mask_are_not_two_frames(tmp_path):
    for name in ("9.jpg", "10.jpg", "10.png"):
        Image.fromarray(UPRIGHT).save(tmp_path / name)
    message = refusal(tmp_path)
    assert "10.jpg and 10.png have one name" in message
    with pytest.raises(ValueError, match="have one name"):
        check_source(tmp_path)
    (tmp_path / "10.png").unlink()
    assert read_video(tmp_path, 2).source_length == 2


# Animations

DURATIONS = (100, 50, 200, 30, 120)


@pytest.fixture(params=["a.webp", "a.gif", "a.png", "a.mp4", "a.avif"])
def animation(tmp_path, request) -> Path:
    """Five shades of grey with durations of their own; the last is a WebP by another name."""
    shades = [Image.new("RGB", (20, 20), (50 * number,) * 3) for number in range(5)]
    form = {"a.gif": "GIF", "a.png": "PNG", "a.avif": "AVIF"}.get(request.param, "WEBP")
    options = {"WEBP": {"lossless": True}, "AVIF": {"quality": 100}}.get(form, {})
    path = tmp_path / request.param
    shades[0].save(
        path, form, save_all=True, append_images=shades[1:], duration=DURATIONS, **options
    )
    return path


def test_an_animation_is_a_video_with_times_of_its_own(animation):
    check_source(animation)
    video = read_video(animation, 5)
    assert video.source_times == pytest.approx(np.cumsum((0, *DURATIONS[:-1])) / 1000)
    assert video.frames[:, 5, 5, 0].tolist() == [0, 50, 100, 150, 200]
    assert [frame[5, 5, 0] for frame in source_frames(video)] == [0, 50, 100, 150, 200]
    # The middle of 0.5 s falls into the third picture, from 0.15 to 0.35 s.
    assert read_video(animation, 1).indices == (2,)


def test_the_first_picture_of_a_png_may_be_no_part_of_it(tmp_path):
    first, *others = [Image.new("RGB", (8, 8), (60 * number,) * 3) for number in range(4)]
    path = tmp_path / "a.png"
    first.save(path, save_all=True, append_images=others, default_image=True, duration=40)
    assert read_video(path, 3).frames[:, 0, 0, 0].tolist() == [60, 120, 180]


def test_a_duration_that_is_not_stated_is_a_tenth_of_a_second(tmp_path):
    shades = [Image.new("RGB", (8, 8), (60 * number,) * 3) for number in range(4)]
    path = tmp_path / "a.gif"
    shades[0].save(path, save_all=True, append_images=shades[1:], duration=0)
    assert read_video(path, 2).fps == pytest.approx(10)


def test_an_animation_cut_short_is_refused_or_read_to_its_end(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (4, 40, 40, 3), np.uint8)
    images = [Image.fromarray(picture) for picture in noise]
    for name in ("a.webp", "a.gif", "a.png", "a.avif"):
        path = tmp_path / name
        images[0].save(path, save_all=True, append_images=images[1:], duration=100)
        whole = path.read_bytes()
        for share in (0.2, 0.5, 0.9):
            path.write_bytes(whole[: int(share * len(whole))])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    video = read_video(path, 1)
                except ValueError as failure:
                    assert str(failure).startswith(f"{path}: ")  # noqa: PT017  either is right
                else:
                    assert 1 <= video.source_length <= 4


# One picture


def test_a_picture_is_a_video_of_one_frame_however_it_is_given(tmp_path):
    path = store_turned(tmp_path / "photo.png", 6)
    expected = read_video(path, 1)
    given = [path, str(path), Image.open(path), UPRIGHT, torch.from_numpy(UPRIGHT).movedim(-1, 0)]
    for picture in map(read_image, given):
        assert picture.is_still
        assert (picture.frames == expected.frames).all()
        assert picture.indices == (0,)
        assert picture.source_times.tolist() == [0.0]
    assert read_image(path).path == path
    assert read_image(UPRIGHT).path is None
    assert not read_video(np.stack([UPRIGHT] * 2), 2).is_still


def test_a_picture_is_read_without_a_word_about_frames_that_it_does_not_have(tmp_path, recwarn):
    path = store_turned(tmp_path / "photo.jpg", 1)
    assert read_video(path, 20).is_still
    assert not recwarn.list


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("clip.gif", r"an animation of 3 pictures; read_video it"),
        ("photo.txt", r"no picture that is read here"),
        ("folder", r"a folder; give one picture of it"),
        ("gone.png", r"no such file"),
    ],
)
def test_what_is_no_single_picture_is_refused_with_the_remedy(tmp_path, name, said):
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
    elif name.endswith("gif"):
        first, *rest = (Image.new("RGB", (8, 8), (shade, 0, 0)) for shade in (0, 99, 200))
        first.save(path, save_all=True, append_images=rest)
    elif name.endswith("txt"):
        path.write_text("a photo of a cat")
    with pytest.raises(ValueError, match=said) as caught:
        read_image(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_several_pictures_are_no_picture():
    with pytest.raises(ValueError, match="the picture is an array of uint8 of shape"):
        read_image(np.stack([UPRIGHT] * 2))
