"""Images: which a folder has, in which order, how large they are, and their pixels."""

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

from probe.files import check_file
from probe.video.coercion import describe_given, to_array

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")

IMAGE_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""Pillow's names of what is read, whatever the suffix says. Others run programs (EPS) or are rare,
and each is one more parser for a damaged file to meet."""

MOST_PIXELS = 8192 * 4320
"""Pixels of the largest picture that is read: 8K for cinemas, more than any standard of video.

A few bytes can announce any size, and every frame that is held takes three bytes a pixel.
"""

UNREADABLE = (
    *(OSError, SyntaxError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError),
    *(EOFError, struct.error, zlib.error, Image.DecompressionBombWarning),
)
"""Errors of Pillow on damaged images: its parsers fail in Python, wherever they happen to be."""


def list_images(folder: Path) -> list[Path]:
    """List the images of a folder in natural order, 9 before 10.

    Raises:
        ValueError: if there is none.
    """
    # A Mac leaves a file "._1.png", which is no image, next to "1.png" on foreign disks.
    files = [path for path in folder.iterdir() if not path.name.startswith(".")]
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    if not images:
        kinds = ", ".join(suffix[1:] for suffix in IMAGE_SUFFIXES)
        raise ValueError(f"{folder}: no images among its {len(files)} files; looked for {kinds}")
    return sorted(images, key=_natural_order)


def _natural_order(path: Path) -> list[str | int]:
    # The odd parts are always the numbers, so text is never compared with a number.
    parts = re.split(r"([0-9]+)", path.name.lower())
    return [int(part) if part.isdecimal() else part for part in parts]


def image_size(path: Path) -> tuple[int, int]:
    """Read the width and height of an image, in pixels.

    Raises:
        ValueError: if it is not an image, or too large.
    """
    check_file(path)  # a pipe may have this name, and would be waited for
    with _explain_unreadable(path), Image.open(path, formats=IMAGE_FORMATS) as image:
        size = image.size
    check_pixels(str(path), size)
    return size


def read_image(path: Path) -> UInt8[np.ndarray, "height width 3"]:
    """Read the pixels of an image, as RGB.

    Raises:
        ValueError: if it is not an image, or too large.
    """
    image_size(path)  # before any memory is taken for the pixels
    with _explain_unreadable(path), Image.open(path, formats=IMAGE_FORMATS) as image:
        return np.array(image.convert("RGB"))


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
        return picture.size
    height, width, _ = to_picture(picture, name).shape
    return width, height


def to_picture(picture: Any, name: str) -> UInt8[np.ndarray, "height width 3"]:
    """Convert a PIL image, or an array or tensor with colours first or last, to RGB pixels.

    Raises:
        ValueError: if it is something else; it starts with the name.
    """
    if isinstance(picture, Image.Image):
        return np.array(picture.convert("RGB"))
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
        raise ValueError(f"{path}: cannot be read as an image; replace or remove it") from error


def in_words(size: tuple[int, int]) -> str:
    """Write a size as people do: "64 x 48"."""
    return f"{size[0]} x {size[1]}"
