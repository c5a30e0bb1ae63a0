"""Picture files as videos: animated GIF, WebP and PNG with times of their own, and still pictures.

FFmpeg reads no animated WebP, clips 16 bits and drops transparency; Pillow reads all of these.
"""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image

from probe.video.images import IMAGE_SUFFIXES, open_image, to_rgb

SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")
"""Beginnings of files that can only be pictures; WebP is told by two words of its beginning."""

WEAK_SIGNATURES = (b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*")
"""Beginnings that streams of video may have too, such as JPEG; the suffix decides."""

ANIMATED = frozenset({"GIF", "WEBP", "PNG"})
"""Formats whose further pictures are later ones; those of TIFF are pages, of JPEG previews."""

TICK = Fraction(1, 1_000_000)
"""Seconds per tick of their clocks: APNG shares a second as it likes, the others count 1/1000."""

SHORTEST, UNSTATED = 0.020, 0.100
"""Seconds of a picture below which its duration counts as unstated, and those that it is shown
then, as in browsers and FFmpeg."""

STILL = 1.0
"""Seconds for which a still picture is shown, as a video of one frame without a length."""


def is_picture(path: Path) -> bool:
    """Tell from its first bytes whether a file is a picture, animated or still."""
    with path.open("rb") as file:
        start = file.read(12)
    if start.startswith(SIGNATURES) or (start[:4] == b"RIFF" and start[8:] == b"WEBP"):
        return True
    return start.startswith(WEAK_SIGNATURES) and path.suffix.lower() in IMAGE_SUFFIXES


def read_ticks(path: Path) -> tuple[Int[np.ndarray, " source"], int]:
    """Read the ticks at which the pictures of a file appear, the first of them 0, and the end.

    Raises:
        ValueError: if it cannot be read as an image, or its pictures are too large.
    """
    ends = [0]
    with open_image(path) as image:
        places = _list_places(image)
        unstated = STILL if len(places) == 1 else UNSTATED
        for number in places:
            image.seek(number)
            image.load()  # WebP tells the time with the pixels
            seconds = float(image.info.get("duration") or 0) / 1000
            seconds = seconds if seconds >= SHORTEST else unstated
            ends.append(ends[-1] + round(seconds / TICK))
    return np.array(ends[:-1], dtype=np.int64), ends[-1]


def decode_pictures(path: Path) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Decode every picture of a file in order, one at a time.

    Raises:
        ValueError: if one of them cannot be read.
    """
    with open_image(path) as image:
        for number in _list_places(image):
            image.seek(number)
            yield to_rgb(image, str(path))


def _list_places(image: Image.Image) -> range:
    """List the pictures of the animation; that of a PNG may come after one that is not of it."""
    if image.format not in ANIMATED:
        return range(1)
    return range(int(bool(image.info.get("default_image"))), getattr(image, "n_frames", 1))
