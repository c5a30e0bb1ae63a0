"""Distance of each pixel from the colours of the ground, also where the ground has a texture."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from probe.candidates.proposals import ProposerConfig, fit_surface, take_grid

STRIP = 0.15
"""Depth of the strip along each side of a frame whose colours are ground, as a share of the frame:
thin enough that a thing rarely fills most of it."""

USUAL = 0.6
"""Share of the pixels, the nearest, to which colours are fitted; the others may be things."""

ROUNDS = 8
"""Number of times that the colours are fitted and their pixels chosen again."""

MEDIAN_SQUARE = 2.37
"""Median squared length of a standard normal vector in three dimensions."""

LEAST_SCALE = 0.2
"""Least factor of a covariance that is scaled to its pixels: a picture without noise has 0."""


class Colours(NamedTuple):
    """A mean colour, and how colours vary around it."""

    mean: Float[np.ndarray, " 3"]
    covariance: Float[np.ndarray, "3 3"]


def measure_ground_distance(
    picture: Float[np.ndarray, "row column 3"], *, config: ProposerConfig
) -> Float[np.ndarray, "row column"]:
    """Measure how far each pixel is from the ground's colours, in robust standard deviations.

    The ground is what a smooth surface is near to in most of the frame, or what most of a strip
    along one side of the frame looks like, such as the sky above a meadow. Texture and shadows
    change colours mostly in one direction, lighter and darker. The covariance knows it, so that
    a small difference in hue counts more than a large one in brightness.
    """
    away = picture - fit_surface(picture, config)
    distances = [_measure(away, fit_colours(take_grid(away, config), config.noise_floor))]
    distances += [
        _measure(picture, fit_colours(strip, config.noise_floor)) for strip in _cut_strips(picture)
    ]
    return np.min(distances, axis=0)


def fit_colours(pixels: Float[np.ndarray, "pixel 3"], noise: float) -> Colours:
    """Fit mean and covariance to most of the pixels, whatever the others are.

    This is the minimum covariance determinant by concentration steps (Rousseeuw and Van Driessen,
    1999), started from the median colour.

    Args:
        pixels: Colours, in levels.
        noise: Least standard deviation, in levels, so that an even colour can be inverted.
    """
    floor = noise**2 / 2 * np.eye(3)
    mean, covariance = np.median(pixels, axis=0), np.eye(3)
    squares = _square(pixels, Colours(mean, covariance))
    kept = max(1, int(USUAL * len(pixels)))
    for _ in range(ROUNDS):
        nearest = pixels[np.argpartition(squares, kept - 1)[:kept]].astype(np.float64)
        mean = nearest.mean(0)
        # Divided by their number, not one less: a picture may have a single pixel.
        covariance = (nearest - mean).T @ (nearest - mean) / kept + floor
        squares = _square(pixels, Colours(mean, covariance))
    # The nearest pixels vary less than all of the ground does.
    scale = max(float(np.median(squares)) / MEDIAN_SQUARE, LEAST_SCALE)
    return Colours(mean, covariance * scale + floor)


def _cut_strips(
    picture: Float[np.ndarray, "row column 3"],
) -> Iterator[Float[np.ndarray, "pixel 3"]]:
    """Cut off a strip along each side, every second row of it."""
    for side in (picture, picture[::-1], picture.swapaxes(0, 1), picture.swapaxes(0, 1)[::-1]):
        yield side[: max(1, int(STRIP * len(side))), ::2].reshape(-1, 3)


def _measure(
    picture: Float[np.ndarray, "row column 3"], colours: Colours
) -> Float[np.ndarray, "row column"]:
    squares = _square(picture.reshape(-1, 3), colours)
    return np.sqrt(squares).reshape(picture.shape[:2])


def _square(pixels: Float[np.ndarray, "pixel 3"], colours: Colours) -> Float[np.ndarray, " pixel"]:
    """Compute the squared Mahalanobis distance of each pixel."""
    away = pixels - colours.mean
    return np.maximum((away @ np.linalg.inv(colours.covariance) * away).sum(1), 0)
