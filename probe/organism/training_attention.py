"""Attention for training: the video and the text are computed as two blocks of rows.

Eager attention converts its scores to float32 and back and scores every token against every other,
although the video is read before its questions. Here the video is scored against itself, and only
the text against everything, in the number type of the queries. This takes 0.6 of a training step's
time on two cores. The softmax is still computed in float32, inside its kernel.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

from probe.organism.attention_masks import TEXT_START

ATTENTION_NAME = "video_then_text"
"""Name under which this attention is registered in transformers."""

Heads = Float[Tensor, "clip head token width"]


def attend_video_then_text(
    module: nn.Module,
    query: Heads,
    key: Heads,
    value: Heads,
    attention_mask: Float[Tensor, "#clip 1 token token"],
    scaling: float,
    **options: Any,
) -> tuple[Float[Tensor, "clip token head width"], None]:
    """Compute attention for rows whose first `TEXT_START` tokens never attend to the others.

    It has the signature of transformers' attention functions.

    Args:
        module: The attention layer; not used.
        query: Queries of all tokens.
        key: Keys of all tokens.
        value: Values of all tokens.
        attention_mask: Term that is added to the scores.
        scaling: Factor of the queries.
        options: Further options of transformers; not used.

    Returns:
        The attention's output, and None in place of the attention weights.
    """
    del module, options
    query = query * scaling
    outputs = []
    for rows, columns in (
        (slice(TEXT_START), slice(TEXT_START)),
        (slice(TEXT_START, None), slice(None)),
    ):
        if query[:, :, rows].numel():
            scores = query[:, :, rows] @ key[:, :, columns].transpose(2, 3)
            weights = torch.softmax(scores.add_(attention_mask[:, :, rows, columns]), dim=-1)
            outputs.append(weights @ value[:, :, columns])
    return torch.cat(outputs, dim=2).transpose(1, 2), None


def use_training_attention(decoder: Any) -> None:
    """Make a decoder attend by `attend_video_then_text`; only for training."""
    # transformers gives no mask to an attention without a mask function. It hands on a mask of four
    # dimensions, as ours is, and makes others with eager_mask: both are added to the scores.
    AttentionInterface.register(ATTENTION_NAME, attend_video_then_text)
    AttentionMaskInterface.register(ATTENTION_NAME, eager_mask)
    decoder.set_attn_implementation(ATTENTION_NAME)
