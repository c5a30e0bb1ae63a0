"""Attention as the organism learns it: what comes before the text never meets the text.

Eager attention turns its scores to float32 and back and scores every token against every other,
though a video is read before its questions. Scoring the video among itself, and only the text
against everything, in the type of the queries, takes 0.6 of a training step's time on two cores.
The softmax is computed in float32 all the same, by its kernel.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

from probe.organism.cuts import START

NAME = "video_then_text"
"""What transformers knows this attention as."""

Heads = Float[Tensor, "clip head token width"]


def video_then_text(
    module: nn.Module,
    query: Heads,
    key: Heads,
    value: Heads,
    attention_mask: Float[Tensor, "#clip 1 token token"],
    scaling: float,
    **options: Any,
) -> tuple[Float[Tensor, "clip token head width"], None]:
    """Attention of rows whose first `START` tokens are all that comes before the text.

    An attention function of transformers: `attention_mask` is added to the scores.
    """
    del module, options
    query = query * scaling
    heard = []
    for rows, seen in ((slice(START), slice(START)), (slice(START, None), slice(None))):
        if query[:, :, rows].numel():
            scores = query[:, :, rows] @ key[:, :, seen].transpose(2, 3)
            shares = torch.softmax(scores.add_(attention_mask[:, :, rows, seen]), dim=-1)
            heard.append(shares @ value[:, :, seen])
    return torch.cat(heard, dim=2).transpose(1, 2), None


def learn_by_rows(decoder: Any) -> None:
    """Have a decoder attend as above; for learning only, since its mask has to be given."""
    AttentionInterface.register(NAME, video_then_text)
    AttentionMaskInterface.register(NAME, eager_mask)
    decoder.set_attn_implementation(NAME)
