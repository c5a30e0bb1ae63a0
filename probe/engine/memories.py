"""What was read before: keys and values of each decoder layer, read again but never added to."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

Memory: TypeAlias = tuple[tuple[Tensor, Tensor], ...]
"""The keys and values of each decoder layer for tokens already read."""


@dataclass(frozen=True, eq=False)
class Joint:
    """A memory with its graph, and the same numbers cut from it, to read questions behind.

    Gradients go back in two stages: what a question kept for them is let go of before the video's
    part is gone through, and that part serves one question after another.
    """

    made: Memory
    cut: Memory
    source: Tensor
    """What the memory was made from."""

    @classmethod
    def of(cls, memory: Memory, source: Tensor) -> "Joint":
        """Cut a memory from what it was made of; layers without a graph stay without."""
        return cls(memory, tuple((_end(keys), _end(values)) for keys, values in memory), source)

    def gradient(self, loss: Tensor) -> Tensor:
        """Of a loss read behind the cut, with respect to the source."""
        ends = [end for layer in self.cut for end in layer if end.requires_grad]
        made = [tensor for layer in self.made for tensor in layer if tensor.requires_grad]
        behind = torch.autograd.grad(loss, ends)
        return torch.autograd.grad(made, self.source, behind, retain_graph=True)[0]


def _end(tensor: Tensor) -> Tensor:
    return tensor.detach().requires_grad_(tensor.requires_grad)


class Recalled(DynamicLayer):
    """One layer of a memory.

    A `DynamicCache` would copy the memory when it is made and keep the longer copy of every layer
    that has run; this joins old and new for the layer that runs, and lets go of them after it.
    """

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self.lazy_initialization(keys, values)
        self.keys, self.values = keys, values

    def update(
        self,
        key_states: Tensor,
        value_states: Tensor,
        *_: Any,
        **__: Any,
    ) -> tuple[Tensor, Tensor]:
        """Old keys and values before the new ones; nothing is kept."""
        assert self.keys is not None
        assert self.values is not None
        return (
            torch.cat([self.keys, key_states], dim=-2),
            torch.cat([self.values, value_states], dim=-2),
        )


def recalled(memory: Memory) -> Cache:
    """A memory as transformers' models take it."""
    return Cache(layers=[Recalled(keys, values) for keys, values in memory])
