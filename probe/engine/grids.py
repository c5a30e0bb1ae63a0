"""Which position of the token sequence is which cell of which frame of the video."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from probe.video import Box, Tube


@dataclass(frozen=True)
class Cells:
    """What part of the video each cell of a map shows."""

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
        """The pixels that one cell shows."""
        left, top, right, bottom = self.region
        height, width = (bottom - top) / self.rows, (right - left) / self.columns
        x, y = left + column * width, top + row * height
        return x, y, x + width, y + height

    def coverage(self, tube: Tube) -> Float[np.ndarray, "frame row column"]:
        """The share of each cell that the tube's boxes cover, from 0 to 1.

        Between two of its boxes the tube is taken to move in a straight line. A map frame that
        covers several source frames keeps the largest share of any of them.
        """
        left, top, right, bottom = self.region
        x = np.linspace(left, right, self.columns + 1)
        y = np.linspace(top, bottom, self.rows + 1)
        share = np.zeros(self.shape)
        for index, sources in enumerate(self.frames):
            inside = [frame for frame in sources if frame in tube.span]
            for x1, y1, x2, y2 in tube.interpolated(inside).boxes if inside else ():
                across = np.clip(np.minimum(x2, x[1:]) - np.maximum(x1, x[:-1]), 0, None)
                down = np.clip(np.minimum(y2, y[1:]) - np.maximum(y1, y[:-1]), 0, None)
                covered = np.outer(down / (y[1] - y[0]), across / (x[1] - x[0]))
                share[index] = np.maximum(share[index], covered)
        return share

    def stretches(self, source_length: int) -> tuple[int, ...]:
        """Source frames at which the stretch of one map frame ends and that of the next begins.

        A map frame stands for the video around it, up to half-way to its neighbours.
        """
        middles = [
            (before[-1] + after[0] + 1) // 2
            for before, after in zip(self.frames[:-1], self.frames[1:], strict=True)
        ]
        return (0, *middles, source_length)

    def reversed(self) -> "Cells":
        """The same cells, last frame first."""
        return replace(self, frames=self.frames[::-1])


@dataclass(frozen=True, eq=False)
class VisualGrid:
    """Where the visual tokens sit in the sequence, and which cell each of them is.

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

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Frames, rows and columns."""
        return self.cells.shape

    def fold(
        self, values: Float[Tensor, "*lead visual"]
    ) -> Float[Tensor, "*lead frame row column"]:
        """Give one value per visual token its place in the video."""
        return values.unflatten(-1, self.shape)

    def unfold(
        self, values: Float[Tensor, "*lead frame row column"]
    ) -> Float[Tensor, "*lead visual"]:
        """Undo `fold`."""
        return values.flatten(-3)

    def reversal(self) -> Int[Tensor, " visual"]:
        """The order of the visual tokens that puts the last frame first; its own inverse."""
        order = torch.arange(len(self)).unflatten(0, self.shape)
        return order.flip(0).flatten()
