"""One decoder layer inside a trace: its queries and keys read, its attention and states changed.

Everything here runs inside an open nnsight trace and opens none. nnsight wants values in the order
in which the model computes them: edit the states first, then cut edges, then read rows of
attention, then edit the outputs of the heads.
"""

from collections.abc import Sequence
from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor

from probe.engine.attention import attention_rows
from probe.engine.interventions import Edit, edit_outputs, edit_states
from probe.engine.questions import AttentionSelection


class TracedLayer:
    """A decoder layer as nnsight sees it."""

    def __init__(self, handle: Any, heads: int) -> None:
        self._handle = handle
        self._heads = heads

    def queries_and_keys(self) -> tuple[Tensor, Tensor, float]:
        """Read queries and keys after positional encoding, and what scales their product."""
        # Positions are rotated in before this call in every family, so nothing about them has to
        # be computed again. The batch has one row.
        (_, queries, keys, *_), options = self.attention_call().inputs
        return queries[0], keys[0], options["scaling"]

    def attention_call(self) -> Any:
        """Find the call that computes the layer's attention, whichever implementation runs."""
        source = self._handle.self_attn.source
        return getattr(source, attention_call_name(source.names))

    def read_rows(
        self, seen: Bool[Tensor, "#head token position"], selection: AttentionSelection
    ) -> Float[Tensor, "some_head some_token visual"]:
        """Compute the selected attention, in main memory."""
        queries, keys, scaling = self.queries_and_keys()
        seen, columns = seen.to(queries.device), selection.columns.to(queries.device)
        if selection.tokens is not None:
            queries, seen = queries[:, selection.tokens], seen[:, selection.tokens]
        if selection.heads is not None:
            # Several heads share one group of keys (grouped-query attention); after choosing heads
            # the groups are no longer equally large, so each head gets keys of its own.
            together = len(queries) // len(keys)
            keys = keys[[head // together for head in selection.heads]]
            seen = seen[list(selection.heads)] if len(seen) > 1 else seen
            queries = queries[list(selection.heads)]
        # Moved layer by layer: a GPU that holds the weights may have no room for the rows of all
        # layers. In float32, since sums of bfloat16 shares would lose the small ones.
        return attention_rows(queries, keys, seen, scaling)[..., columns].float().cpu()

    def edit_states(self, parts: Sequence[tuple[slice, Edit]]) -> None:
        """Change the residual stream that enters the layer."""
        if any(edit.states is not None for _, edit in parts):
            self._handle.input = edit_states(self._handle.input[0], parts)[None]

    def limit(self, seen: Bool[Tensor, "#head token position"]) -> None:
        """Let each head see these positions and nothing else."""
        # The last argument is the mask that the model made; ours takes its place, one for each
        # head where heads differ, which sdpa takes as it takes one for all.
        call = self.attention_call()
        (module, queries, keys, values, _), options = call.inputs
        call.inputs = ((module, queries, keys, values, seen[None]), options)

    def edit_outputs(self, parts: Sequence[tuple[slice, Edit]]) -> None:
        """Change the outputs of heads before they are mixed."""
        if any(edit.outputs is not None for _, edit in parts):
            mixer = self._handle.self_attn.o_proj
            mixer.input = edit_outputs(mixer.input[0], self._heads, parts)[None]


def attention_call_name(names: Sequence[str]) -> str:
    """Find the name of the call that computes attention; its number shifts between versions."""
    found = [name for name in names if name.startswith("attention_interface_")]
    if not found:
        raise RuntimeError(f"no attention call among the operations {list(names)}")
    return found[-1]
