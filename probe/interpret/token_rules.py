"""Token rules: they choose the tokens of a question whose attention maps are read.

A rule is any callable that takes a reading and returns tokens; those here are the shipped ones. A
user's own function can be used wherever they can.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from probe.engine.prompts import Kind
from probe.engine.readings import Reading, TokenChoice
from probe.interpret.grounding_tokens import ROLE_KINDS, as_kinds, grounding_token

TokenRule: TypeAlias = Callable[[Reading], TokenChoice]
"""Returns the tokens whose maps are averaged: their places in the question, or words of it."""


@dataclass(frozen=True, init=False)
class MostActive:
    """The token with the highest visual activation, sample by sample: the paper's choice."""

    among: tuple[Kind, ...]
    """The kinds of token to choose from."""

    def __init__(self, among: str | Sequence[str] = ROLE_KINDS) -> None:
        # Written out, since a dataclass would type its arguments as narrowly as its fields.
        object.__setattr__(self, "among", as_kinds(among))

    def __call__(self, reading: Reading) -> tuple[int, ...]:
        """Return the place of the grounding token."""
        return (grounding_token(reading, among=self.among),)


@dataclass(frozen=True)
class Fixed:
    """One fixed token of every question: the released code's choice."""

    index: int
    """Counted from the end: -1 is the last token before the answer."""

    def __call__(self, reading: Reading) -> tuple[int, ...]:
        """Return the place of the token.

        Raises:
            ValueError: if the question is shorter.
        """
        # Not from the front: questions differ in length, but all end with the same role tokens.
        if not -len(reading.tokens) <= self.index < 0:
            raise ValueError(
                f"there is no token {self.index} in a question of {len(reading.tokens)}; "
                f"give -1 for the last to {-len(reading.tokens)} for the first"
            )
        return (len(reading.tokens) + self.index,)


@dataclass(frozen=True, init=False)
class AllOf:
    """All tokens of some kinds, averaged: the rival that does not choose one."""

    kinds: tuple[Kind, ...]

    def __init__(self, kinds: str | Sequence[str] = ROLE_KINDS) -> None:
        object.__setattr__(self, "kinds", as_kinds(kinds))

    def __call__(self, reading: Reading) -> tuple[int, ...]:
        """Return the places of all tokens of these kinds."""
        return reading.prompt.indices(*self.kinds)
