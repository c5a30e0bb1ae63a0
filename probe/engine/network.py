"""A checkpoint opened with nnsight: the one file that touches its untyped handles."""

import operator
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from types import MappingProxyType
from typing import Any

import nnsight
import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import DynamicCache
from transformers.video_utils import VideoMetadata

from probe.engine.attention import attention_rows
from probe.engine.early_stops import early_stop
from probe.engine.families import Family, Inputs
from probe.engine.grids import VisualGrid
from probe.engine.interventions import Edit, Edits, rewritten, still_seen
from probe.engine.memories import Memory, recalled
from probe.engine.prompts import AnswerIds, PromptWriter, answer_ids
from probe.engine.sequences import Asked, Entered, Kept
from probe.video import Video


class Network:
    """A model, its processor, and what its family is called inside.

    The weights are frozen, so that a pass makes no graph unless something learnable is added.
    """

    def __init__(
        self, module: torch.nn.Module, processor: Any, family: Family, attention: str = "sdpa"
    ) -> None:
        module.eval().requires_grad_(False)
        self.module: Any = module
        self.processor = processor
        self.family = family
        self.attention = attention
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
    def heads(self) -> int:
        """The number of attention heads in a decoder layer."""
        return self.config.get_text_config().num_attention_heads

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
        """How many frames the checkpoint wants to see, or its family where it does not say."""
        return getattr(self.processor.video_processor, "num_frames", None) or self.family.frames

    @cached_property
    def answers(self) -> AnswerIds:
        """The ids of yes and no."""
        return answer_ids(self.processor.tokenizer)

    def writer(self, before: int, behind: str = "") -> PromptWriter:
        """What lays out questions behind `before` tokens of video and template.

        `behind` is what the processor writes behind the last visual token.
        """
        longest = max(0, self.context - before)
        return PromptWriter(self.processor, self.placeholder, longest, behind)

    def process(self, video: Video, text: str) -> Inputs:
        """What the checkpoint's own processor makes of a video and a text."""
        return self.laid_out(video, text)[0]

    def laid_out(self, video: Video, text: str) -> tuple[Inputs, str]:
        """What the processor makes of both, and what it writes behind the last visual token.

        Raises:
            ValueError: if the processor refuses the video.
        """
        try:
            made = self.processor(
                text=[text],
                videos=[video.frames],
                video_metadata=[_metadata(video)],
                do_sample_frames=False,
                return_text_replacement_offsets=True,
                return_tensors="pt",
            )
        except ValueError as failure:
            height, width = video.size
            raise ValueError(
                f"the processor refuses {len(video)} frames of {height} x {width} pixels: "
                f"{failure}; sample more frames, or give pictures of another shape"
            ) from failure
        ((written,),) = made.pop("text_replacement_offsets")
        (last_visual,) = self.processor.tokenizer.convert_ids_to_tokens([self.placeholder])
        inputs = {name: self._placed(name, value) for name, value in made.items()}
        return inputs, written["replacement"].rpartition(last_visual)[2]

    def _placed(self, name: str, value: Tensor) -> Tensor:
        """Pictures take the type of the weights; times keep theirs, which positions hang on."""
        return value.to(self.device, self.dtype if name.startswith("pixel_values") else None)

    def grid(self, video: Video, inputs: Inputs) -> VisualGrid:
        """Which position of the sequence is which cell of the video."""
        return self.family.grid(self.config, self.processor, video, inputs)

    def enter(self, inputs: Inputs, behind: str = "") -> Entered:
        """Run the vision tower once and stop where the decoder starts.

        What stands behind the last visual token is left out.
        """
        with early_stop() as stop, self.handle.trace(**inputs):
            entering = nnsight.save(dict(self.decoder.inputs[1]))
            stop()
        (marked,) = torch.nonzero(inputs["input_ids"][0] == self.placeholder, as_tuple=True)
        end = int(marked[-1]) + 1
        embeddings = entering["inputs_embeds"][0]
        positions = entering.get("position_ids")
        if positions is None:
            positions = torch.arange(len(embeddings), device=embeddings.device)
        positions = positions.reshape(-1, len(embeddings))
        levels = entering.get("deepstack_visual_embeds") or ()
        deepstack = embeddings.new_zeros(len(levels), end, embeddings.shape[1])
        for level, features in zip(deepstack, levels, strict=True):
            level[marked] = features.to(deepstack)
        return Entered(embeddings[:end], positions[:, :end], positions[:, end], deepstack, behind)

    def embed(self, ids: Sequence[int]) -> Float[Tensor, "token hidden"]:
        """The embeddings of text tokens."""
        return self.module.get_input_embeddings()(torch.tensor(ids, device=self.device))

    def entering(self, entered: Entered, layer: int) -> Float[Tensor, "token hidden"]:
        """The states that enter a decoder layer; nothing at or above it runs."""
        return self._entering(layer, {**entered.inputs(entered.embeddings), "use_cache": False})

    def asked_entering(
        self, memory: Memory, asked: Asked, layer: int
    ) -> Float[Tensor, "token hidden"]:
        """The states of more tokens that enter a decoder layer; nothing at or above it runs."""
        with self.attending("sdpa"):
            return self._entering(layer, {**asked.inputs, **_behind(memory)})

    def _entering(self, layer: int, given: Mapping[str, Any]) -> Float[Tensor, "token hidden"]:
        with early_stop() as stop, self.decoder.trace(**given):
            states = nnsight.save(self.layers[layer].input)
            stop()
        return states[0]

    def memorise(
        self,
        entered: Entered,
        states: Float[Tensor, "token hidden"],
        added: Mapping[int, Float[Tensor, "token hidden"]],
        below: Memory = (),
        depth: int | None = None,
    ) -> Memory:
        """Read the tokens that every question shares; keep their keys and values.

        Differentiable in what is added: the memory carries the graph.

        Args:
            entered: The tokens.
            states: What enters the first layer that runs; the embeddings where that is layer 0.
            added: What to add to the states that enter a layer, by layer.
            below: The memory of the layers below, which do not run again.
            depth: How many layers to remember, all by default. Nothing runs above the last one's
                keys and values.
        """
        first, depth = len(below), self.depth if depth is None else depth
        cache: Any = DynamicCache(config=self.config.get_text_config())
        given = {**entered.inputs(states, first), "past_key_values": cache, "use_cache": True}
        with early_stop() as stop, self.decoder.trace(**given):
            for index in range(first):
                self.layers[index].skip(states[None])
            for index in sorted(index for index in added if index < depth):
                layer = self.layers[index]
                layer.input = layer.input + added[index].to(layer.input.device)
            # The last layer's keys and values are there; what it makes of them goes nowhere.
            _ = self._attention(depth - 1).inputs
            stop()
        return (*below, *((layer.keys, layer.values) for layer in cache.layers[first:depth]))

    def continue_from(
        self,
        memory: Memory,
        asked: Asked,
        kept: Kept,
        edits: Edits = MappingProxyType({}),
    ) -> tuple[list[Float[Tensor, "some_head some_token visual"]], Float[Tensor, "token hidden"]]:
        """Read more tokens; return the attention that is kept, by layer, and their last states.

        Rows of attention are those after the edits, and differentiable in what these add.

        Args:
            memory: What was read before.
            asked: The new tokens; layers below their first neither run nor have attention to keep.
            kept: Which attention is kept; it is moved to main memory layer by layer.
            edits: What is done otherwise at some layers.
        """
        # Flash attention takes no masks, which packed questions need; these are few rows for sdpa.
        with self.attending("sdpa"), self.decoder.trace(**asked.inputs, **_behind(memory)):
            for index in range(asked.first):
                self.layers[index].skip(asked.states[None])
            rows = nnsight.save(self._rows(asked.mask, kept, edits))
            hidden = nnsight.save(self.decoder.output.last_hidden_state)
        return rows, hidden[0]

    def look_from(
        self,
        memory: Memory,
        asked: Asked,
        kept: Kept,
        edits: Edits = MappingProxyType({}),
    ) -> list[Float[Tensor, "some_head some_token visual"]]:
        """The attention of `continue_from` alone: nothing above the last layer kept runs."""
        top = max(kept.layers)
        edits = {layer: parts for layer, parts in edits.items() if layer <= top}
        given = {**asked.inputs, **_behind(memory)}
        with self.attending("sdpa"), early_stop() as stop, self.decoder.trace(**given):
            rows = nnsight.save(self._rows(asked.mask, kept, edits))
            stop()
        return rows

    def _rows(
        self, mask: Bool[Tensor, "token position"], kept: Kept, edits: Edits
    ) -> list[Float[Tensor, "some_head some_token visual"]]:
        """In a trace: edit layer after layer, and keep the attention of some."""
        seen = {index: still_seen(mask, kept.columns, parts) for index, parts in edits.items()}
        rows = []
        for index in sorted({*kept.layers, *edits}):
            if index in edits:
                self._cut(index, seen[index])
            if index in kept.layers:
                rows.append(self._row(index, seen.get(index, mask[None]), kept))
            if index in edits:
                self._rewrite(index, edits[index])
        return rows

    def _row(
        self, layer: int, seen: Bool[Tensor, "#head token position"], kept: Kept
    ) -> Float[Tensor, "some_head some_token visual"]:
        """In a trace: the attention of one layer that is kept, in main memory."""
        queries, keys, scaling = self.queries_and_keys(layer)
        seen, columns = seen.to(queries.device), kept.columns.to(queries.device)
        if kept.tokens is not None:
            queries, seen = queries[:, kept.tokens], seen[:, kept.tokens]
        if kept.heads is not None:
            together = len(queries) // len(keys)
            keys = keys[[head // together for head in kept.heads]]
            seen = seen[list(kept.heads)] if len(seen) > 1 else seen
            queries = queries[list(kept.heads)]
        return attention_rows(queries, keys, seen, scaling)[..., columns].float().cpu()

    def queries_and_keys(self, layer: int) -> tuple[Tensor, Tensor, float]:
        """In a trace: queries and keys after positional encoding, and what scales their product."""
        (_, queries, keys, *_), options = self._attention(layer).inputs
        return queries[0], keys[0], options["scaling"]

    def _attention(self, layer: int) -> Any:
        """The call that computes a layer's attention."""
        source = self.layers[layer].self_attn.source
        return getattr(source, _attention_call(source.names))

    def _cut(self, layer: int, seen: Bool[Tensor, "#head token position"]) -> None:
        """In a trace: let each head see this and nothing else."""
        call = self._attention(layer)
        (module, queries, keys, values, _), options = call.inputs
        call.inputs = ((module, queries, keys, values, seen[None]), options)

    def _rewrite(self, layer: int, parts: Sequence[tuple[slice, Edit]]) -> None:
        """In a trace: change the outputs of heads before they are mixed."""
        if any(edit.outputs is not None for _, edit in parts):
            mixer = self.layers[layer].self_attn.o_proj
            mixer.input = rewritten(mixer.input[0], self.heads, parts)[None]

    def eager_rows(
        self, inputs: Inputs, first: int, columns: Int[Tensor, " visual"]
    ) -> Float[Tensor, "layer head token visual"]:
        """What `continue_from` keeps, by a plain pass of the whole model with full matrices.

        Args:
            inputs: What the processor made of video and question.
            first: The position of the first token whose attention is kept.
            columns: The positions attended to.
        """
        with self.attending("eager"), self.handle.trace(**inputs, use_cache=False):
            rows = nnsight.save([])
            for layer in self.layers:
                weights = layer.self_attn.output[1][0]
                rows.append(weights[:, first:][..., columns.to(weights.device)].float().cpu())
        return torch.stack(list(rows))

    def check(self) -> None:
        """Refuse a checkpoint that its family's entry is not true of.

        Needs the processor alone, so it costs milliseconds however large the model; what is
        proved by running the model is in `conformance`.

        Raises:
            ValueError: if a part is not where it should be, or there are not as many visual
                tokens as cells.
        """
        try:
            _attention_call(self.layers[0].self_attn.source.names)
        except AttributeError as failure:
            raise ValueError(
                f"this checkpoint is not built like a {self.family.model_type} model: {failure}"
            ) from failure
        blank = Video(np.zeros((2, 64, 96, 3), np.uint8), (0, 1), np.arange(2) / 2)
        self.grid(blank, self.process(blank, self.writer(before=0).text("?")))

    def lens(self, states: Float[Tensor, "token hidden"]) -> Float[Tensor, "token word"]:
        """The next-token logits that states inside the decoder would give if they were its last."""
        decoder = operator.attrgetter(self.family.language_model)(self.module)
        return self.logits(decoder.norm(states))

    def logits(self, hidden: Float[Tensor, "token hidden"]) -> Float[Tensor, "token word"]:
        """The next-token logits, in float32."""
        return self.module.get_output_embeddings()(hidden).float()

    def trace(self, entered: Entered) -> Any:
        """Open one plain forward pass of everything behind the vision tower; nnsight's `trace`."""
        return self.handle.trace(fn=self._forward, **entered.inputs(entered.embeddings))

    def _forward(self, **inputs: Any) -> Float[Tensor, "batch token word"]:
        decoder = operator.attrgetter(self.family.language_model)(self.module)
        hidden = decoder(**inputs, use_cache=False).last_hidden_state
        return self.module.get_output_embeddings()(hidden)

    def read_again(
        self,
        row: Entered,
        mask: Bool[Tensor, "position position"],
        added: Mapping[int, Float[Tensor, "token hidden"]],
    ) -> Float[Tensor, "position hidden"]:
        """The last states of a video and questions in one row, at little memory for gradients.

        Nothing is remembered: the gradient computes each layer again from what entered it.
        """
        given = {**row.inputs(row.embeddings), "attention_mask": mask[None, None]}
        given["use_cache"] = False
        with self.attending("sdpa"), self._checkpointing(), self.decoder.trace(**given):
            for index in sorted(added):
                layer = self.layers[index]
                rest = (0, 0, 0, len(row) - len(added[index]))
                shown = torch.nn.functional.pad(added[index], rest)
                layer.input = layer.input + shown.to(layer.input.device)
            hidden = nnsight.save(self.decoder.output.last_hidden_state)
        return hidden[0]

    @contextmanager
    def _checkpointing(self) -> Iterator[None]:
        """Let the gradient of passes made now compute each layer again."""
        layers = operator.attrgetter(self.family.language_model)(self.module).layers
        self.module.activation_checkpointing_enable()
        self.module.disable_input_require_grads()  # what learns here is no part of the embeddings
        for layer in layers:
            layer.training = True  # of the layer alone: what is in it stays as it is in use
        try:
            yield
        finally:
            for layer in layers:
                layer.training = False
            self.module.activation_checkpointing_disable()

    @contextmanager
    def attending(self, implementation: str) -> Iterator[None]:
        """Compute the decoder's attention another way for a while."""
        before = self.attention
        if implementation == before:
            yield
            return
        self._attend(implementation)
        try:
            yield
        finally:
            self._attend(before)

    def _attend(self, implementation: str) -> None:
        self.module.set_attn_implementation({"text_config": implementation})
        self.attention = implementation


def _behind(memory: Memory) -> dict[str, Any]:
    """What makes the decoder go on from a memory, which stays as it is."""
    return {"past_key_values": recalled(memory), "use_cache": True}


def _metadata(video: Video) -> VideoMetadata:
    """When the sampled frames were shown, for models that write it into the text.

    Frames are counted at a constant rate, so that a number over the rate is a time.
    """
    height, width = video.size
    return VideoMetadata(
        total_num_frames=video.source_length,
        fps=video.fps,
        width=width,
        height=height,
        duration=video.source_length / video.fps,
        frames_indices=[round(float(time) * video.fps) for time in video.times],
    )


def _attention_call(names: Sequence[str]) -> str:
    """The name of the call that computes attention; its number shifts between versions."""
    found = [name for name in names if name.startswith("attention_interface_")]
    if not found:
        raise RuntimeError(f"no attention call among the operations {list(names)}")
    return found[-1]
