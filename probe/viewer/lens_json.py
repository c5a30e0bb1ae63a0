"""Write a logit lens as JSON for the page: the likeliest words of each cell, layer by layer.

What is kept is bounded. The page has room for three words of a cell and layer. If there are more
words than the budget has, fewer are kept, the likeliest, down to one; then fewer layers, evenly
spaced, the last of them included.
"""

from typing import Any

import numpy as np

from probe.interpret.logit_lens import LogitLens
from probe.viewer.arrays import encode_array

SHOWN = 3
"""Words of a cell and layer for which the page has room."""

LEVELS = 255
"""Levels of a probability, even in its root: one in a hundred is off by less than one in 2,500."""


def encode_lens(lens: LogitLens, most: int) -> dict[str, Any]:
    """Write at most so many words of a lens; at the least one of each cell at one layer."""
    cells = len(lens.cells)
    top = max(1, min(lens.top.shape[-1], SHOWN, most // (len(lens.layers) * cells)))
    count = max(1, min(len(lens.layers), most // (top * cells)))
    # Counted from the last: what the model makes of a cell in the end is always there.
    places = sorted(np.linspace(len(lens.layers) - 1, 0, count).round().astype(int).tolist())
    best = lens.top[places, ..., :top].flatten(1, 3).numpy()
    said = lens.top_log_probabilities[places, ..., :top].flatten(1, 3).exp().numpy()
    used, words = np.unique(best, return_inverse=True)
    return {
        "layers": [lens.layers[place] for place in places],
        "left": len(lens.layers) - count,
        "top": top,
        "texts": [lens.tokens[token] for token in used],
        "words": encode_array(words.astype(np.uint16 if len(used) <= 2**16 else np.uint32)),
        "chances": encode_array(np.rint(np.sqrt(said) * LEVELS).astype(np.uint8)),
    }
