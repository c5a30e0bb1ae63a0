"""The organism learns to see, then what happens, then to answer: loss and scores by step.

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
    Numbers,
    Options,
    create_figure,
    errors_in_one_line,
    read,
    style_axes,
)
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from tyro.conf import arg

SCORES = {
    "frames": {"f1_words": "F1 of tags, by words", "f1_head": "F1 of tags, by the head"},
    "clips": {"f1_words": "F1 of tags, by words", "f1_head": "F1 of tags, by the head"},
    "words": {"yes_no": "yes or no right", "other": "other answer words right"},
}
"""What the log holds beside the loss, stage by stage."""

SMOOTHED = 9
"""Entries of the log in a running mean: one entry is one batch."""


def gather_log(run: Path) -> Numbers:
    """The recipe and the log of a run, one list for each quantity of each stage.

    Raises:
        OSError: if the folder holds no run.
    """
    lines = (run / "log.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    stages: dict[str, Any] = {}
    for stage, scores in SCORES.items():
        # a run that was stopped logs again what it does again: the last word counts
        by_step = {entry["step"]: entry for entry in entries if entry["stage"] == stage}
        of_stage = [by_step[step] for step in sorted(by_step)]
        stages[stage] = {
            name: [entry[name] for entry in of_stage] for name in ("step", "loss", *scores)
        }
        stages[stage]["minutes"] = round((of_stage[-1]["time"] - of_stage[0]["time"]) / 60, 1)
    peaks = [entry["peak_mb"] for entry in entries if entry["stage"] == "end"]
    recipe = json.loads((run / "recipe.json").read_text())
    return {"recipe": recipe, "stages": stages, "peak_mb": max(peaks, default=None)}


def draw(numbers: Numbers) -> Figure:
    """Loss above, scores below; one column a stage."""
    figure = create_figure(8.4, 3.6)
    grid = figure.subplots(2, len(SCORES), sharex="col")
    for (above, below), (stage, scores) in zip(grid.T, SCORES.items(), strict=True):
        log = numbers["stages"][stage]
        above.plot(log["step"], _smooth(log["loss"]), color=BLUE)
        above.set(title=f"{stage}: {log['minutes']:.0f} min", yscale="log")
        above.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        above.yaxis.set_major_formatter("{x:g}")
        above.yaxis.set_minor_formatter("")
        for (name, label), colour in zip(scores.items(), (ORANGE, GREEN), strict=True):
            below.plot(log["step"], _smooth(log[name]), color=colour, label=label)
        below.set(xlabel="step", ylim=(0, 1.02))
        below.legend(fontsize=7, loc="lower right", frameon=False)
    grid[0, 0].set_ylabel("loss")
    grid[1, 0].set_ylabel("score on the batch")
    return style_axes(figure)


def _smooth(values: list[float]) -> Any:
    """A running mean that shortens towards both ends."""
    padded = np.convolve(values, np.ones(SMOOTHED), mode="same")
    return padded / np.convolve(np.ones(len(values)), np.ones(SMOOTHED), mode="same")


CLAIM = Claim(__file__, draw, only_shapes="the curves are those of a run of train-organism")


@dataclass(frozen=True)
class Gathering(Options):
    """Draw the curves of a training run, from the stored numbers or from a run's folder."""

    run: Annotated[Path | None, arg(metavar="DIR")] = None
    """Take the numbers from this folder of `probe train-organism --out DIR`."""


def main() -> None:
    """Gather where asked to, and draw."""
    with errors_in_one_line(CLAIM.name):
        options = read(Gathering(CLAIM.config), CLAIM.name)
        if options.run:
            CLAIM.store(gather_log(options.run), options.out)
        CLAIM.follow(options)


if __name__ == "__main__":
    main()
