"""Lines of results with a checksum, so that a change after they were written is noticed."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

CHECKSUM_DIGITS = 16
"""Hexadecimal digits of a checksum: one damaged line in 10^19 would pass unnoticed."""

CHECKSUM = b', "checksum": "%s"'
"""The last entry of a line. It is computed from the text of all others, as it is written."""

LINE_END = b"\r\n"
"""Characters of the end of a line: git and editors on Windows put the first before the other."""

_ENDING = re.compile(rb', "checksum": "([0-9a-f]{%d})"\}$' % CHECKSUM_DIGITS)


def write_line(record: Mapping[str, Any]) -> bytes:
    """Write a record as one line of JSON, with a checksum and its end."""
    # Lone surrogates, by which Python keeps names of files that are not UTF-8, as escapes.
    text = json.dumps(record, ensure_ascii=False).encode(errors="backslashreplace")
    return text[:-1] + CHECKSUM % compute_checksum(text) + b"}\n"


def compute_checksum(text: bytes) -> bytes:
    """Compute the checksum of the JSON text of a result."""
    return hashlib.sha256(text).hexdigest()[:CHECKSUM_DIGITS].encode()


def has_checksum(line: bytes) -> bool:
    """Return True if a line has a checksum; those of earlier versions have none."""
    return _ENDING.search(line.rstrip(LINE_END)) is not None


def check_line(line: bytes) -> bytes:
    """Return the JSON text of a line without its checksum, after comparing the two.

    Raises:
        ValueError: if the text has been changed since it was written.
    """
    line = line.rstrip(LINE_END)
    found = _ENDING.search(line)
    if found is None:
        return line  # of an earlier version, or damaged: then it has an entry that nobody knows
    text = line[: found.start()] + b"}"
    if compute_checksum(text) != found[1]:
        raise ValueError("it has been changed since it was written: its checksum is another")
    return text
