"""The cost of reading a video, told before it is paid."""

import warnings
from typing import Any

import torch

from probe.engine.checkpoint import Checkpoint
from probe.engine.grids import VisualGrid
from probe.engine.layer_plan import FULL, SLIDING, cache_kinds
from probe.engine.pixels import suggest_fewer
from probe.video import Video

NOTED_TOKENS, NOTED_BYTES = 5_000, 10**9
"""Visual tokens, and bytes of their keys and values, from which the cost is told: about twice the
20 x 144 tokens of the paper, and what those of a 7B take."""


def tell_cost(checkpoint: Checkpoint, grid: VisualGrid, stacklevel: int) -> None:
    """Warn that a video makes many visual tokens, before the model reads them; else say nothing.

    Args:
        checkpoint: The checkpoint that reads the video.
        grid: The cells of the video.
        stacklevel: The function that is warned, as `warnings.warn` counts from its caller.
    """
    text = checkpoint.config.get_text_config()
    size = measure_keys(text, checkpoint.dtype, len(grid))
    if len(grid) < NOTED_TOKENS and size < NOTED_BYTES:
        return
    frames, rows, columns = grid.shape
    warnings.warn(
        f"{len(grid):,} visual tokens ({frames} x {rows} x {columns}); their keys and values alone "
        f"take about {size / 1e9:.1f} GB: for less, {suggest_fewer(checkpoint.settings)}",
        stacklevel=stacklevel + 1,
    )


def check_length(name: str, checkpoint: Checkpoint, video: Video, tokens: int) -> None:
    """Refuse a video that makes more tokens than the model has room for.

    Args:
        name: The name of the model.
        checkpoint: The checkpoint that reads the video.
        video: The video.
        tokens: The number of tokens that it makes, with the text around it.

    Raises:
        ValueError: if they are too many.
    """
    if tokens > checkpoint.context:
        raise ValueError(
            f"{len(video)} frames make {tokens} tokens but {checkpoint.context} fit in the "
            f"context of {name}; {suggest_fewer(checkpoint.settings)}"
        )


def measure_keys(text: Any, dtype: torch.dtype, tokens: int) -> int:
    """Return the bytes of the keys and values of so many tokens, in all layers that keep some.

    Args:
        text: The configuration of the language model, of a class of transformers.
        dtype: The number type of the weights.
        tokens: The number of tokens.
    """
    numbers = sum(
        2
        * (getattr(layer, "num_key_value_heads", None) or layer.num_attention_heads)
        * width(layer)
        for layer, kind in zip(text.per_layer_config, cache_kinds(text), strict=True)
        if kind in (FULL, SLIDING)
    )
    return numbers * dtype.itemsize * tokens


def width(layer: Any) -> int:
    """Return the width of a head, by the configuration of its layer."""
    return getattr(layer, "head_dim", None) or layer.hidden_size // layer.num_attention_heads
