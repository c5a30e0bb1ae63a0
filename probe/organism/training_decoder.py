"""The decoder's layers for training: the same values as transformers computes, in less time.

- The video is read before its questions: it is scored against itself, and only the text against
  everything. No score between a visual token and a later text token is computed.
- Nothing is predicted from visual tokens: above the last layer's keys and values, only the text is
  computed.
- Scores are never written out: torch's own attention is used.
- Numbers have the type in which this machine multiplies fastest.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers.models.llama.modeling_llama import rotate_half

Hidden = Float[Tensor, "clip token hidden"]
Heads = Float[Tensor, "clip head token width"]
Added = Float[Tensor, "#clip 1 token token"]
"""Term of the scores: 0 where a token attends to another, else minus infinity."""


def autocast_where_faster(device: torch.device) -> torch.autocast:
    """Compute products in bfloat16 on a GPU and on CPUs with tiles for it, else in float32."""
    # Measured on a Xeon without tiles: 85 GFLOP/s a core in bfloat16, 155 in float32. With tiles
    # bfloat16 is about four times as fast as float32.
    tiles = torch.cpu.get_capabilities().get("amx_bf16", False)
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type != "cpu" or tiles)


def add_to_scores(mask: Bool[Tensor, "#clip token token"], device: torch.device) -> Added:
    """Convert a mask, True where a token attends to another, to a term of the scores."""
    kind = torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else None
    added = torch.zeros(mask.shape, dtype=kind).masked_fill(~mask, float("-inf"))
    return added[:, None].to(device)


def run_layers(
    decoder: Any,
    hidden: Hidden,
    positions: Int[Tensor, "#clip token"],
    edges: Added,
    watched: int,
    text_start: int,
) -> tuple[Float[Tensor, "clip row hidden"], Hidden]:
    """Run all layers of a decoder on videos and the text after them.

    Args:
        decoder: A Llama decoder.
        hidden: Embeddings of the tokens up to the video's end, and of the text.
        positions: Position of each token.
        edges: Term of the scores.
        watched: Number of the lowest layers whose states are returned as well.
        text_start: Place of the first text token after the video.

    Returns:
        The normalised last states of the text, and all tokens' states after `watched` layers.
    """
    rotary = decoder.rotary_emb(hidden, positions)
    *lower, last = decoder.layers
    states = [hidden]
    for layer in lower:
        states.append(run_layer(layer, states[-1], rotary, edges, text_start))
    text = run_layer(last, states[-1], rotary, edges, text_start, first=text_start)
    return decoder.norm(text), states[watched]


def run_layer(
    layer: Any,
    hidden: Hidden,
    rotary: tuple[Tensor, Tensor],
    edges: Added,
    text_start: int,
    first: int = 0,
) -> Float[Tensor, "clip row hidden"]:
    """Run one decoder layer.

    Args:
        layer: A layer of a Llama decoder.
        hidden: States that enter the layer.
        rotary: Cosines and sines of the tokens' positions.
        edges: Term of the scores.
        text_start: Place of the first text token after the video.
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
    read = attend_video_then_text(query, _rotate(key, cos, sin), value, edges, text_start)
    after = hidden[:, first:] + attention.o_proj(read.transpose(1, 2).flatten(2))
    return after + layer.mlp(layer.post_attention_layernorm(after))


def attend_video_then_text(
    query: Float[Tensor, "clip head row width"],
    key: Heads,
    value: Heads,
    edges: Added,
    text_start: int,
) -> Float[Tensor, "clip head row width"]:
    """Compute attention of the last rows, of which those up to the video's end see no text.

    Args:
        query: Queries of the last tokens, or of all.
        key: Keys of all tokens.
        value: Values of all tokens.
        edges: Term of the scores.
        text_start: Place of the first text token after the video.
    """
    first = key.shape[2] - query.shape[2]
    length = key.shape[2]
    blocks = (first, text_start, text_start), (max(first, text_start), length, length)
    return torch.cat(
        [
            scaled_dot_product_attention(
                query[:, :, start - first : end - first],
                key[:, :, :seen],
                value[:, :, :seen],
                edges[:, :, start:end, :seen],
            )
            for start, end, seen in blocks
            if start < end
        ],
        dim=2,
    )


def _split_heads(states: Tensor, width: int) -> Heads:
    return states.unflatten(-1, (-1, width)).transpose(1, 2)


def _rotate(heads: Heads, cos: Tensor, sin: Tensor) -> Heads:
    # In the type of the heads: a product with float32 would turn them into float32.
    return heads * cos.to(heads) + rotate_half(heads) * sin.to(heads)
