"""Regions: boxes, masks, points and scribbles of a user, as weights of the cells of a video.

A box or a mask weighs a cell with 1 or 0. A point or a scribble weighs it by its distance, as in
ControlMLLM (Wu et al., NeurIPS 2024): a Gaussian of the distance to the nearest point.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from probe.engine.attention import Heatmap
from probe.engine.grids import ON_TUBE, Cells
from probe.engine.view import View
from probe.video import Tube
from probe.video.coercion import describe_given, to_array, to_whole
from probe.video.masks import Mask

CellWeights: TypeAlias = Float[Tensor, "frame row column"]
"""The weight of each cell in a region, from 0 (outside) to 1 (inside)."""

POINT_REACH = 0.1
"""Standard deviation of the Gaussian around a point, relative to the diagonal of what the model
sees. ControlMLLM has the same number, of the distance to the farthest pixel."""

FORMS = (
    "a Tube, a box (x1, y1, x2, y2), a point (x, y), points of a scribble, {frame: box or points}, "
    "a mask of cells or pixels, or weights of cells"
)


def weigh_cells(view: View, region: Any) -> CellWeights:
    """Compute how much each cell belongs to a region that a user gave.

    Coordinates are pixels of the source video, frames its source frames. A box, a mask of one
    picture, a point and a scribble hold in all frames, unless they are given by frame.

    Args:
        view: The video.
        region: One of these: a `Tube`; a box, of four numbers; a point, of two numbers, or rows of
            two, the points of a scribble; a dictionary that has one of those for each of some
            source frames; a `Mask`, or an array that is true inside, by row and column of pixels,
            by frame, row and column of pixels, or by frame, row and column of cells; weights from 0
            to 1 by frame, row and column of cells, or a `Heatmap` of them.

    Returns:
        The weights by frame, row and column. Boxes and masks hold the cells that they cover by more
        than a tenth. Boxes by frame move in straight lines between their frames; points by frame
        count for the frame of the map that is nearest in time, and other frames have weight 0.

    Raises:
        ValueError: if it is none of these, does not fit the video, or holds no cell.
    """
    weights = _weigh(view, region)
    if not weights.any():
        raise ValueError(
            f"the region {describe_given(region)} holds none of the {weights.numel()} cells; the "
            f"model sees the pixels {_round(view.grid.cells.region)} of source frames "
            f"{view.grid.cells.frames[0][0]} to {view.grid.cells.frames[-1][-1]}"
        )
    return weights


def _weigh(view: View, region: Any) -> CellWeights:
    cells = view.grid.cells
    if isinstance(region, Tube):
        return cells.inside(region).float()
    if isinstance(region, Mask):
        return _weigh_array(view, region.to_pixels())
    if isinstance(region, Heatmap):
        return _check_weights(region.to_numpy(), cells)
    if isinstance(region, Mapping):
        return _weigh_by_frame(view, region)
    return _weigh_array(view, region)


def _weigh_array(view: View, region: Any) -> CellWeights:
    """Weigh the cells by numbers, whose shape tells what they are."""
    # No two forms have one shape: four numbers are a box, rows of two are points, and a grid of
    # truth values is a mask, of cells or of pixels as its sides say.
    cells, array = view.grid.cells, to_array(region)
    if array.dtype == bool:
        return _weigh_mask(view, array)
    if array.dtype.kind in "iuf" and array.shape == (4,):
        # From the first to the last frame shown, whatever the order in which they are shown.
        frames = sorted({min(map(min, cells.frames)), max(map(max, cells.frames))})
        return cells.inside(Tube(frames, [array] * len(frames))).float()
    if (points := _as_points(array)) is not None:
        return _weigh_points(cells, points).expand(cells.shape).clone()
    if array.dtype.kind in "iuf" and array.ndim == 3:
        return _check_weights(array, cells)
    raise ValueError(f"a region is {describe_given(region)}; give {FORMS}")


def _weigh_by_frame(view: View, given: Mapping[Any, Any]) -> CellWeights:
    """Weigh the cells by boxes, or by points, of some source frames."""
    entries = {to_whole(frame, "a frame of the region"): to_array(given[frame]) for frame in given}
    length = view.video.source_length
    if not entries or not 0 <= min(entries) <= max(entries) < length:
        raise ValueError(
            f"a region is given for the source frames {describe_given(sorted(entries))}; give some "
            f"of 0 to {length - 1}"
        )
    cells, frames = view.grid.cells, sorted(entries)
    if all(entries[frame].shape == (4,) for frame in frames):
        return cells.inside(Tube(frames, [entries[frame] for frame in frames])).float()
    # Not moved in straight lines between frames, as boxes are: a scribble has no corners to match.
    weights = torch.zeros(cells.shape)
    for frame in frames:
        points = _as_points(entries[frame])
        if points is None:
            raise ValueError(
                f"the region in frame {frame} is {describe_given(given[frame])}; give a box in "
                f"every frame, or a point or points in every frame"
            )
        # Half-way between two, the earlier one, in whichever order they are shown.
        nearest = min(
            range(len(cells.frames)),
            key=lambda index, frame=frame: (
                min(abs(source - frame) for source in cells.frames[index]),
                cells.frames[index],
            ),
        )
        weights[nearest] = torch.maximum(weights[nearest], _weigh_points(cells, points))
    return weights


def _weigh_mask(view: View, mask: Bool[np.ndarray, "*axes"]) -> CellWeights:
    """Weigh the cells by a mask of cells or of pixels."""
    cells, size = view.grid.cells, view.video.size
    if mask.shape == cells.shape:
        return torch.from_numpy(mask).float()
    if mask.shape == size:
        return _cover(cells, mask).expand(cells.shape).clone()
    if mask.shape == (len(view.video), *size):
        by_source = dict(zip(view.video.indices, mask, strict=True))
        pictures = [[by_source[one] for one in some if one in by_source] for some in cells.frames]
        # A map frame may show several pictures: a cell counts if any of them covers it.
        return torch.stack([_cover(cells, np.any(some, axis=0)) for some in pictures])
    raise ValueError(
        f"a mask of shape {mask.shape} does not fit; give one of cells {cells.shape}, of a picture "
        f"{size} or of all {len(view.video)} sampled pictures"
    )


def _cover(cells: Cells, pixels: Bool[np.ndarray, "height width"]) -> Float[Tensor, "row column"]:
    """Weigh with 1 the cells of which more than a tenth of the pixels are true."""
    left, top, right, bottom = cells.region
    height, width = pixels.shape
    # The cell in which the centre of each pixel lies; none where the processor cut it off.
    rows = np.floor((np.arange(height) + 0.5 - top) / (bottom - top) * cells.rows)
    columns = np.floor((np.arange(width) + 0.5 - left) / (right - left) * cells.columns)
    share = np.zeros((cells.rows, cells.columns))
    for row, column in np.ndindex(share.shape):
        part = pixels[np.ix_(rows == row, columns == column)]
        share[row, column] = part.mean() if part.size else 0.0
    return torch.from_numpy(share > ON_TUBE).float()


def _as_points(array: np.ndarray) -> Float[np.ndarray, "point 2"] | None:
    """Take one pair of numbers, or rows of pairs, for points; None if it is something else."""
    if array.dtype.kind not in "iuf" or array.ndim not in (1, 2) or array.shape[-1:] != (2,):
        return None
    return array.reshape(-1, 2).astype(np.float64)


def _weigh_points(
    cells: Cells, points: Float[np.ndarray, "point 2"]
) -> Float[Tensor, "row column"]:
    """Compute exp(-d² / 2s²) for the centre of each cell, d being how far the nearest point is.

    The weight is 1 at a point, where ControlMLLM's Gaussian has 1 / (√(2π) s): so the weighted
    share of a look stays between 0 and 1.
    """
    left, top, right, bottom = cells.region
    outside = (points < (left, top)) | (points > (right, bottom)) | ~np.isfinite(points)
    if (lost := outside.any(axis=1)).any():
        x, y = points[lost][0].tolist()
        raise ValueError(
            f"the point ({x:g}, {y:g}) lies outside the pixels {_round(cells.region)} that the "
            f"model sees; give points inside them"
        )
    boxes = np.array([cells.box(*place) for place in np.ndindex(cells.rows, cells.columns)])
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    distances = np.linalg.norm(centres[:, None] - points, axis=-1).min(axis=1)
    reach = POINT_REACH * float(np.hypot(right - left, bottom - top))
    weights = np.exp(-(distances**2) / (2 * reach**2)).reshape(cells.rows, cells.columns)
    return torch.from_numpy(weights).float()


def _check_weights(values: np.ndarray, cells: Cells) -> CellWeights:
    if values.shape != cells.shape or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(
            f"weights of a region are {describe_given(values)}; give numbers from 0 to 1 for the "
            f"{cells.shape} frames, rows and columns of cells"
        )
    return torch.from_numpy(np.array(values, dtype=np.float32))


def _round(box: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(round(edge, 1) for edge in box)
