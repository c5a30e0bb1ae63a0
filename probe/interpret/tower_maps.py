"""Maps of the vision tower: where its patches look, and what a map of the decoder is made of.

The decoder's attention says which visual token is looked at. That token is no longer the patch in
its place: in the tower, each patch has looked at others of its frame. A tower has no words; these
maps say where patches of a frame look, whatever is asked.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from probe.engine.attention import Heatmap
from probe.engine.grids import Cells
from probe.engine.requests import choose_numbers
from probe.engine.tower import BLOCK_ROWS, Tower, read_tower
from probe.engine.view import View


def tower_attention(
    view: View,
    layers: int | Sequence[int] | None = -1,
    cell: tuple[int, int, int] | None = None,
    *,
    block: int = BLOCK_ROWS,
) -> Heatmap:
    """Return the attention that each patch gets from the patches of its frame, in the tower.

    The mean over heads, layers and the patches that look. The patches of a frame get at most 1
    together, and less where class tokens get some. Patches are finer than the decoder's cells; a
    tower that merges patches half-way is read above that. The tower runs once more, and holds no
    more than `block` rows of a matrix.

    Args:
        view: The video. The tower sees its frames in forward order, whatever the view's order.
        layers: A layer of the tower, or several, whose attention is averaged; counted from the last
            that the decoder is given something of, -1, or from the first of the same patches, 0;
            None for all of these.
        cell: Frame of the map, row and column of a cell of the decoder, whose patches alone look;
            all patches look by default.
        block: Rows of attention that are held at a time.

    Raises:
        ValueError: if the tower has no attention that can be read, or there is no such layer or
            cell.
    """
    tower = read_tower(view)
    numbers = choose_numbers("layer of the tower", layers, len(tower.layers))
    looking = tower.spread(_choose_looking(tower, cell))
    flows = [tower.pass_down(looking, layer, block) for layer in numbers]
    return Heatmap(tower.gather(torch.stack(flows).mean(0)), tower.patches)


def tower_rollout(view: View, heatmap: Heatmap, *, block: int = BLOCK_ROWS) -> Heatmap:
    """Trace a map over the decoder's cells back to the patches that the cells came from.

    A cell's value is shared among its patches by area, and then passed down through the tower: each
    layer is taken to pass on half of what it gets, and to mix half by its mean attention (Abnar and
    Zuidema, ACL 2020). Layers without attention are taken to mix nothing. Nothing is lost but what
    goes to class tokens. Of `attention_rollout`, this
    is the rest of the way, from the visual tokens to the picture.

    Args:
        view: The video, in forward order.
        heatmap: A map over the decoder's cells: of attention, of a lens, of an effect.
        block: Rows of attention that are held at a time.

    Returns:
        A map over patches, finer than the cells.

    Raises:
        ValueError: if the tower has no attention that can be read, or the map is of other cells.
    """
    tower = read_tower(view)
    if heatmap.cells != tower.cells:
        raise ValueError(
            f"the map shows other cells than this video's, {tower.cells.shape}; give a map of this "
            f"view, in forward order: heatmap.reversed() turns one back"
        )
    flow = tower.spread(_share_among_patches(heatmap.values.detach().float().cpu(), tower))
    for layer in reversed(range(len(tower.layers))):
        flow = (flow + tower.pass_down(flow, layer, block)) / 2
    return Heatmap(tower.gather(flow), tower.patches)


def _choose_looking(
    tower: Tower, cell: tuple[int, int, int] | None
) -> Float[Tensor, "frame row column"]:
    """Choose the patches that look: all of each frame, or those of one cell, with a sum of 1."""
    frames, rows, columns = tower.patches.shape
    if cell is None:
        return torch.full((frames, rows, columns), 1 / (rows * columns))
    wanted = tuple(cell)
    fits = len(wanted) == 3 and all(
        0 <= place < count for place, count in zip(wanted, tower.cells.shape, strict=True)
    )
    if not fits:
        raise ValueError(
            f"there is no cell {wanted}; give frame, row and column of a map of {tower.cells.shape}"
        )
    one = torch.zeros(tower.cells.shape)
    one[wanted] = 1
    return _share_among_patches(one, tower)


def _share_among_patches(
    values: Float[Tensor, "frame row column"], tower: Tower
) -> Float[Tensor, "frame patch_row patch_column"]:
    """Share the value of each cell among the patches that it covers, by area."""
    down = _measure_overlaps(tower.cells, tower.patches, "rows")
    across = _measure_overlaps(tower.cells, tower.patches, "columns")
    return torch.einsum("frc,rp,cq->fpq", values, down, across)


def _measure_overlaps(cells: Cells, patches: Cells, axis: str) -> Float[Tensor, "cell patch"]:
    """Measure the share of each row or column of cells that lies in each one of patches.

    Both tile the same part of the frame. Where cells are squares of patches this is exact; where a
    model resamples patches to cells, it is by area.
    """
    some, finer = getattr(cells, axis), getattr(patches, axis)
    cut, ends = np.linspace(0, 1, some + 1), np.linspace(0, 1, finer + 1)
    starts = np.maximum(cut[:-1, None], ends[None, :-1])
    stops = np.minimum(cut[1:, None], ends[None, 1:])
    return torch.from_numpy(np.clip(stops - starts, 0, None) * some).float()
