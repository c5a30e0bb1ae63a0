"""Grounding tokens: the few text tokens through which the model looks at what is asked about."""

from collections.abc import Sequence
from typing import get_args

import pandas as pd
from jaxtyping import Float
from torch import Tensor

from probe.engine.prompts import Kind
from probe.engine.readings import AttentionMaps
from probe.spelling import explain_unknown
from probe.video.coercion import expect

ROLE_KINDS: tuple[Kind, ...] = ("role",)
"""Kinds of token that may be chosen: role tokens alone, the paper's "special tokens"."""


def visual_activation(
    reading: AttentionMaps, layers: int | Sequence[int] | None = None
) -> Float[Tensor, " token"]:
    """Return the strongest attention of each token to any one cell, layers and heads averaged.

    It needs no label and is between 0 and 1.
    """
    # Averaged before the maximum is taken, as in the paper: a cell must attract many heads, and
    # the noise of one head does not count.
    return reading.mean_attention(layers).amax(dim=(-3, -2, -1))


def grounding_token(
    reading: AttentionMaps,
    layers: int | Sequence[int] | None = None,
    *,
    among: str | Sequence[str] = ROLE_KINDS,
) -> int:
    """Find the token with the highest visual activation, as an index into the reading's tokens.

    It differs from sample to sample (Yang et al., 2025, insight 1).

    Args:
        reading: What the model did with the question.
        layers: Layers to average over; all that were read by default.
        among: The kind of token to choose from, or several.

    Raises:
        ValueError: if there is no such kind, or the question has no token of these kinds.
    """
    expect_reading(reading)
    kinds = as_kinds(among)
    candidates = reading.prompt.indices(*kinds)
    if not candidates:
        raise ValueError(f"{reading.prompt.question!r} has no {' or '.join(kinds)} token")
    activation = visual_activation(reading, layers)
    return max(candidates, key=lambda token: activation[token].item())


def rank_tokens(reading: AttentionMaps, layers: int | Sequence[int] | None = None) -> pd.DataFrame:
    """Rank the tokens of a question by visual activation, the strongest first.

    Returns:
        One row a token: `rank` (1 is the highest), `index` in the question, `token`, `kind`, visual
        `activation`, `on_video` (the share of its attention that goes to the video at all), and the
        source `frame`, `row` and `column` of its strongest cell.

    Raises:
        ValueError: if it is no reading.
    """
    expect_reading(reading)
    table = reading.to_frame(layers)
    table = table.sort_values("activation", ascending=False, ignore_index=True)
    table.insert(0, "rank", range(1, len(table) + 1))
    return table


def expect_reading(given: object) -> None:
    """Refuse what is no reading, such as the list that `View.read` gives.

    Raises:
        ValueError: if it is something else.
    """
    expect(given, AttentionMaps, "the reading", "one of them: (asked,) = view.read(question)")


def as_kinds(given: str | Sequence[str]) -> tuple[Kind, ...]:
    """Put one kind of token, or several, in a tuple.

    Raises:
        ValueError: if there is no such kind.
    """
    # A text is a sequence too, of its letters.
    several = (given,) if isinstance(given, str) else given
    known: dict[str, Kind] = {kind: kind for kind in get_args(Kind)}
    if unknown := [kind for kind in several if kind not in known]:
        raise ValueError(explain_unknown("kind of token", unknown[0], known))
    return tuple(known[kind] for kind in several)
