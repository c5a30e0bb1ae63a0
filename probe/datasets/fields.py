"""Fields of annotations, read as what they must be; whatever is wrong with one names its entry."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from probe.video.coercion import describe_given, to_one_line

MOST_FRAMES = 1_000_000
"""Frames of the longest video, 11 hours at 25 a second: tracks are extended over all of them."""

LONGEST_PROBLEM = 200
"""Characters of what is said about one problem."""

UNREADABLE = (KeyError, TypeError, IndexError, AttributeError, OverflowError, ValueError)
"""Errors of code that reads fields which are missing or of another type."""


@contextmanager
def reading_entry(name: str) -> Iterator[None]:
    """Say in one line which entry of an annotation is of no use, and why.

    Raises:
        ValueError: if the block cannot read it.
    """
    try:
        yield
    except UNREADABLE as problem:
        raise ValueError(
            f"{to_one_line(name)}: its annotation cannot be read ({describe_problem(problem)}); "
            "correct the entry"
        ) from problem


def describe_problem(problem: Exception) -> str:
    """Describe an error of `UNREADABLE` in one line that is not long."""
    text = " ".join(str(problem).split())
    # The messages of other kinds are bare values, such as the name of a missing field.
    text = text if isinstance(problem, ValueError) else f"{type(problem).__name__}: {text}"
    return text if len(text) <= LONGEST_PROBLEM else f"{text[: LONGEST_PROBLEM - 3]}..."


def read_count(value: Any, name: str) -> int:
    """Read a number of frames or pixels; a published file may have it as text or as 448.0.

    Raises:
        ValueError: if it is no number, or not one from 1 to `MOST_FRAMES`; it starts with the name.
    """
    try:
        count = int(value)
    except (TypeError, ValueError, OverflowError):
        count = 0
    if not 1 <= count <= MOST_FRAMES:
        raise ValueError(f"{name} is {describe_given(value)}, not from 1 to {MOST_FRAMES}")
    return count


def read_words(value: Any, name: str) -> str:
    """Read a text.

    Raises:
        ValueError: if it is none; it starts with the name.
    """
    if not isinstance(value, str):
        raise ValueError(f"{name} is {describe_given(value)}, not a text")
    return value
