"""Head rules: they choose the heads whose attention maps are averaged.

A rule is any callable that takes a reading and returns pairs of layer and head; those here are the
shipped ones. A user's own function can be used wherever they can.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from probe.engine.readings import LayersHeads, Reading
from probe.interpret.targets import as_pairs
from probe.interpret.time_heads import TIME_HEADS, time_head_scores, time_heads
from probe.interpret.token_rules import EVERY_TOKEN, TokenRule

HeadRule: TypeAlias = Callable[[Reading], LayersHeads]
"""Returns pairs of layer and head, given what a model did with a question."""


@dataclass(frozen=True)
class GatheredInTime:
    """The heads whose attention to frames gathers most in one interval, question by question.

    No label is read and no head is chosen beforehand, so the rule suits any model
    (`probe.interpret.time_heads`).
    """

    count: int = TIME_HEADS

    tokens: TokenRule = EVERY_TOKEN
    """The rule for the tokens whose attention is averaged before heads are compared."""

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"count is {self.count}; choose at least 1 head")

    def __call__(self, reading: Reading) -> tuple[tuple[int, int], ...]:
        """Return the heads, the most gathered first."""
        return time_heads(
            time_head_scores([reading], self.tokens, shortlist=self.count), self.count
        )


@dataclass(frozen=True, init=False)
class TheseHeads:
    """Heads that are fixed for all questions: `TheseHeads(found.of(model))`."""

    heads: tuple[tuple[int, int], ...]

    def __init__(self, heads: Any) -> None:
        # Written out, since a dataclass would type its arguments as narrowly as its fields.
        object.__setattr__(self, "heads", as_pairs(heads))

    def __call__(self, reading: Reading) -> tuple[tuple[int, int], ...]:  # noqa: ARG002
        """Return the heads."""
        return self.heads
