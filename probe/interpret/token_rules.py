"""Token rules: which tokens of a question are looked through.

A rule is any callable that gives the indices of tokens in a reading; those here are the shipped
ones. A user's own function does as well, everywhere.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from probe.engine.prompts import Kind
from probe.engine.readings import Reading
from probe.interpret.grounding_tokens import ROLE_TOKENS, grounding_token

TokenRule: TypeAlias = Callable[[Reading], Sequence[int]]
"""Gives the tokens whose maps are averaged, as indices into the reading's tokens."""


@dataclass(frozen=True)
class MostActive:
    """The token with the highest visual activation, sample by sample: the paper's choice."""

    among: tuple[Kind, ...] = ROLE_TOKENS

    def __call__(self, reading: Reading) -> tuple[int, ...]:
        """The one grounding token."""
        return (grounding_token(reading, among=self.among),)


@dataclass(frozen=True)
class Fixed:
    """The same token of every question: the released code's choice."""

    index: int
    """Counted from the end: -1 is the last token before the answer."""

    def __call__(self, reading: Reading) -> tuple[int, ...]:
        """The one token.

        Raises:
            ValueError: if the question is shorter.
        """
        if not -len(reading.tokens) <= self.index < 0:
            raise ValueError(
                f"there is no token {self.index} in a question of {len(reading.tokens)}; "
                f"give -1 for the last to {-len(reading.tokens)} for the first"
            )
        return (len(reading.tokens) + self.index,)


@dataclass(frozen=True)
class AllOf:
    """All tokens of some kinds, averaged: what the choice of one is compared with."""

    kinds: tuple[Kind, ...] = ROLE_TOKENS

    def __call__(self, reading: Reading) -> tuple[int, ...]:
        """Their places in the question."""
        return reading.prompt.indices(*self.kinds)
