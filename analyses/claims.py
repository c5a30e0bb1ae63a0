"""Which claims hold on how many organisms: each statement, with its rival, on every one of them.

    python analyses/claims.py                    draw from the stored observations (seconds)
    python analyses/claims.py --measure          measure what is missing (three hours on two cores)
    python analyses/claims.py --measure --workers 2 --only seed-1 --only seed-2

`protocol.md`, written before, says which organisms, clips and statements, and what a verdict
is. The observations of an organism, clip by clip, are in `numbers/claims/`; a run that is stopped
goes on where it was. Each statement is a value over its rival on the same clips.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    Claim,
    Numbers,
    apply_holm,
    compare_paired,
    create_figure,
    draw_level,
    errors_in_one_line,
    finish_figure,
    read_command_line,
)
from matplotlib.figure import Figure
from measurement import MeasurementConfig
from organism_runs import (
    ABLATED,
    CONTROL,
    EARLIER,
    FROZEN,
    ORGANISMS,
    PAIRS,
    SHIPPED,
    SHORT,
    ClaimsOptions,
    measure_organisms,
    observations_folder,
)

from probe.files import read_json

COLOURS = {
    FROZEN: BLUE,
    ABLATED: ORANGE,
    SHORT: PURPLE,
    PAIRS: SKY,
    EARLIER: GREEN,
    CONTROL: GREY,
}

DRAWS = 1000


@dataclass(frozen=True)
class Statement:
    """A value, and the rival that it is to be greater than, by name of their observations."""

    name: str
    value: str
    rival: str
    """Name of an observation; empty for 0."""


STATEMENTS = (
    Statement("cause-over-attention", "CAUSAL, right", "mean of role tokens, right"),
    Statement("cause-over-fixed", "CAUSAL, right", "fixed, right"),
    Statement("cause-over-noun", "CAUSAL, right", "NOUN, right"),
    Statement("cause-over-lens", "CAUSAL, m_vIoU", "word lens, m_vIoU"),
    Statement("cause-over-chance", "CAUSAL, right", "random track, right"),
    Statement("presence", "presence", "presence, word lens"),
    Statement("role-looks", "fixed, on track", "cells on track"),
    Statement("role-looks-at-what-is-asked", "fixed, on track", "fixed, on another"),
    Statement("role-over-lens", "fixed, on track", "word lens, on track"),
    Statement("role-over-all", "fixed, on track", "all tokens, on track"),
    Statement("activation-over-chance", "most active is superior", "one of the role tokens"),
    Statement("activation-over-fixed", "most active is superior", "fixed is superior"),
    Statement("rank", "rank", ""),
    Statement("rank-within-token", "rank within token", ""),
    Statement("prompts", "prompts, m_vIoU", "plain, m_vIoU"),
    Statement("assembling", "orders, m_vIoU", "plain, m_vIoU"),
    Statement("paper-over-blind", "PAPER, m_vIoU", "largest track, m_vIoU"),
    Statement("role-carries", "fall, role tokens blinded", ""),
    Statement("noun-carries", "fall, noun blinded", "fall, role tokens blinded"),
    Statement("lens-cells-matter", "fall, lens cells cut", "fall, random cells cut"),
    Statement("role-cells-matter", "fall, fixed token's cells cut", "fall, random cells cut"),
    Statement("said-over-asked", "word said, on track", "word asked, on track"),
    Statement("said-over-role", "word said, on track", "most active role token, on track"),
    Statement("said-over-lens", "word said, on track", "word lens, on track"),
)
"""The statements of `protocol.md` about one organism, in its order."""

TRAINING = "fixed, on track"
"""Observation whose mean over frozen seeds is compared with that over ablated ones."""

Values = dict[str, list[float]]


def summarise(found: Mapping[str, Numbers]) -> Numbers:
    """Test all statements on all organisms, and across the frozen seeds."""
    keys = [(statement, name) for statement in STATEMENTS for name in found]
    tests = apply_holm(
        [compare_paired(*get_pair(statement, found[name]["values"])) for statement, name in keys]
    )
    by_statement: dict[str, Any] = {one.name: {} for one in STATEMENTS}
    for (statement, name), test in zip(keys, tests, strict=True):
        by_statement[statement.name][name] = {**test, "verdict": judge_test(test)}
    shared = ("dataset", "first", "cases", "tracks", "frames", "versions")
    first = next(iter(found.values()))
    trained = [name for name in found if ORGANISMS[name] != CONTROL]
    frozen = [name for name in found if ORGANISMS[name] == FROZEN]
    ablated = [name for name in found if ORGANISMS[name] == ABLATED]
    return {
        **{key: first[key] for key in shared},
        "model": {"name": ", ".join(found)},
        "shipped": SHIPPED,
        "failed": {clip: why for one in found.values() for clip, why in one["failed"].items()},
        "organisms": {
            name: {key: one[key] for key in ("recipe", "weights", "chosen")}
            for name, one in found.items()
        },
        "means": {
            name: {key: round(float(np.mean(values)), 4) for key, values in one["values"].items()}
            for name, one in found.items()
        },
        "statements": {
            statement.name: {
                **asdict(statement),
                "organisms": by_statement[statement.name],
                "frozen": _count(by_statement[statement.name], frozen),
                "trained": _count(by_statement[statement.name], trained),
                "across": resample_seeds(
                    [np.subtract(*get_pair(statement, found[name]["values"])) for name in frozen]
                ),
            }
            for statement in STATEMENTS
        },
        "training": compare_recipes(
            [np.asarray(found[name]["values"][TRAINING]) for name in frozen],
            [np.asarray(found[name]["values"][TRAINING]) for name in ablated],
        ),
    }


def get_pair(statement: Statement, values: Values) -> tuple[Sequence[float], Sequence[float]]:
    """Return the values of a statement, clip by clip, and those of its rival."""
    value = values[statement.value]
    return value, values[statement.rival] if statement.rival else [0.0] * len(value)


def judge_test(test: Numbers) -> str:
    """Return the verdict of a test that Holm's correction was applied to."""
    if not test["survives"]:
        return "not shown"
    return "holds" if test["mean"] > 0 else "opposite"


def _count(tests: Mapping[str, Numbers], names: Sequence[str]) -> dict[str, int]:
    verdicts = [tests[name]["verdict"] for name in names]
    return {one: verdicts.count(one) for one in ("holds", "not shown", "opposite")}


def resample_seeds(seeds: Sequence[np.ndarray]) -> dict[str, Any] | None:
    """Compute the mean over seeds, with an interval that draws seeds, then clips of each.

    Returns:
        The mean and its 95 % interval; None without two seeds.
    """
    if len(seeds) < 2:
        return None
    means = list(_draw_means(seeds, np.random.default_rng(0)))
    mean = float(np.mean([seed.mean() for seed in seeds]))
    return {"mean": mean, "interval": np.quantile(means, (0.025, 0.975)).tolist()}


def compare_recipes(
    frozen: Sequence[np.ndarray], ablated: Sequence[np.ndarray]
) -> dict[str, Any] | None:
    """Compute the difference of two kinds of recipe, drawing seeds of both, then clips."""
    if not frozen or not ablated:
        return None
    rng = np.random.default_rng(0)
    pairs = zip(_draw_means(frozen, rng), _draw_means(ablated, rng), strict=True)
    differences = [one - other for one, other in pairs]
    mean = float(np.mean([one.mean() for one in frozen]) - np.mean([a.mean() for a in ablated]))
    return {"mean": mean, "interval": np.quantile(differences, (0.025, 0.975)).tolist()}


def _draw_means(seeds: Sequence[np.ndarray], rng: np.random.Generator) -> Iterator[float]:
    for _ in range(DRAWS):
        drawn = [seeds[place] for place in rng.integers(len(seeds), size=len(seeds))]
        yield float(np.mean([rng.choice(clips, len(clips)).mean() for clips in drawn]))


# The figure


def draw(numbers: Numbers) -> Figure:
    """Draw each statement's difference: a dot an organism, filled if it survives."""
    figure = create_figure(10.4, 4 + 0.6 * len(numbers["organisms"]))
    left, right = figure.subplots(1, 2, sharey=True)
    statements = list(numbers["statements"].values())
    # Falls of a margin are logits, all other differences are shares or overlaps.
    in_logits = [one["value"].startswith("fall") for one in statements]
    for axes, wanted in ((left, False), (right, True)):
        for row, one in enumerate(statements):
            if in_logits[row] == wanted:
                _draw_row(axes, row, one, numbers["organisms"])
        draw_level(axes)
    left.set_yticks(range(len(statements)), [_label(one) for one in statements])
    left.set_ylim(len(statements) - 0.5, -0.5)
    left.set(xlabel="value less its rival: share of clips, or m_vIoU")
    left.set_ylabel("statement, and on how many frozen seeds it holds")
    right.set(xlabel="value less its rival, in logits of the margin")
    shown = dict.fromkeys(one["recipe"] for one in numbers["organisms"].values())
    for kind in shown:
        left.plot([], [], "o", ms=3, color=COLOURS[kind], label=f"{kind} recipe")
    left.plot([], [], "o", ms=3, mec=GREY, mfc="white", label="does not survive Holm's correction")
    handles = left.get_legend_handles_labels()
    figure.legend(*handles, fontsize=7, frameon=False, ncols=5, loc="outside upper center")
    return finish_figure(figure, numbers)


def _draw_row(axes: Any, row: int, statement: Numbers, organisms: Numbers) -> None:
    for place, (name, test) in enumerate(statement["organisms"].items()):
        colour = COLOURS[organisms[name]["recipe"]]
        height = row + 0.7 * ((place + 0.5) / len(organisms) - 0.5)
        axes.plot(test["interval"], [height] * 2, color=colour, lw=0.8)
        filled = colour if test["survives"] else "white"
        axes.plot(test["mean"], height, "o", ms=3, mec=colour, mfc=filled)


def _label(statement: Numbers) -> str:
    frozen = statement["frozen"]
    seeds = sum(frozen.values())
    return f"{statement['name']}  {frozen['holds']} of {seeds}" if seeds else statement["name"]


# Drawn in one go with all others from the summary; observations are measured by this script alone.
CLAIM = Claim(
    __file__,
    draw,
    config=MeasurementConfig(data="shapes-report-2", clips=400),
    only_shapes="the protocol is about organisms of the shapes",
)


def find_observations(out: Path | None = None) -> dict[str, Numbers]:
    """Find the stored observations of each organism, in the order of the protocol.

    Raises:
        ValueError: if there are none.
    """
    stored = observations_folder(out)
    found = {
        name: read_json(stored / f"{name}.json")
        for name in ORGANISMS
        if (stored / f"{name}.json").exists()
    }
    if not found:
        raise ValueError(f"{stored}: no observations; measure them with claims.py --measure")
    return found


def main() -> None:
    """Measure what is missing if the command line asks for it, summarise, and draw."""
    with errors_in_one_line(CLAIM.name):
        options = read_command_line(ClaimsOptions(CLAIM.config), CLAIM.name)
        options.check(CLAIM.config)
        if options.only and not options.measure:
            raise ValueError("--only says what to measure; add --measure")
        if options.measure:
            measure_organisms(options)
        found = find_observations(options.out)
        CLAIM.store(summarise(found), options.out)
        CLAIM.redraw(options.out)


if __name__ == "__main__":
    main()
