"""Regions of one frame at several distances from its ground, and the parts into which they split.

Things that touch are one region near the ground's colours. They may be two farther from them, at a
neck of the region, or by their colours. All are kept: which are things, time tells.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage

from probe.candidates.areas import label_colours, label_components, pairwise_iou
from probe.candidates.ground_colours import measure_ground_distance
from probe.candidates.proposals import ProposerConfig

LEVELS = (5.0, 7.5, 11.0, 16.0, 24.0)
"""Distances from the ground at which regions are cut out: each is about half as large again."""

USUAL_LEVEL = 1
"""The place in `LEVELS` of the distance that tells most things from most grounds."""

NECKS = (0.35, 0.55)
"""Shares of a region's greatest depth at which it is cut: its cores are what is left."""

SAME_BOX = 0.9
"""Box overlap (IoU) from which two regions of a frame are one."""

SURELY_THING = 15.0
"""Distance from the ground from which more tells nothing."""

RING = 3
"""Width of the ring around a region that is compared with it, in pixels; the first is left out,
since colours mix at an edge."""

LONG = 2.0
"""Length of a box over its width from which a thing becomes less likely."""

Pixels = Bool[np.ndarray, "row column"]


@dataclass(frozen=True, eq=False)
class Regions:
    """The regions of one frame."""

    boxes: Float[np.ndarray, "region 4"]
    """In pixels of the reduced picture."""

    colours: Float[np.ndarray, "region 3"]
    """Mean colours, in levels."""

    likeness: Float[np.ndarray, " region"]
    """Likeness of each to one whole thing: higher if it is far from the ground's colours, if
    ground is around it, and if it is compact and within the frame."""

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass(frozen=True, eq=False)
class _Part:
    """A region as its pixels within a block of the frame."""

    top: int
    left: int
    pixels: Pixels

    @property
    def block(self) -> tuple[slice, slice]:
        rows, columns = self.pixels.shape
        return slice(self.top, self.top + rows), slice(self.left, self.left + columns)

    @property
    def box(self) -> Float[np.ndarray, " 4"]:
        rows, columns = self.pixels.shape
        sides = self.left, self.top, self.left + columns, self.top + rows
        return np.array(sides, dtype=np.float64)


def find_nested_regions(
    picture: Float[np.ndarray, "row column 3"], *, config: ProposerConfig
) -> Regions:
    """Find the regions of one frame; nearly equal ones once."""
    distance = measure_ground_distance(picture, config=config)
    colours = label_colours(picture, distance > LEVELS[0], config.colour_step)
    kept: list[_Part] = []
    boxes = np.empty((0, 4))
    for part in _list_parts(distance, colours, config):
        if not len(boxes) or pairwise_iou(part.box[None], boxes).max() < SAME_BOX:
            kept.append(part)
            boxes = np.concatenate([boxes, part.box[None]])
    means = [picture[part.block][part.pixels].mean(0) for part in kept]
    return Regions(
        boxes,
        np.array(means, dtype=np.float64).reshape(-1, 3),
        np.array([_rate(part, distance) for part in kept], dtype=np.float64),
    )


def _list_parts(
    distance: Float[np.ndarray, "row column"],
    colours: Int[np.ndarray, "row column"],
    config: ProposerConfig,
) -> Iterator[_Part]:
    """List the regions at all levels, each before its own parts."""
    least = config.smallest * distance.size
    for level in LEVELS:
        mask = np.asarray(ndimage.binary_fill_holes(distance > level))
        labels = label_components(mask)
        for index, block in enumerate(ndimage.find_objects(labels)):
            pixels = labels[block] == index + 1
            whole = _Part(block[0].start, block[1].start, pixels)
            if pixels.sum() < least or pixels.size > config.largest * distance.size:
                continue
            yield whole
            for piece in (*_cut_necks(pixels), *_cut_colours(pixels, colours[block])):
                if piece.sum() >= least:
                    yield _crop(piece, whole)


def _crop(piece: Pixels, whole: _Part) -> _Part:
    """Crop a piece of a region to the block around its pixels."""
    ((rows, columns),) = ndimage.find_objects(piece.astype(np.int32))
    return _Part(whole.top + rows.start, whole.left + columns.start, piece[rows, columns])


def _cut_necks(pixels: Pixels) -> Iterator[Pixels]:
    """Cut a region where it is narrow, so that each pixel goes with the nearest core."""
    # A border of zeros: the edge of the block is an edge of the region.
    depth = np.asarray(ndimage.distance_transform_edt(np.pad(pixels, 1)))[1:-1, 1:-1]
    for share in NECKS:
        cores = label_components(depth > share * depth.max())
        count = int(cores.max())
        if count > 1:
            nearest = ndimage.distance_transform_edt(
                cores == 0, return_distances=False, return_indices=True
            )
            grown = cores[tuple(np.asarray(nearest))]
            yield from (pixels & (grown == core) for core in range(1, count + 1))


def _cut_colours(pixels: Pixels, colours: Int[np.ndarray, "row column"]) -> Iterator[Pixels]:
    """Cut a region into its areas of like colour, if there are several."""
    names = np.unique(colours[pixels])
    if len(names) > 1:
        yield from (pixels & (colours == name) for name in names)


def _rate(part: _Part, distance: Float[np.ndarray, "row column"]) -> float:
    """Rate how much a region looks like one whole thing; 1.5 is the most."""
    height, width = distance.shape
    padded = np.pad(part.pixels, RING)
    top, left = part.top - RING, part.left - RING
    rows = slice(max(0, top), min(height, top + padded.shape[0]))
    columns = slice(max(0, left), min(width, left + padded.shape[1]))
    outer, inner = (
        np.asarray(ndimage.binary_dilation(padded, iterations=steps), dtype=bool)
        for steps in (RING, 1)
    )
    ring = outer & ~inner
    around = distance[rows, columns][
        ring[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    ]
    inside = float(distance[part.block][part.pixels].mean())
    free = float((around <= LEVELS[USUAL_LEVEL]).mean()) if len(around) else 0.0
    x1, y1, x2, y2 = part.box.tolist()
    length = max(y2 - y1, x2 - x1) / min(y2 - y1, x2 - x1)
    cut = sum((x1 <= 0, y1 <= 0, x2 >= width, y2 >= height))
    # Weights that order candidates, tried on `things-val` alone; none of them decides by itself.
    return min(inside / SURELY_THING, 1) / 2 + free - max(0.0, length - LONG) / 4 - 0.15 * cut
