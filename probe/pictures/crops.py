"""The part of a frame that a model does not see, because its processor cuts it off: drawn dark."""

import numpy as np
from jaxtyping import UInt8

from probe.video import Box

DIMMED = 0.35
"""Brightness of what is not seen, as a share of its own: dark at a glance, and still to be made
out."""

EDGE = 150
"""Grey of the line along the edge: it shows on dark pictures, too."""

THIN = 150
"""Widths of that line in the shorter side of a picture."""


def dim_outside(
    picture: UInt8[np.ndarray, "height width 3"], region: Box
) -> UInt8[np.ndarray, "height width 3"]:
    """Draw what lies outside of a region dark; the picture itself where it has all of it."""
    height, width = picture.shape[:2]
    left, top, right, bottom = (round(edge) for edge in region)
    # A processor that pads the picture gives a region that is larger than it.
    left, top = max(left, 0), max(top, 0)
    if (left, top) == (0, 0) and right >= width and bottom >= height:
        return picture
    dark = np.rint(picture * DIMMED).astype(picture.dtype)
    # Around the region, since the line would hide the heat of cells at its edge.
    line = max(1, min(height, width) // THIN)
    dark[max(0, top - line) : bottom + line, max(0, left - line) : right + line] = EDGE
    dark[top:bottom, left:right] = picture[top:bottom, left:right]
    return dark
