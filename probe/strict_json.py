"""JSON text to values, with what Python passes over refused: an entry twice, and deep nesting."""

import json
import reprlib
from collections import Counter
from typing import Any

DEEPEST = 100
"""Lists and objects inside each other. Ours are up to ten deep; a thousand would exceed Python's
stack in whatever handles them next, such as an error message that shows one."""


def parse_json(text: str | bytes) -> Any:
    """Parse JSON; bytes may be in UTF-8, with or without a byte order mark, UTF-16 or UTF-32.

    Raises:
        ValueError: if it is not JSON, is nested too deeply, or an object has two entries of one
            name.
    """
    try:
        content = json.loads(text, object_pairs_hook=_make_object)
    except RecursionError as failure:
        raise ValueError("it is nested too deeply") from failure
    _check_depth(content)
    return content


def _make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make the object of some entries; of two with one name, Python would drop the first."""
    made = dict(pairs)
    if len(made) < len(pairs):
        (name, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"{reprlib.repr(name)} is there twice in one object")
    return made


def _check_depth(content: Any) -> None:
    # Level by level, and not by a function that calls itself, which would need the very stack.
    level = [content] if isinstance(content, dict | list) else []
    for _ in range(DEEPEST):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) is dict or type(inner) is list  # the fastest check: there are millions
        ]
        if not level:
            return
    raise ValueError("it is nested too deeply")
