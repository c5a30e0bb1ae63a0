"""What all analyses share: their command line, where numbers and figures lie, and summaries."""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from probe.metrics import bootstrap_interval
from probe.model import ORGANISM, VideoLM
from probe.organism.benchmark import Benchmark
from probe.organism.scores import provenance

HERE = Path(__file__).parent

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#9a9a9a"
"""From the colour-blind safe palette of Okabe and Ito, and grey."""

Table: TypeAlias = Any
"""A pandas table; its published types do not follow selections."""

Summary: TypeAlias = Mapping[str, Any]
"""A mean and its 95 % bootstrap interval."""


def numbers_of(script: str) -> Path:
    """Where a script keeps its numbers."""
    return HERE / "numbers" / f"{Path(script).stem}.json"


def run(
    script: str, measure: Callable[..., dict[str, Any]], draw: Callable[[dict[str, Any]], Figure]
) -> None:
    """Draw a script's figure from its stored numbers, which `--measure` measures first."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--measure", action="store_true", help="measure the numbers again")
    parser.add_argument("--model", help="folder or hub name; the shipped model by default")
    parser.add_argument("--clips", type=int, help="how many clips of the benchmark to use")
    options = parser.parse_args()
    if not options.measure and (options.model or options.clips):
        parser.error("--model and --clips say what to measure; add --measure")
    numbers = numbers_of(script)
    if options.measure:
        given = {"clips": options.clips, "checkpoint": options.model}
        measured = measure(**{name: value for name, value in given.items() if value is not None})
        numbers.write_text(json.dumps(measured, indent=1) + "\n")
    figure = HERE / "figures" / f"{numbers.stem}.png"
    figure.parent.mkdir(exist_ok=True)
    draw(json.loads(numbers.read_text())).savefig(figure)


def origin(model: VideoLM, benchmark: Benchmark, clips: int) -> dict[str, Any]:
    """What numbers need to be measured again: another model's identity, or the shipped weights."""
    told = provenance(benchmark, clips)
    if model.is_organism:
        return told
    del told["weights_sha256"]
    return {**told, "model": dict(model.identity)}


def summary(values: Sequence[float]) -> dict[str, Any]:
    """The mean of one value a query, and its interval."""
    numbers = [float(value) for value in values]
    return {"mean": float(np.mean(numbers)), "interval": bootstrap_interval(numbers)}


def spread(summaries: Sequence[Summary]) -> tuple[np.ndarray, np.ndarray]:
    """Means, and how far their intervals reach below and above them, as error bars want it."""
    means = np.array([one["mean"] for one in summaries])
    low, high = np.array([one["interval"] for one in summaries]).T
    return means, np.array([means - low, high - means]).clip(min=0)


def dots(
    axes: Axes,
    summaries: Mapping[str, Summary],
    colour: str = BLUE,
    *,
    label: str = "",
    lower: float = 0.0,
) -> None:
    """One dot with its interval for each name, the first on top; `lower` by a share of a row."""
    means, reach = spread(list(summaries.values()))
    rows = np.arange(len(summaries))
    axes.errorbar(means, rows + lower, xerr=reach, fmt="o", ms=4, color=colour, label=label)
    axes.set_yticks(rows, list(summaries))
    axes.set_ylim(len(summaries) - 0.5, -0.5)


def line(axes: Axes, x: Sequence[float], summaries: Sequence[Summary], **style: Any) -> None:
    """Means joined by a line, their intervals as a band."""
    means, (below, above) = spread(summaries)
    (drawn,) = axes.plot(x, means, marker="o", ms=3, **style)
    axes.fill_between(x, means - below, means + above, color=drawn.get_color(), alpha=0.15, lw=0)


def small(figure: Figure, numbers: Mapping[str, Any]) -> None:
    """Small labels on all axes, and on what the numbers were measured."""
    for axes in figure.axes:
        axes.tick_params(labelsize=7)
        axes.xaxis.label.set(fontsize=8)
        axes.yaxis.label.set(fontsize=8)
    name = numbers["model"]["name"] if "model" in numbers else ORGANISM
    about = f"{name}; {numbers['benchmark']}, {numbers['cases']} clips"
    figure.supxlabel(about, fontsize=6, color="#6a6a6a", x=0.99, ha="right")
