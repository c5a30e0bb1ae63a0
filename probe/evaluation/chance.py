"""Chance on a data set, without a model: the references of all queries, for given candidates."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from itertools import chain
from typing import Any

from probe.datasets import DataSet, Footage, Recording, Sample
from probe.datasets.footage import read_recording
from probe.engine.model_names import SHIPPED
from probe.evaluation.candidates import Finder
from probe.evaluation.config import EvaluationConfig
from probe.evaluation.faults import explain_failure
from probe.evaluation.figures import FIGURES
from probe.evaluation.groups import group_queries
from probe.evaluation.references import (
    References,
    compute_references,
    make_worst_references,
    summarise_references,
)
from probe.evaluation.runner import format_unknown
from probe.evaluation.scoring import make_failed
from probe.grounding.queries import decompose
from probe.grounding.sources import ByFile, ByModel
from probe.organism.catalogue import WORLDS
from probe.progress import make_bar
from probe.video import Tube


@dataclass(frozen=True)
class Chance:
    """The expected figures of each guess on a data set, and those of the best candidate."""

    dataset: str
    candidates: str
    """The source of the candidates."""

    oracle: bool
    """True if they are the truth."""

    protocol: str
    frames: int
    """The number of frames that a model would be shown, among which candidates are looked for."""

    queries: int
    """The number of queries that were counted, and `of` how many there are."""

    of: int
    tracks: float
    """Candidates a query, on average; 0 for a query that failed."""

    failed: Mapping[str, str]
    """The queries that could not be read or had no candidate, by name, and the reasons: they are 0
    in every figure."""

    figures: Mapping[str, Mapping[str, Mapping[str, float] | None]]
    """By reference and figure: the `mean` of the expectation over all `queries` whose truth allows
    the figure, and the `low` and `high` end of its 95 % interval; None if there is no such query.
    """

    def to_dict(self) -> dict[str, Any]:
        """Return everything in plain values."""
        return asdict(self)


def measure_chance(
    config: EvaluationConfig, *, limit: int | None = None, progress: bool = False
) -> Chance:
    """Compute what guesses score on the candidates of a configuration; its model is not loaded.

    >>> from probe.evaluation import EvaluationConfig, Oracle
    >>> config = EvaluationConfig("shapes-val", candidates=Oracle())
    >>> chance = measure_chance(config, limit=2)
    >>> round(chance.figures["any track, middle half"]["right_track"]["mean"], 2)
    0.29

    Args:
        config: The data set and the candidates; its method is left out.
        limit: The number of queries, from the first on; None for all.
        progress: Whether to show a progress bar.

    Raises:
        ValueError: if the data set or a detector cannot be opened, the number of frames is not
            given for a model that is not shipped, or the model is to split queries.
        MachineError: if the machine cannot go on.
    """
    if isinstance(config.splitter, ByModel):
        raise ValueError("--split model: no model is loaded to compute chance; leave it out")
    dataset = config.load_dataset()
    frames = _find_frames(config)
    finder = config.candidates.open(device=config.device, dtype=config.dtype)
    protocol = config.protocol or dataset.protocol
    prepare = _Preparer(config, dataset, finder, frames)
    names = dataset.ids[:limit]
    expected: dict[int, References] = {}
    counts: list[int] = []
    failed: dict[int, str] = {}
    order = list(chain.from_iterable(group_queries(dataset, range(len(names)))))
    for index in make_bar(order, unit="query", leave=False) if progress else order:
        try:
            sample, footage, tracks = prepare(index)
        except Exception as failure:  # noqa: BLE001  told with the reason, as a run does
            # As in a run: a query that cannot be answered counts as zero and is never left out.
            failed[index] = explain_failure(failure, names[index])
            worst = make_failed(dataset, index, failed[index]).score
            expected[index] = make_worst_references(worst)
            continue
        counts.append(len(tracks))
        expected[index] = compute_references(sample, footage, tracks, protocol)
    return Chance(
        dataset=config.dataset_name,
        candidates=finder.describe()["from"],
        oracle=config.candidates.oracle,
        protocol=protocol,
        frames=frames,
        queries=len(names),
        of=len(dataset),
        tracks=sum(counts) / len(names),
        failed={names[index]: failed[index] for index in sorted(failed)},
        # In the order of the data set, in which intervals are drawn again and again.
        figures=summarise_references([expected[index] for index in sorted(expected)]),
    )


@dataclass(frozen=True, eq=False)
class _Preparer:
    """Reads the video of a query and finds its candidates, as an `Evaluator` does for a method."""

    config: EvaluationConfig
    dataset: DataSet
    finder: Finder
    frames: int
    _read: Callable[[Recording, int], Footage] = field(
        default_factory=lambda: lru_cache(maxsize=1)(read_recording)
    )
    """Keeps the last recording: queries about one video are prepared in a row."""

    def __call__(self, index: int) -> tuple[Sample, Footage, tuple[Tube, ...]]:
        sample = self.dataset[index]
        footage = self._read(sample.recording, self.frames)
        sample.check_size(footage)
        sample = sample.settle(footage)
        splitter = self.config.splitter
        # Split by hand: a splitter takes the model, which is not there.
        queries = (
            splitter.known.of(sample.id, sample.query)
            if isinstance(splitter, ByFile)
            else decompose(sample.query)
        )
        tracks = self.finder.find(sample, footage, queries)
        if not tracks:
            raise ValueError(f"{sample.id}: there is no candidate")
        return sample, footage, tracks


def _find_frames(config: EvaluationConfig) -> int:
    """Find how many frames the methods are shown, in which candidates are looked for."""
    if config.frames is not None:
        return config.frames
    # Its processor would say, but a stranger's files are opened in one place, with all its checks.
    if config.model not in SHIPPED:
        raise ValueError(
            f"chance opens no model, so {config.model} cannot say how many frames it samples; give "
            "--frames"
        )
    return WORLDS[SHIPPED[config.model].world].sampled_frames


def _format_mean(figure: Mapping[str, float] | None) -> str:
    return f"{'-':>11}" if figure is None else f"{100 * figure['mean']:11.1f}"


def format_chance(chance: Chance) -> Iterator[str]:
    """Format chance as a table for the screen, in percent."""
    oracle = "; ORACLE: candidates are the truth" if chance.oracle else ""
    yield (
        f"{chance.dataset}, chance: {chance.queries} of {chance.of} queries, {len(chance.failed)} "
        f"failed; {chance.tracks:.1f} candidates a query from {chance.candidates}{oracle}"
    )
    yield f"{'':26} " + " ".join(f"{name:>11}" for name in FIGURES)
    for guess, figures in chance.figures.items():
        yield f"{guess:26} {' '.join(_format_mean(figures[name]) for name in FIGURES)}"
    widest = max(
        (
            figure["high"] - figure["low"]
            for figures in chance.figures.values()
            for figure in figures.values()
            if figure is not None
        ),
        default=0.0,
    )
    first = next(iter(chance.figures.values()))
    yield from format_unknown({"queries": chance.queries, **first})
    yield (
        f"percent, {chance.protocol}; 95 % intervals over queries are at most "
        f"{100 * widest / 2:.1f} to either side"
    )
