"""The past: what each decoder layer keeps of a prefix, read after and never added to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer, LinearAttentionLayer

from probe.engine.layer_plan import LayerPlan

Past: TypeAlias = tuple[tuple[Tensor, ...], ...]
"""By decoder layer, from layer 0 on: keys and values of the tokens of a prefix; the states of a
convolution and of a recurrence in a layer without attention; nothing in a layer that takes the keys
of another."""


@dataclass(frozen=True, eq=False)
class TwoStageGradient:
    """Gradient of losses with respect to what a past was computed from, in two stages.

    Questions are read after `cut`, which has the same numbers and no history. The gradient is
    first taken back to the cut, once for each question, and from there to the source. So the
    activations of a question are freed before the backward pass of the video begins, and the
    activations of the video are kept only once, for all questions.
    """

    computed: Past
    """With their graph."""

    cut: Past
    """A past with these numbers, as leaves of a new graph."""

    source: Tensor
    """The tensor that the gradient is wanted for."""

    @classmethod
    def of(cls, computed: Past, source: Tensor) -> "TwoStageGradient":
        """Cut a past from its source; layers without a graph stay without."""
        cut = tuple(tuple(_as_leaf(tensor) for tensor in layer) for layer in computed)
        return cls(computed, cut, source)

    def gradient(self, loss: Tensor) -> Tensor:
        """Compute the gradient of a loss, read after the cut, with respect to the source."""
        pairs = [
            (leaf, tensor)
            for cut, computed in zip(self.cut, self.computed, strict=True)
            for leaf, tensor in zip(cut, computed, strict=True)
            if leaf.requires_grad
        ]
        # The question's graph is freed by this call; the video's is kept for the next question.
        leaves = [leaf for leaf, _ in pairs]
        at_cut = torch.autograd.grad(loss, leaves, allow_unused=True)
        # A loss on the attention of some layer uses no values of that layer and nothing above it.
        used = [
            (tensor, gradient)
            for (_, tensor), gradient in zip(pairs, at_cut, strict=True)
            if gradient is not None
        ]
        if not used:
            return torch.zeros_like(self.source)
        tensors, gradients = zip(*used, strict=True)
        return torch.autograd.grad(tensors, self.source, gradients, retain_graph=True)[0]


def _as_leaf(tensor: Tensor) -> Tensor:
    return tensor.detach().requires_grad_(tensor.requires_grad)


class RecordedState(LinearAttentionLayer):
    """One layer of a cache that keeps the state of a layer without attention, with its graph."""

    def __init__(self, states: Sequence[Tensor] = ()) -> None:
        """Start empty, or go on from states."""
        super().__init__()
        # Makes the model update its states by the same code for one token as for many.
        self.record_past = True
        for kind, state in zip((self.conv_states, self.recurrent_states), states, strict=False):
            kind[0] = state
        self.has_previous_state[0] = bool(states)

    def update_conv_state(
        self,
        conv_states: Tensor,
        state_idx: int = 0,
        conv_kernel_size: int | None = None,
        **_: Any,
    ) -> Tensor:
        """Keep the last inputs of a convolution, as many as its kernel is wide."""
        # Not copied into a buffer, as transformers does: gradients flow through what is kept.
        if (before := self.conv_states[state_idx]) is not None:
            conv_states = torch.cat([before, conv_states], dim=-1)
        width = conv_kernel_size or conv_states.shape[-1]
        padded = torch.nn.functional.pad(conv_states, (max(0, width - conv_states.shape[-1]), 0))
        self.conv_states[state_idx] = padded[..., -width:]
        self.has_previous_state[state_idx] = True
        return conv_states

    def update_recurrent_state(
        self, recurrent_states: Tensor, state_idx: int = 0, **_: Any
    ) -> Tensor:
        """Keep the state after the last token."""
        self.recurrent_states[state_idx] = recurrent_states
        return recurrent_states

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The states kept, in the order that they are given."""
        kept = (self.conv_states[0], self.recurrent_states[0])
        return tuple(state for state in kept if state is not None)


class ReadOnlyLayer(DynamicLayer):
    """One attending layer of a cache that is read and never grows.

    A `DynamicCache` copies keys and values when it is made, and keeps the longer copy of every
    layer that has run. This joins old and new for the layer that runs and forgets them after it.
    """

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        # Sets number type and device; it would also make empty tensors, which are replaced.
        self.lazy_initialization(keys, values)
        self.keys, self.values = keys, values

    def update(
        self,
        key_states: Tensor,
        value_states: Tensor,
        *_: Any,
        **__: Any,
    ) -> tuple[Tensor, Tensor]:
        """Join the prefix's keys and values with the new ones; nothing is kept."""
        # Nothing is stored: after the layer has run, the joined tensors are garbage at once.
        return _join(self.keys, key_states), _join(self.values, value_states)


class ReadOnlyState(LinearAttentionLayer):
    """One layer without attention of a cache that is read and never goes on."""

    def __init__(self, rows: int, states: Sequence[Tensor]) -> None:
        """Start each of some rows from the same states."""
        super().__init__()
        self.record_past = True  # see `RecordedState`
        for kind, state in zip((self.conv_states, self.recurrent_states), states, strict=False):
            kind[0] = state.expand(rows, *state.shape[1:])
        self.has_previous_state[0] = True

    def update_conv_state(
        self,
        conv_states: Tensor,
        state_idx: int = 0,
        conv_kernel_size: int | None = None,  # noqa: ARG002  as the model calls it
        **_: Any,
    ) -> Tensor:
        """Put the last inputs before the new ones; nothing is kept."""
        before = self.conv_states[state_idx]
        assert before is not None
        return torch.cat([before, conv_states], dim=-1)

    def update_recurrent_state(self, recurrent_states: Tensor, *_: Any, **__: Any) -> Tensor:
        """Return the state after the last token; nothing is kept."""
        return recurrent_states


def recording_cache(plan: LayerPlan) -> Cache:
    """Make a cache that keeps everything of a prefix that its questions need."""
    # Every key is kept, also where a layer sees only the last ones: a question is read from any
    # place of its window on, and its attention is computed from the keys themselves.
    layers = range(len(plan))
    return Cache(
        layers=[DynamicLayer() if i in plan.attending else RecordedState() for i in layers]
    )


def as_past(cache: Cache) -> Past:
    """Take what a recording cache has kept."""
    return tuple(_tensors(layer) for layer in cache.layers)


def reading_cache(past: Past, plan: LayerPlan, rows: int = 1) -> Cache:
    """Make the cache after which some rows of tokens are read, each after the same past."""
    layers: list[Any] = []
    for index, tensors in enumerate(past):
        if index not in plan.attending:
            layers.append(ReadOnlyState(rows, tensors))
        elif tensors:
            keys, values = tensors
            layers.append(ReadOnlyLayer(keys, values))
        else:
            layers.append(DynamicLayer())  # its keys are another's, which are joined there
    return Cache(layers=layers)


def growing_cache(past: Past, plan: LayerPlan) -> Cache:
    """Make the cache of one text that begins with a past and goes on, token by token."""
    layers: list[Any] = []
    for index, tensors in enumerate(past):
        if index not in plan.attending:
            layers.append(RecordedState(tensors))
            continue
        layers.append(DynamicLayer())
        if tensors:
            layers[-1].update(*tensors)
    return Cache(layers=layers)


def _tensors(layer: Any) -> tuple[Tensor, ...]:
    if isinstance(layer, RecordedState):
        return layer.tensors
    return (layer.keys, layer.values) if layer.is_initialized else ()


def _join(old: Tensor | None, new: Tensor) -> Tensor:
    assert old is not None
    return torch.cat([old.expand(len(new), *old.shape[1:]), new], dim=-2)
