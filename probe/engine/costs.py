"""The cost of reading a video, told before it is paid."""

import warnings
from typing import Any

import torch

from probe.engine.checkpoint import Checkpoint
from probe.engine.grids import VisualGrid
from probe.engine.pixels import suggest_fewer

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


def measure_keys(text: Any, dtype: torch.dtype, tokens: int) -> int:
    """Return the bytes of the keys and values of so many tokens, in all layers.

    Args:
        text: The configuration of the language model, of a class of transformers.
        dtype: The number type of the weights.
        tokens: The number of tokens.
    """
    shared = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return 2 * text.num_hidden_layers * shared * width * dtype.itemsize * tokens
