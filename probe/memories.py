"""What was read before: keys and values of each decoder layer, read again but never added to."""

from typing import Any, TypeAlias

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

Memory: TypeAlias = tuple[tuple[Tensor, Tensor], ...]
"""The keys and values of each decoder layer for tokens already read."""


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
