"""The context of a decoder: the longest sequence that it was made for, in tokens.

Rotary positions can be scaled, so that a decoder reads longer sequences than those that it was
first trained on. Some configurations give the length before scaling and a factor, others the
length that scaling reaches, and which of them it is depends on the type of scaling.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

SCALED: Mapping[str, str] = MappingProxyType(
    {
        "linear": "max_position_embeddings",
        "dynamic": "max_position_embeddings",
        "yarn": "original_max_position_embeddings",
    }
)
"""The entry with the length that the factor multiplies, by the type of rotary positions.

All other types are not scaled (default, axial), or are given with the length that scaling reaches:
llama3 (Llama 3.2 has a factor of 32 over 8,192 positions, and was made for 131,072), longrope
(whose factor is this length over the original one), and proportional. A checkpoint with yarn may
give either: Qwen2.5 is switched to yarn by an entry next to its old length.

The meaning of the factors is that of `modeling_rope_utils` in transformers.
"""


def measure_context(text: Any) -> int:
    """Return the longest sequence that a decoder was made for, in tokens.

    Args:
        text: The configuration of the language model, of a class of transformers.
    """
    longest: int = text.max_position_embeddings
    rope = getattr(text, "rope_parameters", None) or {}
    factor = rope.get("factor")
    # Scaling by the type of a layer (Gemma 3) has no entry here, which is right: it is for some
    # layers alone, and the length that all of them reach is given.
    start = SCALED.get(rope.get("rope_type", "default"))
    if start is None or factor is None:
        return longest
    # Where both are given the larger one counts: a yarn that was written next to the length that
    # it reaches, and one that was written next to the length that it starts from.
    return max(longest, int(rope.get(start, longest) * factor))
