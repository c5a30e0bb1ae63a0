"""Masks in COCO's run-length forms, and the box around one.

The runs go down the columns, first of pixels outside the mask. They are checked here before the C
code of pycocotools gets them, which would read beyond the end of a damaged text.
"""

from typing import Any

from pycocotools import mask as coco_mask

from probe.video import Box
from probe.video.coercion import describe_given

FIRST_LETTER = 48
"""The code of "0", which is a 0 in compressed counts; each letter holds six bits."""

LETTERS = 64
"""Number of different letters."""

LONGEST_NUMBER = 7
"""Letters of five bits each, and one bit for "more follows", that hold any number of 32 bits."""


def find_mask_box(where: str, mask: Any, size: tuple[int, int]) -> Box:
    """Find the box around a mask in COCO run-length form; zeros if the mask is empty.

    Args:
        where: The place of the mask, with which an error starts.
        mask: A record with "size" and "counts". The counts may be a list of the lengths of runs,
            or compressed: text, as in JSON, or bytes, as pycocotools makes them.
        size: Height and width that the mask must have, in pixels.

    Raises:
        ValueError: if the mask has another size, or its counts are not those of such a mask.
    """
    counts = mask.get("counts") if isinstance(mask, dict) else None
    if not isinstance(counts, str | bytes | list):
        raise ValueError(
            f"{where}: a mask without counts; give COCO run-length form, or null; found "
            f"{describe_given(mask)}"
        )
    if mask.get("size") != list(size):
        raise ValueError(
            f"{where}: a mask of {describe_given(mask.get('size'))}, the video has {list(size)}; "
            "give the masks of this video"
        )
    runs = counts if isinstance(counts, list) else _decompress(where, counts)
    _check_runs(where, runs, size)
    listed: Any = {"size": list(size), "counts": runs}  # its stub knows compressed counts only
    encoded = coco_mask.frPyObjects(listed, *size)
    x, y, width, height = coco_mask.toBbox(encoded).tolist()
    return (x, y, x + width, y + height) if width and height else (0.0, 0.0, 0.0, 0.0)


def _decompress(where: str, counts: str | bytes) -> list[int]:
    """Decompress counts as `rleFrString` of COCO's maskApi.c does.

    Letters hold six bits each, and numbers from the fourth on are differences to the last but one.
    """
    codes = counts if isinstance(counts, bytes) else counts.encode("utf-8", "replace")
    runs: list[int] = []
    value = letters = 0
    for code in codes:
        bits = code - FIRST_LETTER
        if not 0 <= bits < LETTERS or letters == LONGEST_NUMBER:
            raise ValueError(
                f"{where}: {_describe(counts)} are no compressed counts of COCO; encode it again"
            )
        value |= (bits & 0x1F) << 5 * letters
        letters += 1
        if bits & 0x20:  # more follows
            continue
        if bits & 0x10:  # the sign
            value -= 1 << 5 * letters
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = letters = 0
    if letters:
        raise ValueError(
            f"{where}: {_describe(counts)} end in the middle of a number; encode it again"
        )
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
