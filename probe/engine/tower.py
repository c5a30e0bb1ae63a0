"""The vision tower: one pass that keeps the queries and keys of its layers, and rows of attention.

Towers compute attention frame by frame or window by window, in loops inside one step, where a trace
sees the last call only. transformers lets anybody register an implementation of attention: ours
keeps what it is called with, and calls sdpa. It is chosen for the tower alone and for one pass.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import AttentionMaskInterface
from transformers.masking_utils import sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from probe.engine.attention import attention_rows
from probe.engine.families.patches import NO_ATTENTION, TowerShapes, order_patches
from probe.engine.grids import Cells
from probe.engine.view import View

RECORDING = "probe_tower"
"""The name by which transformers knows the implementation that keeps queries and keys."""

BLOCK_ROWS = 256
"""Rows of an attention matrix that are held at a time."""


@dataclass(frozen=True, eq=False)
class TowerSequence:
    """Queries and keys of the tokens that see one another in a layer: a frame's, or a window's."""

    queries: Float[Tensor, "head token width"]
    keys: Float[Tensor, "group token width"]
    seen: Bool[Tensor, "token token"] | None
    """The tokens that each token sees; None for all of them."""

    scaling: float

    def pass_down(self, flow: Float[Tensor, " token"], block: int) -> Float[Tensor, " token"]:
        """Share out what arrived at each token among those that it attends to."""
        below = torch.zeros_like(flow)
        for start in range(0, len(flow), block):
            rows = torch.arange(start, min(start + block, len(flow)))
            if not flow[rows].any():  # tiles, and tokens that fill up a frame
                continue
            all_seen = torch.ones(len(rows), len(flow), dtype=torch.bool)
            seen = all_seen if self.seen is None else self.seen[rows]
            shares = attention_rows(self.queries[:, rows], self.keys, seen, self.scaling)
            below += flow[rows] @ shares.float().mean(0)
        return below


@dataclass(frozen=True, eq=False)
class Tower:
    """The attention of a vision tower for one video, as queries and keys in main memory."""

    layers: tuple[tuple[TowerSequence, ...], ...]
    """The sequences of each layer that has attention over the last layer's tokens, and that the
    decoder is given something of."""

    numbers: Int[Tensor, " token"]
    """The patch of each token, counted frame by frame and row by row; -1 for none."""

    patches: Cells
    """The patches, as cells of the video."""

    cells: Cells
    """The cells of the decoder."""

    below: int
    """The number of layers below these, of a tower that merges patches half-way."""

    def spread(self, values: Float[Tensor, "frame row column"]) -> Float[Tensor, " token"]:
        """Give each token the value of its patch, shared by all tokens that are this patch."""
        known = self.numbers >= 0
        counts = torch.bincount(self.numbers[known], minlength=values.numel())
        flow = torch.zeros(len(self.numbers))
        flow[known] = (values.flatten() / counts)[self.numbers[known]]
        return flow

    def gather(self, flow: Float[Tensor, " token"]) -> Float[Tensor, "frame row column"]:
        """Sum what arrived at the tokens of each patch."""
        known = self.numbers >= 0
        values = torch.zeros(len(self.patches))
        values.index_add_(0, self.numbers[known], flow[known])
        return values.unflatten(0, self.patches.shape)

    def pass_down(
        self, flow: Float[Tensor, " token"], layer: int, block: int = BLOCK_ROWS
    ) -> Float[Tensor, " token"]:
        """Share out what arrived at each token among those that it attends to in one layer.

        The mean over heads; no more than `block` rows of a matrix are held at a time.
        """
        sequences = self.layers[layer]
        parts = flow.split([sequence.queries.shape[1] for sequence in sequences])
        return torch.cat(
            [one.pass_down(part, block) for one, part in zip(sequences, parts, strict=True)]
        )


@torch.no_grad()
def read_tower(view: View) -> Tower:
    """Run the vision tower of a view's model over its video again, and keep queries and keys.

    Raises:
        ValueError: if the tower has no attention, or none that can be read.
    """
    checkpoint, video = view.checkpoint, view.video
    kind = checkpoint.family.model_type
    if (reason := NO_ATTENTION.get(kind)) is not None:
        raise ValueError(f"the attention of the tower of {kind} cannot be read: {reason}")
    inputs = checkpoint.process(video, checkpoint.writer(before=0).text("?"))
    # Taken before the pass, in which the model may change its inputs.
    cells = checkpoint.grid(video, inputs).cells
    with _recording(checkpoint.config.vision_config) as calls:
        view.decoder.read_video(dict(inputs))
    layers = list(calls.values())
    if not layers:
        raise ValueError(
            f"the tower of this {kind} model has no attention: its layers are convolutions"
        )
    layers = layers[: _count_used(checkpoint.config, len(layers))]
    lengths = [one.queries.shape[1] for one in layers[-1]]
    # A tower that merges patches half-way has fewer tokens above than below.
    alike = [layer for layer in layers if _count_tokens(layer) == sum(lengths)]
    shapes = TowerShapes(checkpoint.config, checkpoint.processor, inputs, cells, lengths)
    order = order_patches(checkpoint.family, shapes)
    patches = Cells(cells.frames, order.rows, order.columns, cells.region)
    below = len(layers) - len(alike)
    return Tower(tuple(map(tuple, alike)), order.numbers, patches, cells, below)


def _count_tokens(layer: Sequence[TowerSequence]) -> int:
    return sum(one.queries.shape[1] for one in layer)


def _count_used(config: Any, found: int) -> int:
    """Count the layers up to the highest whose states the decoder is given.

    LLaVA takes the states before the last layer, which runs for nothing.
    """
    chosen = getattr(config, "vision_feature_layer", None)
    if chosen is None:
        return found
    several = [chosen] if isinstance(chosen, int) else chosen
    # Counted as transformers counts states: those that enter the first layer are number 0.
    return max(layer % (found + 1) for layer in several)


@contextmanager
def _recording(vision: Any) -> Iterator[dict[int, list[TowerSequence]]]:
    """Compute the tower's attention by sdpa for a while, and keep what it is called with.

    Args:
        vision: The tower's configuration, which its layers look at.

    Returns:
        The sequences of each layer, in forward order, by a number of the layer.
    """
    calls: dict[int, list[TowerSequence]] = {}
    sdpa = ALL_ATTENTION_FUNCTIONS["sdpa"]

    def record(
        module: Any,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        attention_mask: Tensor | None = None,
        **options: Any,
    ) -> Any:
        scaling = options.get("scaling") or queries.shape[-1] ** -0.5
        seen = attention_mask
        if seen is not None and seen.dtype != torch.bool:
            seen = seen >= 0  # what is hidden has a large negative number
        for item, (some, own) in enumerate(zip(queries, keys, strict=True)):
            mask = None if seen is None else seen[min(item, len(seen) - 1), 0].cpu()
            calls.setdefault(id(module), []).append(
                TowerSequence(some.float().cpu(), own.float().cpu(), mask, scaling)
            )
        return sdpa(module, queries, keys, values, attention_mask, **options)

    before = vision._attn_implementation
    # For this pass only: the next one has a list of its own. Masks are made by name, too; the one
    # of sdpa is looked for where `register` puts it, and may stay there.
    ALL_ATTENTION_FUNCTIONS[RECORDING] = record
    AttentionMaskInterface.register(RECORDING, sdpa_mask)
    vision._attn_implementation = RECORDING
    try:
        yield calls
    finally:
        vision._attn_implementation = before
        del ALL_ATTENTION_FUNCTIONS[RECORDING]
