"""Images in a folder: which there are, in which order, how large, and their pixels."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


def list_images(folder: Path) -> list[Path]:
    """List the images of a folder in natural order, 9 before 10.

    Raises:
        ValueError: if there is none.
    """
    files = [path for path in folder.iterdir() if not path.name.startswith(".")]
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    if not images:
        kinds = ", ".join(suffix[1:] for suffix in IMAGE_SUFFIXES)
        raise ValueError(f"{folder}: no images among its {len(files)} files; looked for {kinds}")
    return sorted(images, key=_natural)


def _natural(path: Path) -> list[str | int]:
    parts = re.split(r"([0-9]+)", path.name.lower())
    return [int(part) if part.isdecimal() else part for part in parts]


def image_size(path: Path) -> tuple[int, int]:
    """Read the width and height of an image, in pixels.

    Raises:
        ValueError: if it is not an image.
    """
    with _readable(path), Image.open(path) as image:
        return image.size


def read_image(path: Path) -> UInt8[np.ndarray, "height width 3"]:
    """Read the pixels of an image, as RGB.

    Raises:
        ValueError: if it is not an image.
    """
    with _readable(path), Image.open(path) as image:
        return np.array(image.convert("RGB"))


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises on broken images
        raise ValueError(f"{path}: cannot be read as an image; replace or remove it") from error


def in_words(size: tuple[int, int]) -> str:
    """Write a size as people do: "64 x 48"."""
    return f"{size[0]} x {size[1]}"
