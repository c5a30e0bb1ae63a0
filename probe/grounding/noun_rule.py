"""A token rule that reads the query's grammar: the token of the noun that is asked about."""

import re
from dataclasses import dataclass

from probe.engine.readings import Reading
from probe.grounding.queries import find_noun
from probe.grounding.statements import as_statement

PRONOUNS = ("someone", "somebody", "something")
"""Subjects of queries that name nothing, such as "who opens the door"."""


@dataclass(frozen=True)
class Noun:
    """The tokens of the bare noun that a question asks about, or of the pronoun in its place."""

    def __call__(self, reading: Reading) -> tuple[int, ...]:
        """Return the places of the tokens that the noun is made of.

        Raises:
            ValueError: if the question names nothing.
        """
        prompt = reading.prompt
        start, stop = _find_subject(prompt.question)
        return tuple(
            place
            for place, token in enumerate(prompt.tokens)
            if token.characters and token.characters[0] < stop and token.characters[1] > start
        )


def _find_subject(question: str) -> tuple[int, int]:
    """Return the characters of a question that its noun is made of: the first such word."""
    first = as_statement(question).split()[0].lower()
    noun = first if first in PRONOUNS else find_noun(question)
    # The word is searched for with its edges, so that "man" is not found in "woman".
    found = re.search(rf"(?<!\w){re.escape(noun)}(?!\w)", question, re.IGNORECASE)
    assert found is not None, "the noun is a word of the question"
    return found.span()
