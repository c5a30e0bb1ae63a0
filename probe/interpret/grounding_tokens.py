"""Grounding tokens: the few text tokens through which the model looks at what is asked about."""

from collections.abc import Sequence

import pandas as pd
from jaxtyping import Float
from torch import Tensor

from probe.engine.prompts import Kind
from probe.engine.readings import Reading

ROLE_TOKENS: tuple[Kind, ...] = ("role",)
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
    among: tuple[Kind, ...] = ROLE_TOKENS,
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
