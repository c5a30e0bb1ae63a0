"""Cues of a query by rules of grammar: the parts that a response map is found by, step by step."""

from probe.grounding.queries import decompose


def split_cues(query: str) -> tuple[str, ...]:
    """Return the attribute part of a query and its action part; one where they are the same.

    >>> split_cues("the red circle that jumps")
    ('the red circle', 'the circle that jumps')

    Raises:
        ValueError: if the query is empty or too long.
    """
    parts = decompose(query)
    return tuple(dict.fromkeys((parts.attribute, parts.action)))
