"""On frames of shapes, prototypes teach a tower less than pairs alone, with either modality gap.

    python analyses/grouping.py                       draw from the stored numbers (seconds)
    python analyses/grouping.py --measure --runs DIR  train what is missing in DIR, and measure

ProtoCLIP's losses on a world whose classes are known. At equal pairs they end below InfoNCE, in
linear probe and zero-shot; at equal CPU seconds, further below. Widening the gap changes neither.
Back translation ends a little above plain prototypes, and no more so where the gap is wide. The
towers are small, their captions of 160 kinds, and learning was stopped long before its end; with
millions of pairs the authors report the opposite. One run takes a core a minute, all 24 twenty.

The protocol, written before a number of a reported run was looked at:

- *World.* One coloured shape in a state, on a varied background, drawn at half size (28 pixels). 24
  classes: colour x shape. A caption names both in half of the pairs, else one of the two. 4,000
  pairs to learn from, 1,000 frames to test on, never shared; the same for all seeds.
- *Rows.* InfoNCE; + prototypes of the other side; + back translation; + an external teacher (mean
  of the shipped model's word embeddings over the caption, as ProtoCLIP takes RoBERTa's). All else
  is the same in all rows: weights at the start, draws, augmentation, schedule, locked ending. In
  the published comparison augmentation and schedule differ, too.
- *Equal pairs* for all rows; *equal seconds*: InfoNCE once more, with as many more episodes as make
  its CPU seconds those of back translation, by a factor measured on seed 100 beforehand.
- *Gap*: as it is, and widened on purpose: all unit vectors of pictures are moved along a fixed
  direction, those of sentences against it, by 1 (unit length again), in embeddings and heads.
  Learning may undo a part of that.
- *Statistics*: linear probe after its last epoch, zero-shot by names in two sentences, ARI of
  k-means, modality gap; after every sixth episode. Tested: a row minus InfoNCE at equal pairs, same
  gap, on the same test frames. Expected: above 0. The interval draws seeds, then frames.
- Chosen beforehand on seed 100, from InfoNCE's curve alone: image tower and number of episodes.
  The factor was measured with 40 episodes and 200 prototypes; these became 80 when captions turned
  out to be of 160 kinds, before any score of a row with prototypes was looked at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from claims import resample_seeds
from common import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    Claim,
    ClaimOptions,
    Numbers,
    create_figure,
    draw_level,
    errors_in_one_line,
    read_command_line,
    style_axes,
)
from common import (
    summary as summarise,
)
from grouping_runs import (
    EQUAL_SECONDS,
    INFONCE,
    ROWS,
    TEST_FRAMES,
    TRAIN_PAIRS,
    WAYS,
    WIDER,
    measure_row,
)
from matplotlib.figure import Figure
from tyro.conf import arg

SEEDS = (0, 1, 2)

COLOUR_OF = dict(zip((*WAYS, EQUAL_SECONDS), (GREY, ORANGE, BLUE, GREEN, PURPLE), strict=True))


def measure_rows(folder: Path, seeds: int) -> Numbers:
    """Train every row on the first seeds, where that is missing, and compare them."""
    # All rows of a seed before the next one: a run that is stopped has whole seeds.
    by_seed = [{name: measure_row(name, seed, folder) for name in ROWS} for seed in SEEDS[:seeds]]
    found = {name: [one[name] for one in by_seed] for name in ROWS}
    return {
        "recipes": {name: asdict(row.recipe) for name, row in ROWS.items()},
        "seeds": list(SEEDS[:seeds]),
        "pairs": TRAIN_PAIRS,
        "frames": TEST_FRAMES,
        "versions": {name: version(name) for name in ("torch", "scikit-learn")},
        "rows": {
            name: [[_leave_out_signs(one) for one in points] for points in seeds]
            for name, seeds in found.items()
        },
        "differences": list_differences(found),
    }


def _leave_out_signs(point: Numbers) -> Numbers:
    return {name: value for name, value in point.items() if name != "right"}


def list_differences(found: Mapping[str, Sequence[Sequence[Numbers]]]) -> list[Numbers]:
    """Compare the last scores of each row with those of InfoNCE of the same gap."""
    tests = []
    for name, seeds in found.items():
        base = f"InfoNCE{WIDER}" if name.endswith(WIDER) else "InfoNCE"
        if name == base:
            continue
        for figure in ("linear", "zero_shot"):
            differences = [
                _read_signs(over[-1], figure) - _read_signs(under[-1], figure)
                for over, under in zip(seeds, found[base], strict=True)
            ]
            # Of one seed, the interval is over frames alone.
            summary = resample_seeds(differences) or summarise(differences[0].tolist())
            by_seed = [float(one.mean()) for one in differences]
            tests.append(
                {"figure": figure, "over": name, "under": base, **summary, "seeds": by_seed}
            )
    return tests


def _read_signs(point: Numbers, figure: str) -> np.ndarray:
    return np.array([float(sign) for sign in point["right"][figure]])


# The figure

PANELS = {"linear": "linear probe", "zero_shot": "zero-shot by names", "ari": "ARI", "gap": "gap"}


def draw(numbers: Numbers) -> Figure:
    """Draw scores through learning, and last differences; upper row as it is, lower one widened."""
    figure = create_figure(10.4, 5.6)
    grid = figure.subplots(2, len(PANELS) + 1, width_ratios=[*(1 for _ in PANELS), 1.6])
    for line, wider in zip(grid, ("", WIDER), strict=True):
        for axes, (name, label) in zip(line, PANELS.items(), strict=False):
            for way, colour in COLOUR_OF.items():
                _draw_seeds(axes, numbers["rows"].get(f"{way}{wider}", []), name, colour, way)
            axes.set(xlabel="pairs, thousands", title=label, xlim=(0, None))
            axes.set_ylim(0, 2 if name == "gap" else 1)
        line[0].set_ylabel("gap widened" if wider else "gap as it is")
        _draw_differences(line[-1], numbers["differences"], wider)
    grid[1, -1].sharex(grid[0, -1])
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=7, frameon=False, ncols=5, loc="outside upper center")
    count = len(numbers["seeds"])
    figure.supxlabel(
        f"{count} {'seed' if count == 1 else 'seeds'}, {numbers['frames']} test frames; "
        f"{len(numbers['differences'])} intervals, "
        f"over {'frames' if count == 1 else 'seeds and frames'}, none of them corrected",
        fontsize=6,
        color="#6a6a6a",
        x=0.99,
        ha="right",
    )
    return style_axes(figure)


def _draw_seeds(axes: Any, seeds: Sequence[Any], name: str, colour: str, way: str) -> None:
    """Draw a thin line for each seed, and their mean."""
    if not seeds:
        return
    pairs = [point["episode"] * INFONCE.episode_pairs / 1000 for point in seeds[0]]
    values = np.array([[point[name] for point in points] for points in seeds])
    axes.plot(pairs, values.T, color=colour, lw=0.5, alpha=0.5)
    axes.plot(pairs, values.mean(0), color=colour, lw=1.5, label=way)


def _draw_differences(axes: Any, tests: Sequence[Numbers], wider: str) -> None:
    """Draw each row minus InfoNCE: an interval over seeds and frames, and a dot a seed."""
    shown = [one for one in tests if one["over"].endswith(WIDER) == bool(wider)]
    for place, test in enumerate(shown):
        colour = COLOUR_OF[test["over"].removesuffix(WIDER)]
        axes.plot(test["interval"], [place, place], color=colour, lw=2)
        axes.plot(test["seeds"], [place] * len(test["seeds"]), "o", color=colour, ms=3)
    labels = [
        f"{test['over'].removesuffix(WIDER)}, {PANELS[test['figure']].split()[0]}" for test in shown
    ]
    axes.set_yticks(range(len(shown)), labels)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.yaxis.tick_right()
    axes.set(xlabel="difference from InfoNCE", title="at the end")
    axes.locator_params(axis="x", nbins=4)
    draw_level(axes)


CLAIM = Claim(__file__, draw, only_shapes="its towers are trained on frames of the shapes")


@dataclass(frozen=True)
class GroupingOptions(ClaimOptions):
    """Draw the figure from the stored numbers, or train and measure first."""

    runs: Annotated[Path, arg(metavar="DIR")] = Path("grouping-runs")
    """Folder of the runs; one that was stopped continues."""

    seeds: int = len(SEEDS)
    """Number of seeds, from the first one on."""


def main() -> None:
    """Train and measure if the command line asks for it, and draw."""
    with errors_in_one_line(CLAIM.name):
        options = read_command_line(GroupingOptions(CLAIM.config), CLAIM.name)
        if not CLAIM.accepts(options.config):
            raise ValueError(f"{CLAIM.only_shapes}; leave out --data and what belongs to it")
        if options.measure:
            torch.set_num_threads(1)  # CPU seconds of several threads would count waiting
            CLAIM.store(measure_rows(options.runs, options.seeds), options.out)
        CLAIM.redraw(options.out)


if __name__ == "__main__":
    main()
