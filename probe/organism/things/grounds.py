"""Grounds: textured backgrounds with light, noise, and the losses of a compressed video."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Float32, UInt8
from PIL import Image

SIDE = 112
"""Width and height of a frame, in pixels."""

DRIFT = 6
"""Farthest that the camera moves from its mean place, in pixels of the frame, to each side."""

TEXTURES = ("meadow", "sand", "cloth", "planks", "tiles", "wall")
"""The ways in which a ground is textured."""

LIGHTS = ("dark", "normal", "bright")
"""The groups of brightness."""

_CANVAS = SIDE + 2 * DRIFT
_NOISE_SIDE = 192

Pixels = Float32[np.ndarray, "row column 3"]
Level = Float32[np.ndarray, "row column"]


@dataclass(frozen=True)
class Ground:
    """The background of a clip, and how its frames are lit, blurred by noise and compressed."""

    texture: str
    light: str
    seed: int
    brightness: float
    """Mean level of the ground, from 0 to 255, before the lamp."""

    gain: float
    """Factor of the light on everything in the picture."""

    noise: float
    """Standard deviation of the noise, in grey levels."""

    quality: int
    """Quality of the JPEG round trip of each frame."""

    def draw(self, scale: int = 1) -> Pixels:
        """Draw the whole ground, larger than a frame by `DRIFT` pixels to each side.

        At every scale it is the same picture: all draws are made on grids of a fixed size.
        """
        rng = np.random.default_rng(self.seed)
        picture = _PAINTERS[self.texture](rng, _CANVAS * scale)
        # The mean is set last, so that the brightness is exactly the one that the clip states.
        picture *= self.brightness / max(1.0, float(picture.mean()))
        # A lamp from one corner: photographs are never lit evenly.
        lamp = _enlarge(rng.uniform(0.82, 1.18, (2, 2)), _CANVAS * scale)
        return np.clip(picture * lamp[..., None], 2, 250).astype(np.float32)

    def expose(
        self, pictures: Float32[np.ndarray, "frame row column 3"], indices: Sequence[int]
    ) -> UInt8[np.ndarray, "frame row column 3"]:
        """Turn drawn frames into photographs: light, new noise in each, losses of compression.

        Args:
            pictures: The frames, drawn on this ground. Changed in place.
            indices: Their numbers in the clip, from which the noise follows.
        """
        scale = pictures.shape[1] // SIDE
        pictures *= np.float32(self.gain)
        for picture, index in zip(pictures, indices, strict=True):
            # A place in one bank of noise takes a fortieth of the time of new random numbers.
            place = np.random.default_rng((self.seed, index)).integers(0, _NOISE_SIDE - SIDE, 2)
            noise = _draw_noise()[place[0] : place[0] + SIDE, place[1] : place[1] + SIDE]
            # The noise is that of the small frame, so that people see what the model sees.
            enlarged = noise if scale == 1 else noise.repeat(scale, 0).repeat(scale, 1)
            picture += enlarged * np.float32(self.noise)
        return _compress(np.clip(pictures, 0, 255).astype(np.uint8), self.quality)


@lru_cache(maxsize=1)
def _draw_noise() -> Pixels:
    noise = np.random.default_rng(0).normal(size=(_NOISE_SIDE, _NOISE_SIDE, 3))
    noise.flags.writeable = False
    return noise.astype(np.float32)


def _compress(
    pixels: UInt8[np.ndarray, "frame row column 3"], quality: int
) -> UInt8[np.ndarray, "frame row column 3"]:
    """Write frames as JPEG and read them back."""
    # One tall picture takes half the time of many small ones. Without subsampling, blocks are of
    # eight rows, and a side is a multiple of eight: no frame depends on another.
    buffer = io.BytesIO()
    tall = Image.fromarray(pixels.reshape(-1, *pixels.shape[2:]))
    tall.save(buffer, "JPEG", quality=quality, subsampling=0)
    with Image.open(buffer) as picture:
        # A copy, since PIL's own memory cannot be written to, of which torch warns.
        return np.array(picture).reshape(pixels.shape)


def choose_ground(rng: np.random.Generator) -> Ground:
    """Choose a ground; dark, normal and bright ones are equally frequent."""
    light = LIGHTS[rng.integers(len(LIGHTS))]
    low, high = {"dark": (35, 80), "normal": (95, 155), "bright": (175, 225)}[light]
    gain = {"dark": (0.6, 0.85), "normal": (0.85, 1.0), "bright": (0.98, 1.08)}[light]
    return Ground(
        TEXTURES[rng.integers(len(TEXTURES))],
        light,
        int(rng.integers(2**31)),
        float(rng.uniform(low, high)),
        float(rng.uniform(*gain)),
        float(rng.uniform(1.0, 7.0)),
        int(rng.integers(45, 91)),
    )


def _enlarge(grid: np.ndarray, side: int) -> Level:
    """Interpolate a small grid smoothly over the whole canvas."""
    picture = Image.fromarray(np.asarray(grid, dtype=np.float32))
    return np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC))


def _draw_clouds(rng: np.random.Generator, side: int, roughness: float = 0.6) -> Level:
    """Draw noise of all sizes, as in grass, sand or stone; mean 0, deviation about 1."""
    level, strength = np.zeros((side, side), dtype=np.float32), 1.0
    for cells in (3, 7, 15, 31, 62):
        level += np.float32(strength) * _enlarge(rng.normal(size=(cells, cells)), side)
        strength *= roughness
    return level


def _mix(level: Float[np.ndarray, "row column"], first: np.ndarray, second: np.ndarray) -> Pixels:
    """Blend two colours by a level from 0 to 1."""
    share = np.clip(level, 0, 1)[..., None]
    return (first * (1 - share) + second * share).astype(np.float32)


def _vary(rng: np.random.Generator, colour: tuple[int, int, int], by: float = 22.0) -> np.ndarray:
    return np.clip(np.array(colour) + rng.uniform(-by, by, 3), 0, 255)


def _draw_meadow(rng: np.random.Generator, side: int) -> Pixels:
    grass = _mix(
        _draw_clouds(rng, side, 0.85) * 0.22 + 0.5,
        _vary(rng, (62, 104, 42)),
        _vary(rng, (140, 165, 80)),
    )
    # Sky over a soft horizon, high up, so that nearly all things are on the grass.
    far = _mix(
        _draw_clouds(rng, side, 0.5) * 0.25 + 0.5,
        _vary(rng, (120, 160, 205)),
        _vary(rng, (215, 225, 235)),
    )
    height = rng.uniform(0.0, 0.28) * side
    rows = np.arange(side, dtype=np.float32)[:, None]
    hills = _enlarge(rng.normal(size=(2, 5)), side)[:1] * side * 0.03
    share = np.clip((rows - height - hills) / (side * 0.012) + 0.5, 0, 1)[..., None]
    return (far * (1 - share) + grass * share).astype(np.float32)


def _draw_sand(rng: np.random.Generator, side: int) -> Pixels:
    colours = ((196, 164, 116), (150, 118, 88), (128, 132, 138), (206, 200, 190))
    base = np.array(colours[rng.integers(len(colours))])
    light, dark = base + rng.uniform(10, 35, 3), base - rng.uniform(15, 45, 3)
    return _mix(_draw_clouds(rng, side, rng.uniform(0.6, 0.95)) * 0.2 + 0.5, dark, light)


def _draw_wall(rng: np.random.Generator, side: int) -> Pixels:
    base = rng.uniform(50, 220, 3)
    level = _draw_clouds(rng, side, 0.35) * rng.uniform(0.05, 0.2) + 0.5
    return _mix(level, base * 0.75, np.minimum(base * 1.2, 250))


def _draw_cloth(rng: np.random.Generator, side: int) -> Pixels:
    places = (np.arange(side, dtype=np.float32) + 0.5) / side
    across, down = np.meshgrid(places, places)
    turn = rng.uniform(0, np.pi)
    along = across * np.cos(turn) + down * np.sin(turn)
    other = down * np.cos(turn) - across * np.sin(turn)
    first, second = rng.uniform(18, 70, 2)
    weave = 0.22 * np.sin(first * along + rng.uniform(0, 6)) * (rng.random() < 0.8)
    weave = weave + 0.22 * np.sin(second * other + rng.uniform(0, 6)) * (rng.random() < 0.7)
    level = weave + 0.06 * _draw_clouds(rng, side, 0.9) + 0.5
    colour = rng.uniform(40, 200, 3)
    return _mix(level, colour, np.clip(colour + rng.uniform(-70, 90, 3), 0, 255))


def _draw_planks(rng: np.random.Generator, side: int) -> Pixels:
    count = int(rng.integers(4, 9))
    rows = (np.arange(side) * count) // side
    tone = rng.uniform(-0.16, 0.16, count)[rows]
    grain = _enlarge(rng.normal(size=(90, 4)), side) * 0.1 + _draw_clouds(rng, side, 0.5) * 0.05
    level = tone[:, None] + grain + 0.5
    # A dark joint between two planks, one fiftieth of the picture wide at most.
    gap = np.abs(((np.arange(side) * count / side) % 1) - 0.5) > 0.5 - 0.012 * count
    level = np.where(gap[:, None], level - 0.45, level)
    planks = _mix(level, _vary(rng, (88, 58, 36)), _vary(rng, (204, 164, 116)))
    return planks if rng.random() < 0.6 else np.ascontiguousarray(planks.transpose(1, 0, 2))


def _draw_tiles(rng: np.random.Generator, side: int) -> Pixels:
    count = int(rng.integers(3, 7))
    place = (np.arange(side) * count / side) + rng.uniform()
    cell = place.astype(int)
    tone = rng.uniform(-0.15, 0.15, (count + 2, count + 2))[cell][:, cell]
    chess = ((cell[:, None] + cell) % 2) * rng.choice([0.0, 0.3])
    joint = np.abs(place % 1 - 0.5) > 0.5 - 0.01 * count
    level = tone + chess + _draw_clouds(rng, side, 0.7) * 0.05 + 0.4
    level = np.where(joint[:, None] | joint, level - 0.3, level)
    base = _vary(rng, (170, 165, 160), 55.0)
    return _mix(level, base * 0.6, np.minimum(base * 1.25, 250))


_PAINTERS = {
    "meadow": _draw_meadow,
    "sand": _draw_sand,
    "cloth": _draw_cloth,
    "planks": _draw_planks,
    "tiles": _draw_tiles,
    "wall": _draw_wall,
}
