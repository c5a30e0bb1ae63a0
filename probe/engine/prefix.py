"""The prefix: what enters the decoder before any question, which all questions share.

A decoder is called with embeddings and with further inputs that hold one entry for each token:
positions, modality ids, inner features of the vision tower. A `Prefix` carries all of them, so that
the engine can call the decoder again, on a part of the tokens or on more of them, exactly as the
model itself would. What it does not know how to carry it refuses, since leaving out an input would
change what the model reads without a word.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

TOKEN_AXES: Mapping[str, int] = MappingProxyType(
    {
        "mm_token_type_ids": 1,
        "moe_mm_token_type_ids": 1,
        "token_type_ids": 1,
        "cache_position": 0,
    }
)
"""Further inputs that a decoder may take, and the axis along which each has one entry a token."""

COUNTED = ("cache_position",)
"""Those of them that count on from token to token; the others repeat from one text token to the
next."""

REPLACED = ("inputs_embeds", "position_ids", "visual_pos_masks", "deepstack_visual_embeds")
"""Inputs that a `Prefix` holds in a form of its own."""

CHOSEN = (
    "input_ids",
    "past_key_values",
    "use_cache",
    "output_attentions",
    "output_hidden_states",
    "return_dict",
    "logits_to_keep",
    "image_sizes",
)
"""Inputs that say nothing of the tokens; each pass of the engine chooses its own."""


@dataclass(frozen=True, eq=False)
class TokenInput:
    """A further input of the decoder, with one entry for each token."""

    values: Shaped[Tensor, "..."]
    axis: int
    """The axis of the tokens."""

    following: Shaped[Tensor, "..."]
    """The entry of the first token after the video: text, as a question's tokens are."""

    counted: bool
    """True if entries count on; otherwise those of a question repeat the following one."""

    def after(self, lengths: Sequence[int]) -> Tensor:
        """Make the entries of questions, each of which goes on as if it were alone."""
        total = sum(lengths)
        repeated = self.following.repeat_interleave(total, dim=self.axis)
        return repeated + _steps(lengths).to(repeated.device) if self.counted else repeated

    def followed_by(self, lengths: Sequence[int]) -> "TokenInput":
        """Append the entries of questions."""
        return replace(self, values=torch.cat([self.values, self.after(lengths)], dim=self.axis))


@dataclass(frozen=True, eq=False)
class Prefix:
    """The tokens that enter the decoder before any question: template text and visual tokens."""

    embeddings: Float[Tensor, "token hidden"]

    positions: Int[Tensor, "axis token"]
    """Place of each token in the positional encoding: along one axis, or in time, height and width
    (M-RoPE)."""

    following: Int[Tensor, " axis"]
    """Place of the token after the last of them."""

    deepstack: Float[Tensor, "level token hidden"]
    """Inner features of the vision tower, added to the output of the first decoder layers: 0 where
    a token is not visual. No level for models without them."""

    others: Mapping[str, TokenInput]
    """Every further input with one entry a token, by its keyword."""

    tail: str = ""
    """Text that the processor writes after the last visual token, before the template goes on."""

    def __len__(self) -> int:
        return len(self.embeddings)

    @classmethod
    def of_call(
        cls, keywords: Mapping[str, Any], visual: Int[Tensor, " visual"], tail: str = ""
    ) -> "Prefix":
        """Take over what the model gave its decoder for a video and a question.

        Args:
            keywords: The keyword arguments of the call.
            visual: Positions of all placeholders of the video; the prefix ends with the last.
            tail: Text that the processor writes after the last visual token.

        Raises:
            ValueError: if the decoder takes an input that the engine cannot carry.
        """
        embeddings, end = keywords["inputs_embeds"][0], int(visual[-1]) + 1
        positions = keywords.get("position_ids")
        # Most decoders count for themselves if no positions are given. The engine always gives
        # them: a decoder that starts in the middle of a sequence would count from its cache.
        if positions is None:
            positions = torch.arange(len(embeddings), device=embeddings.device)
        positions = positions.reshape(-1, len(embeddings))
        levels = keywords.get("deepstack_visual_embeds") or ()
        deepstack = embeddings.new_zeros(len(levels), end, embeddings.shape[1])
        for level, features in zip(deepstack, levels, strict=True):
            level[visual] = features.to(deepstack)
        return cls(
            embeddings=embeddings[:end],
            positions=positions[:, :end],
            following=positions[:, end],
            deepstack=deepstack,
            others={name: _token_input(name, value, end) for name, value in _further(keywords)},
            tail=tail,
        )

    def inputs(self, states: Float[Tensor, "token hidden"], first: int = 0) -> dict[str, Any]:
        """Make the keyword arguments of a decoder whose layers below `first` are skipped.

        Args:
            states: What enters layer `first`: the embeddings where that is layer 0.
            first: The first layer that runs.
        """
        given: dict[str, Any] = {
            "inputs_embeds": states[None],
            "position_ids": batch_of_one(self.positions),
            **{name: one.values for name, one in self.others.items()},
        }
        if len(self.deepstack) > first:
            # The decoder adds features at the positions of a mask. Ours have an entry for every
            # token, zero where nothing is added, so that tokens can be exchanged and appended.
            # The states after a skipped layer contain its features already: add zeros there.
            skipped = torch.zeros_like(self.deepstack[:first])
            everywhere = torch.ones(1, len(self), dtype=torch.bool, device=states.device)
            given["visual_pos_masks"] = everywhere
            given["deepstack_visual_embeds"] = [*skipped, *self.deepstack[first:]]
        return given

    def with_tokens_of(
        self, other: "Prefix", places: Int[Tensor, " visual"], theirs: Int[Tensor, " visual"]
    ) -> "Prefix":
        """Replace the content of the tokens at `places` by that of another's tokens at `theirs`.

        Positions and all other inputs stay as they are.
        """
        embeddings, deepstack = self.embeddings.clone(), self.deepstack.clone()
        embeddings[places] = other.embeddings[theirs]
        deepstack[:, places] = other.deepstack[:, theirs]
        return replace(self, embeddings=embeddings, deepstack=deepstack)

    def positions_after(self, lengths: Sequence[int]) -> Int[Tensor, "axis token"]:
        """Compute the places of the tokens of questions, each going on as if it were alone."""
        return self.following[:, None] + _steps(lengths).to(self.following.device)

    def others_after(self, lengths: Sequence[int]) -> dict[str, Tensor]:
        """Make every further input of the tokens of questions."""
        return {name: one.after(lengths) for name, one in self.others.items()}

    def followed_by(
        self, embeddings: Float[Tensor, "token hidden"], lengths: Sequence[int]
    ) -> "Prefix":
        """Append the tokens of questions."""
        return replace(
            self,
            embeddings=torch.cat([self.embeddings, embeddings]),
            positions=torch.cat([self.positions, self.positions_after(lengths)], dim=1),
            deepstack=torch.nn.functional.pad(self.deepstack, (0, 0, 0, len(embeddings))),
            others={name: one.followed_by(lengths) for name, one in self.others.items()},
        )


def batch_of_one(positions: Int[Tensor, "axis token"]) -> Tensor:
    """Arrange positions as a decoder takes them: [batch, token] along a single axis."""
    return positions if len(positions) == 1 else positions[:, None]


def _further(keywords: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """List the inputs that have to be carried and have no field of their own."""
    left_out = {*REPLACED, *CHOSEN}
    return [
        (name, value)
        for name, value in keywords.items()
        if name not in left_out and value is not None and not _is_plain_causal(name, value)
    ]


def _is_plain_causal(name: str, value: Any) -> bool:
    """Tell whether a mask hides nothing: a decoder without a mask is causal by itself."""
    is_padding = isinstance(value, Tensor) and value.ndim == 2
    return name == "attention_mask" and is_padding and bool(value.bool().all())


def _token_input(name: str, value: Any, end: int) -> TokenInput:
    """Cut a further input to the prefix.

    Raises:
        ValueError: if its form is not known, or a question's entries do not follow from it.
    """
    # A number that a model computes from the words (an embedding of each layer, say) cannot be
    # made for a question by repeating that of another token, so it is refused as the unknown is.
    axis = TOKEN_AXES.get(name)
    if axis is None or not isinstance(value, Tensor) or value.is_floating_point():
        form = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(
            f"the decoder of this checkpoint takes {name!r} ({form}), which the engine cannot "
            f"carry from the video to its questions; its attention would not be exact"
        )
    cut, following = value.narrow(axis, 0, end), value.narrow(axis, end, 1)
    return TokenInput(cut, axis, following, name in COUNTED)


def _steps(lengths: Sequence[int]) -> Int[Tensor, " token"]:
    """Count the tokens of each question from 0."""
    return torch.cat([torch.arange(length) for length in lengths])
