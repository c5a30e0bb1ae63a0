"""Masks of objects in COCO's run-length forms: read and checked, made of pixels, and back.

The runs go down the columns, first of pixels outside the mask. They are checked here before the C
code of pycocotools gets them, which would read beyond the end of a damaged text.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from pycocotools import mask as coco_mask

from probe.video.coercion import describe_given

FIRST_LETTER = 48
"""The code of "0", which is a 0 in compressed counts; each letter holds six bits."""

LETTERS = 64
"""Number of different letters."""

LONGEST_NUMBER = 7
"""Letters of five bits each, and one bit for "more follows", that hold any number of 32 bits."""


@dataclass(frozen=True)
class Mask:
    """The pixels of an object in one frame, in COCO's compressed run-length form.

    >>> mask = Mask.from_pixels(np.eye(3, dtype=bool))
    >>> mask
    Mask(3 of 3 x 3 pixels)
    >>> mask.box
    array([0., 0., 3., 3.])
    """

    size: tuple[int, int]
    """Height and width of the frame, in pixels."""

    counts: str
    """Lengths of the runs, compressed; `read_mask` checks those that come from elsewhere."""

    @classmethod
    def from_pixels(cls, pixels: Bool[np.ndarray, "height width"]) -> "Mask":
        """Make the mask of the pixels that are true."""
        # Its stub has the type of COCO's JSON, where counts are text; these are bytes.
        record: Any = coco_mask.encode(np.asfortranarray(pixels.astype(np.uint8)))
        height, width = pixels.shape
        return cls((height, width), record["counts"].decode())

    def to_pixels(self) -> Bool[np.ndarray, "height width"]:
        """Return an array that is true inside the mask."""
        return coco_mask.decode(self._record).astype(bool)

    @property
    def area(self) -> int:
        """Number of its pixels."""
        return int(coco_mask.area(self._record))

    @property
    def box(self) -> Float[np.ndarray, " 4"] | None:
        """Edges of the box that contains all of its pixels; None for an empty mask."""
        x, y, width, height = coco_mask.toBbox(self._record).tolist()
        return np.array([x, y, x + width, y + height]) if width and height else None

    def __repr__(self) -> str:
        height, width = self.size
        return f"Mask({self.area} of {height} x {width} pixels)"

    def to_dict(self) -> dict[str, Any]:
        """Return the record that COCO's tools read: "size" and "counts"."""
        return {"size": list(self.size), "counts": self.counts}

    @property
    def _record(self) -> Any:
        # Bytes, whatever pycocotools' stub says of text: it accepts both and is quicker with them.
        return {"size": list(self.size), "counts": self.counts.encode()}


def read_mask(where: str, mask: Any, size: tuple[int, int] | None = None) -> Mask:
    """Read a mask in COCO run-length form.

    Args:
        where: The place of the mask, with which an error starts.
        mask: A record with "size" and "counts". The counts may be a list of the lengths of runs,
            or compressed: text, as in JSON, or bytes, as pycocotools makes them.
        size: Height and width that the mask must have, in pixels; None for any.

    Raises:
        ValueError: if the mask has another size, or its counts are not those of such a mask.
    """
    counts = mask.get("counts") if isinstance(mask, dict) else None
    if not isinstance(counts, str | bytes | list):
        raise ValueError(
            f"{where}: a mask without counts; give COCO run-length form, or null; found "
            f"{describe_given(mask)}"
        )
    if size is None:
        size = _read_size(where, mask.get("size"))
    elif mask.get("size") != list(size):
        raise ValueError(
            f"{where}: a mask of {describe_given(mask.get('size'))}, the video has {list(size)}; "
            "give the masks of this video"
        )
    if isinstance(counts, list):
        _check_runs(where, counts, size)
        listed: Any = {"size": list(size), "counts": counts}  # its stub knows compressed ones only
        return Mask(size, coco_mask.frPyObjects(listed, *size)["counts"].decode())
    _check_runs(where, _decompress(where, counts).tolist(), size)
    return Mask(size, counts.decode() if isinstance(counts, bytes) else counts)


def _read_size(where: str, size: Any) -> tuple[int, int]:
    whole = isinstance(size, list) and all(type(side) is int and side > 0 for side in size)
    if not whole or len(size) != 2:
        raise ValueError(
            f"{where}: a mask of size {describe_given(size)}; give its height and width in pixels"
        )
    height, width = size
    return height, width


def _decompress(where: str, counts: str | bytes) -> Int[np.ndarray, " run"]:
    """Decompress counts as `rleFrString` of COCO's maskApi.c does.

    Letters hold six bits each, and numbers from the fourth on are differences to the last but one.
    """
    codes = counts if isinstance(counts, bytes) else counts.encode("utf-8", "replace")
    # All letters at once: a file of proposals has thousands of masks of hundreds of letters.
    bits = np.frombuffer(codes, np.uint8).astype(np.int64) - FIRST_LETTER
    (ends,) = np.nonzero(bits & 0x20 == 0)  # the others say that more follows
    lengths = np.diff(ends, prepend=-1)
    if (bits < 0).any() or (bits >= LETTERS).any() or (lengths > LONGEST_NUMBER).any():
        raise ValueError(
            f"{where}: {_describe(counts)} are no compressed counts of COCO; encode it again"
        )
    if len(bits) and (not len(ends) or ends[-1] != len(bits) - 1):
        raise ValueError(
            f"{where}: {_describe(counts)} end in the middle of a number; encode it again"
        )
    starts = ends - lengths + 1
    places = np.arange(len(bits)) - np.repeat(starts, lengths)
    runs = np.add.reduceat((bits & 0x1F) << 5 * places, starts) if len(bits) else bits
    negative = bits[ends] & 0x10 != 0  # the sign is the highest bit of the last letter
    runs = runs - np.where(negative, np.int64(1) << 5 * lengths, 0)
    for first in (1, 2):
        runs[first::2] = np.cumsum(runs[first::2])
    return runs


def _check_runs(where: str, runs: list[Any], size: tuple[int, int]) -> None:
    # A bool is a whole number to Python. A run without a pixel, other than the first, would
    # make pycocotools count a pixel before it to the box.
    whole = all(type(run) is int for run in runs)
    if not whole or min(runs[:1], default=0) < 0 or min(runs[1:], default=1) < 1:
        raise ValueError(
            f"{where}: counts of {describe_given(runs)}; give the lengths of runs as whole numbers "
            "above 0 (the first may be 0)"
        )
    height, width = size
    if sum(runs) != height * width:
        raise ValueError(
            f"{where}: the counts add up to {describe_given(sum(runs))}, a mask of {height} x "
            f"{width} has {height * width} pixels; give the masks of this video"
        )


def _describe(counts: str | bytes) -> str:
    return f"the counts {describe_given(counts)}"
