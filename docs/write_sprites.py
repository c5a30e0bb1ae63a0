"""Draw the sprites of the world of things from the published emoji set.

    python docs/write_sprites.py PACKAGE     write probe/organism/things/sprites/sheet.png

PACKAGE is the unpacked npm package `@iconify-json/fluent-emoji-flat` (version 1.2.6 was used): the
Fluent Emoji of Microsoft in their flat form, under the MIT licence, whose notice lies next to the
sheet. It needs cairosvg, which the package itself does not.
"""

import io
import sys
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cairosvg
import numpy as np
from PIL import Image

from probe.files import read_json
from probe.organism.things.kinds import COLOURS, KINDS, PAINTED
from probe.organism.things.sprites import COLUMNS, SHEET, SPRITE_SIDE

ICONS = MappingProxyType(
    {
        "fish": "tropical-fish",
        "bee": "honeybee",
        "car": "automobile",
        "plane": "airplane",
        "boat": "sailboat",
        "train": "locomotive",
        "apple": "red-apple",
        "melon": "watermelon",
        "burger": "hamburger",
        "cake": "birthday-cake",
        "ball": "soccer-ball",
        "clock": "alarm-clock",
        "book": "closed-book",
        "shirt": "t-shirt",
        "chef": "cook",
        "doctor": "health-worker",
        "builder": "construction-worker",
        "policeman": "police-officer",
    }
)
"""Names of icons that differ from those of the kinds."""

HUES = MappingProxyType(
    {
        "red": (0.99, 0.85, 0.95),
        "yellow": (0.135, 0.85, 1.0),
        "green": (0.37, 0.8, 0.68),
        "blue": (0.60, 0.85, 0.95),
        "purple": (0.77, 0.65, 0.75),
    }
)
"""Hue, saturation and value of the main colour of a painted thing, from 0 to 1."""

HUE_REACH = 0.13
"""Farthest that a shade of the main colour is from its hue; what is farther keeps its colour."""


def draw_icon(icons: Any, kind: str) -> Image.Image:
    """Draw the picture of a kind in its own colours."""
    icon = icons["icons"][ICONS.get(kind, kind)]
    width, height = (icon.get(axis, icons.get(axis, 32)) for axis in ("width", "height"))
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{SPRITE_SIDE}" height="{SPRITE_SIDE}">{icon["body"]}</svg>'
    )
    drawn = cairosvg.svg2png(svg.encode())
    assert drawn is not None, "it was given no file to write to"
    return Image.open(io.BytesIO(drawn)).convert("RGBA")


def paint(picture: Image.Image, colour: str) -> Image.Image:
    """Give the main colour of a picture and all its shades another hue."""
    shades = np.asarray(picture.convert("RGB").convert("HSV"), dtype=np.float64) / 255
    vivid = (shades[..., 1] > 0.35) & (np.asarray(picture)[..., 3] > 127)
    counts, edges = np.histogram(shades[vivid][:, 0], bins=24, range=(0, 1))
    main = edges[int(counts.argmax())] + 0.5 / 24
    apart = np.abs((shades[..., 0] - main + 0.5) % 1 - 0.5)
    meant = (shades[..., 1] > 0.3) & (apart < HUE_REACH)
    # Shades stay as much lighter or darker than the main colour as they were.
    median = np.median(shades[meant & vivid], axis=0)
    hue, saturation, value = HUES[colour]
    shades[meant, 0] = hue
    shades[meant, 1] = np.clip(shades[meant, 1] * saturation / median[1], 0, 1)
    shades[meant, 2] = np.clip(shades[meant, 2] * value / median[2], 0, 1)
    painted = Image.fromarray((shades * 255).round().astype(np.uint8), "HSV").convert("RGB")
    painted.putalpha(picture.getchannel("A"))
    return painted


def draw_sheet(icons: Any) -> Image.Image:
    """Draw all sprites, row by row in the order of their names."""
    pictures: list[Image.Image] = []
    for kind in KINDS:
        plain = draw_icon(icons, kind)
        pictures += [paint(plain, colour) for colour in COLOURS] if kind in PAINTED else [plain]
    rows = -(-len(pictures) // COLUMNS)
    sheet = Image.new("RGBA", (COLUMNS * SPRITE_SIDE, rows * SPRITE_SIDE))
    for place, picture in enumerate(pictures):
        row, column = divmod(place, COLUMNS)
        sheet.paste(picture, (column * SPRITE_SIDE, row * SPRITE_SIDE))
    return sheet


if __name__ == "__main__":
    draw_sheet(read_json(Path(sys.argv[1]) / "icons.json")).save(SHEET, optimize=True)
