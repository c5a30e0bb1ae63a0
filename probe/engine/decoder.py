"""Every pass through a model, by nnsight: the one file that opens traces of the engine.

A pass runs as little as it can. The vision tower runs once a video; layers whose input is known are
skipped; a pass ends as soon as what is asked for has been computed.
"""

import operator
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any

import nnsight
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers.cache_utils import Cache

from probe.engine.blank_video import check_grid
from probe.engine.calls import Calls
from probe.engine.checkpoint import Checkpoint
from probe.engine.early_stops import early_stop
from probe.engine.families import Inputs
from probe.engine.interventions import Edits, visible_positions
from probe.engine.layer_plan import LayerPlan
from probe.engine.past import Past, as_past, recording_cache
from probe.engine.prefix import Prefix, TokenInputs
from probe.engine.questions import AttentionSelection, PackedQuestions, QuestionTokens
from probe.engine.traced_layers import TracedLayer, attention_call_name

NO_EDITS: Edits = MappingProxyType({})

VideoMasks = Mapping[int, Bool[Tensor, "#head position position"]]
"""The positions of a prefix that each of its tokens sees, in layers where edges are cut."""

NO_MASKS: VideoMasks = MappingProxyType({})


class Decoder:
    """The passes of a checkpoint.

    The weights are frozen, so that a pass makes no graph unless something learnable is added.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        checkpoint.module.eval().requires_grad_(False)
        self.checkpoint = checkpoint
        self.calls = Calls(checkpoint)
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
        return TracedLayer(self.layers[index])

    @property
    def plan(self) -> LayerPlan:
        """The layers of the decoder and what each of them does."""
        return self.calls.plan

    def attending(self, implementation: str) -> AbstractContextManager[None]:
        """Compute the decoder's attention by another implementation for a while."""
        return self.calls.attending(implementation)

    def read_video(self, inputs: Inputs, tail: str = "") -> Prefix:
        """Run the vision tower once, and stop where the decoder starts.

        Args:
            inputs: What the processor made of a video and any question; the question is left out.
            tail: What the processor writes after the last visual token.

        Raises:
            ValueError: if the decoder takes an input that the engine cannot carry.
        """
        keywords = _find_call(self, inputs)
        marked = inputs["input_ids"][0] == self.checkpoint.placeholder
        return Prefix.of_call(keywords, self.plan, torch.nonzero(marked)[:, 0], tail)

    def read_words(self, ids: Sequence[int], names: Sequence[str]) -> TokenInputs:
        """Compute inputs of the decoder that the model makes of the words themselves.

        Args:
            ids: The tokens of text.
            names: The keywords of the inputs.
        """
        if not names:
            return {}
        asked = torch.tensor([list(ids)], device=self.checkpoint.device)
        keywords = _find_call(self, {"input_ids": asked})
        return {name: keywords[name][0] for name in names}

    def states_entering(
        self,
        prefix: Prefix,
        layers: Sequence[int],
        cuts: VideoMasks = NO_MASKS,
        places: Int[Tensor, " some"] | None = None,
    ) -> list[Float[Tensor, "some_token hidden"]]:
        """Compute the states that enter decoder layers in one pass; nothing above them runs.

        Args:
            prefix: The tokens.
            layers: The layers, in increasing order.
            cuts: The positions that each token sees, in layers where edges are cut.
            places: The tokens whose states are kept, in main memory; None for all, where they are.
        """
        with self.calls.under(bool(cuts)), early_stop() as stop:
            given = {**self.calls.reading(prefix), "use_cache": False}
            with self.traced.trace(**given):
                kept, done = nnsight.save([]), 0
                for layer in layers:
                    below = {index: mask for index, mask in cuts.items() if index >= done}
                    self._alter(prefix, {}, below, layer)
                    # Moved layer by layer: a GPU has no room for the states of all layers.
                    kept.append(_keep(self.layers[layer].input[0], places))
                    done = layer
                stop()
        return list(kept)

    def question_states_entering(
        self, past: Past, questions: QuestionTokens, layer: int
    ) -> Float[Tensor, "token hidden"]:
        """Compute the states of questions that enter a decoder layer; nothing above runs."""
        with self.calls.for_questions():
            given = self.calls.after(past, questions)
            with early_stop() as stop, self.traced.trace(**given):
                states = nnsight.save(self.layers[layer].input)
                stop()
        return questions.packed.gather(states)

    def prefill(
        self,
        prefix: Prefix,
        states: Float[Tensor, "token hidden"],
        added: Mapping[int, Float[Tensor, "token hidden"]],
        below: Past = (),
        depth: int | None = None,
        cuts: VideoMasks = NO_MASKS,
    ) -> Past:
        """Compute the past that all questions after a prefix share.

        Differentiable in what is added: the past carries the graph.

        Args:
            prefix: The tokens.
            states: What enters the first layer that runs; the embeddings where that is layer 0.
            added: What to add to the states that enter a layer, by layer.
            below: The past of the layers below, which do not run again.
            depth: The number of layers wanted, all by default.
            cuts: The positions that each token sees, in layers where edges are cut.
        """
        first, depth = len(below), len(self.plan) if depth is None else depth
        last = min(depth - 1, self.plan.last_read)
        # A cache that records is filled here; what is read after it is a cache that never grows.
        cache = recording_cache(self.plan)
        with self.calls.under(bool(cuts)), early_stop() as stop:
            given = {**self.calls.reading(prefix, first), "past_key_values": cache}
            with self.traced.trace(**given, use_cache=True):
                for index in range(first):
                    # A skipped layer hands on what it is told; only the last one's counts.
                    self.layers[index].skip(states[None])
                self._alter(prefix, {i: one for i, one in added.items() if i <= last}, cuts, last)
                if last in self.plan.attending:
                    # The last layer's keys and values exist once its attention is called; what
                    # comes after that would be thrown away.
                    _ = self.layer(last).attention_call().inputs
                else:
                    _ = self.layers[last].output
                stop()
        return (*below, *as_past(cache)[first:depth])

    def _alter(
        self,
        prefix: Prefix,
        added: Mapping[int, Float[Tensor, "token hidden"]],
        cuts: VideoMasks,
        last: int,
    ) -> None:
        """Inside a trace of a prefix: add to the states that enter layers, and cut edges."""
        row = PackedQuestions((len(prefix),), before=0)
        # Edges of the last layer change nothing that is kept.
        for index in sorted({*added, *(layer for layer in cuts if layer < last)}):
            layer = self.layers[index]
            if index in added:
                # Layers of one model may be on several devices.
                layer.input = layer.input + added[index].to(layer.input.device)
            if index in cuts:
                self.layer(index).limit(row, cuts[index], self.calls.asking)

    def forward_questions(
        self,
        past: Past,
        questions: QuestionTokens,
        selection: AttentionSelection,
        edits: Edits = NO_EDITS,
    ) -> tuple[list[Float[Tensor, "some_head some_token visual"]], Float[Tensor, "token hidden"]]:
        """Read questions after a prefix.

        Args:
            past: That of the prefix.
            questions: The tokens; layers below their first neither run nor have attention.
            selection: The attention that is kept; it is moved to main memory layer by layer.
            edits: What is changed at some layers.

        Returns:
            Rows of attention after the edits, by layer, and the last states; both are
            differentiable in what prefix and edits carry.
        """
        given = self.calls.after(past, questions)
        with self.calls.for_questions(), self.traced.trace(**given):
            for index in range(questions.first):
                self.layers[index].skip(questions.packed.spread(questions.entering))
            rows = nnsight.save(self._edit_and_read(questions, selection, edits))
            hidden = nnsight.save(self.traced.output.last_hidden_state)
        return rows, questions.packed.gather(hidden)

    def attention_only(
        self,
        past: Past,
        questions: QuestionTokens,
        selection: AttentionSelection,
        edits: Edits = NO_EDITS,
    ) -> list[Float[Tensor, "some_head some_token visual"]]:
        """Compute the attention of `forward_questions` alone; nothing above its last layer runs."""
        top = max(selection.layers)
        # An edit above the last layer would make the trace wait for a layer that never runs.
        edits = {layer: parts for layer, parts in edits.items() if layer <= top}
        given = self.calls.after(past, questions)
        with (
            self.calls.for_questions(),
            early_stop() as stop,
            self.traced.trace(**given),
        ):
            rows = nnsight.save(self._edit_and_read(questions, selection, edits))
            stop()
        return rows

    @torch.no_grad()
    def go_on(self, cache: Cache, tokens: QuestionTokens) -> Float[Tensor, " hidden"]:
        """Read tokens of one question after what is in a cache, which grows by them.

        Returns:
            The last state of the last token.
        """
        given = self.calls.going_on(cache, tokens)
        return self.checkpoint.decoder(**given).last_hidden_state[0, -1]

    def _edit_and_read(
        self, questions: QuestionTokens, selection: AttentionSelection, edits: Edits
    ) -> list[Float[Tensor, "some_head some_token visual"]]:
        """Inside a trace: edit layer after layer, and keep the attention of some."""
        packed, columns = questions.packed, selection.columns
        masks = {i: questions.masks[self.plan.kinds[i]] for i in self.plan.attending}
        seen = {
            index: visible_positions(masks[index], columns, packed, parts)
            for index, parts in edits.items()
            if index in masks
        }
        rows = []
        for index in sorted({*selection.layers, *edits}):
            layer, parts = self.layer(index), edits.get(index, ())
            layer.edit_states(packed, parts)
            if index not in masks:
                continue
            visible = seen.get(index, masks[index][None])
            if index in seen:
                layer.limit(packed, visible, self.calls.asking)
            changed = layer.change_rows(packed, visible, parts)
            if index in selection.layers:
                rows.append(layer.read_rows(packed, visible, selection, changed))
            layer.edit_outputs(packed, parts, changed)
        return rows

    def eager_rows(
        self, inputs: Inputs, first: int, columns: Int[Tensor, " visual"]
    ) -> tuple[Float[Tensor, "layer head token visual"], Float[Tensor, " word"]]:
        """Compute the rows of `forward_questions` by one plain pass with full matrices.

        Args:
            inputs: What the processor made of video and question.
            first: The position of the first token whose attention is kept.
            columns: The positions attended to.

        Returns:
            Rows of the layers that attend, and the logits of the last token.
        """
        with self.attending("eager"), self.handle.trace(**inputs, use_cache=False):
            rows = nnsight.save([])
            # Layer by layer, so that one full matrix at a time is kept on the device.
            for index in self.plan.attending:
                weights = self.layers[index].self_attn.output[1][0]
                rows.append(weights[:, first:][..., columns.to(weights.device)].float().cpu())
            logits = nnsight.save(self.handle.output.logits[0, -1].float().cpu())
        return torch.stack(list(rows)), logits

    def trace(self, row: Prefix) -> Any:
        """Open one plain pass of everything after the vision tower: nnsight's own `trace`."""
        checkpoint = self.checkpoint

        def forward(**inputs: Any) -> Float[Tensor, "batch token word"]:
            return checkpoint.head(checkpoint.decoder(**inputs).last_hidden_state)

        return self.handle.trace(fn=forward, **self.calls.reading(row), use_cache=False)

    def forward_checkpointed(
        self, row: Prefix, added: Mapping[int, Float[Tensor, "token hidden"]]
    ) -> Float[Tensor, "position hidden"]:
        """Read a video and questions in one row, with little memory for gradients.

        Nothing is cached: the backward pass computes each layer again from what entered it.
        """
        given = {**self.calls.reading(row), "use_cache": False}
        with (
            self.calls.for_questions(),
            self.calls.checkpointing(),
            self.traced.trace(**given),
        ):
            for index in sorted(added):
                layer = self.layers[index]
                rest = (0, 0, 0, len(row) - len(added[index]))
                shown = torch.nn.functional.pad(added[index], rest)
                layer.input = layer.input + shown.to(layer.input.device)
            hidden = nnsight.save(self.traced.output.last_hidden_state)
        return hidden[0]

    def check(self) -> None:
        """Refuse a checkpoint that is not built as its family's entry says.

        What is proved by running the model is in `conformance`.

        Raises:
            ValueError: if a part is not where it should be, or there are not as many visual
                tokens as cells.
        """
        try:
            for index in self.plan.attending:
                attention_call_name(self.layers[index].self_attn.source.names)
        except (AttributeError, RuntimeError, ValueError) as failure:
            model_type = self.checkpoint.family.model_type
            raise ValueError(
                f"this checkpoint is not built like a {model_type} model: {failure}"
            ) from failure
        check_grid(self.checkpoint)


def _find_call(decoder: Decoder, inputs: Inputs) -> dict[str, Any]:
    """Find the keyword arguments with which the model calls its decoder."""
    with early_stop() as stop, decoder.handle.trace(**inputs):
        keywords = nnsight.save(dict(decoder.traced.inputs[1]))
        stop()
    return keywords


def _keep(
    states: Float[Tensor, "token hidden"], places: Int[Tensor, " some"] | None
) -> Float[Tensor, "some_token hidden"]:
    return states if places is None else states[places.to(states.device)].cpu()
