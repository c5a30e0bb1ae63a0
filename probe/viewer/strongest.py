"""Many attention maps in little space: the strongest cells of each, and the rest from its parent.

A page that holds every head's map of every token would be hundreds of megabytes. Maps are kept in
three generations instead: a token's mean over all layers and heads whole, each layer's mean and
each head's map as their strongest cells. Elsewhere a map is given the shape of the map above it,
scaled to the attention that it really pays there, and never stronger than its weakest kept cell.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int, UInt8, UInt16

Maps = Float32[np.ndarray, "map cell"]

FINE, COARSE = 65_535, 255
"""Levels of a kept value below its map's peak, for means over everything and for all others.

They are even in the square root, so that small values survive: the error is at most the peak over
the number of levels where the value is the peak, and falls with the root of the value.
"""


@dataclass(frozen=True)
class Budget:
    """How much of the attention a page holds; small readings fit whole."""

    layer_cells: int = 1_200_000
    """Cells kept of all layers' maps together; divided evenly among maps."""

    head_cells: int = 3_600_000
    """Cells kept of all heads' maps together."""

    picture_bytes: int = 1_500_000
    """Size of all pictures together."""

    picture_side: int = 640
    """Longest side of a picture, in pixels."""


@dataclass(frozen=True, eq=False)
class Whole:
    """Maps with a code for every cell."""

    codes: UInt16[np.ndarray, "map cell"]
    peaks: Float32[np.ndarray, " map"]

    def decoded(self) -> Maps:
        """The maps as the page shows them."""
        return self.peaks[:, None] * np.square(self.codes / np.float32(FINE))


@dataclass(frozen=True, eq=False)
class Strongest:
    """Maps with a code for each of their strongest cells, as many for each map."""

    places: Int[np.ndarray, "map kept"]
    """Which cells they are, in increasing order."""
    codes: UInt8[np.ndarray, "map kept"]
    peaks: Float32[np.ndarray, " map"]
    masses: Float32[np.ndarray, " map"]
    """The sum of each map over all its cells."""

    def decoded(self, parents: Maps) -> Maps:
        """The maps as the page shows them, each below its parent."""
        kept = self.peaks[:, None] * np.square(self.codes / np.float32(COARSE))
        shape = parents.copy()
        np.put_along_axis(shape, self.places, np.float32(0), axis=1)
        left = np.maximum(self.masses - kept.sum(axis=1), 0)
        below = shape.sum(axis=1)
        share = np.divide(left, below, out=np.zeros_like(left), where=below > 0)
        maps = np.minimum(share[:, None] * shape, kept.min(axis=1)[:, None])
        np.put_along_axis(maps, self.places, kept, axis=1)
        return maps


@dataclass(frozen=True)
class Error:
    """The largest difference between a true map and the kept one, in shares of attention."""

    mean: float
    layer: float
    head: float


@dataclass(frozen=True, eq=False)
class Kept:
    """A reading's attention as the page holds it.

    Maps run token by token, then layer by layer, then head by head.
    """

    means: Whole
    layers: Strongest
    heads: Strongest
    error: Error


def keep(attention: Float[np.ndarray, "layer head token cell"], layer: int, head: int) -> Kept:
    """Keep a reading's attention, with this many cells of each layer's and each head's map.

    Raises:
        ValueError: if a value is not finite.
    """
    parts = [_keep_token(attention[:, :, token], layer, head) for token in _tokens(attention)]
    means, by_layer, by_head, errors = zip(*parts, strict=True)
    return Kept(
        Whole(*_joined(means, "codes", "peaks")),
        Strongest(*_joined(by_layer, "places", "codes", "peaks", "masses")),
        Strongest(*_joined(by_head, "places", "codes", "peaks", "masses")),
        Error(*(max(error) for error in zip(*errors, strict=True))),
    )


def _tokens(attention: np.ndarray) -> Iterator[int]:
    for token in range(attention.shape[2]):
        if not np.isfinite(attention[:, :, token]).all():
            raise ValueError(f"the attention of token {token} is not finite; nothing is shown")
        yield token


def _keep_token(
    attention: Float[np.ndarray, "layer head cell"], layer: int, head: int
) -> tuple[Whole, Strongest, Strongest, tuple[float, float, float]]:
    """One token's three generations, and the largest error in each."""
    heads = attention.astype(np.float32)
    layers = heads.mean(axis=1)
    mean = layers.mean(axis=0, keepdims=True)

    whole = _whole(mean)
    by_layer = _strongest(layers, layer)
    by_head = _strongest(heads.reshape(-1, heads.shape[-1]), head)

    shown_mean = whole.decoded()
    shown_layers = by_layer.decoded(np.repeat(shown_mean, len(layers), axis=0))
    shown_heads = by_head.decoded(np.repeat(shown_layers, heads.shape[1], axis=0))
    pairs = ((shown_mean, mean), (shown_layers, layers), (shown_heads.reshape(heads.shape), heads))
    first, second, third = (float(abs(shown - true).max()) for shown, true in pairs)
    return whole, by_layer, by_head, (first, second, third)


def _whole(maps: Maps) -> Whole:
    peaks = maps.max(axis=1)
    return Whole(_codes(maps, peaks, FINE).astype(np.uint16), peaks)


def _strongest(maps: Maps, count: int) -> Strongest:
    cells = maps.shape[1]
    count = min(max(count, 1), cells)
    places = np.argpartition(maps, cells - count, axis=1)[:, cells - count :]
    places = np.sort(places, axis=1)
    peaks = maps.max(axis=1)
    codes = _codes(np.take_along_axis(maps, places, axis=1), peaks, COARSE).astype(np.uint8)
    return Strongest(places, codes, peaks, maps.sum(axis=1))


def _codes(values: Maps, peaks: Float32[np.ndarray, " map"], levels: int) -> np.ndarray:
    share = np.divide(values, peaks[:, None], out=np.zeros_like(values), where=peaks[:, None] > 0)
    return np.rint(np.sqrt(share) * levels)


def _joined(parts: tuple, *names: str) -> list[np.ndarray]:
    return [np.concatenate([getattr(part, name) for part in parts]) for name in names]
