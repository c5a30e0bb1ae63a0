"""Say through which tokens a model looked, and why through these."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from probe.engine.readings import shorten
from probe.grounding.looks import Look
from probe.grounding.noun_rule import Noun
from probe.interpret.token_rules import AllOf, AnswerOpening, Fixed, MostActive, TokenRule
from probe.plain import identity_of

REASONS: Mapping[type, Callable[[Any], str]] = MappingProxyType(
    {
        MostActive: lambda rule: (
            f"{' or '.join(rule.among)} token with the highest visual activation"
        ),
        AllOf: lambda rule: f"all {' and '.join(rule.kinds)} tokens",
        AnswerOpening: lambda _: "the token that opens the answer's turn",
        Fixed: lambda rule: f"always token {rule.index}, counted from the end",
        Noun: lambda _: "the noun of the question",
    }
)
"""The reason for which a shipped rule chooses tokens, given the rule."""


def describe_tokens(look: Look, rule: TokenRule) -> str:
    """Describe the tokens whose maps were read, and why a rule chose them.

    Args:
        look: The look that was read through them.
        rule: The rule that chose them.
    """
    texts = look.token_texts
    if not look.tokens:
        return "no token (the map is of another source)"
    if len(look.tokens) == len(texts):
        return f"all {len(texts)} tokens"
    chosen = ", ".join(repr(shorten(texts[token])) for token in look.tokens)
    return f"{chosen} ({_explain(rule)})"


def _explain(rule: TokenRule) -> str:
    if (reason := REASONS.get(type(rule))) is not None:
        return reason(rule)
    return f"by {identity_of(rule if hasattr(rule, '__qualname__') else type(rule))}"
