"""The visual grid: which position of the token sequence is which cell of which frame."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from probe.engine.content import same_content
from probe.video import Box, Tube

ON_TUBE = 0.1
"""Least share of a cell that a tube must cover for the cell to lie on it."""


@dataclass(frozen=True)
class Cells:
    """The part of the video that each cell of a map shows."""

    frames: tuple[tuple[int, ...], ...]
    """The source frames that each frame of the map covers; more than one where a model merges."""

    rows: int
    columns: int

    region: Box
    """The pixels of the source frame that the cells tile; less than all of it after a crop."""

    def __len__(self) -> int:
        return len(self.frames) * self.rows * self.columns

    @property
    def shape(self) -> tuple[int, int, int]:
        """Frames, rows and columns."""
        return len(self.frames), self.rows, self.columns

    def box(self, row: int, column: int) -> Box:
        """Compute the pixels that one cell shows."""
        left, top, right, bottom = self.region
        height, width = (bottom - top) / self.rows, (right - left) / self.columns
        x, y = left + column * width, top + row * height
        return x, y, x + width, y + height

    def coverage(self, tube: Tube) -> Float[np.ndarray, "frame row column"]:
        """Compute the share of each cell that the tube's boxes cover, from 0 to 1.

        Between two of its boxes the tube is taken to move in a straight line. A map frame that
        covers several source frames keeps the largest share of any of them.
        """
        left, top, right, bottom = self.region
        x = np.linspace(left, right, self.columns + 1)
        y = np.linspace(top, bottom, self.rows + 1)
        share = np.zeros(self.shape)
        for index, sources in enumerate(self.frames):
            # Outside its span an object is absent; interpolation would hold its last box there.
            inside = [frame for frame in sources if frame in tube.span]
            for x1, y1, x2, y2 in tube.interpolated(inside).boxes if inside else ():
                # Overlap of a box with a grid is a product: the share of each column times that of
                # each row.
                across = np.clip(np.minimum(x2, x[1:]) - np.maximum(x1, x[:-1]), 0, None)
                down = np.clip(np.minimum(y2, y[1:]) - np.maximum(y1, y[:-1]), 0, None)
                covered = np.outer(down / (y[1] - y[0]), across / (x[1] - x[0]))
                share[index] = np.maximum(share[index], covered)
        return share

    def inside(self, tube: Tube) -> Bool[Tensor, "frame row column"]:
        """Find the cells that lie on a tube: those that it covers by more than `ON_TUBE`."""
        return torch.from_numpy(self.coverage(tube)) > ON_TUBE

    def touched(self, tube: Tube) -> Bool[Tensor, "frame row column"]:
        """Find the cells that lie on a tube; of one too small for any, those that it covers most.

        None where the tube has no box in the frames and the region of the map.
        """
        coverage = torch.from_numpy(self.coverage(tube))
        inside = coverage > ON_TUBE
        if inside.any():
            return inside
        return (coverage > 0) & (coverage == coverage.amax(dim=(1, 2), keepdim=True))

    def stretches(self, source_length: int) -> tuple[int, ...]:
        """Compute the source frames at which the stretch of one map frame ends and the next begins.

        A map frame shows the video around it, up to half-way to its neighbours.
        """
        middles = [
            (before[-1] + after[0] + 1) // 2
            for before, after in zip(self.frames[:-1], self.frames[1:], strict=True)
        ]
        return (0, *middles, source_length)

    def reversed(self) -> "Cells":
        """Return the same cells, last frame first."""
        return replace(self, frames=self.frames[::-1])

    def to_dict(self) -> dict[str, Any]:
        """Return the cells in plain values."""
        return {
            "frames": [list(sources) for sources in self.frames],
            "rows": self.rows,
            "columns": self.columns,
            "region": list(self.region),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "Cells":
        """Make the cells that `to_dict` wrote."""
        left, top, right, bottom = (float(edge) for edge in record["region"])
        frames = tuple(tuple(sources) for sources in record["frames"])
        return cls(frames, record["rows"], record["columns"], (left, top, right, bottom))


@dataclass(frozen=True, eq=False)
class VisualGrid:
    """The place of each visual token in the sequence, and the cell that it is.

    Positions run frame by frame, each frame row by row; they need not be contiguous.
    """

    positions: Int[Tensor, " visual"]
    cells: Cells

    def __post_init__(self) -> None:
        if len(self.positions) != len(self.cells):
            frames, rows, columns = self.cells.shape
            raise ValueError(
                f"{len(self.positions)} visual tokens cannot tile {frames} frames of "
                f"{rows} x {columns} cells"
            )

    def __eq__(self, other: object) -> bool:
        return same_content(self, other)

    def __hash__(self) -> int:
        return hash(self.cells)

    def __repr__(self) -> str:
        frames, rows, columns = self.shape
        return f"VisualGrid({frames} frames of {rows} x {columns} cells)"

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Frames, rows and columns."""
        return self.cells.shape

    def fold(
        self, values: Float[Tensor, "*lead visual"]
    ) -> Float[Tensor, "*lead frame row column"]:
        """Arrange one value per visual token by frame, row and column."""
        return values.unflatten(-1, self.shape)

    def unfold(
        self, values: Float[Tensor, "*lead frame row column"]
    ) -> Float[Tensor, "*lead visual"]:
        """Undo `fold`."""
        return values.flatten(-3)

    def reversal(self) -> Int[Tensor, " visual"]:
        """Return the order of visual tokens that puts the last frame first; its own inverse."""
        order = torch.arange(len(self)).unflatten(0, self.shape)
        return order.flip(0).flatten()
