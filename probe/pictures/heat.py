"""Heat: values of a map scaled for the eye, and laid over a picture as colour."""

import matplotlib
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from probe.video import Box

HEAT_COLOURS = "inferno"
"""matplotlib's map of even perceptual steps from black to yellow; blue boxes are easy to see on
it."""

DARKEST_HEAT = 0.25
"""Start of the weakest attention on the colour map: black would only darken the picture."""

HEAT_OPACITY = 0.7
"""Opacity of the strongest attention; the picture stays visible below it."""

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


def blend(
    picture: UInt8[np.ndarray, "height width 3"],
    heat: Float[np.ndarray, "row column"],
    region: Box,
) -> UInt8[np.ndarray, "height width 3"]:
    """Lay heat (0 to 1) over the region of a picture; everything outside it stays the same."""
    left, top, right, bottom = (round(edge) for edge in region)
    soft = Image.fromarray(heat.astype(np.float32)).resize(
        (max(1, right - left), max(1, bottom - top)), Image.Resampling.BICUBIC
    )
    height, width = picture.shape[:2]
    # A processor that pads the picture gives a region that is larger than it.
    x1, y1, x2, y2 = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    level = np.clip(np.asarray(soft), 0, 1)[y1 - top : y2 - top, x1 - left : x2 - left, None]
    shade = DARKEST_HEAT + (1 - DARKEST_HEAT) * level[..., 0]
    colours = matplotlib.colormaps[HEAT_COLOURS](shade)[..., :3]
    opacity = HEAT_OPACITY * level
    mixed = picture.copy()
    below = picture[y1:y2, x1:x2]
    mixed[y1:y2, x1:x2] = np.rint((1 - opacity) * below + opacity * 255 * colours)
    return mixed
