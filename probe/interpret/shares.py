"""Shares of attention: made stronger or weaker by a factor, or set to a map by hand."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from probe.engine.content import as_tensor, same_content
from probe.engine.interventions import Edit, Extent, Rows
from probe.interpret.targets import (
    CellMask,
    Tokens,
    as_mask,
    as_numbers_or_all,
    as_tokens,
    choose_layers,
    choose_tokens,
    count_cells,
    describe,
    mark,
    mark_cells,
    mark_heads,
)
from probe.video.coercion import describe_given


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Amplify:
    """Edges of attention made stronger or weaker by a factor, from tokens to cells.

    Args:
        factor: What the share of attention of each edge is multiplied by, from 0.
        tokens: The tokens that look, as `Cut` takes them.
        cells: The cells that are seen.
        layers: Decoder layers.
        heads: Heads of each of these layers.
        renormalise: True to divide by the sum of the row, which then is one again: the same as
            adding the factor's logarithm before the softmax. False leaves all other edges as they
            are.

    Raises:
        ValueError: if the factor is below 0, or another argument is of another form.
    """

    factor: float
    tokens: Tokens | None
    cells: CellMask | None
    layers: tuple[int, ...] | None
    heads: tuple[int, ...] | None
    renormalise: bool

    def __init__(
        self,
        factor: float,
        tokens: Any = None,
        cells: Any = None,
        layers: Any = None,
        heads: Any = None,
        *,
        renormalise: bool = True,
    ) -> None:
        if not 0 <= factor < float("inf"):
            raise ValueError(f"the factor is {factor}; give a number from 0")
        object.__setattr__(self, "factor", factor)
        object.__setattr__(self, "tokens", as_tokens(tokens))
        object.__setattr__(self, "cells", as_mask(cells))
        object.__setattr__(self, "layers", as_numbers_or_all("layer", layers))
        object.__setattr__(self, "heads", as_numbers_or_all("head", heads))
        object.__setattr__(self, "renormalise", renormalise)

    def __eq__(self, other: object) -> bool:
        return same_content(self, other)

    def __hash__(self) -> int:
        return hash((self.factor, self.tokens, self.layers, self.heads))

    def __repr__(self) -> str:
        return describe(
            "Amplify",
            factor=self.factor,
            tokens=self.tokens,
            cells=count_cells(self.cells),
            layers=self.layers,
            heads=self.heads,
            renormalise=None if self.renormalise else False,
        )

    def edits(self, extent: Extent) -> dict[int, Edit]:
        """Return the shares to change, by layer.

        Raises:
            ValueError: if a layer, head, token or cell does not exist, or a token is a word.
        """
        cells = mark_cells(self.cells, extent.shape)
        columns = torch.tensor(extent.visual)[cells]

        def change(rows: Rows) -> Rows:
            changed = rows.clone()
            changed[..., columns] = rows[..., columns] * self.factor
            if self.renormalise:
                changed = changed / changed.sum(-1, keepdim=True)
            return changed

        return _change_rows(self, extent, change)

    def reversed(self) -> "Amplify":
        """Return the same change for the video with its last frame first."""
        return self if self.cells is None else replace(self, cells=self.cells.flip(0))


@dataclass(frozen=True, eq=False, init=False, repr=False)
class SetAttention:
    """The attention of tokens to the video, set to a map.

    Args:
        values: The map, from 0, by frame, row and column; only its shape counts, not its sum. A
            `Heatmap`'s `values`, a box drawn by hand, or a tensor with a gradient.
        tokens: The tokens that look, as `Cut` takes them.
        layers: Decoder layers.
        heads: Heads of each of these layers.
        share: The share of its attention that each token spends on the video, 0 to 1, with the
            other edges scaled to what is left; None for its own share.

    Raises:
        ValueError: if the map is below 0 or empty, the share is out of its range, or another
            argument is of another form.
    """

    values: Float[Tensor, "frame row column"]
    tokens: Tokens | None
    layers: tuple[int, ...] | None
    heads: tuple[int, ...] | None
    share: float | None

    def __init__(
        self,
        values: Any,
        tokens: Any = None,
        layers: Any = None,
        heads: Any = None,
        *,
        share: float | None = None,
    ) -> None:
        tensor = as_tensor("the values of a map", values)
        if tensor.dim() != 3 or bool((tensor < 0).any()) or not float(tensor.detach().sum()) > 0:
            raise ValueError(
                f"the map to set is {describe_given(values)}; give numbers by frame, row and "
                f"column, none below 0 and some above, such as heatmap.values"
            )
        if share is not None and not 0 <= share <= 1:
            raise ValueError(f"the share is {share}; give a number from 0 to 1, or None")
        object.__setattr__(self, "values", tensor)
        object.__setattr__(self, "tokens", as_tokens(tokens))
        object.__setattr__(self, "layers", as_numbers_or_all("layer", layers))
        object.__setattr__(self, "heads", as_numbers_or_all("head", heads))
        object.__setattr__(self, "share", share)

    def __eq__(self, other: object) -> bool:
        return same_content(self, other)

    def __hash__(self) -> int:
        return hash((self.tokens, self.layers, self.heads, self.share))

    def __repr__(self) -> str:
        return describe(
            "SetAttention",
            values=tuple(self.values.shape),
            tokens=self.tokens,
            layers=self.layers,
            heads=self.heads,
            share=self.share,
        )

    def edits(self, extent: Extent) -> dict[int, Edit]:
        """Return the shares to set, by layer.

        Raises:
            ValueError: if a layer, head or token does not exist, a token is a word, or the map does
                not have the shape of the video's grid.
        """
        if self.values.shape != extent.shape:
            raise ValueError(
                f"a map of {tuple(self.values.shape)} does not fit a video of {extent.shape} "
                f"frames, rows and columns"
            )
        wanted = self.values.flatten() / self.values.sum()
        columns = torch.tensor(extent.visual)

        def change(rows: Rows) -> Rows:
            own = rows[..., columns].sum(-1, keepdim=True)
            share = own if self.share is None else torch.full_like(own, self.share)
            # A token that spends all on the video has nothing else to scale.
            rest = ((1 - share) / (1 - own)).nan_to_num(0.0, 0.0, 0.0)
            changed = rows * rest
            changed[..., columns] = share * wanted.to(rows)
            return changed

        return _change_rows(self, extent, change)

    def reversed(self) -> "SetAttention":
        """Return the same map for the video with its last frame first."""
        return replace(self, values=self.values.flip(0))


def _change_rows(
    done: Amplify | SetAttention, extent: Extent, change: Callable[[Rows], Rows]
) -> dict[int, Edit]:
    """Make edits that change the shares of the chosen tokens and heads, and no others."""
    heads = mark_heads(done.heads, extent)[:, None, None]
    looking = mark(choose_tokens(done.tokens, extent.tokens), extent.tokens)[:, None]
    chosen = heads & looking

    def change_chosen(rows: Rows) -> Rows:
        return torch.where(chosen.to(rows.device), change(rows), rows)

    return dict.fromkeys(choose_layers(done.layers, extent), Edit(rows=change_chosen))
