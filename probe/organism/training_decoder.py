"""The decoder's layers for training: the same values as transformers computes, in less time.

- Scores are computed in blocks of some tokens, against those alone that one of the block attends
  to: a visual token that attends around its place is not scored against the whole video.
- Nothing is predicted from visual tokens: above the last layer's keys and values, only the text is
  computed.
- Numbers have the type in which this machine multiplies fastest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers.models.llama.modeling_llama import rotate_half

Hidden = Float[Tensor, "clip token hidden"]
Heads = Float[Tensor, "clip head token width"]


def autocast_where_faster(device: torch.device) -> torch.autocast:
    """Compute products in bfloat16 on GPUs and CPUs that multiply faster in it, else in float32."""
    # GFLOP/s of a core in bfloat16 and float32, measured on products of the organism's sizes: 85
    # and 155 on a Xeon without tiles, 210 and 90 on an EPYC with instructions for it; with tiles
    # bfloat16 is about four times as fast as float32.
    cpu = torch.cpu.get_capabilities()
    amd = "AMD" in cpu.get("cpu_name", "") and cpu.get("avx512_bf16", False)
    faster = device.type != "cpu" or cpu.get("amx_bf16", False) or amd
    return torch.autocast(device.type, torch.bfloat16, enabled=faster)


BLOCK_ROWS = 128
"""Tokens whose scores are computed together; 64 and 256 take as long within 4 % in both worlds."""

SCATTERED = 0.6
"""Share of the tokens from the first to the last that a block attends to, below which these alone
are copied together; above it the copy costs more than the scores that it saves."""


@dataclass(frozen=True)
class Block:
    """Neighbouring tokens, and what they attend to."""

    rows: slice
    """Places of the tokens."""
    seen: slice | Int[Tensor, " seen"]
    """Places of the tokens that any of them may attend to."""
    added: Float[Tensor, "#clip 1 row seen"]
    """Term of the scores: 0 where a token attends to another, else minus infinity."""


def divide_edges(mask: Bool[Tensor, "#clip row token"], device: torch.device) -> list[Block]:
    """Divide the edges of some clips into blocks whose scores are computed together.

    Args:
        mask: True where a token attends to another, on the CPU.
        device: Device on which scores are computed.
    """
    kind = torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else None
    blocks = []
    for start in range(0, mask.shape[1], BLOCK_ROWS):
        edges = mask[:, start : start + BLOCK_ROWS]
        (places,) = edges.any(1).any(0).nonzero(as_tuple=True)
        span = slice(int(places[0]), int(places[-1]) + 1)
        scattered = len(places) < SCATTERED * (span.stop - span.start)
        edges = edges[:, :, places if scattered else span]
        added = torch.zeros(edges.shape, dtype=kind).masked_fill_(~edges, float("-inf"))
        rows = slice(start, start + edges.shape[1])
        blocks.append(
            Block(rows, places.to(device) if scattered else span, added[:, None].to(device))
        )
    return blocks


def run_layers(
    decoder: Any,
    hidden: Hidden,
    positions: Int[Tensor, "#clip token"],
    mask: Bool[Tensor, "#clip token token"],
    watched: int,
    text_start: int,
) -> tuple[Float[Tensor, "clip row hidden"], Sequence[Hidden]]:
    """Run all layers of a decoder on videos and the text after them.

    Args:
        decoder: A Llama decoder.
        hidden: Embeddings of the tokens up to the video's end, and of the text.
        positions: Position of each token.
        mask: True where a token attends to another, on the CPU.
        watched: Number of the lowest layers whose states are returned as well.
        text_start: Place of the first text token after the video.

    Returns:
        The normalised last states of the text, and all tokens' states before the first layer and
        after each of the `watched` ones.
    """
    rotary = decoder.rotary_emb(hidden, positions)
    *lower, last = decoder.layers
    states = [hidden]
    blocks = divide_edges(mask, hidden.device)
    for layer in lower:
        states.append(run_layer(layer, states[-1], rotary, blocks))
    of_text = divide_edges(mask[:, text_start:], hidden.device)
    text = run_layer(last, states[-1], rotary, of_text, first=text_start)
    return decoder.norm(text), states[: watched + 1]


def run_layer(
    layer: Any,
    hidden: Hidden,
    rotary: tuple[Tensor, Tensor],
    blocks: Sequence[Block],
    first: int = 0,
) -> Float[Tensor, "clip row hidden"]:
    """Run one decoder layer.

    Args:
        layer: A layer of a Llama decoder.
        hidden: States that enter the layer.
        rotary: Cosines and sines of the tokens' positions.
        blocks: Edges of the tokens from `first` on, whose rows are counted from there.
        first: First token whose next state is computed; the ones before it only give keys and
            values.

    Returns:
        States after the layer, from token `first` on.
    """
    attention = layer.self_attn
    normed = layer.input_layernorm(hidden)
    cos, sin = (part[:, None] for part in rotary)
    query = _split_heads(attention.q_proj(normed[:, first:]), attention.head_dim)
    key, value = (
        _split_heads(project(normed), attention.head_dim)
        for project in (attention.k_proj, attention.v_proj)
    )
    query = _rotate(query, cos[:, :, first:], sin[:, :, first:])
    read = _attend(query, _rotate(key, cos, sin), value, blocks)
    after = hidden[:, first:] + attention.o_proj(read.transpose(1, 2).flatten(2))
    return after + layer.mlp(layer.post_attention_layernorm(after))


class _BlockAttention(torch.autograd.Function):
    """Attention, computed block by block.

    Its gradients are written out, so that those of a block are added where they belong: torch would
    write zeros for all the tokens that a block does not see, and add these, too.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: Float[Tensor, "clip head row width"],
        key: Heads,
        value: Heads,
        blocks: Sequence[Block],
    ) -> Float[Tensor, "clip head row width"]:
        # One copy here, where each block's product would copy its part otherwise.
        query, key, value = (query * query.shape[-1] ** -0.5), key.contiguous(), value.contiguous()
        weights, reads = [], []
        for block in blocks:
            scores = query[:, :, block.rows] @ key[:, :, block.seen].mT
            weights.append(scores.add_(block.added).softmax(-1))
            reads.append(weights[-1] @ value[:, :, block.seen])
        ctx.save_for_backward(query, key, value, *weights)
        ctx.blocks = blocks
        return torch.cat(reads, dim=2)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (of_read,) = grad_outputs
        query, key, value, *all_weights = ctx.saved_tensors
        of_query, of_key, of_value = torch.empty_like(query), *map(torch.zeros_like, (key, value))
        for block, weights in zip(ctx.blocks, all_weights, strict=True):
            rows, grad = query[:, :, block.rows], of_read[:, :, block.rows]
            of_weights = grad @ value[:, :, block.seen].mT
            # The gradient of a softmax: weights * (of_weights - sum of weights * of_weights).
            of_scores = torch.ops.aten._softmax_backward_data(
                of_weights, weights, -1, weights.dtype
            )
            of_query[:, :, block.rows] = of_scores @ key[:, :, block.seen]
            _add_at(of_key, block.seen, of_scores.mT @ rows)
            _add_at(of_value, block.seen, weights.mT @ grad)
        return of_query.mul_(query.shape[-1] ** -0.5), of_key, of_value, None


def _add_at(
    total: Heads, seen: slice | Tensor, part: Float[Tensor, "clip head seen width"]
) -> None:
    if isinstance(seen, slice):
        total[:, :, seen] += part
    else:
        total.index_add_(2, seen, part)


_attend: Any = _BlockAttention.apply


def _split_heads(states: Tensor, width: int) -> Heads:
    return states.unflatten(-1, (-1, width)).transpose(1, 2)


def _rotate(heads: Heads, cos: Tensor, sin: Tensor) -> Heads:
    # In the type of the heads: a product with float32 would turn them into float32.
    return heads * cos.to(heads) + rotate_half(heads) * sin.to(heads)
