"""The entries of the families that are read."""

from typing import Any

from probe.engine.families import tilings
from probe.engine.families.family import Family
from probe.engine.metadata import describe_times

AREAS = (2**30, 2**24)
"""The largest sizes where they count the pixels of all frames, which are cut down to the longest
edge, and of a frame, which is blown up to the shortest."""

VISION = ("<|vision_start|>", "<|vision_end|>")
"""Marks that were around each frame, and not around the video, when these models were trained: the
processor of transformers 4.57 writes `<1.0 seconds><|vision_start|>...<|vision_end|>` in the place
of the template's marks and the token between them; that of 5.23 in the place of the token alone."""

WHOLE = {"videos_kwargs": {"slice_mode": False}}
"""Frames are seen whole, and not once more in larger slices, whose tokens would have no cell."""

RATE = {"fps": lambda video: describe_times(video).sampled_fps}
"""Frames a second, of which these processors take 2 if they are told nothing else."""


def _merging(model_type: str, placeholder: str = "video_token_id", **named: Any) -> Family:
    """Make the entry of a family that merges patches of frames and their neighbours."""
    return Family(
        model_type, tilings.tile_merged_patches, placeholder, largest_sizes=AREAS, **named
    )


FAMILIES = {
    family.model_type: family
    for family in (
        Family("llava_next_video", tilings.tile_llava_next_video),
        Family("llava_onevision", tilings.tile_llava_onevision, trailing=1),
        Family("internvl", tilings.tile_internvl, "image_token_id"),
        Family("smolvlm", tilings.tile_smolvlm, "image_token_id", "model.text_model"),
        Family("video_llava", tilings.tile_video_llava, heading=1, frames=8),
        _merging("qwen2_vl"),
        _merging("qwen2_5_vl"),
        _merging("qwen3_vl", frame_marks=VISION),
        _merging("qwen3_vl_moe", frame_marks=VISION),
        _merging("qwen3_5", frame_marks=VISION),
        _merging("qwen3_5_moe", frame_marks=VISION),
        _merging("cosmos3_omni", frame_marks=VISION),
        # Without these the processor cannot write times, nor the model compute positions.
        _merging(
            "cosmos3_edge",
            frame_marks=VISION,
            processing={
                "videos_kwargs": {"return_metadata": True},
                "return_mm_token_type_ids": True,
            },
        ),
        _merging("cohere_compass"),
        _merging("exaone4_5"),
        _merging("hyperclovax_vision_v2"),
        _merging("ernie4_5_vl_moe"),
        # Similar frames would leave cells without a token.
        _merging("video_llama_3", processing={"use_token_compression": False}),
        _merging("qwen2_5_omni_thinker", "video_token_index", processing=RATE),
        _merging(
            "qwen2_5_omni",
            "video_token_index",
            processing=RATE,
            part="thinker",
            left_out=("talker.", "token2wav."),
        ),
        _merging("qwen3_omni_moe_thinker", processing=RATE),
        _merging(
            "qwen3_omni_moe", processing=RATE, part="thinker", left_out=("talker.", "code2wav.")
        ),
        _merging("muse_glimmer", processing={"videos_kwargs": {"return_metadata": True}}),
        _merging("muse_spark", processing={"videos_kwargs": {"return_metadata": True}}),
        _merging("lfm3_vl", frame_marks=VISION),
        Family("perception_lm", tilings.tile_perception_lm),
        Family("molmo2", tilings.tile_molmo2, "image_patch_id"),
        Family("gemma4", tilings.tile_gemma4),
        Family("gemma4_unified", tilings.tile_gemma4_unified),
        Family("minicpmv4_6", tilings.tile_minicpm, processing=WHOLE),
        Family("minicpmv4_7", tilings.tile_minicpm, processing=WHOLE),
        Family("minicpm_ocr", tilings.tile_minicpm, processing=WHOLE),
        # Each pair of frames is written as an image.
        _merging("glm4v", "image_token_id"),
        _merging("glm4v_moe", "image_token_id"),
        _merging("glm46v", "image_token_id"),
        _merging("glmga", "image_token_id"),
    )
}
