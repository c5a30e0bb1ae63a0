"""Tokens as they enter the decoder: a video and the text before it, and the questions behind."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Entered:
    """What enters the decoder before any question: text of the template and visual tokens."""

    embeddings: Float[Tensor, "token hidden"]

    positions: Int[Tensor, "axis token"]
    """Where each token stands for the positional encoding: along one axis, or in time, height and
    width (M-RoPE)."""

    following: Int[Tensor, " axis"]
    """Where the token behind them stands."""

    deepstack: Float[Tensor, "level token hidden"]
    """What is added to the output of each of the first layers: inner features of the vision tower
    at the visual tokens, 0 elsewhere. No level for models that do nothing of the kind."""

    behind: str = ""
    """What the processor writes behind the last of them before the template goes on."""

    def __len__(self) -> int:
        return len(self.embeddings)

    def inputs(self, states: Float[Tensor, "token hidden"], first: int = 0) -> dict[str, Any]:
        """What the decoder is given where its layers below `first` are skipped.

        `states` is what enters layer `first`: the embeddings where that is layer 0.
        """
        given: dict[str, Any] = {
            "inputs_embeds": states[None],
            "position_ids": _batched(self.positions),
        }
        if len(self.deepstack) > first:
            # What follows a skipped layer has its part already.
            skipped = torch.zeros_like(self.deepstack[:first])
            everywhere = torch.ones(1, len(self), dtype=torch.bool, device=states.device)
            given["visual_pos_masks"] = everywhere
            given["deepstack_visual_embeds"] = [*skipped, *self.deepstack[first:]]
        return given

    def taking(
        self, places: Int[Tensor, " visual"], other: "Entered", theirs: Int[Tensor, " visual"]
    ) -> "Entered":
        """The same with tokens of another in the place of some; positions stay."""
        embeddings, deepstack = self.embeddings.clone(), self.deepstack.clone()
        embeddings[places] = other.embeddings[theirs]
        deepstack[:, places] = other.deepstack[:, theirs]
        return replace(self, embeddings=embeddings, deepstack=deepstack)

    def after(self, lengths: Sequence[int]) -> Int[Tensor, "axis token"]:
        """Where the tokens of questions stand, each going on as if it were alone."""
        steps = torch.cat([torch.arange(length) for length in lengths])
        return self.following[:, None] + steps.to(self.following.device)

    def followed_by(
        self, embeddings: Float[Tensor, "token hidden"], lengths: Sequence[int]
    ) -> "Entered":
        """The same with the tokens of questions behind."""
        return replace(
            self,
            embeddings=torch.cat([self.embeddings, embeddings]),
            positions=torch.cat([self.positions, self.after(lengths)], dim=1),
            deepstack=torch.nn.functional.pad(self.deepstack, (0, 0, 0, len(embeddings))),
        )


@dataclass(frozen=True, eq=False)
class Asked:
    """The tokens of questions, to be read behind what is remembered."""

    states: Float[Tensor, "token hidden"]
    """What enters layer `first`: the embeddings where that is layer 0."""

    positions: Int[Tensor, "axis token"]
    """Where each of them stands, for the positional encoding."""

    mask: Bool[Tensor, "token position"]
    """Which position, remembered or new, each of them sees."""

    first: int = 0
    """The decoder layer that is the first to run; those below have run."""

    @property
    def inputs(self) -> dict[str, Any]:
        """What the decoder is given."""
        return {
            "inputs_embeds": self.states[None],
            "position_ids": _batched(self.positions),
            "attention_mask": self.mask[None, None],
        }


@dataclass(frozen=True, eq=False)
class Kept:
    """Which attention is kept of a pass."""

    columns: Int[Tensor, " visual"]
    """The positions attended to."""
    layers: tuple[int, ...]
    """Decoder layers, in increasing order."""
    heads: tuple[int, ...] | None = None
    """Heads of each of them; None for all."""
    tokens: Sequence[int] | None = None
    """Those of the questions' tokens that attend; None for all."""


@dataclass(frozen=True)
class Pack:
    """Questions of different lengths in one row behind a shared prefix."""

    lengths: tuple[int, ...]
    before: int

    @property
    def parts(self) -> list[slice]:
        """Where each question's tokens stand in the row."""
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
        """A token sees all of the prefix, and its own question up to itself."""
        blocks = [torch.ones(length, length, dtype=torch.bool).tril() for length in self.lengths]
        own = torch.block_diag(*blocks).bool()
        return torch.cat([torch.ones(len(own), self.before, dtype=torch.bool), own], dim=1)

    @property
    def whole_mask(self) -> Bool[Tensor, "position position"]:
        """The same for prefix and questions in one pass."""
        prefix = torch.ones(self.before, self.before, dtype=torch.bool).tril()
        blind = torch.zeros(self.before, sum(self.lengths), dtype=torch.bool)
        return torch.cat([torch.cat([prefix, blind], dim=1), self.mask])


def _batched(positions: Int[Tensor, "axis token"]) -> Tensor:
    """Positions as a decoder takes them for a batch of one: [batch, token] along a single axis."""
    return positions if len(positions) == 1 else positions[:, None]
