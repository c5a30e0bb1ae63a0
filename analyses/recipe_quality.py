"""Two thirds of the training give worse answers; which organism ships follows from a rule.

    python analyses/recipe_quality.py              draw from the stored numbers (seconds)
    python analyses/recipe_quality.py --measure    ask what is missing (2 minutes an organism)

All questions about the 500 clips of shapes-val, asked of every organism of `protocol.md`, which
has both rules. A recipe counts as equally good if its answers are at most 0.03 below those of the
weights that were shipped when it was written, to balanced yes-or-no questions and to open ones.
To ship, an organism needs the most right open answers; of those within 0.01 of it, the one shipped
then does, else that of the lowest seed. Where tokens look is no part of either.
"""

from collections.abc import Mapping
from typing import Any

import torch
from claims import COLOURS
from common import (
    GREY,
    Claim,
    Numbers,
    Table,
    create_figure,
    draw_level,
    error_bars,
    errors_in_one_line,
    finish_figure,
    read_command_line,
    summarise_share,
)
from matplotlib.figure import Figure
from measurement import MeasurementConfig
from organism_runs import (
    CONTROL,
    FIRST_SHIPPED,
    FROZEN,
    NUMBER_TYPE,
    ORGANISMS,
    SHIPPED,
    ClaimsOptions,
    find_organism,
)

from probe.engine.model import load
from probe.files import read_json
from probe.organism.benchmark import SHAPES_VAL
from probe.organism.scores import measure_answers

KINDS = ("yes or no", "open")
WORSE = 0.03
"""Greatest share by which an equally good recipe answers fewer questions right."""

TIED = 0.01
"""Difference within which two organisms answer equally well."""


def count_answers(name: str, options: ClaimsOptions) -> Numbers:
    """Ask all questions about all clips, and count the right answers by kind."""
    torch.set_num_threads(1)
    folder = CLAIM.numbers_path(options.out).parent / ".claims"
    folder.mkdir(parents=True, exist_ok=True)
    model = load(find_organism(name, folder), dtype=NUMBER_TYPE)
    table: Table = measure_answers(model, SHAPES_VAL.seed, options.config.clips)
    polar = table["answer"].isin(["Yes", "No"])
    # A description is right only to the letter, which none is.
    rows = {"yes or no": polar, "open": ~polar & (table["kind"] != "describe")}
    return {
        "recipe": ORGANISMS[name],
        "questions": {kind: int(chosen.sum()) for kind, chosen in rows.items()},
        **{kind: summarise_share(table[chosen]["right"]) for kind, chosen in rows.items()},
    }


def judge(organisms: Mapping[str, Numbers]) -> Numbers:
    """Judge the recipes, and choose the organism that ships, by the rules of the protocol."""
    below: dict[str, dict[str, float]] = {}
    for one in organisms.values():
        found = below.setdefault(one["recipe"], dict.fromkeys(KINDS, 0.0))
        for kind in KINDS:
            less = organisms[FIRST_SHIPPED][kind]["mean"] - one[kind]["mean"]
            found[kind] = max(found[kind], less)
    frozen = [name for name, one in organisms.items() if one["recipe"] == FROZEN]
    eligible = {name: organisms[name]["open"]["mean"] for name in (FIRST_SHIPPED, *frozen)}
    best = max(eligible.values())
    tied = [name for name, share in eligible.items() if share >= best - TIED]
    return {
        "most_below": below,
        "equally_good": {name: max(found.values()) <= WORSE for name, found in below.items()},
        "ships": FIRST_SHIPPED if FIRST_SHIPPED in tied else min(tied),
    }


def draw(numbers: Numbers) -> Figure:
    """Draw a dot for each organism and kind of question."""
    figure = create_figure(7.2, 2.8)
    names = list(numbers["organisms"])
    least = min(one[kind]["interval"][0] for one in numbers["organisms"].values() for kind in KINDS)
    for axes, kind in zip(figure.subplots(1, 2, sharey=True), KINDS, strict=True):
        for row, name in enumerate(names):
            one = numbers["organisms"][name]
            means, reach = error_bars([one[kind]])
            colour = COLOURS[one["recipe"]]
            axes.errorbar(means, [row], xerr=reach, fmt="o", ms=4, color=colour, clip_on=False)
        allowed = numbers["organisms"][FIRST_SHIPPED][kind]["mean"] - WORSE
        draw_level(axes, allowed, f"as good as {FIRST_SHIPPED}")
        axes.set(xlabel=f"right answers, {kind} questions", xlim=(int(10 * least) / 10, 1))
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.5, -0.5)
    figure.axes[0].legend(fontsize=6, frameon=False, loc="upper left", labelcolor=GREY)
    return finish_figure(figure, numbers)


CLAIM = Claim(
    __file__,
    draw,
    config=MeasurementConfig(data="shapes-val", clips=500),
    only_shapes="the questions are those of the shapes' world",
)


def main() -> None:
    """Ask what is missing if the command line asks for it, judge, and draw."""
    with errors_in_one_line(CLAIM.name):
        options = read_command_line(ClaimsOptions(CLAIM.config), CLAIM.name)
        options.check(CLAIM.config)
        path = CLAIM.numbers_path(options.out)
        organisms: dict[str, Any] = read_json(path)["organisms"] if path.exists() else {}
        if options.measure:
            # The first one shipped before all: the others are judged against it.
            for name in dict.fromkeys((FIRST_SHIPPED, *options.names())):
                if name not in organisms and ORGANISMS[name] != CONTROL:
                    organisms[name] = count_answers(name, options)
                CLAIM.store(_describe(organisms, options), options.out)
        CLAIM.redraw(options.out)


def _describe(organisms: Mapping[str, Numbers], options: ClaimsOptions) -> Numbers:
    ordered = {name: organisms[name] for name in ORGANISMS if name in organisms}
    return {
        "dataset": {"name": options.config.data},
        "cases": options.config.clips,
        "failed": {},
        "versions": {"torch": torch.__version__},
        "model": {"name": ", ".join(ordered)},
        "organisms": ordered,
        "shipped": SHIPPED,
        "verdict": judge(ordered),
    }


if __name__ == "__main__":
    main()
