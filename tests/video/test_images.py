"""One loader for pictures of folders, files and lists: upright, of 8 bits, on white."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from probe.video import read_image, read_video, source_frames
from probe.video.checking import check_source
from probe.video.images import ORIENTATION, TURNS, picture_size, read_pixels

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


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tiff"])
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


# Folders


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


@pytest.fixture(params=["a.webp", "a.gif", "a.png", "a.mp4"])
def animation(tmp_path, request) -> Path:
    """Five shades of grey with durations of their own; the last is a WebP by another name."""
    shades = [Image.new("RGB", (20, 20), (50 * number,) * 3) for number in range(5)]
    form = {"a.gif": "GIF", "a.png": "PNG"}.get(request.param, "WEBP")
    options = {"lossless": True} if form == "WEBP" else {}
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
    for name in ("a.webp", "a.gif", "a.png"):
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
