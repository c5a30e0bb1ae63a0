"""Functions that tell how the visual tokens of a family tile the video.

Each takes configuration, processor, video and inputs, and gives `Cells`. It measures the pictures
that the processor made; that there are as many tokens as cells is then a proof.
"""

from typing import Any

import torch

from probe.engine.families.family import Inputs, shown_region
from probe.engine.grids import Cells
from probe.video import Video


def cells_of_frames(video: Video, processor: Any, rows: int, columns: int) -> Cells:
    """Make the cells of frames that are seen one at a time."""
    sources = tuple((index,) for index in video.indices)
    return Cells(sources, rows, columns, shown_region(video, processor))


def count_patches(
    pictures: torch.Tensor, patch: int | list[int] | tuple[int, int]
) -> tuple[int, int]:
    """Count the rows and columns of patches that the vision tower sees."""
    tall, wide = (patch, patch) if isinstance(patch, int) else patch
    height, width = pictures.shape[-2:]
    return height // tall, width // wide


def tile_llava_next_video(config: Any, processor: Any, video: Video, inputs: Inputs) -> Cells:
    """Make the cells of LLaVA-NeXT-Video: a square of patches for each frame, pooled."""
    rows, columns = count_patches(inputs["pixel_values_videos"], config.vision_config.patch_size)
    stride = config.spatial_pool_stride
    return cells_of_frames(video, processor, rows // stride, columns // stride)


def tile_llava_onevision(config: Any, processor: Any, video: Video, inputs: Inputs) -> Cells:
    """Make a square of patches for each frame, resampled to half its side, rounded up."""
    rows, columns = count_patches(inputs["pixel_values_videos"], config.vision_config.patch_size)
    return cells_of_frames(video, processor, -(-rows // 2), -(-columns // 2))


def tile_merged_patches(config: Any, processor: Any, video: Video, inputs: Inputs) -> Cells:  # noqa: ARG001
    """Merge patches over successive frames, and then with their neighbours, as Qwen2-VL does."""
    # The grid counts patches before merging; a temporal patch covers consecutive sampled frames,
    # and the processor repeats the last frame where their number is odd.
    options = processor.video_processor
    together, merged = options.temporal_patch_size, options.merge_size
    _, rows, columns = inputs["video_grid_thw"][0].tolist()
    starts = range(0, len(video), together)
    sources = tuple(video.indices[start : start + together] for start in starts)
    return Cells(sources, rows // merged, columns // merged, shown_region(video, processor))


def tile_internvl(config: Any, processor: Any, video: Video, inputs: Inputs) -> Cells:
    """Make a square of patches for each frame, shuffled together; videos have no tiles."""
    rows, columns = count_patches(inputs["pixel_values"], config.vision_config.patch_size)
    merged = round(1 / config.downsample_ratio)
    return cells_of_frames(video, processor, rows // merged, columns // merged)


def tile_smolvlm(config: Any, processor: Any, video: Video, inputs: Inputs) -> Cells:
    """Make a square of patches for each frame, shuffled together; videos have no tiles."""
    rows, columns = count_patches(inputs["pixel_values"], config.vision_config.patch_size)
    return cells_of_frames(
        video, processor, rows // config.scale_factor, columns // config.scale_factor
    )


def tile_video_llava(config: Any, processor: Any, video: Video, inputs: Inputs) -> Cells:
    """Make a square of patches for each frame."""
    rows, columns = count_patches(inputs["pixel_values_videos"], config.vision_config.patch_size)
    return cells_of_frames(video, processor, rows, columns)


def tile_minicpm(config: Any, processor: Any, video: Video, inputs: Inputs) -> Cells:  # noqa: ARG001
    """Merge the patches of each frame four by four, or two by two where the processor says so."""
    merged = 2 if processor.video_processor.downsample_mode == "4x" else 4
    rows, columns = inputs["target_sizes_videos"][0].tolist()
    return cells_of_frames(video, processor, rows // merged, columns // merged)


def tile_gemma4(config: Any, processor: Any, video: Video, inputs: Inputs) -> Cells:  # noqa: ARG001
    """Pool the patches of each frame, as many as the processor gave places to."""
    # Places are counted from 0, columns first; those of patches that pad a frame are -1.
    columns, rows = (inputs["video_position_ids"][0].amax(dim=0) + 1).tolist()
    pooled = processor.video_processor.pooling_kernel_size
    return cells_of_frames(video, processor, rows // pooled, columns // pooled)


def tile_gemma4_unified(config: Any, processor: Any, video: Video, inputs: Inputs) -> Cells:  # noqa: ARG001
    """Take the large patches of each frame, as many as the processor gave places to."""
    columns, rows = (inputs["video_position_ids"][0].amax(dim=0) + 1).tolist()
    return cells_of_frames(video, processor, rows, columns)


def tile_molmo2(config: Any, processor: Any, video: Video, inputs: Inputs) -> Cells:  # noqa: ARG001
    """Pool the patches of a square of each frame; the processor counts the cells itself."""
    _, rows, columns = inputs["video_grids"][0].tolist()
    return cells_of_frames(video, processor, rows, columns)


def tile_perception_lm(config: Any, processor: Any, video: Video, inputs: Inputs) -> Cells:  # noqa: ARG001
    """Pool the patches of a square of each frame."""
    rows, columns = count_patches(inputs["pixel_values_videos"], processor.patch_size)
    pooled = processor.pooling_ratio
    return cells_of_frames(video, processor, rows // pooled, columns // pooled)
