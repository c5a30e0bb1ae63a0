"""A checkpoint opened with nnsight: the one file that touches its untyped handles."""

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import nnsight
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import DynamicCache

from probe.attention import attention_rows
from probe.families import Family, Inputs
from probe.prompts import AnswerIds, PromptWriter, answer_ids
from probe.video import Video

Memory: TypeAlias = tuple[tuple[Tensor, Tensor], ...]
"""The keys and values of each decoder layer for tokens already read."""


@dataclass(frozen=True, eq=False)
class Entered:
    """A video and a text as they enter the decoder: embeddings, visual tokens already merged."""

    ids: Int[Tensor, " token"]
    embeddings: Float[Tensor, "token hidden"]


class Network:
    """A model, its processor, and what its family is called inside.

    The weights are frozen, so that a pass makes no graph unless something learnable is added.
    """

    def __init__(self, module: torch.nn.Module, processor: Any, family: Family) -> None:
        module.eval().requires_grad_(False)
        self.module: Any = module
        self.processor = processor
        self.family = family
        self.handle: Any = nnsight.NNsight(module)

    @property
    def config(self) -> Any:
        """The checkpoint's configuration."""
        return self.module.config

    @property
    def device(self) -> torch.device:
        """Where inputs go."""
        return self.module.get_input_embeddings().weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the weights."""
        return self.module.get_input_embeddings().weight.dtype

    @property
    def decoder(self) -> Any:
        """The language model without its head, as nnsight sees it."""
        return operator.attrgetter(self.family.language_model)(self.handle)

    @property
    def layers(self) -> Any:
        """The decoder layers, in forward order, as nnsight sees them."""
        return self.decoder.layers

    @property
    def depth(self) -> int:
        """The number of decoder layers."""
        return self.config.get_text_config().num_hidden_layers

    @property
    def placeholder(self) -> int:
        """The id of the token that stands for the video."""
        return getattr(self.config, self.family.placeholder)

    @property
    def context(self) -> int:
        """The longest sequence the decoder was made for, in tokens."""
        return self.config.get_text_config().max_position_embeddings

    @property
    def preferred_frames(self) -> int:
        """How many frames the checkpoint wants to see; 20 where it does not say."""
        return getattr(self.processor.video_processor, "num_frames", None) or 20

    @cached_property
    def answers(self) -> AnswerIds:
        """The ids of yes and no."""
        return answer_ids(self.processor.tokenizer)

    def writer(self, before: int) -> PromptWriter:
        """What lays out questions behind `before` tokens of video and template."""
        return PromptWriter(self.processor, self.placeholder, max(0, self.context - before))

    def process(self, video: Video, text: str) -> Inputs:
        """What the checkpoint's own processor makes of a video and a text."""
        inputs = self.processor(
            text=[text], videos=[video.frames], do_sample_frames=False, return_tensors="pt"
        )
        return {
            name: value.to(self.device, self.dtype if value.is_floating_point() else None)
            for name, value in inputs.items()
        }

    def enter(self, inputs: Inputs) -> Entered:
        """Run the vision tower once and stop where the decoder starts."""
        with self.handle.trace(**inputs) as tracer:
            embeddings = nnsight.save(self.decoder.inputs[1]["inputs_embeds"])
            tracer.stop()
        return Entered(inputs["input_ids"][0], embeddings[0])

    def embed(self, ids: Sequence[int]) -> Float[Tensor, "token hidden"]:
        """The embeddings of text tokens."""
        return self.module.get_input_embeddings()(torch.tensor(ids, device=self.device))

    def entering(
        self, embeddings: Float[Tensor, "token hidden"], layer: int
    ) -> Float[Tensor, "token hidden"]:
        """The states that enter a decoder layer; nothing at or above it runs."""
        with self.decoder.trace(inputs_embeds=embeddings[None], use_cache=False) as tracer:
            states = nnsight.save(self.layers[layer].input)
            tracer.stop()
        return states[0]

    def memorise(
        self,
        states: Float[Tensor, "token hidden"],
        added: Mapping[int, Float[Tensor, "token hidden"]],
        below: Memory = (),
    ) -> Memory:
        """Read the tokens that every question shares; keep their keys and values.

        Differentiable in what is added: the memory carries the graph.

        Args:
            states: What enters the first layer that runs; the embeddings where that is layer 0.
            added: What to add to the states that enter a layer, by layer.
            below: The memory of the layers below, which do not run again.
        """
        first = len(below)
        cache: Any = DynamicCache(config=self.config.get_text_config())
        with self.decoder.trace(inputs_embeds=states[None], past_key_values=cache, use_cache=True):
            for index in range(first):
                self.layers[index].skip(states[None])
            for index in sorted(added):
                entered = self.layers[index]
                entered.input = entered.input + added[index]
        return (*below, *((layer.keys, layer.values) for layer in cache.layers[first:]))

    def continue_from(
        self,
        memory: Memory,
        embeddings: Float[Tensor, "token hidden"],
        positions: Int[Tensor, " token"],
        mask: Bool[Tensor, "token position"],
        columns: Int[Tensor, " visual"],
        layers: Sequence[int],
    ) -> tuple[list[Float[Tensor, "head token visual"]], Float[Tensor, "token hidden"]]:
        """Read more tokens; return their attention to `columns` at `layers`, and their states.

        Args:
            memory: What was read before.
            embeddings: The new tokens.
            positions: Where each of them stands, for the positional encoding.
            mask: Which position, old or new, each of them sees.
            columns: The positions whose attention is kept.
            layers: The decoder layers whose attention is kept, in increasing order.
        """
        with self.decoder.trace(
            inputs_embeds=embeddings[None],
            position_ids=positions[None],
            attention_mask=mask[None, None],
            past_key_values=DynamicCache(memory),
            use_cache=True,
        ):
            rows = nnsight.save([])
            for index in layers:
                queries, keys, scaling = self._queries_and_keys(index)
                rows.append(attention_rows(queries, keys, mask, scaling)[..., columns])
            hidden = nnsight.save(self.decoder.output.last_hidden_state)
        return list(rows), hidden[0]

    def _queries_and_keys(self, layer: int) -> tuple[Tensor, Tensor, float]:
        """In a trace: queries and keys after positional encoding, and what scales their product."""
        source = self.layers[layer].self_attn.source
        call = getattr(source, _attention_call(source.names))
        (_, queries, keys, *_), options = call.inputs
        return queries[0], keys[0], options["scaling"]

    def logits(self, hidden: Float[Tensor, "token hidden"]) -> Float[Tensor, "token word"]:
        """The next-token logits, in float32."""
        return self.module.get_output_embeddings()(hidden).float()

    def trace(self, embeddings: Float[Tensor, "token hidden"]) -> Any:
        """Open one plain forward pass of everything behind the vision tower; nnsight's `trace`."""
        return self.handle.trace(inputs_embeds=embeddings[None], use_cache=False)


def _attention_call(names: Sequence[str]) -> str:
    """The name of the call that computes attention; its number shifts between versions."""
    found = [name for name in names if name.startswith("attention_interface_")]
    if not found:
        raise RuntimeError(f"no attention call among the operations {list(names)}")
    return found[-1]
