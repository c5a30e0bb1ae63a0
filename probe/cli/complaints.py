"""Complaints of the parser in our words: one line with the thing, the value and the remedy."""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from probe.spelling import explain_unknown

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "N": "whole number",
        "NUMBER": "number",
        "invalid literal for int() with base 10": "whole number",
        "could not convert string to float": "number",
    }
)
"""The kind of value that was wanted, by how the parser says it."""


def explain_complaint(complaint: str) -> str:
    """Say in our words what the parser complains of; what is not known here stays as it is.

    >>> explain_complaint("Missing value for argument '--clip'. Expected 1 values.")
    '--clip: a value is missing'
    >>> explain_complaint("Unrecognized options: --quite Perhaps you meant: --quiet Show no bars")
    'no option is called --quite; did you mean --quiet?'
    """
    for pattern, explain in EXPLANATIONS.items():
        if (found := re.match(pattern, complaint)) is not None:
            return explain(found, complaint)
    return complaint


def _explain_type(found: re.Match[str], _: str) -> str:
    option, wanted, given = found.groups()
    return f"{option}: {given!r} is no {KINDS.get(wanted, wanted)}"


def _explain_values(found: re.Match[str], _: str) -> str:
    given = " ".join(re.findall(r"'([^']*)'", found[2]))
    return f"{found[1]}: {given!r} are not all the values that it takes, or too many"


def _explain_choice(found: re.Match[str], complaint: str) -> str:
    # Sorted, since the parser keeps the names of an option that may be left out in no order; and
    # nobody types the value that it has then.
    names = sorted({*re.findall(r"'([^']*)'", complaint[found.end() :])} - {"None"})
    return explain_unknown(f"--{found[2]}", found[1], names)


def _explain_value(found: re.Match[str], _: str) -> str:
    count = int(found[2])
    missing = "a value is missing" if count == 1 else f"give {count} values"
    return f"{found[1]}: {missing}"


def _explain_missing(found: re.Match[str], complaint: str) -> str:
    # The parser writes what is missing next to its help; only the former is in capitals.
    words = re.findall(r"(?:^|\(required\) )((?:--\S+ )?[A-Z]+)\b", complaint[found.end() :])
    return f"{found[1]}: give {' and '.join(words)}"


def _explain_misplaced(found: re.Match[str], _: str) -> str:
    return f"{found[1]} has its place after the command, as in: probe demo --quiet"


def _explain_option(found: re.Match[str], complaint: str) -> str:
    name = found[1].split("=")[0]
    meant = re.search(r"Perhaps you meant: (--[\w.-]+)", complaint)
    return f"no option is called {name}" + ("" if meant is None else f"; did you mean {meant[1]}?")


def _explain_word(found: re.Match[str], _: str) -> str:
    return f"{found[1]!r} is one word too many; put quotes around what belongs together"


Explain = Callable[[re.Match[str], str], str]

EXPLANATIONS: Mapping[str, Explain] = MappingProxyType(
    {
        # An option that may be left out is of two types to the parser, and it tells of both.
        r"Error parsing (--\S+): no type matching \{None\}\|(\S+) .*? from \['(.*?)'\]": (
            _explain_type
        ),
        # Of pairs of values: one is missing, or one of another kind.
        r"Error parsing (--\S+): Could not find valid parse for arguments: \[(.*?)\]": (
            _explain_values
        ),
        r"Error parsing (--\S+): (.*?): '(.*?)'": _explain_type,
        r"invalid choice '(.*)' for argument '--(.*)'\. Expected one of": _explain_choice,
        r"Missing value for argument '(.*)'\. Expected (\d+) values": _explain_value,
        r"Missing from probe (\S+): ": _explain_missing,
        r"Unrecognized or misplaced options: (--?[\w.-]+).* \(applied to ": _explain_misplaced,
        r"Unrecognized(?: or misplaced)? options: (-[^\s,]+)": _explain_option,
        r"Unrecognized(?: or misplaced)? options: ([^\s,]+)": _explain_word,
    }
)
"""The explanation of a complaint, by its beginning; the first that matches counts."""
