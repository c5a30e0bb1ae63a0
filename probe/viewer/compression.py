"""Compress many attention maps: the strongest cells of each, and the rest from the map above it.

A page that holds every head's map of every token would be hundreds of megabytes. Maps are kept in
three generations instead: a token's mean over all layers and heads is kept whole, each layer's mean
and each head's map as their strongest cells. All other cells of a map have the shape of the map of
the generation above (its parent), scaled to the attention that is really paid to them, and none is
stronger than the map's weakest kept cell.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int, UInt8, UInt16

Maps = Float32[np.ndarray, "map cell"]

FINE_LEVELS, COARSE_LEVELS = 65_535, 255
"""Levels of a kept value below its map's peak: fine for means over everything, coarse for others.

They are even in the square root, so that small values survive: the error is at most the peak over
the number of levels for a value at the peak, and falls with the root of the value.
"""


@dataclass(frozen=True)
class Budget:
    """The amount of attention that a page holds; small readings fit whole."""

    layer_cells: int = 1_200_000
    """Cells kept of all layers' maps together; divided evenly among maps."""

    head_cells: int = 3_600_000
    """Cells kept of all heads' maps together."""

    picture_bytes: int = 1_500_000
    """Size of all pictures together."""

    picture_side: int = 640
    """Longest side of a picture, in pixels."""


@dataclass(frozen=True, eq=False)
class WholeMaps:
    """Maps with a code for every cell."""

    codes: UInt16[np.ndarray, "map cell"]
    peaks: Float32[np.ndarray, " map"]

    def decode(self) -> Maps:
        """Compute the maps as the page shows them."""
        return self.peaks[:, None] * np.square(self.codes / np.float32(FINE_LEVELS))


@dataclass(frozen=True, eq=False)
class StrongestCells:
    """Maps with a code for each of their strongest cells, as many in each map."""

    places: Int[np.ndarray, "map kept"]
    """The cells that are kept, in increasing order."""
    codes: UInt8[np.ndarray, "map kept"]
    peaks: Float32[np.ndarray, " map"]
    masses: Float32[np.ndarray, " map"]
    """The sum of each map over all its cells."""

    def decode(self, parents: Maps) -> Maps:
        """Compute the maps as the page shows them, each from its parent."""
        kept = self.peaks[:, None] * np.square(self.codes / np.float32(COARSE_LEVELS))
        shape = parents.copy()
        # The parent's attention at the kept cells is not shared out among the others.
        np.put_along_axis(shape, self.places, np.float32(0), axis=1)
        # Rounded up, the kept cells may together exceed the mass of the map.
        left = np.maximum(self.masses - kept.sum(axis=1), 0)
        below = shape.sum(axis=1)
        share = np.divide(left, below, out=np.zeros_like(left), where=below > 0)
        maps = np.minimum(share[:, None] * shape, kept.min(axis=1)[:, None])
        np.put_along_axis(maps, self.places, kept, axis=1)
        return maps


@dataclass(frozen=True)
class LargestErrors:
    """The largest difference between a true map and the decoded one, in shares of attention."""

    mean: float
    layer: float
    head: float


@dataclass(frozen=True, eq=False)
class CompressedAttention:
    """A reading's attention as the page holds it.

    Maps are ordered by token, then by layer, then by head.
    """

    means: WholeMaps
    layers: StrongestCells
    heads: StrongestCells
    error: LargestErrors


def compress_attention(
    attention: Float[np.ndarray, "layer head token cell"], layer_cells: int, head_cells: int
) -> CompressedAttention:
    """Compress a reading's attention, and measure the error of it.

    Args:
        attention: Shares of attention, 0 to 1.
        layer_cells: Cells to keep of each layer's mean map.
        head_cells: Cells to keep of each head's map.

    Raises:
        ValueError: if a value is not finite.
    """
    # Token by token: a large reading would not fit in memory a second and a third time.
    parts = [_compress_token(one, layer_cells, head_cells) for one in _checked_tokens(attention)]
    means, by_layer, by_head, errors = zip(*parts, strict=True)
    return CompressedAttention(
        WholeMaps(*_join(means, "codes", "peaks")),
        StrongestCells(*_join(by_layer, "places", "codes", "peaks", "masses")),
        StrongestCells(*_join(by_head, "places", "codes", "peaks", "masses")),
        LargestErrors(*(max(error) for error in zip(*errors, strict=True))),
    )


def _checked_tokens(attention: np.ndarray) -> Iterator[np.ndarray]:
    for token in range(attention.shape[2]):
        if not np.isfinite(attention[:, :, token]).all():
            raise ValueError(f"the attention of token {token} is not finite; nothing is shown")
        yield attention[:, :, token]


def _compress_token(
    attention: Float[np.ndarray, "layer head cell"], layer_cells: int, head_cells: int
) -> tuple[WholeMaps, StrongestCells, StrongestCells, tuple[float, float, float]]:
    """Compress one token's three generations, and return the largest error in each."""
    heads = attention.astype(np.float32)
    layers = heads.mean(axis=1)
    mean = layers.mean(axis=0, keepdims=True)

    whole = _keep_whole(mean)
    by_layer = _keep_strongest(layers, layer_cells)
    by_head = _keep_strongest(heads.reshape(-1, heads.shape[-1]), head_cells)

    # Decoded from decoded parents, as the page does it: errors of the generations add up.
    shown_mean = whole.decode()
    shown_layers = by_layer.decode(np.repeat(shown_mean, len(layers), axis=0))
    shown_heads = by_head.decode(np.repeat(shown_layers, heads.shape[1], axis=0))
    pairs = ((shown_mean, mean), (shown_layers, layers), (shown_heads.reshape(heads.shape), heads))
    first, second, third = (float(abs(shown - true).max()) for shown, true in pairs)
    return whole, by_layer, by_head, (first, second, third)


def _keep_whole(maps: Maps) -> WholeMaps:
    peaks = maps.max(axis=1)
    return WholeMaps(_encode_roots(maps, peaks, FINE_LEVELS).astype(np.uint16), peaks)


def _keep_strongest(maps: Maps, count: int) -> StrongestCells:
    cells = maps.shape[1]
    count = min(max(count, 1), cells)
    places = np.argpartition(maps, cells - count, axis=1)[:, cells - count :]
    # In increasing order their differences are small numbers, which compress well.
    places = np.sort(places, axis=1)
    peaks = maps.max(axis=1)
    kept = np.take_along_axis(maps, places, axis=1)
    codes = _encode_roots(kept, peaks, COARSE_LEVELS).astype(np.uint8)
    return StrongestCells(places, codes, peaks, maps.sum(axis=1))


def _encode_roots(values: Maps, peaks: Float32[np.ndarray, " map"], levels: int) -> np.ndarray:
    share = np.divide(values, peaks[:, None], out=np.zeros_like(values), where=peaks[:, None] > 0)
    return np.rint(np.sqrt(share) * levels)


def _join(parts: tuple, *names: str) -> list[np.ndarray]:
    return [np.concatenate([getattr(part, name) for part in parts]) for name in names]
