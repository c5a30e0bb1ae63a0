"""The mask of a thing in each form that COCO's files have: polygons, runs, or a list of runs."""

from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from probe.video.coercion import describe_given
from probe.video.masks import Mask, read_mask

FARTHEST = 2
"""Sides of the picture by which a corner may lie outside: pycocotools walks along each edge, pixel
by pixel, however far it leads."""


def read_segmentation(segmentation: Any, size: tuple[int, int]) -> Mask:
    """Make the mask of a thing; of several parts, it is their union.

    Args:
        segmentation: Polygons, each a list of x, y, x, y ... in pixels; or COCO's runs, or a list
            of these.
        size: Height and width of the picture.

    Raises:
        ValueError: if it is none of these, or damaged.
    """
    if isinstance(segmentation, dict):
        return read_mask("segmentation", segmentation, size)
    if not isinstance(segmentation, list) or not segmentation:
        raise ValueError(
            f"segmentation is {describe_given(segmentation)}, neither runs nor polygons"
        )
    if all(isinstance(part, list) for part in segmentation):
        return _fill_polygons(segmentation, size)
    # As REFER's own code has it; RefCLEF, of the same toolbox, stores its masks so.
    parts = [read_mask("segmentation", part, size).to_pixels() for part in segmentation]
    return Mask.from_pixels(np.any(parts, axis=0))


def _fill_polygons(polygons: list[list[Any]], size: tuple[int, int]) -> Mask:
    for polygon in polygons:
        corners = np.asarray(polygon, dtype=np.float64)
        if corners.ndim != 1 or len(corners) < 6 or len(corners) % 2:
            raise ValueError(f"a polygon of {len(polygon)} numbers; three corners have 6")
        # Written so that NaN fails, too.
        if not (np.abs(corners) <= FARTHEST * max(size)).all():
            raise ValueError(f"a polygon has a corner far outside the picture of {size} pixels")
    whole: Any = coco_mask.merge(coco_mask.frPyObjects(polygons, *size))
    return Mask(size, whole["counts"].decode())
