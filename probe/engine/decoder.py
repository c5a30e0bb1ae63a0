"""Every pass through a model, by nnsight: the one file that opens traces of the engine.

A pass runs as little as it can. The vision tower runs once a video; layers whose input is known are
skipped; a pass ends as soon as what is asked for has been computed.
"""

import operator
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import nnsight
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import DynamicCache

from probe.engine.checkpoint import Checkpoint
from probe.engine.early_stops import early_stop
from probe.engine.families import Inputs
from probe.engine.interventions import Edits, visible_positions
from probe.engine.key_values import KeyValues, as_hf_cache
from probe.engine.prefix import Prefix
from probe.engine.questions import AttentionSelection, QuestionTokens
from probe.engine.traced_layers import TracedLayer, attention_call_name

NO_EDITS: Edits = MappingProxyType({})


class Decoder:
    """The passes of a checkpoint.

    The weights are frozen, so that a pass makes no graph unless something learnable is added.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        checkpoint.module.eval().requires_grad_(False)
        self.checkpoint = checkpoint
        self.handle: Any = nnsight.NNsight(checkpoint.module)

    @property
    def traced(self) -> Any:
        """The language model without its head, as nnsight sees it."""
        return operator.attrgetter(self.checkpoint.family.language_model)(self.handle)

    @property
    def layers(self) -> Any:
        """The decoder layers, in forward order, as nnsight sees them."""
        return self.traced.layers

    def layer(self, index: int) -> TracedLayer:
        """Return one layer, for use inside a trace."""
        return TracedLayer(self.layers[index], self.checkpoint.heads)

    @property
    def attention(self) -> str:
        """The implementation that computes attention, such as "sdpa"."""
        return self.checkpoint.config.get_text_config()._attn_implementation

    def read_video(self, inputs: Inputs, tail: str = "") -> Prefix:
        """Run the vision tower once, and stop where the decoder starts.

        Args:
            inputs: What the processor made of a video and any question; the question is left out.
            tail: What the processor writes after the last visual token.

        Raises:
            ValueError: if the decoder takes an input that the engine cannot carry.
        """
        with early_stop() as stop, self.handle.trace(**inputs):
            keywords = nnsight.save(dict(self.traced.inputs[1]))
            stop()
        marked = inputs["input_ids"][0] == self.checkpoint.placeholder
        return Prefix.of_call(keywords, torch.nonzero(marked)[:, 0], tail)

    def states_entering(self, prefix: Prefix, layer: int) -> Float[Tensor, "token hidden"]:
        """Compute the states that enter a decoder layer; nothing at or above it runs."""
        return self._states_entering(
            layer, {**prefix.inputs(prefix.embeddings), "use_cache": False}
        )

    def question_states_entering(
        self, key_values: KeyValues, questions: QuestionTokens, layer: int
    ) -> Float[Tensor, "token hidden"]:
        """Compute the states of questions that enter a decoder layer; nothing above runs."""
        with self.attending("sdpa"):
            return self._states_entering(layer, {**questions.inputs, **_after(key_values)})

    def _states_entering(
        self, layer: int, given: Mapping[str, Any]
    ) -> Float[Tensor, "token hidden"]:
        with early_stop() as stop, self.traced.trace(**given):
            states = nnsight.save(self.layers[layer].input)
            stop()
        return states[0]

    def prefill(
        self,
        prefix: Prefix,
        states: Float[Tensor, "token hidden"],
        added: Mapping[int, Float[Tensor, "token hidden"]],
        below: KeyValues = (),
        depth: int | None = None,
    ) -> KeyValues:
        """Compute the keys and values of a prefix, which all questions share.

        Differentiable in what is added: the keys and values carry the graph.

        Args:
            prefix: The tokens.
            states: What enters the first layer that runs; the embeddings where that is layer 0.
            added: What to add to the states that enter a layer, by layer.
            below: Keys and values of the layers below, which do not run again.
            depth: The number of layers wanted, all by default.
        """
        first, depth = len(below), self.checkpoint.depth if depth is None else depth
        # An ordinary cache is filled here; what is read after it is a cache that never grows.
        cache: Any = DynamicCache(config=self.checkpoint.config.get_text_config())
        given = {**prefix.inputs(states, first), "past_key_values": cache, "use_cache": True}
        with early_stop() as stop, self.traced.trace(**given):
            for index in range(first):
                # A skipped layer hands on what it is told; only the last one's counts.
                self.layers[index].skip(states[None])
            for index in sorted(index for index in added if index < depth):
                layer = self.layers[index]
                # Layers of one model may be on several devices.
                layer.input = layer.input + added[index].to(layer.input.device)
            # The last layer's keys and values exist once its attention is called; what comes
            # after that would be thrown away.
            _ = self.layer(depth - 1).attention_call().inputs
            stop()
        return (*below, *((layer.keys, layer.values) for layer in cache.layers[first:depth]))

    def forward_questions(
        self,
        key_values: KeyValues,
        questions: QuestionTokens,
        selection: AttentionSelection,
        edits: Edits = NO_EDITS,
    ) -> tuple[list[Float[Tensor, "some_head some_token visual"]], Float[Tensor, "token hidden"]]:
        """Read questions after a prefix.

        Args:
            key_values: Those of the prefix.
            questions: The tokens; layers below their first neither run nor have attention.
            selection: The attention that is kept; it is moved to main memory layer by layer.
            edits: What is changed at some layers.

        Returns:
            Rows of attention after the edits, by layer, and the last states; both are
            differentiable in what prefix and edits carry.
        """
        # Flash attention takes no mask, which packed questions need; for these few rows sdpa is
        # fast enough.
        with self.attending("sdpa"), self.traced.trace(**questions.inputs, **_after(key_values)):
            for index in range(questions.first):
                self.layers[index].skip(questions.states[None])
            rows = nnsight.save(self._edit_and_read(questions.mask, selection, edits))
            hidden = nnsight.save(self.traced.output.last_hidden_state)
        return rows, hidden[0]

    def attention_only(
        self,
        key_values: KeyValues,
        questions: QuestionTokens,
        selection: AttentionSelection,
        edits: Edits = NO_EDITS,
    ) -> list[Float[Tensor, "some_head some_token visual"]]:
        """Compute the attention of `forward_questions` alone; nothing above its last layer runs."""
        top = max(selection.layers)
        # An edit above the last layer would make the trace wait for a layer that never runs.
        edits = {layer: parts for layer, parts in edits.items() if layer <= top}
        given = {**questions.inputs, **_after(key_values)}
        with self.attending("sdpa"), early_stop() as stop, self.traced.trace(**given):
            rows = nnsight.save(self._edit_and_read(questions.mask, selection, edits))
            stop()
        return rows

    def _edit_and_read(
        self, mask: Bool[Tensor, "token position"], selection: AttentionSelection, edits: Edits
    ) -> list[Float[Tensor, "some_head some_token visual"]]:
        """Inside a trace: edit layer after layer, and keep the attention of some."""
        columns = selection.columns
        seen = {index: visible_positions(mask, columns, parts) for index, parts in edits.items()}
        rows = []
        for index in sorted({*selection.layers, *edits}):
            layer, parts = self.layer(index), edits.get(index, ())
            layer.edit_states(parts)
            if index in edits:
                layer.limit(seen[index])
            if index in selection.layers:
                rows.append(layer.read_rows(seen.get(index, mask[None]), selection))
            layer.edit_outputs(parts)
        return rows

    def eager_rows(
        self, inputs: Inputs, first: int, columns: Int[Tensor, " visual"]
    ) -> Float[Tensor, "layer head token visual"]:
        """Compute the rows of `forward_questions` by one plain pass with full matrices.

        Args:
            inputs: What the processor made of video and question.
            first: The position of the first token whose attention is kept.
            columns: The positions attended to.
        """
        with self.attending("eager"), self.handle.trace(**inputs, use_cache=False):
            rows = nnsight.save([])
            # Layer by layer, so that one full matrix at a time is kept on the device.
            for layer in self.layers:
                weights = layer.self_attn.output[1][0]
                rows.append(weights[:, first:][..., columns.to(weights.device)].float().cpu())
        return torch.stack(list(rows))

    def trace(self, prefix: Prefix) -> Any:
        """Open one plain pass of everything after the vision tower: nnsight's own `trace`."""
        return self.handle.trace(fn=self._forward, **prefix.inputs(prefix.embeddings))

    def _forward(self, **inputs: Any) -> Float[Tensor, "batch token word"]:
        hidden = self.checkpoint.decoder(**inputs, use_cache=False).last_hidden_state
        return self.checkpoint.module.get_output_embeddings()(hidden)

    def forward_checkpointed(
        self,
        row: Prefix,
        mask: Bool[Tensor, "position position"],
        added: Mapping[int, Float[Tensor, "token hidden"]],
    ) -> Float[Tensor, "position hidden"]:
        """Read a video and questions in one row, with little memory for gradients.

        Nothing is cached: the backward pass computes each layer again from what entered it.
        """
        given = {**row.inputs(row.embeddings), "attention_mask": mask[None, None]}
        given["use_cache"] = False
        with self.attending("sdpa"), self._checkpointing(), self.traced.trace(**given):
            for index in sorted(added):
                layer = self.layers[index]
                rest = (0, 0, 0, len(row) - len(added[index]))
                shown = torch.nn.functional.pad(added[index], rest)
                layer.input = layer.input + shown.to(layer.input.device)
            hidden = nnsight.save(self.traced.output.last_hidden_state)
        return hidden[0]

    @contextmanager
    def _checkpointing(self) -> Iterator[None]:
        """Let the backward pass of passes made now compute each layer again."""
        module, layers = self.checkpoint.module, self.checkpoint.decoder.layers
        module.activation_checkpointing_enable()
        # transformers lets the embeddings require gradients for this; a latent prompt is added
        # later and needs none of them.
        module.disable_input_require_grads()
        for layer in layers:
            # transformers checkpoints in training mode only. The flag of the layer is enough; the
            # modules inside keep theirs, so no dropout becomes active.
            layer.training = True
        try:
            yield
        finally:
            for layer in layers:
                layer.training = False
            module.activation_checkpointing_disable()

    @contextmanager
    def attending(self, implementation: str) -> Iterator[None]:
        """Compute the decoder's attention by another implementation for a while."""
        before = self.attention
        if implementation == before:
            yield
            return
        # Of the decoder alone: the vision tower has its own, and has run already.
        choose = self.checkpoint.module.set_attn_implementation
        choose({"text_config": implementation})
        try:
            yield
        finally:
            choose({"text_config": before})

    def check(self) -> None:
        """Refuse a checkpoint that is not built as its family's entry says.

        What is proved by running the model is in `conformance`.

        Raises:
            ValueError: if a part is not where it should be, or there are not as many visual
                tokens as cells.
        """
        try:
            attention_call_name(self.layers[0].self_attn.source.names)
        except AttributeError as failure:
            model_type = self.checkpoint.family.model_type
            raise ValueError(
                f"this checkpoint is not built like a {model_type} model: {failure}"
            ) from failure
        self.checkpoint.check_grid()


def _after(key_values: KeyValues) -> dict[str, Any]:
    """Make the keyword arguments that let the decoder go on after a prefix."""
    return {"past_key_values": as_hf_cache(key_values), "use_cache": True}
