"""Shared parts of all analyses: command line, places of numbers and figures, summaries, plots."""

import hashlib
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
from PIL import Image
from tyro.conf import arg

from probe.files import read_json, write_json
from probe.metrics import bootstrap_interval, paired_difference, wilson_interval
from probe.metrics.significance import paired_p_value, survive_holm
from probe.pictures.style import choose_options, shorten_line

HERE = Path(__file__).parent

DRAWN_FROM = "Drawn from"
"""The entry of a figure's metadata with the hash of what it follows from."""

BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
PURPLE, SKY, GREY = "#CC79A7", "#56B4E9", "#9a9a9a"
"""Colours of the colour-blind safe palette of Okabe and Ito, and a grey."""

TESTING_LEVEL = 0.05
"""Probability with which chance alone may make any of the differences that a page calls shown."""

LONGEST_ABOUT = 120
"""Characters of the line about model and data set under a figure."""

Numbers: TypeAlias = dict[str, Any]
"""Plain values that a script measured."""

Table: TypeAlias = Any
"""A pandas table; its published types do not follow selections."""

Summary: TypeAlias = Mapping[str, Any]
"""A mean and its 95 % bootstrap interval."""

OptionsT = TypeVar("OptionsT", bound="ClaimOptions")


@dataclass(frozen=True)
class ClaimOptions:
    """Draw the figure of this claim from its stored numbers; measure them first with --measure."""

    # An empty name keeps the options flat: --model and not --config.model.
    config: Annotated[MeasurementConfig, arg(name="")]

    measure: bool = False
    """Measure first."""

    out: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder for numbers and figure. The default folders hold the committed ones, which are of the
    shipped model on the shapes; any other measurement needs a folder of its own."""

    def check(self, committed: MeasurementConfig) -> None:
        """Refuse to overwrite the committed numbers with those of another measurement.

        Raises:
            ValueError: if that would happen, or if the options say what to measure but --measure
                is missing.
        """
        if self.config != committed and not self.measure:
            raise ValueError("model and data say what to measure; add --measure")
        if self.config != committed and self.out is None:
            raise ValueError(
                "the committed numbers are of another measurement; give this one a folder, --out"
            )


@dataclass(frozen=True)
class Claim:
    """A script: its measurement, its figure and its command line."""

    script: str
    """File of the script."""

    draw: Callable[[Numbers], Figure]
    """Function that draws the figure from the numbers alone."""

    measure: Callable[[Measurement], Numbers] | None = None
    """Function that measures the numbers; None if they come from elsewhere."""

    config: MeasurementConfig = field(default_factory=MeasurementConfig)
    """Model and clips of the committed numbers."""

    only_shapes: str = ""
    """Reason why no other data set can be measured; empty if any can."""

    @property
    def name(self) -> str:
        """Name of the script, of its numbers and of its figure."""
        return Path(self.script).stem

    def numbers_path(self, out: Path | None = None) -> Path:
        """Return the file of the numbers: in a folder, by default that of the committed ones."""
        return (HERE / "numbers" if out is None else out) / f"{self.name}.json"

    def figure_path(self, out: Path | None = None) -> Path:
        """Return the file of the figure: in a folder, by default that of the committed ones."""
        return (HERE / "figures" if out is None else out) / f"{self.name}.png"

    def run(self) -> None:
        """Draw the figure, after measuring if the command line asks for it."""
        with errors_in_one_line(self.name):
            self.follow(self.read_options())

    def read_options(self) -> ClaimOptions:
        """Read the command line."""
        return read_command_line(ClaimOptions(self.config), self.name)

    def follow(self, options: ClaimOptions) -> None:
        """Do what the command line asks for.

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
        """Check that the claim can be measured on the data set of a configuration."""
        if self.measure is None:
            return config == self.config
        same = all(
            getattr(config, name) == getattr(self.config, name)
            for name in ("data", "root", "annotations", "tracks", "first")
        )
        return same or not self.only_shapes

    def store(self, numbers: Numbers, out: Path | None = None) -> None:
        """Write the numbers to their file."""
        path = self.numbers_path(out)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, numbers)

    def redraw(self, out: Path | None = None) -> None:
        """Draw the figure from the stored numbers, unless it was drawn from the same ones already.

        Layouts are solved in floating point, so that on another machine a label may lie a pixel
        further. A figure therefore says what it was drawn from, and is drawn anew only if its
        numbers or its script have changed; delete it to have it drawn in any case.

        Raises:
            ValueError: if there are none.
        """
        numbers, figure = self.numbers_path(out), self.figure_path(out)
        if not numbers.is_file():
            raise ValueError(f"{numbers}: no numbers to draw; add --measure")
        mark = hash_files(numbers, Path(self.script), Path(__file__))
        if read_mark(figure) != mark:
            self.draw(read_json(numbers)).savefig(figure, metadata={DRAWN_FROM: mark})


def hash_files(*paths: Path) -> str:
    """Hash what a figure follows from: its numbers, its script, and this file."""
    digest = hashlib.sha256()
    for path in paths:
        # The same text has other line ends on other systems.
        digest.update(path.read_text(encoding="utf-8").encode())
    return digest.hexdigest()


def read_mark(figure: Path) -> str | None:
    """Read what a figure says it was drawn from; None if there is none, or it does not say."""
    if not figure.is_file():
        return None
    with Image.open(figure) as picture:
        return picture.info.get(DRAWN_FROM)


def read_command_line(default: OptionsT, name: str) -> OptionsT:
    """Read a command line as options of the same class as the default ones."""
    # A flag that is off by default needs no --no-measure next to --measure.
    config = (tyro.conf.FlagCreatePairsOff,)
    return tyro.cli(type(default), prog=f"{name}.py", default=default, config=config)


@contextmanager
def errors_in_one_line(name: str) -> Iterator[None]:
    """Print an error that a user can mend as one line, and exit with status 2."""
    try:
        yield
    except (ValueError, OSError) as failure:
        sys.stderr.write(f"{name}: {failure}\n")
        sys.exit(2)


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Compute the mean of one value a query, and its interval."""
    numbers = [float(value) for value in values]
    return {"mean": float(np.mean(numbers)), "interval": bootstrap_interval(numbers)}


def summarise_share(counted: Sequence[float]) -> dict[str, Any]:
    """Compute the share of queries that are counted (1, and not 0), and its Wilson interval."""
    return {"mean": float(np.mean(counted)), "interval": wilson_interval(counted)}


def compare_paired(over: Sequence[float], under: Sequence[float]) -> dict[str, Any]:
    """Compute a paired difference with its interval, and how likely chance alone makes it."""
    mean, *interval = paired_difference(over, under)
    return {"mean": mean, "interval": interval, "p": paired_p_value(over, under)}


def apply_holm(tests: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add to each test whether it survives Holm's correction over all tests of a page."""
    survive = survive_holm([test["p"] for test in tests], TESTING_LEVEL)
    return [{**test, "survives": kept} for test, kept in zip(tests, survive, strict=True)]


def error_bars(summaries: Sequence[Summary]) -> tuple[np.ndarray, np.ndarray]:
    """Compute means, and the distances from each mean to both ends of its interval.

    Matplotlib takes error bars in this form. No distance is below 0.
    """
    means = np.array([one["mean"] for one in summaries])
    low, high = np.array([one["interval"] for one in summaries]).T
    # Rounding can put the end of an interval of equal values on the wrong side of their mean.
    return means, np.array([means - low, high - means]).clip(min=0)


def draw_dots(
    axes: Axes,
    summaries: Mapping[str, Summary],
    colour: str = BLUE,
    *,
    label: str = "",
    lower: float = 0.0,
) -> None:
    """Draw one dot with its interval for each name, the first name at the top.

    Args:
        axes: Where to draw.
        summaries: A mean and an interval for each name.
        colour: Colour of dots and intervals.
        label: Entry for the legend.
        lower: Share of a row by which the dots are moved down, to draw two sets on one row.
    """
    means, reach = error_bars(list(summaries.values()))
    rows = np.arange(len(summaries))
    # A share of 0 or 1 lies on the frame: without clip_on half of its dot would be cut off.
    style = {"fmt": "o", "ms": 4, "clip_on": False}
    axes.errorbar(means, rows + lower, xerr=reach, color=colour, label=label, **style)
    axes.set_yticks(rows, list(summaries))
    axes.set_ylim(len(summaries) - 0.5, -0.5)
    axes.locator_params(axis="x", nbins=5)


def draw_tests(axes: Axes, tests: Mapping[str, Numbers]) -> None:
    """Draw tested differences: those that survive Holm's correction orange, the others grey."""
    draw_dots(axes, tests, ORANGE)
    # Drawn over in grey, so that the rows of all tests are those of one call.
    for row, test in enumerate(tests.values()):
        if not test["survives"]:
            means, reach = error_bars([test])
            axes.errorbar(means, [row], xerr=reach, color=GREY, fmt="o", ms=4, zorder=3)
    draw_level(axes)


def describe_tests(tests: Sequence[Numbers]) -> str:
    """Tell how many differences a page tests, and how many of them survive the correction."""
    survivors = sum(test["survives"] for test in tests)
    return f"{survivors} of {len(tests)} tests survive Holm (grey: not)"


def draw_line(axes: Axes, x: Sequence[float], summaries: Sequence[Summary], **style: Any) -> None:
    """Draw means joined by a line, and their intervals as a band."""
    means, (below, above) = error_bars(summaries)
    (drawn,) = axes.plot(x, means, marker="o", ms=3, **style)
    axes.fill_between(x, means - below, means + above, color=drawn.get_color(), alpha=0.15, lw=0)


def draw_level(axes: Axes, value: float = 0.0, label: str = "") -> None:
    """Draw a vertical line to compare with; dashed if it has a name, such as chance."""
    axes.axvline(value, color=GREY, lw=1, ls="--" if label else "-", label=label or None)


def draw_legend_below(axes: Axes) -> None:
    """Draw the legend under the axes, where it hides no data."""
    axes.legend(fontsize=6, frameon=False, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.2))


def create_figure(width: float, height: float) -> Figure:
    """Create an empty figure of a width and height in inches."""
    # Not through pyplot: it would keep every figure in memory, and needs a display's backend.
    return Figure(figsize=(width, height), layout="constrained", dpi=150)


def finish_figure(figure: Figure, numbers: Numbers) -> Figure:
    """Style a figure, and write under it the model, the data set and how many clips failed."""
    lacking = f", {len(numbers['failed'])} of them failed" if numbers["failed"] else ""
    about = f"{numbers['model']['name']}; {numbers['dataset']['name']}, {numbers['cases']} clips"
    # Names of models and data sets are text of users, which may be long and hold any sign.
    line = shorten_line(about, LONGEST_ABOUT) + lacking
    options = choose_options(line)
    figure.supxlabel(line, fontsize=6, color="#6a6a6a", x=0.99, ha="right", **options)
    return style_axes(figure)


def style_axes(figure: Figure) -> Figure:
    """Make the labels on all axes of a figure small."""
    for axes in figure.axes:
        axes.tick_params(labelsize=7)
        axes.xaxis.label.set(fontsize=8)
        axes.yaxis.label.set(fontsize=8)
        for where in ("left", "center", "right"):
            axes.set_title(axes.get_title(where), loc=where, fontsize=8)
    return figure
