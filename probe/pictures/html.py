"""Figures as HTML for Jupyter: at most 60 kB, and a line of text where nothing can be drawn."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from probe.pictures.fonts import note_missing_once
from probe.pictures.style import PICTURE_HEIGHT, PICTURE_WIDTH
from probe.video.previews import (
    MOST_HTML_BYTES,
    PAGE_DPI,
    SHARPEST,
    write_image_element,
    write_photo_element,
    write_text_element,
)

LARGEST_PNG = 30_000
"""Bytes of HTML above which a picture shows photos: 256 colours are too few for them, and WebP
takes less room."""

PICTURE_MARGIN = 0.03
"""Inches around what is drawn."""


@note_missing_once()
def plot_as_html(
    result: Any, draw: Callable[[Figure], Any] | None = None, *, height: float = PICTURE_HEIGHT
) -> str:
    """Draw a result as HTML; a result that cannot be drawn is written as its one line.

    Args:
        result: Anything with a `repr`, which becomes the text for those who cannot see pictures.
        draw: Draws it on an empty figure; by default, its `plot` does so.
        height: Inches of the figure.
    """
    # Not a figure of pyplot: a window or a second picture in the notebook would show that, too.
    figure = Figure((PICTURE_WIDTH, height), layout="constrained")
    try:
        if draw is None:
            result.plot(figure.subplots())
        else:
            draw(figure)
        return figure_as_html(figure, repr(result))
    except ValueError:  # such as values that are not finite
        return write_text_element(repr(result))


def figure_as_html(figure: Figure, about: str = "") -> str:
    """Write a figure as an HTML image that contains its picture in at most 60 kB.

    Empty space around what is drawn is left out. Drawings become a PNG, photos a WebP.

    Args:
        figure: The figure, which is left as it was.
        about: Text for those who cannot see the picture.
    """
    dpi = SHARPEST * PAGE_DPI
    while True:
        image = _draw(figure, dpi)
        width = PAGE_DPI * image.width / dpi
        text = write_image_element(encode_png(image), "png", about, width)
        if len(text) > LARGEST_PNG:
            text = write_photo_element(image, about, width)
        if len(text) <= MOST_HTML_BYTES or dpi < 1:
            return text
        # Bytes grow with the number of pixels: this guess is mostly right, and always smaller.
        dpi *= min(0.95, 0.97 * (MOST_HTML_BYTES / len(text)) ** 0.5)


def figure_as_png(figure: Figure) -> bytes:
    """Write a figure as a PNG of 256 colours, for places that show no HTML."""
    return encode_png(_draw(figure, float(PAGE_DPI)))


def _draw(figure: Figure, dpi: float) -> Image.Image:
    drawn = io.BytesIO()
    # White, because a notebook may be dark but the text is black.
    figure.savefig(
        drawn,
        dpi=dpi,
        format="png",
        facecolor="white",
        bbox_inches="tight",
        pad_inches=PICTURE_MARGIN,
    )
    return Image.open(drawn).convert("RGB")


def encode_png(image: Image.Image) -> bytes:
    """Write an image as a PNG of 256 colours, less than half as large as one of all colours."""
    # Six bits a channel first: a choice among hundreds of thousands of colours takes many seconds.
    levels = np.asarray(image) >> 2
    few = Image.fromarray(levels << 2 | levels >> 4)
    # Pillow's usual choice of colours (median cut) gives most of them to large areas, and turns
    # small spots of heat grey; maximum coverage leaves no colour far from one of the 256.
    few = few.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    result = io.BytesIO()
    few.save(result, "PNG", optimize=True)
    return result.getvalue()
