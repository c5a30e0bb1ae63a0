"""The organism learns first to see, then what happens, then to answer: loss and scores by step.

python analyses/training.py              draw from the stored numbers (seconds)
python analyses/training.py --run DIR    take them from a run of `probe train-organism --out DIR`
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from common import (
    BLUE,
    GREEN,
    ORANGE,
    Claim,
    ClaimOptions,
    Numbers,
    create_figure,
    errors_in_one_line,
    read_command_line,
    style_axes,
)
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from tyro.conf import arg

from probe.files import read_json

STAGE_SCORES = {
    "frames": {"f1_words": "F1 of tags, by words", "f1_head": "F1 of tags, by the head"},
    "clips": {"f1_words": "F1 of tags, by words", "f1_head": "F1 of tags, by the head"},
    "words": {"yes_no": "yes or no right", "other": "other answer words right"},
}
"""Quantities in the log of each stage apart from the loss, with their labels."""

SMOOTHING = 9
"""Number of log entries in a running mean: a single entry is a single batch."""


PAUSE = 5
"""A gap between two entries that is this many times the usual one is a pause of the run."""


def gather_log(run: Path) -> Numbers:
    """Gather recipe and log of a run: one list for each quantity of each stage.

    Raises:
        ValueError: if the folder contains no log, or no recipe.
    """
    if not (run / "log.jsonl").is_file():
        raise ValueError(f"{run}: no log of a run; give the folder that train-organism --out named")
    lines = (run / "log.jsonl").read_text(encoding="utf-8").splitlines()
    entries = [json.loads(line) for line in lines]
    stages: dict[str, Any] = {}
    for stage, scores in STAGE_SCORES.items():
        # A run that was stopped repeats the steps after its last checkpoint: the last entry counts.
        by_step = {entry["step"]: entry for entry in entries if entry["stage"] == stage}
        of_stage = [by_step[step] for step in sorted(by_step)]
        if not of_stage:  # a stage of no steps was left out, or has not begun
            continue
        stages[stage] = {
            name: [entry[name] for entry in of_stage] for name in ("step", "loss", *scores)
        }
        stages[stage]["minutes"] = _count_minutes([entry["time"] for entry in of_stage])
    # A run that has not ended has logged no peak.
    peaks = [entry["peak_mb"] for entry in entries if entry["stage"] == "end"]
    recipe = read_json(run / "recipe.json")
    return {"recipe": recipe, "stages": stages, "peak_mb": max(peaks, default=None)}


def _count_minutes(times: list[float]) -> float:
    """Count the minutes of a stage, without those in which the run was stopped or held."""
    if len(times) < 2:
        return 0.0
    gaps = np.diff(times)
    # A machine that others use makes some entries take twice as long; a pause is far longer.
    usual = float(np.median(gaps))
    return round(float(np.where(gaps > PAUSE * usual, usual, gaps).sum()) / 60, 1)


def draw(numbers: Numbers) -> Figure:
    """Draw the loss above, scores below, one column for each stage."""
    figure = create_figure(8.4, 3.6)
    grid = figure.subplots(2, len(numbers["stages"]), sharex="col", squeeze=False)
    for (above, below), (stage, log) in zip(grid.T, numbers["stages"].items(), strict=True):
        above.plot(log["step"], _smooth(log["loss"]), color=BLUE)
        above.set(title=f"{stage}: {log['minutes']:.0f} min", yscale="log")
        # A loss that falls by less than tenfold would get a single label at powers of ten.
        above.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        above.yaxis.set_major_formatter("{x:g}")
        above.yaxis.set_minor_formatter("")
        scores = STAGE_SCORES[stage].items()
        for (name, label), colour in zip(scores, (ORANGE, GREEN), strict=True):
            below.plot(log["step"], _smooth(log[name]), color=colour, label=label)
        below.set(xlabel="step", ylim=(0, 1.02))
        below.legend(fontsize=7, loc="lower right", frameon=False)
    grid[0, 0].set_ylabel("loss")
    grid[1, 0].set_ylabel("score on the batch")
    return style_axes(figure)


def _smooth(values: list[float]) -> Any:
    """Compute a running mean; towards both ends over fewer entries."""
    # The same filter over ones counts the entries that each mean has; padding would pull ends to 0.
    window = np.ones(min(SMOOTHING, len(values)))
    padded = np.convolve(values, window, mode="same")
    return padded / np.convolve(np.ones(len(values)), window, mode="same")


CLAIM = Claim(__file__, draw, only_shapes="the curves are those of a run of train-organism")


@dataclass(frozen=True)
class GatheringOptions(ClaimOptions):
    """Draw the curves of a training run, from the stored numbers or from the folder of a run."""

    run: Annotated[Path | None, arg(metavar="DIR")] = None
    """Take the numbers from this folder, which `probe train-organism --out DIR` wrote."""


def main() -> None:
    """Gather the numbers of a run if one is given, and draw."""
    with errors_in_one_line(CLAIM.name):
        options = read_command_line(GatheringOptions(CLAIM.config), CLAIM.name)
        if options.run:
            CLAIM.store(gather_log(options.run), options.out)
        CLAIM.follow(options)


if __name__ == "__main__":
    main()
