"""One decoder layer inside a trace: its queries and keys read, its attention and states changed.

Everything here runs inside an open nnsight trace and opens none. nnsight wants values in the order
in which the model computes them: edit the states first, then cut edges, then read rows of
attention, then edit the outputs of the heads.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from probe.engine.attention import attention_rows
from probe.engine.interventions import Edit, Rows, edit_outputs, edit_states
from probe.engine.masks import as_argument
from probe.engine.questions import AttentionSelection, PackedQuestions


class TracedLayer:
    """A decoder layer as nnsight sees it."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def queries_and_keys(self) -> tuple[Tensor, Tensor, float]:
        """Read queries and keys after positional encoding, and what scales their product.

        Queries are arranged by row, head and token, keys by row, group and position.
        """
        # Positions are rotated in before this call in every family, so nothing about them has to
        # be computed again.
        (_, queries, keys, *_), options = self.attention_call().inputs
        return queries, keys, options["scaling"]

    def attention_call(self) -> Any:
        """Find the call that computes the layer's attention, whichever implementation runs."""
        source = self._handle.self_attn.source
        return getattr(source, attention_call_name(source.names))

    def read_rows(
        self,
        packed: PackedQuestions,
        seen: Bool[Tensor, "#head token position"],
        selection: AttentionSelection,
        changed: Sequence[tuple[slice, Tensor]] = (),
    ) -> Float[Tensor, "some_head some_token visual"]:
        """Compute the selected attention, in main memory; some rows of it were changed."""
        queries, keys, scaling = self.queries_and_keys()
        parts = [
            select_rows(one, keys[i], seen[:, row], scaling, selection.among(row))
            for i, (one, row) in enumerate(zip(queries, packed.rows, strict=True))
        ]
        rows = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
        kept = range(rows.shape[1]) if selection.tokens is None else list(selection.tokens)
        for part, new in changed:
            places = [i for i, token in enumerate(kept) if part.start <= token < part.stop]
            some = new[:, [kept[i] - part.start for i in places]][..., selection.columns]
            heads = some if selection.heads is None else some[list(selection.heads)]
            rows[:, places] = heads.float().cpu()
        return rows

    def change_rows(
        self,
        packed: PackedQuestions,
        seen: Bool[Tensor, "#head token position"],
        parts: Sequence[tuple[slice, Edit]],
    ) -> list[tuple[slice, Tensor]]:
        """Compute the attention of the questions that an edit changes, and change it.

        Returns:
            The tokens of each such question, and their new shares.
        """
        edited = [(part, edit.rows) for part, edit in parts if edit.rows is not None]
        if not edited:
            return []
        queries, keys, scaling = self.queries_and_keys()
        shares: dict[tuple[int, int], Tensor] = {}
        for part, change in edited:
            row, inside = packed.place(part)
            if (part.start, part.stop) not in shares:
                visible = seen[:, part].to(queries.device)
                full = attention_rows(queries[row][:, inside], keys[row], visible, scaling)
                own = full[..., packed.own(part)]
                shares[part.start, part.stop] = torch.cat([full[..., : packed.before], own], -1)
            # Several edits of one question act one after another.
            shares[part.start, part.stop] = change(shares[part.start, part.stop])
        return [(slice(*ends), rows) for ends, rows in shares.items()]

    def edit_states(self, packed: PackedQuestions, parts: Sequence[tuple[slice, Edit]]) -> None:
        """Change the residual stream that enters the layer."""
        if any(edit.states is not None for _, edit in parts):
            states = packed.gather(self._handle.input)
            self._handle.input = packed.spread(edit_states(states, parts))

    def limit(
        self, packed: PackedQuestions, seen: Bool[Tensor, "#head token position"], attention: str
    ) -> None:
        """Let each head see these positions and nothing else."""
        # The last argument is the mask that the model made; ours takes its place, one for each
        # head where heads differ, which every implementation takes as it takes one for all. A
        # token that fills up a row sees everything: no share can be computed of nothing.
        by_row = packed.spread(seen.movedim(1, 0), fill=1.0).transpose(1, 2)
        call = self.attention_call()
        (module, queries, keys, values, _), options = call.inputs
        mask = as_argument(by_row.to(queries.device), attention, queries.dtype)
        call.inputs = ((module, queries, keys, values, mask), options)

    def edit_outputs(
        self,
        packed: PackedQuestions,
        parts: Sequence[tuple[slice, Edit]],
        changed: Sequence[tuple[slice, Tensor]] = (),
    ) -> None:
        """Change the outputs of heads before they are mixed, and before any gate.

        Where rows of attention were changed, outputs are the sums of values by these.
        """
        if not changed and all(edit.outputs is None for _, edit in parts):
            return
        call = self.attention_call()
        (_, _, _, values, *_), _ = call.inputs
        outputs, *rest = call.output
        gathered = packed.gather(outputs)
        if changed:
            gathered = gathered.clone()
        for part, rows in changed:
            row, _ = packed.place(part)
            gathered[part] = _sum_values(rows, values[row], packed, part)
        call.output = (packed.spread(edit_outputs(gathered, parts)), *rest)


def _sum_values(
    rows: Rows,
    values: Float[Tensor, "group place width"],
    packed: PackedQuestions,
    part: slice,
) -> Float[Tensor, "token head width"]:
    """Sum the values that the tokens of a question attend to."""
    attended = torch.cat([values[:, : packed.before], values[:, packed.own(part)]], dim=1)
    # Heads that share values lie next to each other.
    by_head = attended.repeat_interleave(len(rows) // len(attended), dim=0)
    return (rows.to(by_head.dtype) @ by_head).transpose(0, 1)


def select_rows(
    queries: Float[Tensor, "head place width"],
    keys: Float[Tensor, "group position width"],
    seen: Bool[Tensor, "#head token position"],
    scaling: float,
    selection: AttentionSelection,
) -> Float[Tensor, "some_head some_token visual"]:
    """Compute the selected attention of the tokens of one row."""
    queries = queries[:, : seen.shape[1]]  # what fills up the row is left out
    seen = seen.to(queries.device)
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
    rows = attention_rows(queries, keys, seen, scaling)
    columns = selection.range
    return (
        rows[..., columns if isinstance(columns, slice) else columns.to(rows.device)].float().cpu()
    )


def attention_call_name(names: Sequence[str]) -> str:
    """Find the name of the call that computes attention; its number shifts between versions."""
    found = [name for name in names if name.startswith("attention_interface_")]
    if not found:
        raise RuntimeError(f"no attention call among the operations {list(names)}")
    return found[-1]
