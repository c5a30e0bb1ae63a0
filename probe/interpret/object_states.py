"""States of objects: the visual token that a track covers most, frame by frame, at any layer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from probe.engine.content import same_content
from probe.engine.grids import Cells
from probe.engine.requests import choose_numbers
from probe.engine.view import View
from probe.video import Tube


@dataclass(frozen=True, eq=False)
class ObjectStates:
    """One state for each object and frame: that of a single visual token."""

    states: Float[Tensor, "track frame hidden"]
    """NaN where the track covers no cell of the frame."""

    layer: int
    """The decoder layer that the states enter."""

    places: Int[Tensor, "track frame 2"]
    """Row and column of the cell; -1 where there is none."""

    coverage: Float[Tensor, "track frame"]
    """The share of the cell that the track covers; 0 where there is none."""

    cells: Cells

    def __repr__(self) -> str:
        tracks, frames, hidden = self.states.shape
        shown = int((self.coverage > 0).sum())
        return (
            f"ObjectStates({tracks} tracks, {frames} frames, {shown} states of {hidden} entering "
            f"layer {self.layer})"
        )

    def __eq__(self, other: object) -> bool:
        return same_content(self, other)

    def __hash__(self) -> int:
        return hash((self.layer, self.states.shape, self.cells))

    def to_numpy(self) -> Float[np.ndarray, "track frame hidden"]:
        """Return the states as an array."""
        return self.states.numpy()

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each track and frame: first source frame, cell and coverage."""
        tracks, frames = np.indices(self.coverage.shape).reshape(2, -1)
        first = np.array([sources[0] for sources in self.cells.frames])
        rows, columns = self.places.flatten(0, 1).T.numpy()
        return pd.DataFrame(
            {
                "track": tracks,
                "frame": first[frames],
                "row": rows,
                "column": columns,
                "coverage": self.coverage.flatten().numpy(),
            }
        )


def object_states(view: View, tracks: Tube | Sequence[Tube], layer: int) -> ObjectStates:
    """Read the state of the visual token that each track covers most, frame by frame.

    No question is asked; what is done while questions are read does not reach the states.

    Args:
        view: The video.
        tracks: The objects; one track is a list of one.
        layer: The decoder layer that the states enter, from 0: the input of the language model.
            Negative numbers count from the last.

    Raises:
        ValueError: if there is no track or no such layer, or the view has latent prompts, which
            states leave out.
    """
    (found,) = states_by_layer(view, tracks, layer)
    return found


def states_by_layer(
    view: View, tracks: Tube | Sequence[Tube], layers: int | Sequence[int] | None = None
) -> list[ObjectStates]:
    """Read what `object_states` reads at several layers, in one pass; at all by default."""
    if view.latents:
        raise ValueError("visual tokens are read without latent prompts; give the plain view")
    objects = [tracks] if isinstance(tracks, Tube) else list(tracks)
    if not objects:
        raise ValueError("there is no track to follow; give at least one")
    numbers = choose_numbers("layer", layers, view.checkpoint.depth)
    places, coverage = find_cells(view.grid.cells, objects)
    kept = [
        _gather(view.grid.shape, states, places)
        for states in view.cache.states_at(numbers, view.grid.positions)
    ]
    return [
        ObjectStates(states, layer, places, coverage, view.grid.cells)
        for layer, states in zip(sorted(numbers), kept, strict=True)
    ]


def find_cells(
    cells: Cells, tracks: Sequence[Tube]
) -> tuple[Int[Tensor, "track frame 2"], Float[Tensor, "track frame"]]:
    """Find the cell that each track covers most in each frame, and the share that it covers.

    Of cells that are covered alike, as all within a large object are, it is the one nearest to the
    middle of the covered area: the first would lie at its upper edge.
    """
    # In NumPy, as coverage comes; a clip has few tracks.
    shares = np.stack([cells.coverage(track) for track in tracks])
    _, _, rows, columns = shares.shape
    row, column = np.arange(rows)[:, None], np.arange(columns)
    total = np.maximum(shares.sum((-2, -1), keepdims=True), np.finfo(float).tiny)
    middle_row = (shares * row).sum((-2, -1), keepdims=True) / total
    middle_column = (shares * column).sum((-2, -1), keepdims=True) / total
    distance = (row - middle_row) ** 2 + (column - middle_column) ** 2
    best = shares.max((-2, -1), keepdims=True)
    # Shares that differ by rounding alone are equal.
    among = np.where(shares >= best - 1e-9, distance, np.inf)
    flat = among.reshape(*shares.shape[:2], -1).argmin(-1)
    places = np.stack(np.divmod(flat, columns), axis=-1)
    coverage = best[..., 0, 0]
    # A place outside the grid, so that a cell which was not looked up is not taken for one.
    places[coverage == 0] = -1
    return torch.from_numpy(places), torch.from_numpy(coverage).float()


def _gather(
    shape: tuple[int, int, int],
    states: Float[Tensor, "visual hidden"],
    places: Int[Tensor, "track frame 2"],
) -> Float[Tensor, "track frame hidden"]:
    # In float32: the readers that learn from them do.
    folded = states.float().unflatten(0, shape)
    frames = torch.arange(shape[0]).expand(places.shape[:2])
    found = folded[frames, places[..., 0], places[..., 1]]
    return found.masked_fill((places[..., :1] < 0), torch.nan)
