"""On three earlier organisms, too, asking by cause beats attention; on one a word lens beats it.

    python analyses/causal_on_organisms.py       draw from the stored numbers (seconds)
    python analyses/causal_on_organisms.py --measure --also 83eafb0 --also fd3ab77 [--also ...]

The methods of `causal_grounding.py`, all but `PAPER`, answer 200 queries on each model. Organisms
that were shipped earlier are in the git history (`mkdir fd3ab77; git archive fd3ab77
probe/organism/weights | tar -x -C fd3ab77 --strip-components 3`; the oldest is 942180f). An
untrained one shows what is chosen without knowledge: `save_checkpoint(make_network(0), folder)` of
`probe.organism.network` writes it. One CPU core measures a model in six minutes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from causal_grounding import COMPARED, measure_methods
from common import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    Claim,
    ClaimOptions,
    Numbers,
    apply_holm,
    create_figure,
    draw_dots,
    errors_in_one_line,
    finish_figure,
    read_command_line,
)
from matplotlib.figure import Figure
from measurement import MeasurementConfig
from tyro.conf import UseAppendAction, arg

METHODS = {name: method for name, method in COMPARED.items() if name != "PAPER"}
"""`PAPER` is left out: it takes a quarter of the time, and its rate of 8 suits none of them."""

BASES = ("BEST",)

COLOURS = (BLUE, ORANGE, GREEN, PURPLE, GREY)
"""Colours of the models, in the order in which they were measured."""


def join_models(found: Mapping[str, Numbers]) -> Numbers:
    """Join the numbers of models; clips and provenance of the first are those of the page.

    Holm's correction is made again, over the tests of all models.
    """
    shared = ("dataset", "first", "cases", "tracks", "frames", "model", "weights", "versions")
    first = next(iter(found.values()))
    failed = {name: why for one in found.values() for name, why in one["failed"].items()}
    tests = iter(apply_holm([test for one in found.values() for test in one["differences"]]))
    models = {
        name: {**one, "differences": [next(tests) for _ in one["differences"]]}
        for name, one in found.items()
    }
    return {**{name: first[name] for name in shared}, "failed": failed, "models": models}


def draw(numbers: Numbers) -> Figure:
    """Draw m_vIoU and the share of right tracks by method, one colour for each model."""
    figure = create_figure(9.0, 4.4)
    left, right = figure.subplots(1, 2, sharey=True)
    models = list(numbers["models"].items())
    for place, (name, one) in enumerate(models):
        # Dots of one row lie under each other, around its middle.
        lower = 0.18 * (place - (len(models) - 1) / 2)
        for axes, shown in ((left, "m_viou"), (right, "right_track")):
            rows = {method: row[shown] for method, row in one["table"].items()}
            draw_dots(axes, rows, COLOURS[place % len(COLOURS)], label=name, lower=lower)
    left.set(xlim=(0, 1), xlabel="m_vIoU")
    right.set(xlim=(0, 1), xlabel="right track, share of clips")
    figure.legend(
        *left.get_legend_handles_labels(),
        fontsize=7,
        frameon=False,
        ncols=len(models),
        loc="outside upper center",
    )
    return finish_figure(figure, numbers)


# No `measure`: `all.py --measure` would put the numbers of one model in the place of several.
CLAIM = Claim(
    __file__,
    draw,
    # The shipped organism's number type for all: the others' files are in float16.
    config=MeasurementConfig(data="shapes-report-2", clips=200, dtype="float32"),
    only_shapes="this page compares models, which its own script takes with --also",
)


@dataclass(frozen=True)
class OrganismsOptions(ClaimOptions):
    """Draw the figure of this claim from its stored numbers; measure them first with --measure."""

    also: Annotated[tuple[Path, ...], arg(metavar="DIR"), UseAppendAction] = ()
    """Folder of one more checkpoint to measure on the same clips."""


def measure_models(options: OrganismsOptions) -> Numbers:
    """Measure the model of the options, then each of the others, named by their folders."""
    measured: dict[str, Numbers] = {}
    for model in (options.config.model, *map(str, options.also)):
        measurement = replace(options.config, model=model).open()
        found = measure_methods(measurement, METHODS, BASES)
        # The folder's name only: where it was on this machine tells nobody else anything.
        name = Path(model).name
        measured[name] = {**found, "model": {**found["model"], "name": name}}
    return join_models(measured)


def main() -> None:
    """Measure the models if the command line asks for it, and draw."""
    with errors_in_one_line(CLAIM.name):
        options = read_command_line(OrganismsOptions(CLAIM.config), CLAIM.name)
        if options.measure != bool(options.also):
            raise ValueError("this page compares models: give --measure with one --also or more")
        if options.measure:
            options.check(CLAIM.config)
            CLAIM.store(measure_models(options), options.out)
            CLAIM.redraw(options.out)
        else:
            CLAIM.follow(options)


if __name__ == "__main__":
    main()
