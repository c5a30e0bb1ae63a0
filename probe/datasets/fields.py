"""Fields of annotations, read as what they must be; whatever is wrong with one names its entry."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite
from typing import Any

from probe.video.coercion import describe_given, to_one_line
from probe.video.paths import LONGEST_PATH

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
            # A name may be the path of an answer's file, which has to be found.
            f"{to_one_line(name, LONGEST_PATH)}: its annotation cannot be read "
            f"({describe_problem(problem)}); correct the entry"
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
    count = _to_whole(value)
    if count is None or not 1 <= count <= MOST_FRAMES:
        raise ValueError(
            f"{name} is {describe_given(value)}, not a whole number from 1 to {MOST_FRAMES}"
        )
    return count


def read_frame(value: Any, name: str) -> int:
    """Read the number of a frame, from 0; a published file may have it as text or as 448.0.

    Raises:
        ValueError: if it is no whole number, or one of no video; it starts with the name.
    """
    frame = _to_whole(value)
    if frame is None or not 0 <= frame < MOST_FRAMES:
        raise ValueError(f"{name} is {describe_given(value)}, not the number of a frame, from 0")
    return frame


def _to_whole(value: Any) -> int | None:
    """Convert a whole number, or the text of one; None if it is none."""
    # By itself, Python would make 1 of true, and 5 of 5.7.
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        return None
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def read_words(value: Any, name: str) -> str:
    """Read a text that is not blank.

    Raises:
        ValueError: if it is none; it starts with the name.
    """
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name} is {describe_given(value)}, not a text")
    return value


def read_query(value: Any, name: str) -> str:
    """Read a text that a model can be asked.

    Raises:
        ValueError: if it is none, or holds half of a character; it starts with the name.
    """
    query = read_words(value, name)
    if has_half_character(query):
        raise ValueError(f"{name} is {describe_given(query)}, which holds half of a character")
    return query


def has_half_character(text: str) -> bool:
    r"""Return True if a text cannot be written, as JSON is read that was cut within a character.

    Names of files may be such texts, since Python keeps in this way the bytes that are not UTF-8.

    >>> has_half_character("dog \ud83d"), has_half_character("dog \U0001f415")
    (True, False)
    """
    return any("\ud800" <= character <= "\udfff" for character in text)


def read_box(value: Any, name: str) -> list[float]:
    """Read a box of four numbers: left, top, width and height.

    Raises:
        ValueError: if it is none; it starts with the name.
    """
    numbers = isinstance(value, list) and all(type(edge) in (int, float) for edge in value)
    if not numbers or len(value) != 4 or not all(map(isfinite, value)):
        raise ValueError(
            f"{name} is {describe_given(value)}, not four numbers: left, top, width and height"
        )
    return [float(edge) for edge in value]


def read_objects(value: Any, name: str) -> list[dict[str, Any]]:
    """Read a list of JSON objects.

    Raises:
        ValueError: if it is none; it starts with the name.
    """
    if not isinstance(value, list):
        raise ValueError(f"{name} is {describe_given(value)}, not a list")
    for place, one in enumerate(value):
        if not isinstance(one, dict):
            raise ValueError(f"{name}, {place}: {describe_given(one)} is not an object")
    return value
