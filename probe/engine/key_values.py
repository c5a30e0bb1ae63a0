"""Keys and values of a prefix, by decoder layer: read after, never added to."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

KeyValues: TypeAlias = tuple[tuple[Tensor, Tensor], ...]
"""Keys and values of each decoder layer for the tokens of a prefix, from layer 0 on."""


@dataclass(frozen=True, eq=False)
class TwoStageGradient:
    """Gradient of losses with respect to what keys and values were computed from, in two stages.

    Questions are read after `cut`, which has the same numbers and no history. The gradient is
    first taken back to the cut, once for each question, and from there to the source. So the
    activations of a question are freed before the backward pass of the video begins, and the
    activations of the video are kept only once, for all questions.
    """

    computed: KeyValues
    """With their graph."""

    cut: KeyValues
    """Keys and values with these numbers, as leaves of a new graph."""

    source: Tensor
    """The tensor that the gradient is wanted for."""

    @classmethod
    def of(cls, computed: KeyValues, source: Tensor) -> "TwoStageGradient":
        """Cut keys and values from the source; layers without a graph stay without."""
        cut = tuple((_as_leaf(keys), _as_leaf(values)) for keys, values in computed)
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


class ReadOnlyLayer(DynamicLayer):
    """One layer of a cache that is read and never grows.

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
        assert self.keys is not None
        assert self.values is not None
        return (
            torch.cat([self.keys, key_states], dim=-2),
            torch.cat([self.values, value_states], dim=-2),
        )


def as_hf_cache(key_values: KeyValues) -> Cache:
    """Make the cache object that transformers' models take."""
    return Cache(layers=[ReadOnlyLayer(keys, values) for keys, values in key_values])
