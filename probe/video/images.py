"""Images: which a folder has, in which order, how large they are, and their pixels.

Every picture that Pillow reads, of a folder, a file or a list, becomes RGB here, and in one way:
upright, of 8 bits, and on a white ground where it is transparent.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from probe.files import check_file
from probe.video.coercion import describe_given, to_array

IMAGE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jfif", ".jpe", ".webp", ".avif", ".bmp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
)
"""Endings by which a file in a folder is taken for a picture."""

VIDEO_SUFFIXES = (
    *(".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".mpg", ".mpeg", ".flv"),
    *(".wmv", ".ogv", ".3gp", ".ts", ".mts", ".m2ts"),
)
"""Endings by which a file in a folder is taken for a video."""

IMAGE_FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "BMP", "GIF", "TIFF", "PPM")
"""Pillow's names of what is read, whatever the suffix says. Others run programs (EPS) or are rare,
and each is one more parser for a damaged file to meet."""

MOST_PIXELS = 8192 * 4320
"""Pixels of the largest picture that is read: 8K for cinemas, more than any standard of video.

A few bytes can announce any size, and every frame that is held takes three bytes a pixel.
"""

GROUND = "white"
"""Colour below what is transparent, as on a page."""

ORIENTATION = 0x0112
"""The EXIF tag that says how a camera was held."""

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Values of that tag, and how a picture is brought upright; 1 is upright already."""

SIDEWAYS = frozenset({5, 6, 7, 8})
"""Values that exchange width and height."""

BITS_PER_SAMPLE, PHOTOMETRIC = 258, 262
"""The TIFF tags that say how many bits a level has, and which level is white."""

WHITE_IS_ZERO = 0
"""Value of the latter tag where levels are stored as in a negative."""

UNREADABLE = (
    *(OSError, SyntaxError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError),
    *(EOFError, struct.error, zlib.error, Image.DecompressionBombWarning),
)
"""Errors of Pillow on damaged images: its parsers fail in Python, wherever they happen to be."""


def list_images(folder: Path) -> list[Path]:
    """List the images of a folder in natural order, 9 before 10.

    Raises:
        ValueError: if there is none, there are videos too, or two have one name and differ in
            suffix, such as a frame and its mask.
    """
    files = list_files(folder)
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    if not images:
        kinds = ", ".join(suffix[1:] for suffix in IMAGE_SUFFIXES)
        raise ValueError(f"{folder}: no images among its {len(files)} files; looked for {kinds}")
    images.sort(key=natural_order)
    _check_stems(folder, images)
    return images


def list_files(folder: Path) -> list[Path]:
    """List what is in a folder that may be its pictures or its videos, and not both.

    Raises:
        ValueError: if there are pictures and videos: they may be the frames of one video, or
            videos with a picture of one of them.
    """
    # A Mac leaves a file "._1.png", which is no image, next to "1.png" on foreign disks.
    files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    image = next((path for path in files if path.suffix.lower() in IMAGE_SUFFIXES), None)
    videos = (path for path in files if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file())
    if image is not None and (video := next(videos, None)) is not None:
        raise ValueError(
            f"{folder}: has pictures ({image.name}) and videos ({video.name}), so it may be the "
            "frames of one video or several videos; move either kind to a folder of its own"
        )
    return files


def _check_stems(folder: Path, images: list[Path]) -> None:
    first: dict[str, Path] = {}
    for image in images:
        other = first.setdefault(image.stem, image)
        if other is not image:
            raise ValueError(
                f"{folder}: {other.name} and {image.name} have one name, as a frame and its mask; "
                "leave one image for each frame, and move the others to a folder of their own"
            )


def natural_order(path: Path) -> tuple[list[str | int], str]:
    """Return what paths are sorted by, so that 9 comes before 10, and 01 always before 1."""
    # The odd parts are always the numbers, so text is never compared with a number.
    parts = re.split(r"([0-9]+)", path.name.lower())
    # The name itself decides between 1, 01 and 001, or the order would be that of the disk.
    return [int(part) if part.isdecimal() else part for part in parts], path.name


def image_size(path: Path) -> tuple[int, int]:
    """Read the width and height of an image once it is upright, in pixels.

    Raises:
        ValueError: if it is not an image, or too large.
    """
    with open_image(path) as image:
        return _upright_size(image)


def read_pixels(path: Path) -> UInt8[np.ndarray, "height width 3"]:
    """Read the pixels of an image, as RGB: upright, and on white where it is transparent.

    Raises:
        ValueError: if it is not an image, too large, or of numbers that have no white.
    """
    with open_image(path) as image:
        return to_rgb(image, str(path))


@contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """Open an image whose size is bounded; its pixels have not been read yet.

    Raises:
        ValueError: if it is not an image, or too large.
    """
    check_file(path)  # a pipe may have this name, and would be waited for
    with _explain_unreadable(path), Image.open(path, formats=IMAGE_FORMATS) as image:
        check_pixels(str(path), image.size)
        yield image


def to_rgb(image: Image.Image, name: str) -> UInt8[np.ndarray, "height width 3"]:
    """Convert a picture of any mode to RGB: upright, scaled to 8 bits, and on a white ground.

    Raises:
        ValueError: if its pixels are numbers of which none is said to be white; it starts with the
            name.
    """
    turn = TURNS.get(_read_orientation(image))
    image = _scale_depth(image, name)
    if image.has_transparency_data:
        ground = Image.new("RGBA", image.size, GROUND)
        ground.alpha_composite(image.convert("RGBA"))
        image = ground
    image = image.convert("RGB")
    return np.array(image if turn is None else image.transpose(turn))


def _scale_depth(image: Image.Image, name: str) -> Image.Image:
    """Scale levels of more than 8 bits to 8: Pillow would cut them off at 255."""
    if image.mode in ("F", "I") and not (image.mode == "I" and image.format in ("PNG", "PPM")):
        raise ValueError(
            f"{name}: its pixels are numbers of 32 bits, of which none is said to be white; save "
            "it with 8 or 16 bits"
        )
    if not image.mode.startswith("I"):
        return image
    most, negative = _read_levels(image)
    levels = np.asarray(image).astype(np.int64).clip(0, most)
    levels = (most - levels if negative else levels) * 255
    return Image.fromarray(((levels + most // 2) // most).astype(np.uint8))


def _read_levels(image: Image.Image) -> tuple[int, bool]:
    """Read the highest of a picture's levels, and whether it is the darkest.

    Pillow has one mode for 9 to 16 bits, and turns negatives over only if they have 8 bits or less.
    """
    if not isinstance(image, TiffImageFile):
        return 2**16 - 1, False
    bits, *_ = image.tag_v2.get(BITS_PER_SAMPLE, (16,))
    return 2**bits - 1, image.tag_v2.get(PHOTOMETRIC) == WHITE_IS_ZERO


def _upright_size(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    return (height, width) if _read_orientation(image) in SIDEWAYS else (width, height)


def _read_orientation(image: Image.Image) -> int:
    """Read how a picture is to be turned; 1, which is upright, if it does not say so."""
    if image.format == "TIFF":  # Pillow turns these itself
        return 1
    try:
        # That of PNG would read the pixels first, for a tag after them, which is rare.
        return Image.Image.getexif(image).get(ORIENTATION, 1)
    except UNREADABLE:  # damaged remarks of the camera leave the picture as it is
        return 1


def check_pixels(name: str, size: tuple[int, int]) -> None:
    """Refuse a picture that is too large to be read.

    Raises:
        ValueError: if it has more than `MOST_PIXELS`; it starts with the name.
    """
    if size[0] * size[1] > MOST_PIXELS:
        raise ValueError(
            f"{name}: pictures of {in_words(size)} pixels; at most {MOST_PIXELS / 1e6:.0f} million "
            "are read, so make them smaller"
        )


def picture_size(picture: Any, name: str) -> tuple[int, int]:
    """Return the width and height of a PIL image or of an array of pixels.

    Raises:
        ValueError: if it is neither; it starts with the name.
    """
    if isinstance(picture, Image.Image):
        check_pixels(name, picture.size)  # its pixels may not have been read yet
        return _upright_size(picture)
    height, width, _ = to_picture(picture, name).shape
    return width, height


def to_picture(picture: Any, name: str) -> UInt8[np.ndarray, "height width 3"]:
    """Convert a PIL image, or an array or tensor with colours first or last, to RGB pixels.

    Raises:
        ValueError: if it is something else; it starts with the name.
    """
    if isinstance(picture, Image.Image):
        return to_rgb(picture, name)
    pixels = put_colours_last(to_array(picture))
    if pixels.ndim != 3 or pixels.shape[-1] != 3 or not pixels.size or pixels.dtype != np.uint8:
        raise ValueError(
            f"{name} is {describe_given(picture)}; give a PIL image or uint8 [height, width, 3]"
        )
    return pixels


def put_colours_last(pixels: np.ndarray) -> np.ndarray:
    """Turn [..., 3, height, width], as torch has pictures, to [..., height, width, 3]."""
    colours_first = pixels.ndim >= 3 and pixels.shape[-1] != 3 and pixels.shape[-3] == 3
    return np.moveaxis(pixels, -3, -1) if colours_first else pixels


@contextmanager
def _explain_unreadable(path: Path) -> Iterator[None]:
    try:
        yield
    except Image.DecompressionBombError as error:  # Pillow's own limit, far above ours
        most = f"{MOST_PIXELS / 1e6:.0f} million"
        raise ValueError(f"{path}: more than {most} pixels; make it smaller") from error
    except UNREADABLE as error:
        if type(error) is ValueError and str(error).startswith(f"{path}: "):
            raise  # one of ours, which says more
        raise ValueError(f"{path}: cannot be read as an image; replace or remove it") from error


def in_words(size: tuple[int, int]) -> str:
    """Write a size as people do: "64 x 48"."""
    return f"{size[0]} x {size[1]}"
