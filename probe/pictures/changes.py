"""Changes of maps and of tokens: what became more in red, and what became less in blue."""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure, SubFigure

from probe.pictures.crops import dim_outside
from probe.pictures.fonts import note_missing_once
from probe.pictures.heat import HEAT_OPACITY, OPAQUE_LEVEL, Colouring, colour_heat, lay_colour
from probe.pictures.rows import Tile, compute_row_height, draw_row, find_picture, put_among
from probe.pictures.style import (
    QUIET_COLOUR,
    TEXT_SIZE,
    choose_options,
    hide_upper_spines,
    require_finite,
    shorten_line,
    take_axes,
    write_title,
)
from probe.pictures.tokens import BARS_MARGIN, LONGEST_LABEL, choose_named
from probe.video import Box, Video
from probe.video.previews import choose_row, write_times

CHANGE_COLOURS = "RdBu_r"
"""matplotlib's diverging map: blue is less, red is more, and white is no change. It is told apart
by all kinds of colour vision."""

MORE_COLOUR, LESS_COLOUR = "#b2182b", "#2166ac"
"""The red and the blue of that map, dark enough for a thin line on white."""

SAME_COLOUR = "#777777"
"""Grey of tokens that hardly changed."""

LEAST_CHANGE = 0.01
"""Change, as a share of the strongest activation, up to which a token hardly changed: about what is
as wide as the line of a ring."""

FIGURE_WIDTH = 8.0
"""Inches."""

HIGHEST_ROW = 2.4
"""Inches of a row of frames at most."""

TOKENS_HEIGHT = 2.3
"""Inches of the part with tokens."""


def colour_change(levels: Float[np.ndarray, " *axes"]) -> Float[np.ndarray, " *axes 4"]:
    """Return red, green, blue and opacity of changes from -1 to 1; no change is transparent."""
    levels = np.clip(levels, -1, 1)
    colours = matplotlib.colormaps[CHANGE_COLOURS]((levels + 1) / 2).astype(np.float64)
    # Weak changes are nearly white, which would hide the picture and say nothing. A smooth step, as
    # that of heat: with a corner in it, the edge of each change would look like a line.
    share = np.clip(np.abs(levels) / OPAQUE_LEVEL, 0, 1)
    colours[..., 3] = HEAT_OPACITY * share**2 * (3 - 2 * share)
    return colours


@note_missing_once()
def draw_token_changes(
    ax: Any,
    texts: Sequence[str],
    before: Float[np.ndarray, " token"],
    after: Float[np.ndarray, " token"],
    *,
    title: str = "",
    note: str = "",
) -> Axes:
    """Draw the visual activation of each token before and after, joined by a line.

    Where there is no room for the texts of all tokens, those that changed most are written.

    Args:
        ax: The axes to draw on; None for a new figure.
        texts: The tokens as people read them, in order.
        before: The visual activation of each before: a ring.
        after: That after: a dot, red if it is more, blue if it is less, grey if it is nearly the
            same.
        title: Text above, cut if it is long.
        note: Text after the title, which is never cut.

    Raises:
        ValueError: if a value is not finite.
    """
    for values in (before, after):
        require_finite("the visual activation", values)
    ax = take_axes(ax, TOKENS_HEIGHT)
    places, change = np.arange(len(texts)), after - before
    least = LEAST_CHANGE * max(before.max(), after.max())
    colours = [
        SAME_COLOUR if abs(one) <= least else MORE_COLOUR if one > 0 else LESS_COLOUR
        for one in change
    ]
    ax.vlines(places, before, after, color=colours, lw=2, zorder=2)
    style = {"s": 26, "zorder": 3, "clip_on": False}
    ax.scatter(places, before, facecolor="white", edgecolor=colours, lw=1.3, **style)
    ax.scatter(places, after, color=colours, **style)
    ax.set_xlim(-BARS_MARGIN, len(texts) - 1 + BARS_MARGIN)
    ax.set_ylim(bottom=0)
    named = choose_named(ax, np.abs(change), [])
    labels = [shorten_line(texts[token], LONGEST_LABEL) for token in named]
    options = choose_options("".join(labels))
    ax.set_xticks(named, labels, rotation=60, ha="right", rotation_mode="anchor", **options)
    ax.tick_params(labelsize=TEXT_SIZE)
    ax.tick_params(axis="x", length=2, pad=1)
    ax.grid(axis="x", color=QUIET_COLOUR, lw=0.5, alpha=0.5)
    ax.set_ylabel("visual activation", fontsize=TEXT_SIZE)
    signs = "ring: first; dot: second, red if more, blue if less, grey if nearly the same"
    ax.set_xlabel(signs, fontsize=TEXT_SIZE)
    write_title(ax, title, note)
    hide_upper_spines(ax)
    return ax


@note_missing_once()
def draw_map_changes(
    figure: Figure | SubFigure,
    maps: tuple[Float[np.ndarray, "frame row column"], Float[np.ndarray, "frame row column"]],
    names: tuple[tuple[str, str], tuple[str, str]],
    *,
    region: Box,
    sources: Sequence[Sequence[int]],
    video: Video,
) -> None:
    """Draw two maps on one scale over the frames of a video, and below them their difference.

    Args:
        figure: The empty figure, or part of one, to draw on.
        maps: The map before, and the map after.
        names: The title of each, cut if it is long, and a note after it, which is never cut.
        region: The pixels of the source frame that the cells tile.
        sources: The source frames that each frame of the maps covers.
        video: The video that both were read from.

    Raises:
        ValueError: if a value is not finite, or the video does not have the maps' frames.
    """
    before, after = maps
    for values in maps:
        require_finite("the heatmap", values)
    height, width = video.size
    change = np.abs(after - before)
    frame = int(np.unravel_index(int(change.argmax()), change.shape)[0])
    shown = put_among(choose_row(len(before), width / height), frame)
    # One scale: a map that is weaker than the other has to look weaker. It ends at the strongest
    # cell of both, so that no cell is beyond the colour bar.
    strongest = float(max(before.max(), after.max()))
    greatest = float(change.max())
    about = f": at most {greatest:.2g}; strongest attention {strongest:.2g}"
    rows = [
        (before / (strongest or 1.0), names[0], colour_heat, (0.0, strongest or 1.0), "attention"),
        (after / (strongest or 1.0), names[1], colour_heat, (0.0, strongest or 1.0), "attention"),
        (
            (after - before) / (greatest or 1.0),
            ("second minus first", about),
            colour_change,
            (-(greatest or 1.0), greatest or 1.0),
            "change",
        ),
    ]
    for ax, (levels, name, colour, ends, unit) in zip(figure.subplots(3, 1), rows, strict=True):
        draw_row(ax, _make_tiles(levels, shown, colour, region, sources, video), "")
        write_title(ax, *name)
        _draw_colour_bar(figure, ax, colour, ends, unit)


def compute_maps_height(video: Video, frames: int) -> float:
    """Compute the inches of a figure of two maps and their difference."""
    height, width = video.size
    count = len(choose_row(frames, width / height))
    return 3 * min(HIGHEST_ROW, compute_row_height(count, width / height, FIGURE_WIDTH))


def _make_tiles(
    levels: Float[np.ndarray, "frame row column"],
    shown: Sequence[int],
    colour: Colouring,
    region: Box,
    sources: Sequence[Sequence[int]],
    video: Video,
) -> list[Tile]:
    times, tiles = write_times(video.times), []
    for place in shown:
        picture = find_picture(video, sources[place])
        seen = dim_outside(video.frames[picture], region)
        tiles.append(Tile(lay_colour(seen, levels[place], region, colour), times[picture]))
    return tiles


def _draw_colour_bar(
    figure: Figure | SubFigure, ax: Axes, colour: Colouring, ends: tuple[float, float], unit: str
) -> None:
    """Draw the colours of a row next to it, as they look on white."""
    low = -1.0 if ends[0] < 0 else 0.0
    drawn = colour(np.linspace(low, 1.0, 256))
    opacity = drawn[:, 3:]
    shades = ListedColormap(opacity * drawn[:, :3] + 1 - opacity)
    scale = ScalarMappable(Normalize(*ends), shades)
    bar = figure.colorbar(scale, ax=ax, fraction=0.03, pad=0.015, aspect=12)
    bar.ax.tick_params(labelsize=TEXT_SIZE - 1)
    bar.ax.locator_params(nbins=4)
    bar.ax.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    bar.ax.yaxis.get_offset_text().set_fontsize(TEXT_SIZE - 1)
    bar.set_label(unit, fontsize=TEXT_SIZE)
