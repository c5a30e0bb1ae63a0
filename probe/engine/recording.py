"""Attention recorded while a model writes: queries and keys, as each layer hands them on.

A trace for each written token would take longer than the token. Every family hands queries and keys
to one function, chosen by name; here is a function that keeps both and lets transformers' own
compute.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from probe.engine.decoder import Decoder
from probe.engine.questions import AttentionSelection
from probe.engine.traced_layers import select_rows

IMPLEMENTATION = "probe_recording"
"""The name by which transformers finds the function that records."""

_RECORDERS: ContextVar["AttentionRecorder"] = ContextVar("recorder of attention")


class AttentionRecorder:
    """The queries and keys of tokens that a decoder reads one after the other."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        layers = decoder.checkpoint.decoder.layers
        attending = decoder.plan.attending
        self._layers = {layers[index].self_attn: index for index in attending}
        self._queries: dict[int, list[Tensor]] = {index: [] for index in attending}
        self._keys: dict[int, tuple[Tensor, float]] = {}

    @staticmethod
    def fits(decoder: Decoder) -> bool:
        """Tell whether what a decoder computes can be recorded."""
        # transformers lets the eager function of a model be called in no other name.
        return decoder.calls.asking == "sdpa"

    @property
    def tokens(self) -> int:
        """The number of tokens read so far."""
        return sum(part.shape[1] for part in next(iter(self._queries.values())))

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record what the decoder reads, for a while."""
        from transformers import AttentionInterface  # here: it takes a second to import

        AttentionInterface.register(IMPLEMENTATION, _record)
        before = _RECORDERS.set(self)
        try:
            with self._decoder.attending(IMPLEMENTATION):
                yield
        finally:
            _RECORDERS.reset(before)

    def keep(self, module: torch.nn.Module, queries: Tensor, keys: Tensor, scaling: float) -> None:
        """Keep the queries of new tokens, and the keys of all tokens up to them."""
        index = self._layers[module]
        self._queries[index].append(queries[0])
        # Keys only grow: the last ones are those of all tokens.
        self._keys[index] = (keys[0], scaling)

    def rows(
        self, masks: Mapping[str, Bool[Tensor, "token position"]], selection: AttentionSelection
    ) -> list[Float[Tensor, "some_head some_token visual"]]:
        """Compute the selected rows of attention, one tensor a layer, in main memory.

        Args:
            masks: The positions that each token sees, by kind of layer.
            selection: The attention that is wanted.
        """
        rows = []
        for index in selection.layers:
            keys, scaling = self._keys[index]
            seen = masks[self._decoder.plan.kinds[index]][None]
            queries = torch.cat(self._queries[index], dim=1)
            rows.append(select_rows(queries, keys, seen, scaling, selection))
        return rows


def _record(
    module: torch.nn.Module,
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    *rest: Any,
    **options: Any,
) -> Any:
    """Keep queries and keys, and compute attention as without."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    _RECORDERS.get().keep(module, queries, keys, options["scaling"])
    return sdpa_attention_forward(module, queries, keys, values, *rest, **options)
