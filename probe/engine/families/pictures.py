"""Entries of the families that are shown a single picture, and how their visual tokens tile it.

A model that reads videos may have one here, too: its processor and template treat a picture in
another way than a video of one frame. Some show a picture twice, whole and cut into larger tiles;
the cells are those of the whole, and where the tiles can be switched off, they are.
"""

from dataclasses import replace
from typing import Any

import torch
from transformers.models.llava_next.modeling_llava_next import (
    get_anyres_image_grid_shape,
    unpad_image,
)

from probe.engine.families.family import Family, Inputs, uncropped_region
from probe.engine.families.table import FAMILIES
from probe.engine.families.tilings import count_patches
from probe.engine.grids import Cells
from probe.video import Box, Video


def cells_of_picture(video: Video, rows: int, columns: int, region: Box | None = None) -> Cells:
    """Make the cells of the one frame; of all of it, unless a region is given."""
    height, width = video.size
    whole = 0.0, 0.0, float(width), float(height)
    return Cells((video.indices,), rows, columns, whole if region is None else region)


def tile_llava(config: Any, processor: Any, video: Video, inputs: Inputs) -> Cells:
    """Make a square of patches, of the middle of the picture or of the picture in a square."""
    rows, columns = count_patches(inputs["pixel_values"], config.vision_config.patch_size)
    options = processor.image_processor
    # Where the picture was put into a square first, nothing is left to be cropped.
    padded = bool(getattr(options, "do_pad", False))
    region = _square_around(video) if padded else uncropped_region(video, options)
    return cells_of_picture(video, rows, columns, region)


def tile_whole_picture(config: Any, processor: Any, video: Video, inputs: Inputs) -> Cells:  # noqa: ARG001
    """Make the patches of the picture that comes first, without those of its tiles."""
    rows, columns = count_patches(inputs["pixel_values"], config.vision_config.patch_size)
    return cells_of_picture(video, rows, columns)


def count_tile_tokens(config: Any, processor: Any, video: Video, inputs: Inputs) -> int:  # noqa: ARG001
    """Count the tokens of the tiles of LLaVA-NeXT, with one at the end of each of their rows."""
    rows, columns = count_patches(inputs["pixel_values"], config.vision_config.patch_size)
    tall, wide = get_anyres_image_grid_shape(
        inputs["image_sizes"][0], config.image_grid_pinpoints, config.vision_config.image_size
    )
    # Measured on a map of that size, since what is cut off is rounded in a way of its own.
    whole = torch.zeros(1, tall * rows, wide * columns)
    _, height, width = unpad_image(whole, inputs["image_sizes"][0]).shape
    return height * (width + 1)


def tile_merged_picture(config: Any, processor: Any, video: Video, inputs: Inputs) -> Cells:  # noqa: ARG001
    """Merge patches with their neighbours, as Qwen2-VL does."""
    merged = processor.image_processor.merge_size
    _, rows, columns = inputs["image_grid_thw"][0].tolist()
    return cells_of_picture(video, rows // merged, columns // merged)


def tile_shuffled_picture(config: Any, processor: Any, video: Video, inputs: Inputs) -> Cells:  # noqa: ARG001
    """Make a square of patches, shuffled together."""
    rows, columns = count_patches(inputs["pixel_values"], config.vision_config.patch_size)
    return cells_of_picture(video, rows // config.scale_factor, columns // config.scale_factor)


def tile_internvl_picture(config: Any, processor: Any, video: Video, inputs: Inputs) -> Cells:  # noqa: ARG001
    """Make a square of patches, shuffled together two by two."""
    rows, columns = count_patches(inputs["pixel_values"], config.vision_config.patch_size)
    merged = round(1 / config.downsample_ratio)
    return cells_of_picture(video, rows // merged, columns // merged)


def tile_gemma3(config: Any, processor: Any, video: Video, inputs: Inputs) -> Cells:  # noqa: ARG001
    """Make a square of pooled patches, of as many tokens as the configuration says."""
    side = round(config.mm_tokens_per_image**0.5)
    return cells_of_picture(video, side, side)


def _square_around(video: Video) -> Box:
    """Compute the smallest square with the picture in its middle; the processor rounds so."""
    height, width = video.size
    side = max(height, width)
    left, top = -((side - width) // 2), -((side - height) // 2)
    return float(left), float(top), float(left + side), float(top + side)


def _picture(model_type: str, cells: Any, **named: Any) -> Family:
    """Make the entry of a family that is shown a picture."""
    return Family(model_type, cells, "image_token_id", medium="image", **named)


def _merging_picture(for_videos: Family) -> Family:
    """Make the entry for pictures of a family that merges patches of videos."""
    return replace(
        for_videos,
        cells=tile_merged_picture,
        placeholder=for_videos.placeholder.replace("video", "image"),
        medium="image",
        frame_marks=None,
        processing={"return_mm_token_type_ids": True} if for_videos.model_type in TYPED else {},
    )


MERGING = (
    *("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe", "qwen3_5", "qwen3_5_moe"),
    *("qwen2_5_omni", "qwen2_5_omni_thinker", "qwen3_omni_moe", "qwen3_omni_moe_thinker"),
    *("cosmos3_omni", "cosmos3_edge", "cohere_compass", "exaone4_5", "hyperclovax_vision_v2"),
    *("ernie4_5_vl_moe", "video_llama_3", "lfm3_vl", "glm4v", "glm4v_moe", "glm46v", "glmga"),
)
"""Families that read videos, and pictures as Qwen2-VL does."""

TYPED = frozenset({"cosmos3_edge"})
"""Those of them whose processor must be asked for the kind of each token."""

PICTURES = {
    family.model_type: family
    for family in (
        _picture("llava", tile_llava),
        _picture("llava_next", tile_whole_picture, trailing=count_tile_tokens, tiled=True),
        _picture(
            "idefics3",
            tile_shuffled_picture,
            language_model="model.text_model",
            processing={"do_image_splitting": False},
        ),
        _picture(
            "smolvlm",
            tile_shuffled_picture,
            language_model="model.text_model",
            processing={"do_image_splitting": False},
        ),
        _picture("gemma3", tile_gemma3, processing={"do_pan_and_scan": False}),
        _picture("internvl", tile_internvl_picture, processing={"crop_to_patches": False}),
        *(_merging_picture(FAMILIES[name]) for name in MERGING),
    )
}
"""The entries, by the name of the architecture."""
