"""Heat: values of a map scaled for the eye, and laid over a picture as colour."""

from collections.abc import Callable
from typing import TypeAlias

import matplotlib
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from probe.video import Box

Colouring: TypeAlias = Callable[[Float[np.ndarray, " *axes"]], Float[np.ndarray, " *axes 4"]]
"""Gives levels their red, green, blue and opacity, each from 0 to 1."""

HEAT_COLOURS = "magma"
"""matplotlib's map of even perceptual steps from black to a light yellow. Attention that is neither
weak nor strong is dark, and the strongest light: a glow has a dark rim, which shows it on a thing
of any colour, such as a yellow square."""

HEAT_OPACITY = 0.8
"""Opacity of strong attention; the picture can be made out below it."""

OPAQUE_LEVEL = 0.5
"""Level from which attention has its full opacity. Below it less of the dark end is seen, since
half of a map is weak and would only darken the picture."""

COLD_PERCENTILE, HOT_PERCENTILE = 50.0, 99.5
"""Percentiles of a heatmap drawn with no colour and with full colour. The upper one keeps a few
attention sinks from hiding everything else."""


def scale_heat(
    values: Float[np.ndarray, "frame row column"],
) -> Float[np.ndarray, "frame row column"]:
    """Scale a map's values to colours: 0 up to the cold percentile, 1 from the hot one."""
    cold, hot = np.percentile(values, (COLD_PERCENTILE, HOT_PERCENTILE))
    # In a map of few strong cells both percentiles may be the same: then its peak is the hot end.
    hot = hot if hot > cold else values.max()
    return np.clip((values - cold) / (hot - cold), 0, 1) if hot > cold else values * 0


def colour_heat(levels: Float[np.ndarray, " *axes"]) -> Float[np.ndarray, " *axes 4"]:
    """Return red, green, blue and opacity, each from 0 to 1, of levels of heat from 0 to 1."""
    # Cells are joined by a curve, which may overshoot the ends.
    levels = np.clip(levels, 0, 1)
    share = np.clip(levels / OPAQUE_LEVEL, 0, 1)
    colours = matplotlib.colormaps[HEAT_COLOURS](levels).astype(np.float64)
    # A smooth step: with a corner in it, the edge of each glow would look like a line.
    colours[..., 3] = HEAT_OPACITY * share**2 * (3 - 2 * share)
    return colours


def blend(
    picture: UInt8[np.ndarray, "height width 3"],
    heat: Float[np.ndarray, "row column"],
    region: Box,
) -> UInt8[np.ndarray, "height width 3"]:
    """Lay heat (0 to 1) over the region of a picture; everything outside it stays the same."""
    return lay_colour(picture, heat, region, colour_heat)


def lay_colour(
    picture: UInt8[np.ndarray, "height width 3"],
    levels: Float[np.ndarray, "row column"],
    region: Box,
    colour: Colouring,
) -> UInt8[np.ndarray, "height width 3"]:
    """Lay levels over the region of a picture as colours; everything outside it stays the same.

    Args:
        picture: The picture.
        levels: The level of each cell.
        region: The pixels that the cells tile.
        colour: Gives each level red, green, blue and opacity, from 0 to 1.
    """
    left, top, right, bottom = (round(edge) for edge in region)
    soft = Image.fromarray(levels.astype(np.float32)).resize(
        (max(1, right - left), max(1, bottom - top)), Image.Resampling.BICUBIC
    )
    height, width = picture.shape[:2]
    # A processor that pads the picture gives a region that is larger than it.
    x1, y1, x2, y2 = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    colours = colour(np.asarray(soft)[y1 - top : y2 - top, x1 - left : x2 - left])
    opacity = colours[..., 3:]
    mixed = picture.copy()
    below = picture[y1:y2, x1:x2]
    mixed[y1:y2, x1:x2] = np.rint((1 - opacity) * below + opacity * 255 * colours[..., :3])
    return mixed
