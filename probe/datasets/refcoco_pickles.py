"""Pickles of plain values, read without running what is in them.

A pickle is a program: its instructions may import any function and call it. The files of RefCOCO
are lists, dictionaries, texts and numbers, for which two dozen instructions are enough. All others
are refused before a single one runs, and the unpickler that runs them can find no name either.
"""

import io
import pickle
import pickletools
from pathlib import Path
from typing import Any, NoReturn

from probe.files import check_file
from probe.video.coercion import describe_given

LARGEST_PICKLE = 2**28
"""Bytes of the largest file that is read; those of RefCOCOg, the largest, are below 2**26."""

MOST_INSTRUCTIONS = 2**25
"""Instructions of the longest file, each of which may make an object of some 60 bytes."""

DEEPEST_PICKLE = 12
"""Lists and dictionaries inside each other; those of RefCOCO are four deep."""

PLAIN_INSTRUCTIONS = frozenset(
    {
        *("PROTO", "FRAME", "STOP", "MARK", "MEMOIZE"),
        *("PUT", "BINPUT", "LONG_BINPUT", "GET", "BINGET", "LONG_BINGET"),
        *("NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2"),
        *("LONG", "LONG1", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING"),
        *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
        *("EMPTY_LIST", "LIST", "APPEND", "APPENDS", "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS"),
        *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
    }
)
"""Instructions that make None, numbers, texts, lists, tuples and dictionaries."""

REMEDY = "give the file as its authors published it"


def read_plain_pickle(path: str | Path) -> Any:
    """Read a pickle of lists, tuples, dictionaries, texts, numbers, True, False and None.

    Texts of Python 2, in which RefCOCO was written, are read as UTF-8.

    Raises:
        ValueError: if there is no such file, it is too large or damaged, holds anything but plain
            values, or nests them too deeply.
    """
    path = Path(path)
    check_file(path)
    if (size := path.stat().st_size) > LARGEST_PICKLE:
        room = f"at most {LARGEST_PICKLE / 1e6:.0f} MB are read"
        raise ValueError(f"{path}: too large ({size / 1e6:.0f} MB); {room}")
    content = path.read_bytes()
    _check_instructions(path, content)
    try:
        values = _PlainUnpickler(content).load()
    except (
        *(pickle.UnpicklingError, EOFError, ValueError, TypeError, IndexError, KeyError),
        *(AttributeError, OverflowError, MemoryError, RecursionError),
    ) as failure:
        raise ValueError(f"{path}: a damaged pickle ({_name(failure)}); {REMEDY}") from failure
    _check_depth(path, values)
    return values


class _PlainUnpickler(pickle.Unpickler):
    """An unpickler that finds no classes and no functions."""

    def __init__(self, content: bytes) -> None:
        # A text that is no UTF-8 loses its odd letters, and is still read: only sentences are used,
        # which are plain, and not the raw ones that people typed.
        super().__init__(io.BytesIO(content), encoding="utf-8", errors="replace")

    def find_class(self, module_name: str, global_name: str, /) -> NoReturn:
        """Refuse every name."""
        raise pickle.UnpicklingError(f"it asks for {module_name}.{global_name}")

    def persistent_load(self, pid: Any, /) -> NoReturn:
        """Refuse every object that is kept elsewhere."""
        raise pickle.UnpicklingError(f"it asks for the object {describe_given(pid)}")


def _check_instructions(path: Path, content: bytes) -> None:
    """Refuse a pickle with an instruction that makes anything but plain values."""
    count, last = 0, None
    try:
        for count, (instruction, value, place) in enumerate(pickletools.genops(content), start=1):
            last = instruction.name
            if last not in PLAIN_INSTRUCTIONS:
                raise ValueError(
                    f"{path}: a pickle that could run code (it has the instruction {last} at byte "
                    f"{place}); only lists, dictionaries, texts and numbers are read; {REMEDY}"
                )
            # The unpickler makes a table as long as the largest number of a place in it.
            put = last in ("PUT", "LONG_BINPUT")
            if put and isinstance(value, int) and not 0 <= value <= count:
                raise ValueError(
                    f"{path}: a damaged pickle (place {value} at byte {place}); {REMEDY}"
                )
            if count > MOST_INSTRUCTIONS:
                raise ValueError(f"{path}: more than {MOST_INSTRUCTIONS} instructions; {REMEDY}")
    except ValueError as failure:
        if str(failure).startswith(f"{path}: "):
            raise
        raise ValueError(f"{path}: no pickle, or damaged ({_name(failure)}); {REMEDY}") from failure
    if last != "STOP":
        raise ValueError(f"{path}: no pickle, or damaged (it ends early); {REMEDY}")


def _check_depth(path: Path, values: Any) -> None:
    # Level by level, each object once: one that holds another ten times over, ten levels deep,
    # would take as long as ten thousand million objects, and one that holds itself, for ever.
    level = [values]
    for _ in range(DEEPEST_PICKLE):
        inner = {
            id(one): one
            for outer in level
            if isinstance(outer, list | tuple | dict)
            for one in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(one, list | tuple | dict)
        }
        if not inner:
            return
        level = list(inner.values())
    raise ValueError(f"{path}: nested more than {DEEPEST_PICKLE} deep; {REMEDY}")


def _name(failure: Exception) -> str:
    """Describe what is wrong with a pickle in one short line."""
    text = " ".join(str(failure).split())
    return (text if len(text) <= 100 else f"{text[:97]}...") or type(failure).__name__
