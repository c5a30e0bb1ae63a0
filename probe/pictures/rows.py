"""Frames in a row on one pair of axes: with heat over them, boxes on them, a title above each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import matplotlib
import numpy as np
from jaxtyping import Bool, Float, UInt8
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from probe.pictures.crops import dim_outside
from probe.pictures.fonts import make_legible, note_missing_once
from probe.pictures.heat import HEAT_COLOURS, blend, scale_heat
from probe.pictures.style import (
    CHOSEN_COLOUR,
    PICTURE_WIDTH,
    TEXT_SIZE,
    choose_options,
    require_finite,
    take_axes,
    write_title,
)
from probe.video import Box, Video
from probe.video.previews import FRAME_GAP, choose_row, write_times

Outline: TypeAlias = tuple[Box | Float[np.ndarray, " 4"], str, float]
"""A box in pixels of its tile, the colour of its line, and the line's width in points."""

OTHER_BOX_WIDTH, BOX_WIDTH, CELL_BOX_WIDTH = 0.7, 1.6, 1.4
"""Points of the line around other things, the one that is asked for, and the strongest cell."""

MARK_SIZE = 6.0
"""Points of the texts on a picture."""

BOX_HALO_WIDTH = 0.9
"""Points by which the line below a box is wider, to show the box on pictures of any brightness."""

DASHES = (2.0, 2.0)
"""Lengths of a dash and of the gap after it, in widths of the line."""

TITLES_HEIGHT = 0.42
"""Inches above a row of frames, for its title and for theirs."""


@dataclass(frozen=True, eq=False)
class Tile:
    """One picture of a row."""

    picture: UInt8[np.ndarray, "height width 3"]

    title: str

    outlines: tuple[Outline, ...] = ()
    """Boxes on it, each drawn over those before it."""

    size: tuple[float, float] | None = None
    """Height and width in which boxes are measured; None for the picture's own pixels."""

    dashed: tuple[Outline, ...] = ()
    """Boxes drawn with dashes over all others, which stay visible between the dashes."""

    marks: tuple[tuple[float, float, str], ...] = ()
    """Short texts on it, each to the right of and below its place."""


@note_missing_once()
def draw_row(ax: Axes, tiles: Sequence[Tile], title: str = "") -> None:
    """Draw pictures of one size in a row; a picture's pixels are the units of the axes.

    Args:
        ax: The axes to draw on.
        tiles: The pictures, from left to right.
        title: Text above all of them, shown as it is.
    """
    height, width = tiles[0].size or tiles[0].picture.shape[:2]
    step = width * (1 + FRAME_GAP)
    for number, tile in enumerate(tiles):
        left = number * step
        ax.imshow(tile.picture, extent=(left, left + width, height, 0))
        for (x1, y1, x2, y2), colour, thickness in tile.outlines:
            _outline(ax, (left + x1, y1, left + x2, y2), colour, thickness)
        for (x1, y1, x2, y2), colour, thickness in tile.dashed:
            _outline(ax, (left + x1, y1, left + x2, y2), colour, thickness, DASHES)
        for x, y, text in tile.marks:
            _write_mark(ax, (left + x, y), text)
    centres = [number * step + width / 2 for number in range(len(tiles))]
    # As labels of ticks, the titles of tiles are part of the axes: layouts leave room for them.
    titles = [make_legible(tile.title) for tile in tiles]
    ax.set_xticks(centres, titles, fontsize=TEXT_SIZE, **choose_options("".join(titles)))
    ax.tick_params(bottom=False, labelbottom=False, labeltop=True, pad=1)
    # At the left, where the title is, if the axes are too wide for the pictures.
    ax.set(yticks=[], xlim=(0, len(tiles) * step - FRAME_GAP * width), ylim=(height, 0), anchor="W")
    for spine in ax.spines.values():
        spine.set_visible(False)
    write_title(ax, title)


def compute_row_height(count: int, aspect: float, width: float = PICTURE_WIDTH) -> float:
    """Compute the inches that a row takes with its titles, for frames of this width over height."""
    return width / count / aspect + TITLES_HEIGHT


def draw_heat(  # noqa: PLR0913  what may be drawn of a map
    ax: Any,
    values: Float[np.ndarray, "frame row column"],
    *,
    region: Box,
    sources: Sequence[Sequence[int]],
    video: Video | None = None,
    within: Bool[np.ndarray, "frame row column"] | None = None,
    also: Sequence[int] = (),
) -> Axes:
    """Draw frames of a map in a row, on one scale, with the strongest cell outlined.

    If the map has many frames, some of them are drawn, the strongest among them.

    Args:
        ax: The axes to draw on; None for a new figure.
        values: The map.
        region: The pixels of the source frame that the cells tile.
        sources: The source frames that each frame of the map covers.
        video: The video that it was read from, to draw its pictures below the heat; None for the
            map alone.
        within: The cells of a region, whose edge is drawn as a white line; None for no region.
        also: Frames of the map that are among those drawn, such as the strongest of another map.

    Raises:
        ValueError: if a value is not finite, or the video does not have the map's frames.
    """
    require_finite("the heatmap", values)
    if video is not None and not isinstance(video, Video):
        raise ValueError(f"a Video is wanted, found {type(video).__name__}; read_video gives one")
    left, top, right, bottom = region
    height, width = (bottom - top, right - left) if video is None else video.size
    frame, row, column = np.unravel_index(int(values.argmax()), values.shape)
    shown = choose_row(len(values), width / height)
    for wanted in (*also, int(frame)):
        shown = put_among(shown, wanted)
    heat = scale_heat(values)
    if video is None:
        titles = "frame", [covered[0] for covered in sources]
        tiles = _colour_tiles(heat, shown, titles, (height, width))
        left, top = 0.0, 0.0  # these tiles show the region and nothing else
    else:
        tiles = _blend_tiles(heat, shown, sources, region, video)
    frames, rows, columns = values.shape
    across, down = (right - region[0]) / columns, (bottom - region[1]) / rows
    x, y = left + column * across, top + row * down
    outline: Outline = ((x, y, x + across, y + down), CHOSEN_COLOUR, CELL_BOX_WIDTH)
    strongest = shown.index(int(frame))
    tiles[strongest] = replace(tiles[strongest], outlines=(outline,))
    if within is not None:
        for number, place in enumerate(shown):
            edges = _find_edges(within[place], (left, top), (across, down))
            tiles[number] = replace(tiles[number], outlines=(*edges, *tiles[number].outlines))
    counted = "1 frame" if frames == 1 else f"{frames} frames"
    about = f"{counted} of {rows} x {columns} cells; the strongest is {values.max():.3g}"
    ax = take_axes(ax, compute_row_height(len(tiles), width / height))
    draw_row(ax, tiles, about)
    return ax


def draw_norms(ax: Any, norms: Float[np.ndarray, "frame row column"], title: str) -> Axes:
    """Draw lengths of vectors in a row of maps, from black for 0 to light yellow for the longest.

    Args:
        ax: The axes to draw on; None for a new figure.
        norms: The length of the vector of each cell.
        title: Text above the row.

    Raises:
        ValueError: if a length is not finite.
    """
    require_finite("the latent prompt", norms)
    frames, rows, columns = norms.shape
    longest = norms.max()
    scaled = norms / longest if longest > 0 else norms
    size = float(rows), float(columns)
    shown = choose_row(frames, columns / rows)
    # Not of the source: a latent prompt does not know which frames were sampled.
    tiles = _colour_tiles(scaled, shown, ("map frame", range(frames)), size)
    ax = take_axes(ax, compute_row_height(len(tiles), columns / rows))
    draw_row(ax, tiles, title)
    return ax


def put_among(chosen: list[int], wanted: int) -> list[int]:
    """Replace the chosen place that is nearest to the wanted one by that."""
    nearest = int(np.abs(np.array(chosen) - wanted).argmin())
    return [*chosen[:nearest], wanted, *chosen[nearest + 1 :]]


def _find_edges(
    within: Bool[np.ndarray, "row column"], corner: tuple[float, float], size: tuple[float, float]
) -> list[Outline]:
    """Find the edges between cells inside and outside a region, as boxes without width."""
    padded, (left, top), (across, down) = np.pad(within, 1), corner, size
    edges: list[Outline] = []
    # Edges in a line are joined: each line has a halo, which would cut the one it continues.
    for column, line in enumerate((padded[:, 1:] != padded[:, :-1]).T):
        x = left + column * across
        edges += [
            ((x, top + (start - 1) * down, x, top + (stop - 1) * down), "white", OTHER_BOX_WIDTH)
            for start, stop in _find_runs(line)
        ]
    for row, line in enumerate(padded[1:] != padded[:-1]):
        y = top + row * down
        edges += [
            (
                (left + (start - 1) * across, y, left + (stop - 1) * across, y),
                "white",
                OTHER_BOX_WIDTH,
            )
            for start, stop in _find_runs(line)
        ]
    return edges


def _find_runs(line: Bool[np.ndarray, " place"]) -> list[tuple[int, int]]:
    """Find where stretches of true values start and stop."""
    changes = np.flatnonzero(np.diff(np.pad(line, 1).astype(int)))
    return list(zip(changes[::2].tolist(), changes[1::2].tolist(), strict=True))


def _colour_tiles(
    heat: Float[np.ndarray, "frame row column"],
    shown: Sequence[int],
    titles: tuple[str, Sequence[int]],
    size: tuple[float, float],
) -> list[Tile]:
    """Turn chosen frames of a map into colours, from black for 0 to light yellow for 1.

    Titles are a word, and the number of each frame.
    """
    word, numbers = titles
    tiles = []
    for place in shown:
        colours = matplotlib.colormaps[HEAT_COLOURS](heat[place])[..., :3]
        # The word once: in every title it would leave no room for the numbers.
        title = f"{numbers[place]}" if tiles else f"{word} {numbers[place]}"
        tiles.append(Tile((colours * 255).round().astype(np.uint8), title, size=size))
    return tiles


def _blend_tiles(
    heat: Float[np.ndarray, "frame row column"],
    shown: Sequence[int],
    sources: Sequence[Sequence[int]],
    region: Box,
    video: Video,
) -> list[Tile]:
    """Lay chosen frames of a map over the pictures that they were read from."""
    times, tiles = write_times(video.times), []
    for place in shown:
        picture = find_picture(video, sources[place])
        seen = dim_outside(video.frames[picture], region)
        tiles.append(Tile(blend(seen, heat[place], region), times[picture]))
    return tiles


def find_picture(video: Video, sources: Sequence[int]) -> int:
    """Find the sampled frame of a video that is one of these source frames.

    Raises:
        ValueError: if there is none.
    """
    for source in sources:
        if source in video.indices:
            return video.indices.index(source)
    raise ValueError(
        f"the heatmap shows source frame {sources[0]}, which is not among the video's sampled "
        f"frames {video.indices}; draw it on the video that it was read from"
    )


def _write_mark(ax: Axes, place: tuple[float, float], text: str) -> None:
    halo = [withStroke(linewidth=1.5, foreground="black")]
    style = {"color": "white", "fontsize": MARK_SIZE, "fontweight": "bold", "path_effects": halo}
    offset = {"xytext": (1.5, -1.5), "textcoords": "offset points"}
    ax.annotate(text, place, **offset, ha="left", va="top", **style, parse_math=False)


def _outline(
    ax: Axes, box: Box, colour: str, width: float, dashes: tuple[float, float] | None = None
) -> None:
    x1, y1, x2, y2 = box
    halo = "black" if colour == "white" else "white"
    for edge, thickness in ((halo, width + BOX_HALO_WIDTH), (colour, width)):
        # The dashes of the halo are as long as those on it, and so given in widths of its own.
        style = (0, tuple(dash * width / thickness for dash in dashes)) if dashes else "-"
        ax.add_patch(
            Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, ec=edge, lw=thickness, ls=style)
        )
