"""What a model did with a question: where its tokens look, and what it would answer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

import numpy as np
from jaxtyping import Float
from torch import Tensor

from probe.engine.attention import Heatmap
from probe.engine.grids import VisualGrid
from probe.engine.prompts import AnswerIds, Prompt

LayersHeads: TypeAlias = Sequence[tuple[int, int]]
"""Pairs of decoder layer and attention head, both from 0."""

SomeGaze = TypeVar("SomeGaze", bound="Gaze")


@dataclass(frozen=True, eq=False)
class Gaze:
    """Where the tokens of one question look."""

    prompt: Prompt
    """The question's tokens, or those that were asked for; positions in `attention` and `tokens`
    count from the first of them."""

    attention: Float[Tensor, "layer head token frame row column"]
    """How much of its attention each token pays to each cell of the video."""

    layers: tuple[int, ...]
    """Which decoder layers `attention` holds."""

    grid: VisualGrid

    layers_heads: tuple[tuple[int, int], ...] | None = None
    """The layers and heads that maps are averaged over unless others are asked for; None for all
    heads of all layers read."""

    heads: tuple[int, ...] | None = None
    """Which heads `attention` holds; None for all."""

    @property
    def tokens(self) -> tuple[str, ...]:
        """The question's tokens as people read them."""
        return tuple(token.text for token in self.prompt.tokens)

    def through(self: SomeGaze, layers_heads: LayersHeads | None) -> SomeGaze:
        """The same reading, its maps averaged over these pairs of layer and head only."""
        return replace(self, layers_heads=None if layers_heads is None else tuple(layers_heads))

    def heatmap(
        self,
        tokens: int | np.integer | Sequence[int],
        layers: Sequence[int] | None = None,
        *,
        layers_heads: LayersHeads | None = None,
    ) -> Heatmap:
        """The map of a token, or the mean of several; negative numbers count from the last.

        Averaged over heads and over `layers` (default: all read), or over pairs of layer and head.
        """
        wanted = [int(tokens)] if isinstance(tokens, int | np.integer) else list(tokens)
        values = self._averaged(layers, layers_heads)[:, :, wanted].mean(dim=(0, 1, 2))
        return Heatmap(values, self.grid.cells)

    def mean_attention(
        self, layers: Sequence[int] | None = None, *, layers_heads: LayersHeads | None = None
    ) -> Float[Tensor, "token frame row column"]:
        """Every token's map, averaged as `heatmap` does."""
        return self._averaged(layers, layers_heads).mean(dim=(0, 1))

    def _averaged(
        self, layers: Sequence[int] | None, layers_heads: LayersHeads | None
    ) -> Float[Tensor, "layer head token frame row column"]:
        """What is averaged; chosen pairs stand as the heads of one layer."""
        if layers is not None and layers_heads is not None:
            raise ValueError("maps are averaged over layers or over layers_heads; give one of them")
        pairs = self.layers_heads if layers is None and layers_heads is None else layers_heads
        if pairs is None:
            return self.attention[self._chosen(layers)]
        if not pairs:
            raise ValueError("there is no head to average over; give at least one pair")
        held = range(self.attention.shape[1]) if self.heads is None else self.heads
        if wrong := [head for _, head in pairs if head not in held]:
            raise ValueError(f"there is no head {wrong} in this reading; it holds {tuple(held)}")
        heads = [held.index(head) for _, head in pairs]
        return self.attention[self._chosen([layer for layer, _ in pairs]), heads][None]

    def _chosen(self, layers: Sequence[int] | None) -> list[int]:
        wanted = self.layers if layers is None else layers
        if missing := [layer for layer in wanted if layer not in self.layers]:
            raise ValueError(f"layers {missing} were not read; this reading holds {self.layers}")
        return [self.layers.index(layer) for layer in wanted]


@dataclass(frozen=True, eq=False, kw_only=True)
class Reading(Gaze):
    """What the model did with one question: where its tokens look, and what it would answer."""

    logits: Float[Tensor, " word"]
    """Next-token logits at the first answer position."""

    margin: float
    """Yes minus no in logits, each over all its one-token surface forms (logsumexp)."""


def yes_minus_no(logits: Float[Tensor, "*question word"], ids: AnswerIds) -> Tensor:
    """Yes over no in logits, each over all its one-token surface forms (logsumexp)."""
    yes, no = logits[..., list(ids.yes)], logits[..., list(ids.no)]
    return yes.logsumexp(-1) - no.logsumexp(-1)
