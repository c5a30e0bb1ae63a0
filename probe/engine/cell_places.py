"""The places of cells in the positional encoding, by which a decoder tells them apart.

Qwen2.5-VL rounds the time of a map frame down to half a second, so the frames of a short clip share
places: what differs between them is what they show, and not when.
"""

from dataclasses import asdict, dataclass

from probe.engine.view import View


@dataclass(frozen=True)
class CellPlaces:
    """Numbers of cells and of map frames, and of the places that they have."""

    cells: int
    distinct: int
    """Places of cells that differ from one another."""

    frames: int
    moments: int
    """Map frames whose places differ from one another."""

    def __str__(self) -> str:
        if self.distinct == self.cells:
            return f"{self.distinct} of {self.cells} cells have a position of their own"
        times = "one time" if self.moments == 1 else f"{self.moments} times"
        return (
            f"{self.distinct} distinct positions of {self.cells} cells: {self.frames} map frames "
            f"share {times}"
        )

    def to_dict(self) -> dict[str, int]:
        """Return the numbers in plain values."""
        return asdict(self)


def count_places(view: View) -> CellPlaces:
    """Count the places that the cells of a video have, along all axes of the encoding."""
    frames, rows, columns = view.grid.shape
    positions = view.prefix.positions
    places = positions[:, view.grid.positions.to(positions.device)]
    by_frame = places.unflatten(1, (frames, rows * columns)).transpose(0, 1).flatten(1)
    return CellPlaces(
        cells=len(view.grid),
        distinct=len(places.unique(dim=1).T),
        frames=frames,
        moments=len(by_frame.unique(dim=0)),
    )
