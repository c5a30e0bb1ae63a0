"""Findings on shapes carry over to things, but for looks of role tokens and cause over the lens.

    python analyses/two_worlds.py              draw from the stored observations (seconds)
    python analyses/two_worlds.py --measure    measure what is missing (20 minutes of a core)
    python analyses/two_worlds.py --measure --model FOLDER --out DIR

The statements are those of `protocol.md`, each a value over its rival on the same clips. Those on
shapes are judged on several organisms (`claims.py`), those on things on one, on 400 clips of
things-report that served for no choice; its best fixed token is chosen on things-val. A finding of
the first world is the verdict of more than half of its trained organisms; without one there is
none. What `things_grounding.py` has observed of the same clips is taken from there.
"""

from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from claims import CLAIM as CLAIMS
from claims import STATEMENTS, get_pair, judge_test
from common import (
    BLUE,
    GREY,
    ORANGE,
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
from observations import observe_mechanisms
from organism_runs import CONTROL, observations_folder, read_chosen
from parts import write_records
from things_grounding import CLAIM as GROUNDING
from things_observations import OBSERVED, observe_all
from things_runs import (
    NO_SHAPES,
    THINGS_MODEL,
    Runs,
    ThingsOptions,
    check_world,
    set_number_type,
)

from probe.files import read_json, write_json

MIXED = "mixed"
"""The finding of the first world where no verdict is that of more than half of its organisms."""

OUTCOMES = ("the same", "not shown", "opposite", "new")
"""Outcomes of a finding in the second world; "new" is a verdict where the first has none."""


def measure_part(config: MeasurementConfig, chosen_file: Path, file: Path) -> None:
    """Observe on some clips what `things_grounding.py` does not, and store it."""
    torch.set_num_threads(1)
    measurement = config.open()
    observe = partial(
        observe_mechanisms,
        chosen=read_chosen(chosen_file),
        protocol=measurement.dataset.protocol,
    )
    write_records(measurement, measurement.measure_cases(observe), file)


def observe_things(options: ThingsOptions) -> Numbers:
    """Observe what is missing of all that the statements compare."""
    config = set_number_type(options.config)
    grounding = observe_all(Runs.of(GROUNDING, options), config, OBSERVED)
    runs = Runs.of(CLAIM, options)
    stem = runs.name_parts(config, "mechanisms")
    chosen_file = stem.with_name(f"{stem.name}-chosen.json")
    write_json(chosen_file, grounding["chosen"])
    found = runs.measure(config, stem, partial(measure_part, chosen_file=chosen_file))
    if found["failed"] != grounding["failed"]:
        # Failed clips are put last: values of different clips would be paired.
        raise ValueError("clips failed in one measurement and not in the other; measure both again")
    named = {name for one in STATEMENTS for name in (one.value, one.rival) if name}
    values = {**grounding["values"], **found["values"]}
    return {
        **found,
        "chosen": grounding["chosen"],
        "threshold": grounding["threshold"],
        "values": {name: values[name] for name in sorted(named)},
    }


# Summaries


def compare_worlds(first: Numbers, second: Numbers) -> Numbers:
    """Judge every statement on things, and compare it with the finding on shapes.

    Args:
        first: The numbers of `claims.py`.
        second: The observations of the organism of things.
    """
    values = second["values"]
    tests = apply_holm([compare_paired(*get_pair(one, values)) for one in STATEMENTS])
    trained = [name for name, one in first["organisms"].items() if one["recipe"] != CONTROL]
    found = {}
    for statement, test in zip(STATEMENTS, tests, strict=True):
        organisms = first["statements"][statement.name]["organisms"]
        verdicts = Counter(organisms[name]["verdict"] for name in trained)
        finding = find_finding(verdicts)
        verdict = judge_test(test)
        found[statement.name] = {
            "value": statement.value,
            "rival": statement.rival,
            "shapes": {name: organisms[name] for name in trained},
            "verdicts": dict(verdicts),
            "finding": finding,
            "things": {**test, "verdict": verdict},
            "outcome": name_outcome(finding, verdict),
        }
    outcomes = Counter(one["outcome"] for one in found.values())
    shared = ("dataset", "first", "cases", "failed", "tracks", "frames", "model", "weights")
    return {
        **{name: second[name] for name in (*shared, "versions", "chosen")},
        "statements": found,
        "outcomes": {name: outcomes[name] for name in OUTCOMES},
    }


def find_finding(verdicts: Mapping[str, int]) -> str:
    """Return the verdict of more than half of the organisms, or that they are mixed."""
    most = max(verdicts, key=lambda one: verdicts[one])
    return most if 2 * verdicts[most] > sum(verdicts.values()) else MIXED


def name_outcome(finding: str, verdict: str) -> str:
    """Name what becomes of a finding in the second world."""
    if finding == verdict:
        return "the same"
    if verdict == "not shown":
        return "not shown"
    return "new" if finding in (MIXED, "not shown") else "opposite"


# The figure


def draw(numbers: Numbers) -> Figure:
    """Draw each statement's difference: blue on organisms of shapes, orange on that of things."""
    figure = create_figure(10.4, 7.6)
    left, right = figure.subplots(1, 2, sharey=True)
    statements = numbers["statements"]
    for row, one in enumerate(statements.values()):
        # Falls of a margin are logits, all other differences are shares or overlaps.
        axes = right if one["value"].startswith("fall") else left
        for test in one["shapes"].values():
            _draw_test(axes, row - 0.15, test, BLUE)
        _draw_test(axes, row + 0.2, one["things"], ORANGE)
    # How many organisms of shapes it holds on, and the verdict on that of things.
    labels = [f"{name}: {_describe(one)}" for name, one in statements.items()]
    left.set_yticks(range(len(labels)), labels)
    left.set_ylim(len(labels) - 0.5, -0.5)
    left.set(xlabel="value less its rival: share of clips, or m_vIoU")
    right.set(xlabel="value less its rival, in logits of the margin")
    for axes in (left, right):
        draw_level(axes)
    left.plot([], [], "o", ms=3, color=BLUE, label="organisms of shapes")
    left.plot([], [], "o", ms=4, color=ORANGE, label="organism of things")
    left.plot([], [], "o", ms=3, mec=GREY, mfc="white", label="does not survive Holm's correction")
    handles = left.get_legend_handles_labels()
    figure.legend(*handles, fontsize=7, frameon=False, ncols=3, loc="outside upper center")
    return finish_figure(figure, numbers)


def _draw_test(axes: Any, height: float, test: Numbers, colour: str) -> None:
    axes.plot(test["interval"], [height] * 2, color=colour, lw=0.8)
    filled = colour if test["survives"] else "white"
    axes.plot(test["mean"], height, "o", ms=3.5, mec=colour, mfc=filled)


def _describe(one: Numbers) -> str:
    holds, total = one["verdicts"].get("holds", 0), sum(one["verdicts"].values())
    return f"shapes {holds} of {total}, things {one['things']['verdict']}"


CLAIM = Claim(
    __file__,
    draw,
    config=MeasurementConfig(data="things-report", clips=400, model=THINGS_MODEL),
    only_shapes=NO_SHAPES,
)


def main() -> None:
    """Measure what is missing if the command line asks for it, compare, and draw."""
    with errors_in_one_line(CLAIM.name):
        options = read_command_line(ThingsOptions(CLAIM.config), CLAIM.name)
        options.check(CLAIM.config)
        stored = observations_folder(options.out) / "things.json"
        if options.measure:
            check_world(options)
            stored.parent.mkdir(parents=True, exist_ok=True)
            write_json(stored, observe_things(options))
        if not stored.is_file():
            raise ValueError(f"{stored}: no observations; add --measure")
        # The shapes' part is that of the committed claims, which may have more organisms by now.
        first = read_json(CLAIMS.numbers_path())
        CLAIM.store(compare_worlds(first, read_json(stored)), options.out)
        CLAIM.redraw(options.out)


if __name__ == "__main__":
    main()
