"""The prefix: what enters the decoder before any question, which all questions share.

A decoder is called with embeddings and with further inputs that hold one entry for each token:
positions, modality ids, inner features of the vision tower. A `Prefix` carries all of them, so that
the engine can call the decoder again, on a part of the tokens or on more of them, exactly as the
model itself would. What it does not know how to carry it refuses, since leaving out an input would
change what the model reads without a word.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Num, Shaped
from torch import Tensor

from probe.engine.layer_plan import LayerPlan
from probe.engine.masks import Masks, find_end, found_masks
from probe.engine.questions import PackedQuestions, QuestionTokens

REPEATED = (
    "mm_token_type_ids",
    "moe_mm_token_type_ids",
    "token_type_ids",
)
"""Further inputs of a decoder that say of which kind each token is: [batch, token]."""

FROM_WORDS = ("per_layer_inputs",)
"""Further inputs that a model computes from the words themselves: [batch, token, ...]."""

REPLACED = (
    "inputs_embeds",
    "position_ids",
    "attention_mask",
    "visual_pos_masks",
    "deepstack_visual_embeds",
)
"""Inputs that a `Prefix` holds in a form of its own."""

CHOSEN = (
    "input_ids",
    "past_key_values",
    "use_cache",
    "output_attentions",
    "output_hidden_states",
    "output_router_logits",
    "return_shared_kv_states",
    "return_dict",
    "logits_to_keep",
    "image_sizes",
)
"""Inputs that say nothing of the tokens; each pass of the engine chooses its own."""

TokenInputs = Mapping[str, Shaped[Tensor, "token ..."]]
"""Further inputs of a decoder, each with one entry for each token, by keyword."""


@dataclass(frozen=True, eq=False)
class Prefix:
    """The tokens that enter the decoder before any question: template text and visual tokens."""

    embeddings: Float[Tensor, "token hidden"]

    positions: Num[Tensor, "axis token"]
    """Place of each token in the positional encoding: along one axis, or in time, height and width
    (M-RoPE). Some models count time in fractions."""

    following: Num[Tensor, "axis after"]
    """Places of the tokens of some question after them."""

    deepstack: Float[Tensor, "level token hidden"]
    """Inner features of the vision tower, added to the output of the first decoder layers: 0 where
    a token is not visual. No level for models without them."""

    others: TokenInputs
    """Every further input with one entry a token."""

    text: Mapping[str, Shaped[Tensor, "after ..."]]
    """The further inputs of these tokens."""

    masks: Masks = field(default_factory=dict)
    """The positions that each token sees, where a model does not leave that to its decoder."""

    tail: str = ""
    """Text that the processor writes after the last visual token, before the template goes on."""

    closing: int = 0
    """The number of its tokens after the last visual one: those that visual tokens see."""

    def __len__(self) -> int:
        return len(self.embeddings)

    @classmethod
    def of_call(
        cls,
        keywords: Mapping[str, Any],
        plan: LayerPlan,
        visual: Int[Tensor, " visual"],
        tail: str = "",
    ) -> "Prefix":
        """Take over what the model gave its decoder for a video and a question.

        Args:
            keywords: The keyword arguments of the call.
            plan: The layers of the decoder.
            visual: Positions of all placeholders of the video; the prefix ends with the last, or
                with the last token that they see.
            tail: Text that the processor writes after the last visual token.

        Raises:
            ValueError: if the decoder takes an input that the engine cannot carry.
        """
        embeddings, mask = keywords["inputs_embeds"][0], keywords.get("attention_mask")
        end = find_end(mask, plan, visual)
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
        further = {name: _per_token(name, value) for name, value in _further(keywords)}
        return cls(
            embeddings=embeddings[:end],
            positions=positions[:, :end],
            following=positions[:, end:],
            deepstack=deepstack,
            others={name: values[:end] for name, values in further.items()},
            text={name: values[end:] for name, values in further.items()},
            masks=found_masks(mask, plan, end),
            tail=tail,
            closing=end - int(visual[-1]) - 1,
        )

    def inputs(self, first: int = 0) -> dict[str, Any]:
        """Make the keyword arguments of a decoder whose layers below `first` are skipped.

        Masks are left to the caller, who knows in which form they are taken.
        """
        given: dict[str, Any] = {
            "inputs_embeds": self.embeddings[None],
            "position_ids": batch_of_one(self.positions),
            **{name: values[None] for name, values in self.others.items()},
        }
        if len(self.deepstack) > first:
            # The decoder adds features at the positions of a mask. Ours have an entry for every
            # token, zero where nothing is added, so that tokens can be exchanged and appended.
            # The states after a skipped layer contain its features already: add zeros there.
            skipped = torch.zeros_like(self.deepstack[:first])
            everywhere = torch.ones(1, len(self), dtype=torch.bool, device=self.embeddings.device)
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

    def questions_after(
        self,
        embeddings: Float[Tensor, "token hidden"],
        packed: PackedQuestions,
        plan: LayerPlan,
        from_words: TokenInputs,
    ) -> QuestionTokens:
        """Make what enters the decoder for questions, each going on as if it were alone.

        Args:
            embeddings: Those of their tokens.
            packed: Where each question lies.
            plan: The layers of the decoder.
            from_words: The further inputs that the model computes from the words.
        """
        device = embeddings.device
        # The first tokens after a video are the same for all questions and may be told apart from
        # words (an end mark, say); those after them are words, each as the one before.
        last = self.following.shape[1] - 1
        like = packed.steps.clamp(max=last).to(device)
        beyond = (packed.steps - last).clamp(min=0)
        repeated = {
            name: entries[like] for name, entries in self.text.items() if name not in FROM_WORDS
        }
        masks = {kind: packed.mask(plan.window_of(kind)).to(device) for kind in plan.masks}
        return QuestionTokens(
            packed=packed,
            embeddings=embeddings,
            positions=self.following[:, like] + beyond.to(device),
            masks=masks,
            others={**repeated, **from_words},
        )

    def followed_by(self, questions: QuestionTokens, masks: Masks) -> "Prefix":
        """Append the tokens of questions, in one row.

        Args:
            questions: The tokens, at the first layer.
            masks: The positions that each token sees, by kind of layer; none where the decoder is
                to make its own.
        """
        added = questions.embeddings
        return replace(
            self,
            embeddings=torch.cat([self.embeddings, added]),
            positions=torch.cat([self.positions, questions.positions], dim=1),
            deepstack=torch.nn.functional.pad(self.deepstack, (0, 0, 0, len(added))),
            others={
                name: torch.cat([values, questions.others[name]])
                for name, values in self.others.items()
            },
            masks=masks,
        )

    def cut_masks(
        self, plan: LayerPlan, visual: Int[Tensor, " visual"], cuts: Mapping[int, Tensor]
    ) -> dict[int, Bool[Tensor, "#head position position"]]:
        """Compute the positions that each token sees once edges between visual tokens are cut.

        Args:
            plan: The layers of the decoder.
            visual: The positions of the visual tokens.
            cuts: By layer, the edges between them that are cut, for each head or for all alike. A
                token always sees itself.

        Raises:
            ValueError: if a layer has no attention.
        """
        row, masks = PackedQuestions((len(self),), before=0), {}
        itself = torch.eye(len(visual), dtype=torch.bool)
        visual = visual.cpu()
        for layer, cut in cuts.items():
            plan.check_attending([layer])
            kind = plan.kinds[layer]
            seen = self.masks.get(kind)
            seen = row.mask(plan.window_of(kind)) if seen is None else seen.cpu()
            masks[layer] = seen.repeat(len(cut), 1, 1)
            masks[layer][:, visual[:, None], visual] &= ~(cut & ~itself)
        return masks

    @property
    def from_words(self) -> tuple[str, ...]:
        """The further inputs that the model computes from the words of a question."""
        return tuple(name for name in FROM_WORDS if name in self.others)


def batch_of_one(positions: Num[Tensor, "axis token"]) -> Tensor:
    """Arrange positions as a decoder takes them: [batch, token] along a single axis."""
    return positions if len(positions) == 1 else positions[:, None]


def _further(keywords: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """List the inputs that have to be carried and have no field of their own."""
    left_out = {*REPLACED, *CHOSEN}
    return [
        (name, value)
        for name, value in keywords.items()
        if name not in left_out and value is not None
    ]


def _per_token(name: str, value: Any) -> Shaped[Tensor, "token ..."]:
    """Take a further input of one video.

    Raises:
        ValueError: if its form is not known, or a question's entries do not follow from it.
    """
    known = isinstance(value, Tensor) and (
        name in FROM_WORDS or (name in REPEATED and not value.is_floating_point())
    )
    if not known:
        form = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(
            f"the decoder of this checkpoint takes {name!r} ({form}), which the engine cannot "
            f"carry from the video to its questions; its attention would not be exact"
        )
    return value[0]
