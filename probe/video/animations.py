"""Picture files as videos: animated GIF, WebP, PNG and AVIF with their times, and still pictures.

FFmpeg reads no animated WebP, clips 16 bits, drops transparency and takes a tile or the still of an
AVIF for the whole; Pillow reads all of these.
"""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image

from probe.video.images import IMAGE_SUFFIXES, open_image, to_rgb

SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")
"""Beginnings of files that can only be pictures; WebP is told by two words of its beginning, and
AVIF by its brands."""

GRAY_MAPS = tuple(b"P%d" % number for number in range(1, 7))
"""Beginnings of PBM, PGM and PPM, as text or bytes."""

WEAK_SIGNATURES = (b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*", *GRAY_MAPS)
"""Beginnings that streams of video or texts may have too, such as JPEG; the suffix decides."""

AVIF_BRANDS = frozenset({b"avif", b"avis"})
"""Brands of AVIF, a still picture and a sequence of them (AV1 Image File Format, 5.1 and 6.3)."""

SHARED_BRANDS = frozenset({b"mif1", b"msf1"})
"""Brands that a file may name first if it is an AVIF, and also a HEIC (ISO 23008-12, 10.2)."""

ANIMATED = frozenset({"GIF", "WEBP", "PNG", "AVIF"})
"""Formats whose further pictures are later ones; those of TIFF are pages, of JPEG previews."""

MOST_BRANDS = 256
"""Bytes from the beginning of a file that tell what it is: the longest list of brands has 60."""

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
        start = file.read(MOST_BRANDS)
    if start.startswith(SIGNATURES) or (start[:4] == b"RIFF" and start[8:12] == b"WEBP"):
        return True
    if _is_avif(start):
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


def _is_avif(start: bytes) -> bool:
    """Tell whether the first box of a file names the brands of AVIF (ISO 14496-12, 4.3)."""
    if start[4:8] != b"ftyp":
        return False
    first = start[8:12]
    # After the size of the box, its name, the first brand and its version, four bytes each.
    others = [start[place : place + 4] for place in range(16, _box_size(start), 4)]
    return first in AVIF_BRANDS or (first in SHARED_BRANDS and not AVIF_BRANDS.isdisjoint(others))


def _box_size(start: bytes) -> int:
    return min(int.from_bytes(start[:4], "big"), len(start))


def _list_places(image: Image.Image) -> range:
    """List the pictures of the animation; that of a PNG may come after one that is not of it."""
    if image.format not in ANIMATED:
        return range(1)
    return range(int(bool(image.info.get("default_image"))), getattr(image, "n_frames", 1))
