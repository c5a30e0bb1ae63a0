"""Charts as SVG in the colours of the page around them: both axes go from 0 to 1.

SVG and not pixels: text stays sharp and readable on a narrow page, colours follow a dark one, and
each mark says what it is when the mouse is over it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from probe.evaluation.markup import escape_html

WIDTH, HEIGHT = 360, 290
"""Units of a chart; a unit is one pixel where the page has room."""

LEFT, RIGHT, TOP, BOTTOM = 46, 14, 10, 44
"""Units around the area in which marks are drawn."""

TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)

COLOURS = 6
"""Colours of series; those that follow have the same ones again, dashed."""

Point: TypeAlias = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """A line through points; of no series if it is there for comparison only."""

    points: tuple[Point, ...]
    series: int | None = None
    name: str = ""
    """Text that is shown when the mouse is over it."""


@dataclass(frozen=True)
class Dot:
    """A point with a text that is shown when the mouse is over it."""

    at: Point
    series: int
    name: str = ""
    radius: float = 3.0
    """Units."""


@dataclass(frozen=True)
class Chart:
    """Marks over two axes, drawn in their order."""

    caption: str
    across: str
    up: str
    marks: tuple[Line | Dot, ...]


def name_series(series: int | None) -> str:
    """Name the style of a series; the page's style sheet knows these names."""
    if series is None:
        return "quiet"
    dashed = " dashed" if (series // COLOURS) % 2 else ""
    return f"s{series % COLOURS}{dashed}"


def write_svg(chart: Chart) -> str:
    """Write a chart as an SVG element without its caption."""
    marks = "".join(map(_write_mark, chart.marks))
    middle = (_across(0.5), _up(0.5))
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape_html(chart.caption)}">'
        f"{''.join(map(_write_tick, TICKS))}{marks}"
        f'<text class="axis" x="{middle[0]:.0f}" y="{HEIGHT - 8}">{escape_html(chart.across)}'
        f'</text><text class="axis" transform="translate(12 {middle[1]:.0f}) rotate(-90)">'
        f"{escape_html(chart.up)}</text></svg>"
    )


def _across(x: float) -> float:
    return LEFT + x * (WIDTH - LEFT - RIGHT)


def _up(y: float) -> float:
    return HEIGHT - BOTTOM - y * (HEIGHT - TOP - BOTTOM)


def _write_tick(value: float) -> str:
    """Write the grid lines and the numbers of a value on both axes."""
    x, y = _across(value), _up(value)
    left, right, low, high = _across(0.0), _across(1.0), _up(0.0), _up(1.0)
    return (
        f'<path class="grid" d="M{x:.1f} {low:.1f}V{high:.1f}M{left:.1f} {y:.1f}H{right:.1f}"/>'
        f'<text class="tick" x="{x:.1f}" y="{low + 15:.1f}">{value:g}</text>'
        f'<text class="tick up" x="{left - 6:.1f}" y="{y + 4:.1f}">{value:g}</text>'
    )


def _write_mark(mark: Line | Dot) -> str:
    match mark:
        case Line(points, series, name):
            kind = f"line {name_series(series)}"
            return f'<path class="{kind}" d="{_write_path(points)}">{_write_title(name)}</path>'
        case Dot((x, y), series, name, radius):
            return (
                f'<circle class="dot {name_series(series)}" cx="{_across(x):.1f}" '
                f'cy="{_up(y):.1f}" r="{radius:.1f}">{_write_title(name)}</circle>'
            )


def _write_path(points: Sequence[Point]) -> str:
    return "M" + "L".join(f"{_across(x):.1f} {_up(y):.1f}" for x, y in points) if points else ""


def _write_title(name: str) -> str:
    return f"<title>{escape_html(name)}</title>" if name else ""
