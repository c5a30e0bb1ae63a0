"""The entries of the families that are read."""

import reprlib

from probe.engine.families import tilings
from probe.engine.families.family import Family

AREAS = (2**30, 2**24)
"""The largest sizes where they count the pixels of all frames, which are cut down to the longest
edge, and of a frame, which is blown up to the shortest."""

FAMILIES = {
    family.model_type: family
    for family in (
        Family("llava_next_video", tilings.tile_llava_next_video),
        Family("llava_onevision", tilings.tile_llava_onevision, trailing=1),
        Family("qwen2_vl", tilings.tile_qwen_vl, largest_sizes=AREAS),
        Family("qwen2_5_vl", tilings.tile_qwen_vl, largest_sizes=AREAS),
        Family("qwen3_vl", tilings.tile_qwen_vl, largest_sizes=AREAS),
        Family("internvl", tilings.tile_internvl, placeholder="image_token_id"),
        Family(
            "smolvlm",
            tilings.tile_smolvlm,
            placeholder="image_token_id",
            language_model="model.text_model",
        ),
        Family("video_llava", tilings.tile_video_llava, heading=1, frames=8),
    )
}


def family_of(model_type: str) -> Family:
    """Return the entry for an architecture, by its name in `config.json`.

    Raises:
        ValueError: if the architecture has no entry.
    """
    if (found := FAMILIES.get(model_type)) is None:
        known = ", ".join(sorted(FAMILIES))
        given = reprlib.repr(model_type)
        raise ValueError(f"{given} models are not supported; supported: {known}")
    return found
