"""Sprites: the pictures of things, at the size and angle in which they are drawn.

They are Fluent Emoji of Microsoft (MIT; see `pictures/LICENSE.txt`), drawn by
`docs/write_sprites.py`.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32
from PIL import Image

from probe.organism.things.kinds import LOOKS

PICTURES = Path(__file__).parent / "pictures"

SHEET = PICTURES / "sheet.png"
"""All sprites in one picture, row by row in the order of `LOOKS`."""

SPRITE_SIDE = 64
"""Width and height of a sprite in the sheet, in pixels."""

COLUMNS = 12
"""Sprites in a row of the sheet."""

Bounds = tuple[int, int, int, int]
"""Left, top, right, bottom relative to a thing's centre, in pixels; the last two are outside."""


@dataclass(frozen=True, eq=False)
class Raster:
    """A sprite as it is drawn: cut out, resized, turned, and without its empty margin."""

    left: int
    """First column, relative to the thing's centre, in pixels."""

    top: int
    """First row, relative to the thing's centre, in pixels."""

    light: Float32[np.ndarray, "row column 3"]
    """Colour times opacity, from 0 to 255."""

    clear: Float32[np.ndarray, "row column 1"]
    """Share of what is below that shines through: 1 minus the opacity."""

    solid: Bool[np.ndarray, "row column"]
    """True where the thing hides at least half of what is below: the pixels of its mask."""

    bounds: Bounds
    """Box around the solid pixels."""


@lru_cache(maxsize=1)
def _open_sheet() -> Image.Image:
    with Image.open(SHEET) as sheet:
        return sheet.convert("RGBA")


@lru_cache(maxsize=len(LOOKS))
def _cut_sprite(look: str) -> Image.Image:
    row, column = divmod(LOOKS.index(look), COLUMNS)
    left, top = column * SPRITE_SIDE, row * SPRITE_SIDE
    cut = _open_sheet().crop((left, top, left + SPRITE_SIDE, top + SPRITE_SIDE))
    # Premultiplied, so that resizing mixes no colour of clear pixels into the edges.
    return cut.convert("RGBa")


# A raster has about 10 kB. The cache holds nearly all that training asks for: each look, by side,
# both ways round, and turned.
@lru_cache(maxsize=12_000)
def draw_raster(look: str, side: int, angle: int, flipped: bool) -> Raster:
    """Draw a sprite.

    Args:
        look: Its name, one of `LOOKS`.
        side: Width and height of the square that it fills, in pixels.
        angle: Degrees by which it is turned to the left.
        flipped: Whether left and right are exchanged, before it is turned.
    """
    picture = _cut_sprite(look)
    if flipped:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    picture = picture.resize((side, side), Image.Resampling.LANCZOS)
    if angle % 360:
        picture = picture.rotate(angle, Image.Resampling.BICUBIC, expand=True)
    pixels = np.asarray(picture, dtype=np.float32)
    opacity = pixels[..., 3] / 255
    rows, columns = (np.flatnonzero(opacity.any(axis=axis)) for axis in (1, 0))
    top, left = int(rows[0]), int(columns[0])
    kept = slice(top, int(rows[-1]) + 1), slice(left, int(columns[-1]) + 1)
    top, left = top - picture.height // 2, left - picture.width // 2
    solid = opacity[kept] >= 0.5
    down, across = (np.flatnonzero(solid.any(axis=axis)) for axis in (1, 0))
    return Raster(
        left,
        top,
        np.minimum(pixels[kept][..., :3], 255 * opacity[kept][..., None]),
        1 - opacity[kept][..., None],
        solid,
        (
            left + int(across[0]),
            top + int(down[0]),
            left + int(across[-1]) + 1,
            top + int(down[-1]) + 1,
        ),
    )
