"""Patches of the vision tower: which token of a tower is which patch of which frame.

A tower sees finer squares than the decoder's cells, in an order of its own: row by row, in blocks
that are merged later, or in windows. `tests/engine/test_tower.py` changes patches of a video, and
looks which token of the tower changes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isqrt
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor
from transformers.vision_utils import get_vision_window_index

from probe.engine.families import pictures, tilings
from probe.engine.families.family import Family, Inputs
from probe.engine.grids import Cells

NO_ATTENTION: Mapping[str, str] = MappingProxyType(
    {
        "gemma4_unified": "it has no vision tower: a projection makes its visual tokens of patches",
        "perception_lm": "its tower is a model of timm, which computes attention inside one step",
    }
)
"""Reasons for which the attention of a family's tower cannot be read."""


@dataclass(frozen=True, eq=False)
class PatchOrder:
    """The patches of the tower's tokens."""

    rows: int
    columns: int
    numbers: Int[Tensor, " token"]
    """The patch of each token, counted frame by frame and row by row; -1 for one that is none, such
    as a class token, or a patch of a tile. Several tokens may be one patch: frames that are merged
    later."""


@dataclass(frozen=True, eq=False)
class TowerShapes:
    """Everything that tells which token is which patch."""

    config: Any
    """The configuration of the whole model."""

    processor: Any
    inputs: Inputs
    cells: Cells
    """The cells of the decoder."""

    lengths: Sequence[int]
    """The number of tokens of each sequence that the tower's last layer attends within."""


def order_patches(family: Family, shapes: TowerShapes) -> PatchOrder:
    """Find which token of a tower's last layer is which patch.

    Raises:
        ValueError: if there are not as many tokens as patches.
    """
    find = OWN_ORDERS.get(family.model_type, ORDERS.get(family.cells, order_squares))
    order = find(shapes)
    if len(order.numbers) != sum(shapes.lengths):
        raise ValueError(
            f"the tower of this {family.model_type} model has {sum(shapes.lengths)} tokens, which "
            f"are no {order.rows} x {order.columns} patches of {len(shapes.cells.frames)} frames"
        )
    return order


def order_squares(shapes: TowerShapes) -> PatchOrder:
    """Order the patches of frames that are seen one at a time, row by row after class tokens."""
    inputs, count = shapes.inputs, len(shapes.cells.frames)
    name = "pixel_values_videos" if "pixel_values_videos" in inputs else "pixel_values"
    pixels = inputs[name]
    # Molmo 2 is given patches, of a square; others are given pictures.
    flat = pixels.ndim == 3
    side = isqrt(pixels.shape[1]) if flat else 0
    patch = shapes.config.vision_config.patch_size
    rows, columns = (side, side) if flat else tilings.count_patches(pixels, patch)
    each = rows * columns
    frames = []
    for frame, length in enumerate(shapes.lengths):
        # Pictures after the frames are tiles, whose patches are no cells.
        first = frame * each if frame < count else None
        frames.append(_number(first, each, length))
    return PatchOrder(rows, columns, torch.cat(frames))


def order_placed(shapes: TowerShapes) -> PatchOrder:
    """Order patches by the places that the processor gave them; what fills up a frame is none."""
    places = shapes.inputs["video_position_ids"].cpu().flatten(0, -3)
    columns, rows = (places[0].amax(dim=0) + 1).tolist()
    frame = torch.arange(len(places))[:, None] * rows * columns
    numbers = frame + places[..., 1] * columns + places[..., 0]
    return PatchOrder(rows, columns, numbers.masked_fill(places[..., 0] < 0, -1).flatten())


def order_merged(shapes: TowerShapes) -> PatchOrder:
    """Order patches block by block, as Qwen2-VL merges them, and by windows where there are any."""
    vision = shapes.config.vision_config
    name = "image" if "image_grid_thw" in shapes.inputs else "video"
    merged = getattr(shapes.processor, f"{name}_processor").merge_size
    windowed = getattr(vision, "fullatt_block_indexes", None) is not None
    return _order_blocks(shapes, merged, vision.window_size if windowed else None)


def order_windows(shapes: TowerShapes) -> PatchOrder:
    """Order patches row by row within windows, as Muse does, which merges them after its tower."""
    vision = shapes.config.vision_config
    return _order_blocks(shapes, 1, vision.pos_emb_height * vision.patch_size)


def _order_blocks(shapes: TowerShapes, merged: int, window: int | None) -> PatchOrder:
    """Order patches in blocks of `merged` times `merged`, within windows of so many pixels."""
    inputs = shapes.inputs
    name = "image_grid_thw" if "image_grid_thw" in inputs else "video_grid_thw"
    grids = inputs[name].cpu()
    # GLM-V writes each pair of frames as a picture of its own.
    times, (rows, columns) = int(grids[:, 0].sum()), grids[0, 1:].tolist()
    # The tower may see each frame alone, where frames are merged after it.
    together = times // len(shapes.cells.frames)
    frames = torch.arange(times)[:, None] // together * rows * columns
    numbers = frames + torch.arange(rows * columns)
    blocks = numbers.unflatten(1, (rows // merged, merged, columns // merged, merged))
    ordered = blocks.transpose(2, 3).flatten(0, 2).flatten(1)
    if window is not None:
        patch = shapes.config.vision_config.patch_size
        ordered = ordered[get_vision_window_index(grids, merged, window, patch)[0]]
    return PatchOrder(rows, columns, ordered.flatten())


def order_shrunk(shapes: TowerShapes) -> PatchOrder:
    """Order what MiniCPM-V's tower makes of patches half-way: squares of four, row by row."""
    rows, columns = shapes.inputs["target_sizes_videos"][0].tolist()
    shrunk = isqrt(rows * columns // shapes.lengths[-1])
    rows, columns = rows // shrunk, columns // shrunk
    each = rows * columns
    frames = [_number(frame * each, each, each) for frame in range(len(shapes.cells.frames))]
    return PatchOrder(rows, columns, torch.cat(frames))


def _number(first: int | None, each: int, length: int) -> Int[Tensor, " token"]:
    """Number the patches of one frame, which come last in its sequence."""
    numbers = torch.full((length,), -1)
    if first is not None and length >= each:
        numbers[length - each :] = torch.arange(first, first + each)
    return numbers


ORDERS: Mapping[Callable[..., Cells], Callable[[TowerShapes], PatchOrder]] = MappingProxyType(
    {
        tilings.tile_merged_patches: order_merged,
        pictures.tile_merged_picture: order_merged,
        tilings.tile_gemma4: order_placed,
        tilings.tile_minicpm: order_shrunk,
    }
)
"""Orders of patches by the function that tells how the decoder's cells tile the video."""

OWN_ORDERS: Mapping[str, Callable[[TowerShapes], PatchOrder]] = MappingProxyType(
    {"muse_glimmer": order_windows, "muse_spark": order_windows}
)
"""Orders of families whose towers have another order than others of the same cells."""
