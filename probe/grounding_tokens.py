"""Grounding tokens: the few text tokens through which the model looks at what is asked about."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import pandas as pd
from jaxtyping import Float
from torch import Tensor

from probe.prompts import Kind
from probe.view import Reading

CANDIDATES: tuple[Kind, ...] = ("role",)
"""Tokens that may be chosen: the paper's "special tokens"."""


def visual_activation(
    reading: Reading, layers: Sequence[int] | None = None
) -> Float[Tensor, " token"]:
    """The strongest attention each token pays to any one cell (layers and heads averaged).

    Needs no label. Between 0 and 1.
    """
    return reading.mean_attention(layers).amax(dim=(-3, -2, -1))


def grounding_token(
    reading: Reading,
    layers: Sequence[int] | None = None,
    *,
    among: tuple[Kind, ...] = CANDIDATES,
) -> int:
    """The candidate with the highest visual activation, as an index into the reading's tokens.

    It differs from sample to sample (Yang et al., 2025, insight 1).

    Args:
        reading: What the model did with the question.
        layers: Layers to average over; all that were read by default.
        among: Kinds of token to choose from.

    Raises:
        ValueError: if the question has no token of these kinds.
    """
    candidates = reading.prompt.indices(*among)
    if not candidates:
        raise ValueError(f"{reading.prompt.question!r} has no {' or '.join(among)} token")
    activation = visual_activation(reading, layers)
    return max(candidates, key=lambda token: activation[token].item())


@dataclass(frozen=True)
class MostActive:
    """The token with the highest visual activation, sample by sample: the paper's choice."""

    among: tuple[Kind, ...] = CANDIDATES

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

    kinds: tuple[Kind, ...] = CANDIDATES

    def __call__(self, reading: Reading) -> tuple[int, ...]:
        """Their places in the question."""
        return reading.prompt.indices(*self.kinds)


TokenRule: TypeAlias = MostActive | Fixed | AllOf
"""Chooses the tokens whose maps are read."""


def rank_tokens(reading: Reading, layers: Sequence[int] | None = None) -> pd.DataFrame:
    """Which tokens look at the video, the strongest first.

    One row a token: `index` in the question, `token`, `kind`, visual `activation` and its `rank`
    (1 is the highest), `on_video` (the share of its attention that goes to the video at all), and
    where its map peaks: source `frame`, `row`, `column`.
    """
    maps = reading.mean_attention(layers)
    cells = reading.grid.cells
    rows = []
    for index, token in enumerate(reading.prompt.tokens):
        frame, row, column = reading.heatmap(index, layers).peak
        rows.append(
            {
                "index": index,
                "token": token.text,
                "kind": token.kind,
                "activation": maps[index].max().item(),
                "on_video": maps[index].sum().item(),
                "frame": cells.frames[frame][0],
                "row": row,
                "column": column,
            }
        )
    table = pd.DataFrame(rows).sort_values("activation", ascending=False, ignore_index=True)
    table.insert(0, "rank", range(1, len(table) + 1))
    return table
