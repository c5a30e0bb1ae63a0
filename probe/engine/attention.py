"""Attention from the tokens of a question to the cells of a video."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from probe.engine.content import as_tensor, as_xarray, same_content
from probe.engine.grids import ON_TUBE, Cells
from probe.files import FileFormat, read_tensors, write_tensors
from probe.video import Tube, Video

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

RELATIVE_FLOOR = 1e-4
"""Keeps relative attention finite where the generic prompt does not look (METHOD: 1e-4)."""

HEATMAP_FORMAT = FileFormat("grounding-probe/heatmap", 1, "a heatmap", "Heatmap.save")


@dataclass(frozen=True, eq=False)
class Heatmap:
    """The attention that each cell of each frame gets.

    Values are shares of attention (0 to 1, summing to less than one over the whole video), or
    ratios of two such shares after `relative_to`.
    """

    values: Float[Tensor, "frame row column"]
    cells: Cells

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", as_tensor("the values of a map", self.values))
        if self.values.shape != self.cells.shape:
            raise ValueError(f"a map of {tuple(self.values.shape)} does not fit {self.cells.shape}")

    def __repr__(self) -> str:
        frames, rows, columns = self.cells.shape
        strongest = float(self.values.max())
        return (
            f"Heatmap({frames} frames of {rows} x {columns} cells, strongest {strongest:.4g} in "
            f"source frame {self.cells.frames[self.peak[0]][0]})"
        )

    def __eq__(self, other: object) -> bool:
        return same_content(self, other)

    def __hash__(self) -> int:
        return hash(self.cells)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Let NumPy take the map for its values: `np.asarray(heatmap)`."""
        return np.array(self.to_numpy(), dtype=dtype, copy=copy is not False)

    def to_numpy(self) -> Float[np.ndarray, "frame row column"]:
        """Return the values as an array."""
        return self.values.detach().float().cpu().numpy()

    def to_frame(self) -> "pd.DataFrame":
        """Return one row a cell: source `frame` (the first it covers), `row`, `column`, `value`."""
        frames, rows, columns = np.indices(self.cells.shape).reshape(3, -1)
        first = np.array([sources[0] for sources in self.cells.frames])
        table = {"frame": first[frames], "row": rows, "column": columns}
        import pandas as pd  # here, since a model is loaded without it a fifth of a second sooner

        return pd.DataFrame({**table, "value": self.to_numpy().ravel()})

    def to_xarray(self) -> Any:
        """Return the values as an array with named axes; needs the package xarray.

        Raises:
            RuntimeError: if xarray is not installed.
        """
        first = [sources[0] for sources in self.cells.frames]
        return as_xarray(self.to_numpy(), {"frame": first, "row": None, "column": None})

    def plot(self, ax: "Axes | None" = None, video: Video | None = None) -> "Axes":
        """Draw frames of the map in a row, on one scale, with the strongest cell outlined.

        Args:
            ax: The axes to draw on; None for a new figure.
            video: The video that the map was read from, to draw its pictures below the heat.

        Returns:
            The axes drawn on; the whole figure is their `figure`.

        Raises:
            ValueError: if a value is not finite, or the video does not have the map's frames.
        """
        # Imported where it is drawn: matplotlib takes long to import, and loading a model and
        # reading it need none of it.
        from probe.pictures.rows import draw_heat

        cells = self.cells
        return draw_heat(
            ax, self.to_numpy(), region=cells.region, sources=cells.frames, video=video
        )

    def _repr_html_(self) -> str:
        """Draw the map for Jupyter."""
        from probe.pictures.html import plot_as_html  # see `plot`

        return plot_as_html(self)

    def save(self, path: str | Path) -> None:
        """Write the map as safetensors."""
        about = {**HEATMAP_FORMAT.header, "cells": self.cells.to_dict()}
        write_tensors(path, {"values": self.values}, about)

    @classmethod
    def load(cls, path: str | Path) -> "Heatmap":
        """Read the map that `save` wrote.

        Raises:
            ValueError: if the file is missing or holds no map.
        """
        tensors, about = read_tensors(path)
        with HEATMAP_FORMAT.reading(path):
            record = HEATMAP_FORMAT.check(path, about)
            return cls(tensors["values"], Cells.from_dict(record["cells"]))

    def relative_to(self, other: "Heatmap", floor: float = RELATIVE_FLOOR) -> "Heatmap":
        """Divide by another map, cell by cell: relative attention (Zhang et al., ICLR 2025)."""
        return replace(self, values=self.values / (other.values + floor))

    def reversed(self) -> "Heatmap":
        """Return the same map, last frame first."""
        return Heatmap(self.values.flip(0), self.cells.reversed())

    def consistency(self, other: "Heatmap") -> float:
        """Compute the correlation with another map of the same cells over all cells, -1 to 1.

        Raises:
            ValueError: if they show different cells.
        """
        _check_same_cells([self, other])
        pair = torch.stack([self.values.flatten(), other.values.flatten()])
        # A map without any variation correlates with nothing.
        return float(torch.corrcoef(pair)[0, 1].nan_to_num(0.0))

    @property
    def peak(self) -> tuple[int, int, int]:
        """Frame, row and column of the strongest cell."""
        frame, row, column = torch.unravel_index(self.values.argmax(), self.values.shape)
        return int(frame), int(row), int(column)

    def points_at(self, tube: Tube) -> bool:
        """Tell whether the strongest cell lies on the tube: the pointing game."""
        return bool(self.cells.coverage(tube)[self.peak] > ON_TUBE)

    def peak_within(self, tube: Tube) -> Float[Tensor, " frame"]:
        """Return the strongest cell inside the tube in each frame, weighted by its share inside.

        0 in frames where the tube has no box.
        """
        share = torch.from_numpy(self.cells.coverage(tube)).to(self.values)
        return (self.values * share).amax(dim=(1, 2))


Assembly: TypeAlias = Literal["mean", "max", "product"]
"""Rule that joins maps of the same cells; the paper does not state its own."""

_ASSEMBLIES: dict[Assembly, Callable[[Tensor], Tensor]] = {
    "mean": lambda values: values.mean(0),
    "max": lambda values: values.amax(0),
    "product": lambda values: values.prod(0),
}


def assemble(maps: Sequence[Heatmap], how: Assembly = "mean") -> Heatmap:
    """Join maps of the same cells, such as those of both frame orders.

    Raises:
        ValueError: if there is none, they show different cells, or the rule is unknown.
    """
    if not maps:
        raise ValueError("there is no map to assemble; give at least one")
    if how not in _ASSEMBLIES:
        raise ValueError(f"unknown rule {how!r}; give one of {', '.join(_ASSEMBLIES)}")
    _check_same_cells(maps)
    values = torch.stack([heatmap.values for heatmap in maps])
    return Heatmap(_ASSEMBLIES[how](values), maps[0].cells)


def _check_same_cells(maps: Sequence[Heatmap]) -> None:
    if any(heatmap.cells != maps[0].cells for heatmap in maps):
        raise ValueError("the maps show different cells; reverse one, or read one video")


def attention_rows(
    queries: Float[Tensor, "head token width"],
    keys: Float[Tensor, "group position width"],
    mask: Bool[Tensor, "*heads token position"],
    scaling: float,
) -> Float[Tensor, "head token position"]:
    """Compute the attention of a few tokens to every position, without the full matrix.

    Queries and keys are those of the model after positional encoding; where the model shares
    keys among heads (grouped-query attention), consecutive heads belong to one group of keys. The
    mask is that of all heads, or has one for each.
    """
    heads, tokens, width = queries.shape
    # The heads of a group are consecutive, so one product a group serves them all, and keys need
    # not be repeated for each head.
    groups = len(keys)
    grouped = queries.reshape(groups, heads // groups * tokens, width)
    # Softmax in float32, as the models' own eager attention has it.
    scores = (grouped @ keys.mT).reshape(heads, tokens, -1).float()
    # In place, since each copy of the scores would take as long as computing them.
    return scores.mul_(scaling).masked_fill_(~mask, float("-inf")).softmax(-1).to(queries.dtype)
