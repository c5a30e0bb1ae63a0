"""The organism of things and its rival of random weights: models, kept parts, and wanted lines."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from common import Claim, ClaimOptions, Numbers, errors_in_one_line, read_command_line
from measurement import MeasurementConfig
from organism_runs import NUMBER_TYPE, make_whole
from parts import measure_in_parts

from probe.datasets.drawn import BENCHMARKS
from probe.engine.fingerprint import identify_weights
from probe.engine.model import load
from probe.organism.network import make_network, save_checkpoint
from probe.organism.things.world import THINGS

THINGS_MODEL = "things"
"""The organism of the committed numbers, by its name in the package; --model takes a folder."""

UNTRAINED = "untrained"
"""Name of the rival of random weights."""

NO_SHAPES = "this page is about the world of things"


@dataclass(frozen=True)
class ThingsOptions(ClaimOptions):
    """Draw the figure of this claim from its stored numbers; measure them first with --measure.

    What was measured is kept in parts next to the numbers, so that a stopped run goes on.
    """

    workers: int = 1
    """Processes that measure at the same time, each on one thread."""


@dataclass(frozen=True)
class Runs:
    """The place of the parts of one page, and how they are measured."""

    folder: Path
    """Folder of the parts, next to the numbers of the page."""

    workers: int

    @classmethod
    def of(cls, claim: Claim, options: ThingsOptions) -> "Runs":
        """Return the runs of a claim's page."""
        folder = claim.numbers_path(options.out).parent / f".{claim.name}"
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder, options.workers)

    def name_parts(self, config: MeasurementConfig, name: str) -> Path:
        """Return the beginning of the names of a model's files."""
        weights = identify_weights(load(config.model, dtype=config.dtype))
        # Other weights, also under the same name, or other clips make other parts.
        return self.folder / f"{name}-{weights[:12]}-{config.data}-{config.first}-{config.clips}"

    def measure(
        self, config: MeasurementConfig, stem: Path, measure_part: Callable[..., None]
    ) -> Numbers:
        """Measure what is missing of a model's clips, and join it with what is kept."""
        found = measure_in_parts(config, stem, measure_part, self.workers)
        # The folder's name only: where it was on this machine tells nobody else anything.
        return {**found, "model": {**found["model"], "name": Path(config.model).name}}

    def make_untrained(self, config: MeasurementConfig, clips: int) -> MeasurementConfig:
        """Return the configuration of random weights on the first of the same clips."""
        write = partial(save_checkpoint, make_network(0, THINGS), world=THINGS)
        place = make_whole(self.folder / UNTRAINED, write)
        return replace(config, model=str(place), clips=min(clips, config.clips))


def set_number_type(config: MeasurementConfig) -> MeasurementConfig:
    """Return a configuration in the number type of all organisms, unless another is asked for."""
    return replace(config, dtype=NUMBER_TYPE) if config.dtype == "auto" else config


def judge_line(found: Mapping[str, Any], wanted: float, *, most: bool = False) -> Numbers:
    """Tell whether a wanted line is reached.

    Args:
        found: A mean and its interval.
        wanted: The least that is wanted.
        most: Whether it is the most instead, for either sign: a difference of about 0 is wanted.

    Returns:
        What was found with `reached`, by the mean, and `sure`: whether the whole interval says the
        same.
    """
    low, high = found["interval"]
    if most:
        reached = abs(found["mean"]) <= wanted
        inside = -wanted <= low and high <= wanted
        sure = inside if reached else low > wanted or high < -wanted
    else:
        reached = found["mean"] >= wanted
        sure = low >= wanted if reached else high < wanted
    return {**found, "wanted": wanted, "most": most, "reached": reached, "sure": sure}


def run_things(claim: Claim, measure_all: Callable[[ThingsOptions], Numbers]) -> None:
    """Follow the command line of a page about things.

    Args:
        claim: The page.
        measure_all: Measures what is missing, and returns the numbers of the page.
    """
    with errors_in_one_line(claim.name):
        options = read_command_line(ThingsOptions(claim.config), claim.name)
        options.check(claim.config)
        if options.measure:
            check_world(options)
            claim.store(measure_all(options), options.out)
        claim.redraw(options.out)


def check_world(options: ThingsOptions) -> None:
    """Refuse another world's data before the model is opened.

    Raises:
        ValueError: if the data set is none of things.
    """
    data = options.config.data
    if data not in BENCHMARKS or BENCHMARKS[data].world != THINGS:
        raise ValueError(f"{data}: {NO_SHAPES}; give --data things-val, or leave it out")
