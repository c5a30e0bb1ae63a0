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
class AnswerOpening:
    """The role token that opens the answer's turn: the released code's choice, in any template.

    That code counts from the end, by model: -5 for LLaVA-NeXT-Video, -4 for ShareGPT4Video, -3 for
    Qwen2-VL, LLaVA-OneVision and InternVL. Each is the first token of the answer's turn: the `A` of
    ` ASSISTANT:`, or `<|im_start|>`. A template that closes a thought there has more tokens after
    it, and the same one is meant.
    """

    def __call__(self, reading: Reading) -> tuple[int, ...]:
        """Return the place of the token.

        Raises:
            ValueError: if the chat template opens no turn for the answer.
        """
        place = reading.prompt.opening
        if place is None:
            raise ValueError(
                f"the chat template opens no turn for the answer to {reading.prompt.question!r}; "
                f"choose another token, with MostActive() or Fixed(place)"
            )
        return (_check_role(reading, place),)


@dataclass(frozen=True)
class Fixed:
    """One fixed role token of every question, by its place.

    A place means another token in another chat template; `AnswerOpening` means the same in all.
    """

    index: int
    """Counted from the end: -1 is the last token before the answer."""

    def __call__(self, reading: Reading) -> tuple[int, ...]:
        """Return the place of the token.

        Raises:
            ValueError: if the question is shorter, or the token there is no role token.
        """
        # Not from the front: questions differ in length, but all end with the same role tokens.
        asked = len(reading.prompt.indices("template", "word", "stop", "role"))
        if not -asked <= self.index < 0:
            raise ValueError(
                f"there is no token {self.index} in a question of {asked}; "
                f"give -1 for the last to {-asked} for the first"
            )
        return (_check_role(reading, asked + self.index),)


def _check_role(reading: Reading, place: int) -> int:
    """Return the place of a role token; another is one of the words, and differs with them."""
    prompt = reading.prompt
    roles = prompt.indices("role")
    if place not in roles:
        remedy = f"give {-len(roles)} to -1, or AnswerOpening()" if roles else "give AllOf('word')"
        raise ValueError(
            f"token {reading.tokens[place]!r} of {prompt.question!r} is a "
            f"{prompt.tokens[place].kind} token and no role token: in this chat template "
            f"{len(roles)} tokens follow the words; {remedy}"
        )
    return place


@dataclass(frozen=True, init=False)
class AllOf:
    """All tokens of some kinds, averaged: the rival that does not choose one."""

    kinds: tuple[Kind, ...]

    def __init__(self, kinds: str | Sequence[str] = ROLE_KINDS) -> None:
        object.__setattr__(self, "kinds", as_kinds(kinds))

    def __call__(self, reading: Reading) -> tuple[int, ...]:
        """Return the places of all tokens of these kinds."""
        return reading.prompt.indices(*self.kinds)


EVERY_TOKEN = AllOf(("template", "word", "stop", "role"))
"""All tokens of a question."""
