"""Questions as the decoder reads them: packed in one row after the prefix, none seeing another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from probe.engine.prefix import batch_of_one


@dataclass(frozen=True, eq=False)
class QuestionTokens:
    """The tokens of questions, to be read after what is in the cache."""

    states: Float[Tensor, "token hidden"]
    """The states that enter layer `first`: the embeddings where that is layer 0."""

    positions: Int[Tensor, "axis token"]
    """Place of each of them in the positional encoding."""

    mask: Bool[Tensor, "token position"]
    """The positions, of the prefix or new, that each of them sees."""

    others: Mapping[str, Tensor] = field(default_factory=dict)
    """Every further input of the decoder, by its keyword."""

    first: int = 0
    """The first decoder layer that runs; those below have run already."""

    @property
    def inputs(self) -> dict[str, Any]:
        """The keyword arguments of the decoder."""
        return {
            "inputs_embeds": self.states[None],
            "position_ids": batch_of_one(self.positions),
            "attention_mask": self.mask[None, None],
            **self.others,
        }


@dataclass(frozen=True, eq=False)
class AttentionSelection:
    """The part of a pass's attention that is kept."""

    columns: Int[Tensor, " visual"]
    """The positions attended to."""

    layers: tuple[int, ...]
    """Decoder layers, in increasing order."""

    heads: tuple[int, ...] | None = None
    """Heads of each of these layers; None for all."""

    tokens: Sequence[int] | None = None
    """The tokens of the questions whose attention is kept; None for all."""


@dataclass(frozen=True)
class PackedQuestions:
    """Questions of different lengths in one row after a shared prefix: where each of them lies."""

    lengths: tuple[int, ...]
    """Tokens of each question."""

    before: int
    """Tokens of the prefix."""

    @property
    def parts(self) -> list[slice]:
        """The part of the row that holds each question."""
        stops = torch.tensor(self.lengths).cumsum(0).tolist()
        return [
            slice(stop - length, stop) for length, stop in zip(self.lengths, stops, strict=True)
        ]

    @property
    def last(self) -> list[int]:
        """The last token of each question, whose logits are the answer's."""
        return [part.stop - 1 for part in self.parts]

    @property
    def mask(self) -> Bool[Tensor, "token position"]:
        """The positions that each token sees: the prefix, and its own question up to itself."""
        # Blocks on the diagonal: a question sees itself and no other, so that packing changes
        # nothing but the time that it takes.
        blocks = [torch.ones(length, length, dtype=torch.bool).tril() for length in self.lengths]
        own = torch.block_diag(*blocks).bool()
        return torch.cat([torch.ones(len(own), self.before, dtype=torch.bool), own], dim=1)

    @property
    def whole_mask(self) -> Bool[Tensor, "position position"]:
        """The mask of prefix and questions in one pass."""
        prefix = torch.ones(self.before, self.before, dtype=torch.bool).tril()
        blind = torch.zeros(self.before, sum(self.lengths), dtype=torch.bool)
        return torch.cat([torch.cat([prefix, blind], dim=1), self.mask])
