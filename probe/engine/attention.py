"""Attention from the tokens of a question to the cells of a video."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from probe.engine.grids import Cells
from probe.video import Tube

RELATIVE_FLOOR = 1e-4
"""Keeps relative attention finite where the generic prompt does not look (METHOD: 1e-4)."""

ON_TUBE = 0.1
"""Least share of a cell that a tube must cover for the cell to lie on it."""


@dataclass(frozen=True, eq=False)
class Heatmap:
    """How strongly each cell of each frame is attended to.

    Values are shares of attention (0 to 1, summing to less than one over the whole video), or
    ratios of two such shares after `relative_to`.
    """

    values: Float[Tensor, "frame row column"]
    cells: Cells

    def __post_init__(self) -> None:
        if self.values.shape != self.cells.shape:
            raise ValueError(f"a map of {tuple(self.values.shape)} does not fit {self.cells.shape}")

    def relative_to(self, other: "Heatmap", floor: float = RELATIVE_FLOOR) -> "Heatmap":
        """This map over another, cell by cell: relative attention (Zhang et al., ICLR 2025)."""
        return replace(self, values=self.values / (other.values + floor))

    def reversed(self) -> "Heatmap":
        """The same map, last frame first."""
        return Heatmap(self.values.flip(0), self.cells.reversed())

    def consistency(self, other: "Heatmap") -> float:
        """How alike two maps of the same cells are: their correlation over all cells, -1 to 1.

        Raises:
            ValueError: if they show different cells.
        """
        _check_same_cells([self, other])
        pair = torch.stack([self.values.flatten(), other.values.flatten()])
        return float(torch.corrcoef(pair)[0, 1].nan_to_num(0.0))

    @property
    def peak(self) -> tuple[int, int, int]:
        """Frame, row and column of the strongest cell."""
        frame, row, column = torch.unravel_index(self.values.argmax(), self.values.shape)
        return int(frame), int(row), int(column)

    def points_at(self, tube: Tube) -> bool:
        """Whether the strongest cell lies on the tube: the pointing game."""
        return bool(self.cells.coverage(tube)[self.peak] > ON_TUBE)

    def peak_within(self, tube: Tube) -> Float[Tensor, " frame"]:
        """The strongest cell inside the tube in each frame, weighted by how much of it is inside.

        0 in frames where the tube has no box.
        """
        share = torch.from_numpy(self.cells.coverage(tube)).to(self.values)
        return (self.values * share).amax(dim=(1, 2))


Assembly: TypeAlias = Literal["mean", "max", "product"]
"""How maps of the same cells become one; the paper does not state its rule."""

_ASSEMBLIES: dict[Assembly, Callable[[Tensor], Tensor]] = {
    "mean": lambda values: values.mean(0),
    "max": lambda values: values.amax(0),
    "product": lambda values: values.prod(0),
}


def assemble(maps: Sequence[Heatmap], how: Assembly = "mean") -> Heatmap:
    """One map of several of the same cells, such as those of both frame orders.

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
    """The attention of a few tokens to every position, without the full matrix.

    Queries and keys are those of the model after positional encoding; where the model shares
    keys among heads (grouped-query attention), consecutive heads belong to one group of keys. The
    mask is that of all heads, or has one for each.
    """
    heads, tokens, width = queries.shape
    groups = len(keys)
    grouped = queries.reshape(groups, heads // groups * tokens, width)
    scores = (grouped @ keys.mT).reshape(heads, tokens, -1).float() * scaling
    return scores.masked_fill(~mask, float("-inf")).softmax(-1).to(queries.dtype)
