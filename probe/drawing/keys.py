"""The key of a figure: lines of boxes by name, and the bar of colours of heat."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.lines import Line2D
from matplotlib.patheffects import Stroke

from probe.pictures.heat import COLD_PERCENTILE, colour_heat
from probe.pictures.rows import BOX_HALO_WIDTH, BOX_WIDTH
from probe.pictures.style import TEXT_SIZE

KEY_HEIGHT = 0.3
"""Inches of a key."""

BAR_SHARE = 0.3
"""Share of the width of a figure that the bar of colours takes with its words."""

LEVELS = 256
"""Colours of the bar."""

GROUND = 0.5
"""Grey below the bar, as a picture would be below the heat."""

KeyLine: TypeAlias = tuple[str, str, bool]
"""The name of a kind of box, the colour of its line, and True if it is dashed."""


def draw_key(part: SubFigure, lines: Sequence[KeyLine], heat: str = "attention") -> None:
    """Draw the names of lines, and next to them the colours from weak to strong heat.

    Args:
        part: A part of a figure, `KEY_HEIGHT` inches high.
        lines: The kinds of box that the figure shows.
        heat: The name of what the heat shows.
    """
    named, bar = part.subplots(1, 2, width_ratios=(1 - BAR_SHARE, BAR_SHARE))
    named.set_axis_off()
    handles = [_make_line(colour, dashed=dashed) for _, colour, dashed in lines]
    named.legend(
        handles,
        [name for name, _, _ in lines],
        loc="center left",
        bbox_to_anchor=(0, 0.5),
        borderaxespad=0,
        ncols=max(1, len(lines)),
        fontsize=TEXT_SIZE,
        frameon=False,
    )
    draw_heat_bar(bar, heat)


def draw_heat_bar(ax: Axes, heat: str = "attention") -> None:
    """Draw the colours of heat, from the weaker part of a map to its strongest cells."""
    colours = colour_heat(np.linspace(0, 1, LEVELS))
    opacity = colours[:, 3:]
    ax.imshow(((1 - opacity) * GROUND + opacity * colours[:, :3])[None], aspect="auto")
    words = f"{heat}: weaker {COLD_PERCENTILE:.0f} %"
    ax.set_yticks([0], [words], fontsize=TEXT_SIZE)
    right = ax.secondary_yaxis("right")
    right.set_yticks([0], ["strongest"], fontsize=TEXT_SIZE)
    for axis in (ax, right):
        axis.tick_params(length=0)
    ax.set_xticks([])
    for spine in (*ax.spines.values(), *right.spines.values()):
        spine.set_visible(False)


def _make_line(colour: str, *, dashed: bool) -> Line2D:
    """Make a line as `draw_row` draws those of boxes, with its halo."""
    halo = "black" if colour == "white" else "white"
    style = (0, (2, 1.2)) if dashed else "-"
    line = Line2D([], [], color=colour, lw=BOX_WIDTH, ls=style)
    # On white paper a white line is seen by its halo alone.
    width = BOX_WIDTH + 2 * BOX_HALO_WIDTH
    line.set_path_effects([Stroke(linewidth=width, foreground=halo), Stroke()])
    return line
