"""What all analyses share: their command line, where numbers and figures lie, and summaries."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar

import numpy as np
import tyro
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from measurement import Measurement, MeasurementConfig
from tyro.conf import arg

from probe.metrics import bootstrap_interval

HERE = Path(__file__).parent

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#9a9a9a"
"""From the colour-blind safe palette of Okabe and Ito, and grey."""

Numbers: TypeAlias = dict[str, Any]
"""What a script measured, in plain values."""

Table: TypeAlias = Any
"""A pandas table; its published types do not follow selections."""

Summary: TypeAlias = Mapping[str, Any]
"""A mean and its 95 % bootstrap interval."""

Given = TypeVar("Given", bound="Options")


@dataclass(frozen=True)
class Options:
    """Draw the figure of this claim from its stored numbers; measure them first with --measure."""

    config: Annotated[MeasurementConfig, arg(name="")]

    measure: bool = False
    """Measure first."""

    out: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder for numbers and figure. By default those that are committed here, which are of the
    shipped model on the shapes; any other measurement needs a folder of its own."""

    def check(self, own: MeasurementConfig) -> None:
        """Refuse what would change the committed numbers into those of something else.

        Raises:
            ValueError: if it would, or there is nothing to measure.
        """
        if self.config != own and not self.measure:
            raise ValueError("model and data say what to measure; add --measure")
        if self.config != own and self.out is None:
            raise ValueError(
                "the committed numbers are of another measurement; give this one a folder, --out"
            )


@dataclass(frozen=True)
class Claim:
    """A script: what it measures and draws, and its command line."""

    script: str
    """Its file."""

    draw: Callable[[Numbers], Figure]
    """The figure, from the numbers alone."""

    measure: Callable[[Measurement], Numbers] | None = None
    """Gives the numbers; None where they come from elsewhere."""

    config: MeasurementConfig = field(default_factory=MeasurementConfig)
    """What the committed numbers are measured on."""

    only_shapes: str = ""
    """Why it cannot be measured on another data set, where that is so."""

    @property
    def name(self) -> str:
        """What it is called."""
        return Path(self.script).stem

    def numbers(self, out: Path | None = None) -> Path:
        """Where its numbers lie: among the committed ones, or in a folder."""
        return (HERE / "numbers" if out is None else out) / f"{self.name}.json"

    def figure(self, out: Path | None = None) -> Path:
        """Where its figure lies."""
        return (HERE / "figures" if out is None else out) / f"{self.name}.png"

    def run(self) -> None:
        """Draw, and measure first where the command line says so."""
        with errors_in_one_line(self.name):
            self.follow(self.options())

    def options(self) -> Options:
        """What the command line says."""
        return read(Options(self.config), self.name)

    def follow(self, options: Options) -> None:
        """Do what the command line says.

        Raises:
            ValueError: if that cannot be done.
        """
        if not self.accepts(options.config):
            raise ValueError(f"{self.only_shapes}; leave out --data and what belongs to it")
        options.check(self.config)
        if options.measure and self.measure:
            self.store(self.measure(options.config.open()), options.out)
        self.redraw(options.out)

    def accepts(self, config: MeasurementConfig) -> bool:
        """Whether the claim can be measured on a config's data set."""
        if self.measure is None:
            return config == self.config
        same = all(
            getattr(config, name) == getattr(self.config, name)
            for name in ("data", "root", "annotations", "tracks", "first")
        )
        return same or not self.only_shapes

    def store(self, numbers: Numbers, out: Path | None = None) -> None:
        """Keep its numbers."""
        path = self.numbers(out)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(numbers, indent=1) + "\n")

    def redraw(self, out: Path | None = None) -> None:
        """Draw its figure from the numbers it keeps.

        Raises:
            ValueError: if there are none.
        """
        path = self.numbers(out)
        if not path.is_file():
            raise ValueError(f"{path}: no numbers to draw; add --measure")
        self.draw(json.loads(path.read_text())).savefig(self.figure(out))


def read(default: Given, name: str) -> Given:
    """The options of a command line, of the kind that the default ones are."""
    config = (tyro.conf.FlagCreatePairsOff,)
    return tyro.cli(type(default), prog=f"{name}.py", default=default, config=config)


@contextmanager
def errors_in_one_line(name: str) -> Iterator[None]:
    """Say in one line what is wrong, and stop."""
    try:
        yield
    except (ValueError, OSError) as failure:
        sys.stderr.write(f"{name}: {failure}\n")
        sys.exit(2)


def summary(values: Sequence[float]) -> dict[str, Any]:
    """The mean of one value a query, and its interval."""
    numbers = [float(value) for value in values]
    return {"mean": float(np.mean(numbers)), "interval": bootstrap_interval(numbers)}


def error_bars(summaries: Sequence[Summary]) -> tuple[np.ndarray, np.ndarray]:
    """Means, and how far their intervals reach below and above them, as error bars want it."""
    means = np.array([one["mean"] for one in summaries])
    low, high = np.array([one["interval"] for one in summaries]).T
    return means, np.array([means - low, high - means]).clip(min=0)


def draw_dots(
    axes: Axes,
    summaries: Mapping[str, Summary],
    colour: str = BLUE,
    *,
    label: str = "",
    lower: float = 0.0,
) -> None:
    """One dot with its interval for each name, the first on top; `lower` by a share of a row."""
    means, reach = error_bars(list(summaries.values()))
    rows = np.arange(len(summaries))
    whole = {"fmt": "o", "ms": 4, "clip_on": False}  # a share of 0 or 1 lies on the frame
    axes.errorbar(means, rows + lower, xerr=reach, color=colour, label=label, **whole)
    axes.set_yticks(rows, list(summaries))
    axes.set_ylim(len(summaries) - 0.5, -0.5)
    axes.locator_params(axis="x", nbins=5)


def draw_line(axes: Axes, x: Sequence[float], summaries: Sequence[Summary], **style: Any) -> None:
    """Means joined by a line, their intervals as a band."""
    means, (below, above) = error_bars(summaries)
    (drawn,) = axes.plot(x, means, marker="o", ms=3, **style)
    axes.fill_between(x, means - below, means + above, color=drawn.get_color(), alpha=0.15, lw=0)


def draw_level(axes: Axes, value: float = 0.0, label: str = "") -> None:
    """An upright line to compare with: dashed where it has a name, such as chance."""
    axes.axvline(value, color=GREY, lw=1, ls="--" if label else "-", label=label or None)


def draw_legend_below(axes: Axes) -> None:
    """The legend under the axes, where it hides nothing."""
    axes.legend(fontsize=6, frameon=False, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.2))


def create_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches."""
    return Figure(figsize=(width, height), layout="constrained", dpi=150)


def finish_figure(figure: Figure, numbers: Numbers) -> Figure:
    """The figure in one style, saying what its numbers were measured on and what they lack."""
    lacking = f", {len(numbers['failed'])} of them failed" if numbers["failed"] else ""
    about = f"{numbers['model']['name']}; {numbers['dataset']['name']}, {numbers['cases']} clips"
    figure.supxlabel(f"{about}{lacking}", fontsize=6, color="#6a6a6a", x=0.99, ha="right")
    return style_axes(figure)


def style_axes(figure: Figure) -> Figure:
    """Small labels on all axes."""
    for axes in figure.axes:
        axes.tick_params(labelsize=7)
        axes.xaxis.label.set(fontsize=8)
        axes.yaxis.label.set(fontsize=8)
        for where in ("left", "center"):
            axes.set_title(axes.get_title(where), loc=where, fontsize=8)
    return figure
