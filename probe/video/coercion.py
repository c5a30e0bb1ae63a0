"""Conversion of users' values, such as lists and tensors, to the arrays and integers of our types.

A value that cannot be converted is described in one line.
"""

import operator
import reprlib
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped

SHOWN_TYPES = (bool, int, float, str, bytes, list, tuple, dict, set, range, type(None))
"""Types whose values are shown as they are written in Python; of others, the type is named."""

LONGEST = 80
"""Characters of a shown value."""


def expect(value: Any, kind: type | tuple[type, ...], name: str, remedy: str) -> None:
    """Refuse an argument of another kind, which would fail further inside with words of ours.

    Args:
        value: What was given.
        kind: What it has to be.
        name: Words for the argument, such as "the reading".
        remedy: What to give.

    Raises:
        ValueError: if it is something else.
    """
    if not isinstance(value, kind):
        raise ValueError(f"{name} is {describe_given(value)}; give {remedy}")


def to_whole(value: Any, name: str) -> int:
    """Convert an integer of any kind: Python's, NumPy's, or a tensor of a single one.

    Raises:
        ValueError: if it is not a whole number; it starts with the name.
    """
    try:
        return operator.index(value)
    except TypeError:
        raise ValueError(f"{name} is {describe_given(value)}; give a whole number") from None


def to_array(value: Any) -> Shaped[np.ndarray, "*axes"]:
    """Convert lists, numbers and tensors of any device to an array.

    Returns:
        The array; one of type object if the value cannot be converted.
    """
    try:
        if hasattr(value, "detach"):  # a tensor, known by this since torch is not imported here
            value = value.detach().cpu()
            value = value.float() if str(value.dtype) == "torch.bfloat16" else value
        return np.asarray(value)
    except (ValueError, TypeError, RuntimeError):  # such as lists of unequal lengths
        return np.asarray(None)


def to_frames(value: Any) -> Int[np.ndarray, " frame"]:
    """Convert the number of one source frame, or of several, to an array.

    Raises:
        ValueError: if they are not whole numbers in a row.
    """
    frames = to_array(value)
    if frames.dtype.kind == "f" and not frames.size:  # NumPy's type of an empty list
        return np.empty(0, dtype=np.int64)
    if frames.dtype.kind not in "iu" or frames.ndim > 1:
        raise ValueError(
            f"frames are {describe_given(value)}; give whole numbers of source frames, such as "
            "[0, 1, 2]"
        )
    # Signed, since differences of unsigned numbers are never negative.
    return frames.reshape(-1).astype(np.int64, copy=False)


def to_boxes(value: Any) -> Float[np.ndarray, "box 4"]:
    """Convert one box or several to an array with a row for each; floats keep their precision.

    Raises:
        ValueError: if they are not rows of four numbers.
    """
    boxes = to_array(value)
    boxes = boxes.reshape(1, 4) if boxes.shape == (4,) else boxes
    boxes = boxes.reshape(0, 4) if not boxes.size else boxes
    if boxes.dtype.kind not in "iuf" or boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(
            f"boxes are {describe_given(value)}; give (x1, y1, x2, y2) in pixels for each frame"
        )
    return boxes if boxes.dtype.kind == "f" else boxes.astype(np.float64)


def describe_given(value: Any) -> str:
    """Describe a value that was given, for an error of one line."""
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        dtype = str(value.dtype).removeprefix("torch.")
        return f"an array of {dtype} of shape {tuple(value.shape)}"
    if isinstance(value, SHOWN_TYPES):
        return to_one_line(reprlib.repr(value))
    return f"a {type(value).__name__}"


def to_one_line(text: str, most: int = LONGEST) -> str:
    """Put text on one line, and cut it to so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 3]}..."
