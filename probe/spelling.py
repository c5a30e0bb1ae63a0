"""Suggestions for misspelt names, found without a network."""

from collections.abc import Iterable
from difflib import get_close_matches

LIKENESS = 0.7
"""The least likeness of a name that is suggested, from 0 to 1: one letter of four is wrong."""


MOST_LISTED = 30
"""Names that an error lists; of the others it gives the number, since it is to be one line."""


def find_similar(name: str, known: Iterable[str], likeness: float = LIKENESS) -> str | None:
    """Find the known name that is most like another, whatever the case of its letters.

    >>> find_similar("causl", ["causal", "noun"])
    'causal'
    >>> find_similar("tophull", ["TopHull", "GrowFromPeak"])
    'TopHull'

    Args:
        name: The name that was given.
        known: The names that there are.
        likeness: The least likeness of a name that is found, from 0 to 1.

    Returns:
        The known name; None if there is none like it.
    """
    spelt = {one.lower(): one for one in known}
    found = get_close_matches(name.lower(), spelt, n=1, cutoff=likeness)
    return spelt[found[0]] if found else None


def explain_unknown(kind: str, name: object, known: Iterable[str], also: str = "") -> str:
    """Say that there is nothing of a name, which known one may be meant, and which there are.

    >>> explain_unknown("method", "causl", ["causal", "noun"])
    "no method is called 'causl'; did you mean causal? There are causal, noun"
    >>> explain_unknown("rule", "best", ["TopHull"], also="rules of yours as module:name")
    "no rule is called 'best'; there are TopHull, and rules of yours as module:name"
    >>> explain_unknown("number", "x", map(str, range(99)))[-20:]
    '8, 29, and 69 others'

    Args:
        kind: The kind of thing, as the sentence names it.
        name: The name that was given.
        known: The names that there are.
        also: Further things that can be given, if there are any.
    """
    names = tuple(known)
    others = len(names) - MOST_LISTED
    ends = (f"{others} others" if others > 0 else "", also)
    listed = ", ".join([*names[:MOST_LISTED], *(f"and {end}" for end in ends if end)])
    similar = find_similar(str(name), names)
    if similar is None:
        return f"no {kind} is called {name!r}; there are {listed}"
    return f"no {kind} is called {name!r}; did you mean {similar}? There are {listed}"
