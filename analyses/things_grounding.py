"""Asking by cause finds the right one of several things; role tokens do no better than chance.

    python analyses/things_grounding.py              draw from the stored numbers (seconds)
    python analyses/things_grounding.py --measure    measure what is missing (half an hour)
    python analyses/things_grounding.py --measure --model FOLDER --out DIR

Each method answers the query of each clip twice: with tracks that are proposed from the pixels
(`propose_nested_tracks`), and with the true ones. The ceiling of the proposer is its best track, in
the time that `CAUSAL` chose. Presence is told by the margin of the whole query, against hard absent
queries of each kind. The best fixed token is the role token and layer whose strongest cell lies on
the true track most often on things-val; there, too, the threshold of presence is chosen, and
nothing else. Shares have Wilson's intervals, differences are paired.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from common import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    Claim,
    Numbers,
    apply_holm,
    compare_paired,
    create_figure,
    draw_dots,
    draw_legend_below,
    draw_level,
    finish_figure,
    summarise_share,
    summary,
)
from matplotlib.figure import Figure
from measurement import MeasurementConfig
from presence import ALL_KINDS, PRESENT, Answers, measure_accuracy, measure_auroc
from things_observations import ASKED, CEILING, MARGIN, OBSERVED, SCORES, TRUE_TRACK, observe_all
from things_runs import (
    NO_SHAPES,
    THINGS_MODEL,
    UNTRAINED,
    Runs,
    ThingsOptions,
    judge_line,
    run_things,
    set_number_type,
)

from probe.organism.things.changes import CHANGES

PROPOSED, TRUE = "proposed tracks", "true tracks"

UNTRAINED_CLIPS = 40

WANTED = {f"right, {PROPOSED}": 0.85, f"right, {TRUE}": 0.90, "presence": 0.95}
"""Least figures that were asked for, before there was an organism."""

FIXED = "best fixed token"
LOOKS = {
    FIXED: "fixed, on track",
    "the same, on another thing": "fixed, on another",
    "noun": "noun, on track",
    "mean of role tokens": "mean of role tokens, on track",
    "most active role token": "most active, on track",
    "mean of all tokens": "all tokens, on track",
    "word lens": "word lens, on track",
    "share of cells": "cells on track",
}
"""Rows of where strongest cells lie, and the observation of each."""


# Summaries


def summarise(found: Numbers, untrained: Numbers) -> Numbers:
    """Compute the table of methods, presence and looks, their tests, and the wanted lines."""
    values = found["values"]
    table, looks = tabulate(values), tabulate_looks(values)
    presence = measure_areas(values)
    return {
        **{name: found[name] for name in ("dataset", "first", "cases", "failed", "tracks")},
        **{name: found[name] for name in ("frames", "model", "weights", "versions", "chosen")},
        "table": table,
        "ceiling": {name: summary(values[f"{name}, m_vIoU"]) for name in (CEILING, TRUE_TRACK)}
        | {"right": summarise_share(values[f"{CEILING}, right"])},
        "presence": presence,
        "threshold": found["threshold"],
        "accuracy": {
            name: measure_accuracy(collect_answers(values), limit)
            for name, limit in (("0", 0.0), ("the threshold", found["threshold"]["value"]))
        },
        "looks": looks,
        "untrained": {
            "clips": untrained["cases"],
            "chosen": untrained["chosen"],
            "table": tabulate(untrained["values"]),
            "looks": tabulate_looks(untrained["values"]),
            "presence": measure_areas(untrained["values"]),
        },
        "differences": test_differences(values),
        "lines": judge(table, presence),
    }


def list_names(values: Mapping[str, Sequence[float]]) -> list[str]:
    """List the methods that were measured."""
    return [name.removesuffix(", m_tIoU") for name in values if name.endswith(", m_tIoU")]


def tabulate(values: Mapping[str, Sequence[float]]) -> Numbers:
    """Compute the figures of each method."""
    return {
        name: {
            f"right, {PROPOSED}": summarise_share(values[f"{name}, right"]),
            **(
                {f"right, {TRUE}": summarise_share(values[key])}
                if (key := f"{name}, right of true") in values
                else {}
            ),
            "another": summarise_share(values[f"{name}, another"]),
            "m_vIoU": summary(values[f"{name}, m_vIoU"]),
            "m_tIoU": summary(values[f"{name}, m_tIoU"]),
        }
        for name in list_names(values)
    }


def tabulate_looks(values: Mapping[str, Sequence[float]]) -> Numbers:
    """Compute the share of clips in which each strongest cell lies on the track."""
    # Two rows are shares themselves: of other things, and of cells.
    return {
        name: summarise_share(values[key])
        if set(values[key]) <= {0.0, 1.0}
        else summary(values[key])
        for name, key in LOOKS.items()
    }


def collect_answers(values: Mapping[str, Sequence[Any]]) -> Answers:
    """Collect the scores of all queries, present and absent; a clip that failed has none."""
    rows = [
        (clip, kind, {score: values[f"{score}: {kind}"][clip] for score in SCORES})
        for clip in range(len(values[f"{MARGIN}: {PRESENT}"]))
        for kind in (PRESENT, *CHANGES)
        if values[f"{MARGIN}: {kind}"][clip] is not None
    ]
    clips, kinds, scores = zip(*rows, strict=True)
    # Clusters are counted without gaps: every one that can be drawn has queries.
    return Answers(np.unique(clips, return_inverse=True)[1], np.array(kinds), scores)


def measure_areas(values: Mapping[str, Sequence[Any]]) -> Numbers:
    """Measure the AUROC of each score, by kind of absence and of all kinds as one."""
    answers = collect_answers(values)
    return {
        score: {
            kind: {
                **measure_auroc(answers, score, kind),
                "queries": int((answers.among(kind) & ~answers.present).sum()),
            }
            for kind in answers.groups
        }
        for score in SCORES
    }


def test_differences(values: Mapping[str, Sequence[float]]) -> list[Numbers]:
    """Test `CAUSAL` against every other method, and the best fixed token against every rival."""
    others = [name for name in list_names(values) if name != ASKED]
    pairs = [
        *((f"{ASKED}, right", f"{name}, right") for name in others),
        *((f"{ASKED}, m_vIoU", f"{name}, m_vIoU") for name in others),
        *((LOOKS[FIXED], key) for name, key in LOOKS.items() if name != FIXED),
    ]
    tests = apply_holm([compare_paired(values[over], values[under]) for over, under in pairs])
    return [
        {"over": over, "under": under, **test}
        for (over, under), test in zip(pairs, tests, strict=True)
    ]


def judge(table: Numbers, presence: Numbers) -> dict[str, Numbers]:
    """Judge the lines that were wanted before there was an organism."""
    found = {
        **{name: table[ASKED][name] for name in WANTED if name != "presence"},
        "presence": presence[MARGIN][ALL_KINDS],
    }
    kinds = {
        f"presence: {kind}": judge_line(one, WANTED["presence"])
        for kind, one in presence[MARGIN].items()
        if kind != ALL_KINDS
    }
    return {name: judge_line(one, WANTED[name]) for name, one in found.items()} | kinds


# The figure

COLOURS = (BLUE, ORANGE, GREEN, PURPLE)


def draw(numbers: Numbers) -> Figure:
    """Draw right tracks and m_vIoU by method, presence by kind, and where cells point."""
    figure = create_figure(11.2, 7.4)
    (right, overlap), (areas, looks) = figure.subplots(2, 2)
    table = numbers["table"]
    known = {name: row for name, row in table.items() if f"right, {TRUE}" in row}
    # Those without a figure of true tracks come last, so that rows of both sets are the same.
    ordered = {**known, **table}
    for colour, tracks, rows in ((BLUE, PROPOSED, ordered), (GREEN, TRUE, known)):
        dots = {name: row[f"right, {tracks}"] for name, row in rows.items()}
        draw_dots(right, dots, colour, label=tracks, lower=0.12 if tracks == TRUE else -0.12)
        right.axvline(WANTED[f"right, {tracks}"], color=colour, lw=0.8, ls=":")
    right.set_yticks(range(len(ordered)), list(ordered))
    right.set_ylim(len(ordered) - 0.5, -0.5)
    right.set(xlim=(0, 1), xlabel="right track, share of clips (dotted: wanted)")
    draw_legend_below(right)
    draw_dots(overlap, {name: row["m_vIoU"] for name, row in ordered.items()}, BLUE)
    for name, colour in ((CEILING, ORANGE), (TRUE_TRACK, GREEN)):
        ceiling = numbers["ceiling"][name]["mean"]
        overlap.axvline(ceiling, color=colour, lw=1, ls="--", label=f"{name}, same time")
    overlap.set(xlim=(0, 1), xlabel="m_vIoU, proposed tracks")
    draw_legend_below(overlap)
    for place, (score, groups) in enumerate(numbers["presence"].items()):
        lower = 0.16 * (place - (len(SCORES) - 1) / 2)
        draw_dots(areas, groups, COLOURS[place], label=score, lower=lower)
    draw_level(areas, 0.5, "chance")
    areas.set(xlim=(0, 1.01), xlabel="AUROC, present against absent")
    draw_legend_below(areas)
    draw_dots(looks, numbers["looks"], BLUE, label="organism", lower=-0.12)
    draw_dots(looks, numbers["untrained"]["looks"], GREY, label=UNTRAINED, lower=0.12)
    looks.set(xlim=(0, 1), xlabel="strongest cell on the true track, share of clips")
    draw_legend_below(looks)
    return finish_figure(figure, numbers)


CLAIM = Claim(
    __file__,
    draw,
    config=MeasurementConfig(data="things-report", clips=400, model=THINGS_MODEL),
    only_shapes=NO_SHAPES,
)


def measure_all(options: ThingsOptions) -> Numbers:
    """Measure what is missing of the organism and of random weights, and sum up."""
    runs, config = Runs.of(CLAIM, options), set_number_type(options.config)
    random = runs.make_untrained(config, UNTRAINED_CLIPS)
    return summarise(observe_all(runs, config, OBSERVED), observe_all(runs, random, UNTRAINED))


def main() -> None:
    """Measure what is missing if the command line asks for it, and draw."""
    run_things(CLAIM, measure_all)


if __name__ == "__main__":
    main()
