"""Messages that a live page sends: what a person asks, changes or takes back.

A message is a JSON object whose `type` says its kind. It may come from anybody who can reach the
page, so all else than the entries and values named here is refused.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from types import MappingProxyType
from typing import Any, TypeAlias

from probe.engine.readings import shorten
from probe.interpret.cuts import Frames
from probe.spelling import explain_unknown
from probe.video.coercion import describe_given

LONGEST_QUESTION = 4_000
"""Characters of a question; longer ones do not fit in what a person can look at."""

MOST_NUMBERS = 200_000
"""Cells, tokens, layers or heads in one message: more than long videos have cells."""

STRONGEST = 1_000.0
"""The largest factor of a look; attention that is paid to something else is then below rounding."""

FARTHEST = 10.0
"""The largest strength of steering, either way; states are noise long before."""

Numbers: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class Open:
    """A page that was opened and wants what is on show."""


@dataclass(frozen=True)
class Ask:
    """Another question, asked with nothing changed."""

    question: str


@dataclass(frozen=True)
class CutLook:
    """Edges from tokens to cells that are taken away while the question is read."""

    tokens: Numbers | None = None
    """Places in the question; None for all, those of an answer included."""

    cells: Numbers | None = None
    """Places in the grid of cells, frame by frame and row by row; None for all."""

    layers: Numbers | None = None
    heads: Numbers | None = None


@dataclass(frozen=True)
class CutInVideo:
    """Edges between cells that are taken away while the video itself is read."""

    frames: Frames = "all"
    cells: Numbers | None = None
    """The cells that are no longer seen by other cells; None for all."""

    layers: Numbers | None = None
    heads: Numbers | None = None


@dataclass(frozen=True)
class AmplifyLook:
    """Edges from tokens to cells that are made stronger or weaker."""

    factor: float
    tokens: Numbers | None = None
    cells: Numbers | None = None
    layers: Numbers | None = None
    heads: Numbers | None = None


@dataclass(frozen=True)
class SteerTo:
    """The state of the question's last token moved towards that of another question."""

    question: str
    layer: int
    strength: float
    """The share of the way to the other question's state; 1 arrives there, 0 changes nothing."""


@dataclass(frozen=True)
class Undo:
    """A step back: the last question or change is taken back."""


Edit: TypeAlias = CutLook | CutInVideo | AmplifyLook | SteerTo
"""The messages that change how a question is read."""

Message: TypeAlias = Open | Ask | Edit | Undo

KINDS: Mapping[str, type[Message]] = MappingProxyType(
    {
        "open": Open,
        "ask": Ask,
        "cut": CutLook,
        "cut_video": CutInVideo,
        "amplify": AmplifyLook,
        "steer": SteerTo,
        "undo": Undo,
    }
)
"""Kinds of message by the name that goes over the line."""


def read_message(record: Any) -> Message:
    """Read a message from plain values, as JSON gives them.

    Raises:
        ValueError: if it has another form, an entry that is not known, or a value out of its range.
    """
    if not isinstance(record, dict) or not isinstance(record.get("type"), str):
        raise ValueError(f"a message is an object with a type; found {describe_given(record)}")
    name = record["type"]
    if name not in KINDS:
        raise ValueError(explain_unknown("type", shorten(name), tuple(KINDS)))
    kind = KINDS[name]
    known = {one.name: one.default is MISSING for one in fields(kind)}
    given = {key: value for key, value in record.items() if key != "type"}
    if strange := sorted(set(given) - set(known)):
        raise ValueError(explain_unknown(f"entry of {name!r}", shorten(strange[0]), tuple(known)))
    if missing := [key for key, needed in known.items() if needed and key not in given]:
        raise ValueError(f"the message {name!r} has no {missing[0]!r}; give one")
    return kind(**{key: READERS[key](key, value) for key, value in given.items()})


def write_message(message: Message) -> dict[str, Any]:
    """Write a message in plain values: the inverse of `read_message`."""
    (name,) = (name for name, kind in KINDS.items() if kind is type(message))
    given = {one.name: getattr(message, one.name) for one in fields(message)}
    lists = {key: list(value) for key, value in given.items() if isinstance(value, tuple)}
    return {"type": name, **given, **lists}


def _read_question(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} is {describe_given(value)}; give text")
    if len(value) > LONGEST_QUESTION:
        raise ValueError(
            f"the {name} has {len(value)} characters; at most {LONGEST_QUESTION} are read"
        )
    return value


def _read_numbers(name: str, value: Any) -> Numbers | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(type(one) is int and one >= 0 for one in value):
        raise ValueError(
            f"{name} are {describe_given(value)}; give a list of whole numbers from 0, or null"
        )
    if len(value) > MOST_NUMBERS:
        raise ValueError(f"{name} are {len(value)} numbers; at most {MOST_NUMBERS} are read")
    if not value:
        raise ValueError(f"{name} is an empty list; choose at least one, or null for all")
    # In order and each once: two messages that mean the same edges are equal then.
    return tuple(sorted(set(value)))


def _read_layer(name: str, value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{name} is {describe_given(value)}; give a whole number from 0")
    return value


def _read_frames(name: str, value: Any) -> str:
    if value not in ("all", "within", "across"):
        raise ValueError(f"{name} are {describe_given(value)}; give all, within or across")
    return value


def _between(least: float, most: float) -> Callable[[str, Any], float]:
    """Make the reader of a number in a range, both ends included."""

    def read(name: str, value: Any) -> float:
        # Python takes true for 1. What is not a number, as its parser reads NaN, is in no range.
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not least <= value <= most:
            raise ValueError(
                f"the {name} is {describe_given(value)}; give a number from {least:g} to {most:g}"
            )
        return float(value)

    return read


READERS: Mapping[str, Callable[[str, Any], Any]] = MappingProxyType(
    {
        "question": _read_question,
        "tokens": _read_numbers,
        "cells": _read_numbers,
        "layers": _read_numbers,
        "heads": _read_numbers,
        "frames": _read_frames,
        "layer": _read_layer,
        "factor": _between(0.0, STRONGEST),
        "strength": _between(-FARTHEST, FARTHEST),
    }
)
"""The reader of each entry, which refuses values out of its range."""
