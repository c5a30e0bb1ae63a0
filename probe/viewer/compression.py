"""Compress many attention maps: the strongest cells of each, and the rest from the map above it.

A page that holds every head's map of every token would be hundreds of megabytes. Maps are kept in
three generations instead: a token's mean over all layers and heads is kept whole, each layer's mean
and each head's map as their strongest cells. All other cells of a map have the shape of the map of
the generation above (its parent), scaled to the attention that is really paid to them, and none is
stronger than the map's weakest kept cell.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int, UInt8, UInt16

Maps = Float32[np.ndarray, "map cell"]

FINE_LEVELS, COARSE_LEVELS = 65_535, 255
"""Levels of a kept value below its map's peak: fine for means over everything, coarse for others.

They are even in the square root, so that small values survive: the error is at most the peak over
the number of levels for a value at the peak, and falls with the root of the value.
"""

LEVELS_AN_OCTAVE, LEAST_OCTAVE = 512, -112
"""Levels of a peak or a sum, even in its logarithm: off by less than 0.14 %. Two bytes hold them,
from 2^-112 to 2^16; as float32 they were a third of a page of many tokens."""

FEW = 16
"""Kept cells up to which finding the largest again and again is faster than dividing all."""


@dataclass(frozen=True)
class Budget:
    """The amount of attention that a page holds; small readings fit whole."""

    layer_cells: int = 1_200_000
    """Cells kept of all layers' maps together; divided evenly among maps."""

    head_cells: int = 3_600_000
    """Cells kept of all heads' maps together."""

    lens_words: int = 240_000
    """Words kept of all cells and layers of a lens together."""

    picture_bytes: int = 1_250_000
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
        # Changed in place from here to the result: a copy takes longer than the arithmetic.
        shape = parents.copy()
        # The parent's attention at the kept cells is not shared out among the others.
        np.put_along_axis(shape, self.places, np.float32(0), axis=1)
        # Rounded up, the kept cells may together exceed the mass of the map.
        left = np.maximum(self.masses - kept.sum(axis=1), 0)
        below = shape.sum(axis=1)
        share = np.divide(left, below, out=np.zeros_like(left), where=below > 0)
        shape *= share[:, None]
        np.minimum(shape, kept.min(axis=1)[:, None], out=shape)
        np.put_along_axis(shape, self.places, kept, axis=1)
        return shape


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
    tokens = range(attention.shape[2])
    parts = [_compress_token(attention, token, layer_cells, head_cells) for token in tokens]
    means, by_layer, by_head, errors = zip(*parts, strict=True)
    return CompressedAttention(
        WholeMaps(*_join(means, "codes", "peaks")),
        StrongestCells(*_join(by_layer, "places", "codes", "peaks", "masses")),
        StrongestCells(*_join(by_head, "places", "codes", "peaks", "masses")),
        LargestErrors(*(max(error) for error in zip(*errors, strict=True))),
    )


def _compress_token(
    attention: Float[np.ndarray, "layer head token cell"],
    token: int,
    layer_cells: int,
    head_cells: int,
) -> tuple[WholeMaps, StrongestCells, StrongestCells, tuple[float, float, float]]:
    """Compress one token's three generations, and return the largest error in each."""
    heads = attention[:, :, token].astype(np.float32)
    # Faster than a look at each value: whatever is not finite leaves its sum not finite.
    if not np.isfinite(heads.sum(axis=-1)).all():
        raise ValueError(f"the attention of token {token} is not finite; nothing is shown")
    layers = heads.mean(axis=1)
    mean = layers.mean(axis=0, keepdims=True)

    whole = _keep_whole(mean)
    by_layer = _keep_strongest(layers, layer_cells)
    by_head = _keep_strongest(heads.reshape(-1, heads.shape[-1]), head_cells)

    # Decoded from decoded parents, as the page does it: errors of the generations add up.
    shown_mean = whole.decode()
    shown_layers = by_layer.decode(np.repeat(shown_mean, len(layers), axis=0))
    shown_heads = by_head.decode(np.repeat(shown_layers, heads.shape[1], axis=0))
    errors = (
        _find_largest_error(shown_mean, mean),
        _find_largest_error(shown_layers, layers),
        _find_largest_error(shown_heads.reshape(heads.shape), heads),
    )
    return whole, by_layer, by_head, errors


def _find_largest_error(shown: np.ndarray, true: np.ndarray) -> float:
    """Find the largest difference of any cell; `shown` is overwritten, to save memory."""
    shown -= true
    return float(max(shown.max(), -shown.min()))


def _keep_whole(maps: Maps) -> WholeMaps:
    peaks = maps.max(axis=1)
    return WholeMaps(_encode_roots(maps, peaks, FINE_LEVELS).astype(np.uint16), peaks)


def _keep_strongest(maps: Maps, count: int) -> StrongestCells:
    places = _find_strongest(maps, min(max(count, 1), maps.shape[1]))
    # As the page has them. Rounded up, so that no kept value is above its map's peak.
    peaks = decode_logs(encode_logs(maps.max(axis=1)))
    masses = decode_logs(encode_logs(maps.sum(axis=1)))
    kept = np.take_along_axis(maps, places, axis=1)
    codes = _encode_roots(kept, peaks, COARSE_LEVELS).astype(np.uint8)
    return StrongestCells(places, codes, peaks, masses)


def _find_strongest(maps: Maps, count: int) -> Int[np.ndarray, "map kept"]:
    """Find the strongest cells of each map, in increasing order of their places."""
    cells = maps.shape[1]
    if count > FEW:
        places = np.argpartition(maps, cells - count, axis=1)[:, cells - count :]
    else:
        left, rows = maps.copy(), np.arange(len(maps))
        places = np.empty((len(maps), count), np.int64)
        for turn in range(count):
            places[:, turn] = left.argmax(axis=1)
            left[rows, places[:, turn]] = -np.inf
    # In increasing order their differences are small numbers, which compress well.
    return np.sort(places, axis=1)


def encode_logs(values: Float32[np.ndarray, " map"]) -> UInt16[np.ndarray, " map"]:
    """Write values as levels of their logarithm, rounded up; 0 stays 0."""
    positive = values > 0
    octaves = np.log2(values, out=np.zeros(values.shape), where=positive) - LEAST_OCTAVE
    # A level that was decoded has to give the same level again, whatever its last digit.
    levels = np.ceil(octaves * LEVELS_AN_OCTAVE - 1e-3)
    return np.where(positive, np.clip(levels, 1, 2**16 - 1), 0).astype(np.uint16)


def decode_logs(codes: UInt16[np.ndarray, " map"]) -> Float32[np.ndarray, " map"]:
    """Compute the values of levels that `encode_logs` wrote."""
    values = np.exp2(codes / LEVELS_AN_OCTAVE + LEAST_OCTAVE)
    return np.where(codes > 0, values, 0).astype(np.float32)


def _encode_roots(values: Maps, peaks: Float32[np.ndarray, " map"], levels: int) -> np.ndarray:
    share = np.divide(values, peaks[:, None], out=np.zeros_like(values), where=peaks[:, None] > 0)
    return np.rint(np.sqrt(share) * levels)


def _join(parts: tuple, *names: str) -> list[np.ndarray]:
    return [np.concatenate([getattr(part, name) for part in parts]) for name in names]
