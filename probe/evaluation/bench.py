"""A data set, a model and a method opened together: gives the scored answer to any query.

Knows nothing of runs. Whatever goes wrong with one query becomes part of its result.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

from probe.datasets import load_dataset
from probe.datasets.footage import Footage, Recording, read_recording
from probe.datasets.samples import DataSet, Sample
from probe.engine.model import ORGANISM, VideoLM, load
from probe.evaluation.baselines import METHODS, Grounding, Prediction, Task
from probe.evaluation.candidates import Candidates, Detected, Finder, Proposed
from probe.evaluation.runs import QueryResult
from probe.grounding.answers import described
from probe.grounding.queries import Queries
from probe.grounding.sources import ByFile, ByRules, Splitter
from probe.metrics import PROTOCOLS, score
from probe.video import Span, Tube

AHEAD = 1
"""Queries prepared while one is answered; each holds its sampled frames in memory."""


@dataclass(frozen=True)
class Plan:
    """Everything that has to be known to answer the queries of a data set, here or elsewhere."""

    dataset: str
    """A name in `probe.datasets.NAMES`."""

    root: Path | None = None
    """The data set's folder."""

    annotations: Path | None = None
    """Its annotation file, where that is not found by its published name."""

    method: str = "best"
    """A name in `METHODS`."""

    candidates: Candidates = field(default_factory=Proposed)
    """Where candidate tracks come from."""

    splitter: Splitter = field(default_factory=ByRules)
    """What splits queries into their parts."""

    model: str = ORGANISM
    revision: str | None = None
    device: str = "cpu"
    dtype: str = "auto"
    attention: str = "sdpa"
    quantize: str | None = None

    frames: int | None = None
    """Frames to sample; None for as many as the model wants."""

    protocol: str | None = None
    """A name in `PROTOCOLS`; None for the one that is usual for the data set."""

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"no method is called {self.method!r}; there are {', '.join(METHODS)}")
        if self.protocol is not None and self.protocol not in PROTOCOLS:
            known = ", ".join(PROTOCOLS)
            raise ValueError(f"no protocol is called {self.protocol!r}; there are {known}")
        if self.frames is not None and self.frames < 1:
            raise ValueError(f"cannot sample {self.frames} frames; ask for at least 1")
        asks_for_parts = isinstance(METHODS[self.method], Grounding)
        searches = isinstance(self.candidates, Detected)
        if not (isinstance(self.splitter, ByRules) or asks_for_parts or searches):
            raise ValueError(
                f"the method {self.method} asks for no part of a query; leave out --split, or "
                "give --detector, which looks for its subject"
            )

    def named(self) -> DataSet:
        """The data set, before anything else is loaded.

        Raises:
            ValueError: if it cannot be opened, or a file of sub-queries is about another.
        """
        dataset = load_dataset(self.dataset, self.root, self.annotations)
        if isinstance(self.splitter, ByFile):
            self.splitter.check(dataset.ids)
        return dataset

    def open(self) -> "Bench":
        """Load what is named.

        Raises:
            ValueError: if data set, model or detector cannot be opened.
        """
        dataset = self.named()
        model = load(
            self.model,
            device=self.device,
            dtype=self.dtype,
            revision=self.revision,
            attention=self.attention,
            quantize=self.quantize,
        )
        return Bench(self, dataset, model)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A query as far as it is ready to be answered, or why it cannot be."""

    index: int
    sample: Sample | None = None
    queries: Queries | None = None
    footage: Footage | None = None
    candidates: tuple[Tube, ...] = ()
    error: str | None = None


@dataclass(frozen=True, eq=False)
class Bench:
    """What a plan names, loaded."""

    plan: Plan
    dataset: DataSet
    model: VideoLM
    _read: Callable[[Recording, int], Footage] = field(
        default_factory=lambda: lru_cache(maxsize=1)(read_recording)
    )
    """Reads a recording; the last one is kept, since queries about one video follow each other."""

    _finder: Finder = field(init=False)
    """Gives candidates; where that takes weights, they lie beside the first of the model."""

    def __post_init__(self) -> None:
        device = str(self.model.network.device)
        finder = self.plan.candidates.opened(device=device, dtype=self.plan.dtype)
        object.__setattr__(self, "_finder", finder)

    @property
    def ids(self) -> tuple[str, ...]:
        """The queries, in the order of the data set."""
        return self.dataset.ids

    @property
    def frames(self) -> int:
        """How many frames the model is shown."""
        return self.plan.frames or self.model.preferred_frames

    @property
    def protocol(self) -> str:
        """How answers are scored."""
        return self.plan.protocol or self.dataset.protocol

    @property
    def config(self) -> Mapping[str, Any]:
        """All that the results follow from, in plain values."""
        return self._config

    @cached_property
    def _config(self) -> Mapping[str, Any]:
        return {
            "dataset": {
                "name": self.dataset.name,
                "version": self.dataset.version,
                "queries": len(self.dataset),
            },
            "model": {
                **self.model.identity,
                "weights": weights_of(self.model),
                "attention": self.plan.attention,
            },
            "method": {"name": self.plan.method, "choices": described(METHODS[self.plan.method])},
            "split": self.plan.splitter.describe(),
            "candidates": self._finder.describe(),
            "oracle": self.plan.candidates.oracle,
            "frames": self.frames,
            "protocol": self.protocol,
            "grounding-probe": version("grounding-probe"),
        }

    def answers(self, indices: Sequence[int]) -> Generator[QueryResult, None, None]:
        """Answer queries in turn, decoding and searching the next one's video meanwhile."""
        with ThreadPoolExecutor(1, "prepare") as thread:
            waiting: deque[Future[Prepared]] = deque()
            for index in indices:
                waiting.append(thread.submit(self.prepare, self.ask(index)))
                if len(waiting) > AHEAD:
                    yield self.answer(waiting.popleft().result())
            while waiting:
                yield self.answer(waiting.popleft().result())

    def ask(self, index: int) -> Prepared:
        """Look a query up and split it, where the model that may split it is not in use."""
        sample = None
        try:
            sample = self.dataset[index]
            queries = self.plan.splitter.split(self.model, sample.id, sample.query)
        except Exception as failure:  # noqa: BLE001  a run outlives any one query; it is recorded
            return Prepared(index, sample, error=_explained(failure))
        return Prepared(index, sample, queries)

    def prepare(self, asked: Prepared) -> Prepared:
        """Read what a query is about and find its candidates."""
        sample, queries = asked.sample, asked.queries
        if sample is None or queries is None:
            return asked
        try:
            footage = self._read(sample.recording, self.frames)
            sample.check_size(footage)
            candidates = self._finder.of(sample, footage, queries)
        except Exception as failure:  # noqa: BLE001  a run outlives any one query; it is recorded
            return replace(asked, error=_explained(failure))
        return replace(asked, footage=footage, candidates=candidates)

    def answer(self, prepared: Prepared) -> QueryResult:
        """Answer and score a query."""
        sample, queries, footage = prepared.sample, prepared.queries, prepared.footage
        if sample is None:
            return QueryResult(self.ids[prepared.index], error=prepared.error)
        if queries is None or footage is None:
            return _result(sample, error=prepared.error)
        task = Task(
            id=sample.id,
            video=footage.video,
            queries=queries,
            candidates=prepared.candidates,
            closed=self.plan.candidates.closed,
        )
        try:
            prediction = METHODS[self.plan.method](self.model, task)
            return self._scored(sample, footage, prediction)
        except Exception as failure:  # noqa: BLE001  a run outlives any one query; it is recorded
            return _result(sample, error=_explained(failure), remarks=sample.remarks(footage))

    def _scored(self, sample: Sample, footage: Footage, prediction: Prediction) -> QueryResult:
        """The result as it is written down, scored by what is written."""
        start, offset = prediction.span.start + footage.offset, footage.offset
        track = Tube.from_dict(footage.to_source(prediction.track).to_dict())
        result = _result(
            sample,
            span=Span(start, start + len(prediction.span)),
            track=track,
            sampled=tuple(offset + index for index in footage.video.indices),
            remarks=sample.remarks(footage),
            details=prediction.details,
        )
        shown = range(offset, offset + footage.video.source_length)
        figures = score(
            {sample.id: result.tube},
            {sample.id: sample.truth},
            self.protocol,
            {sample.id: result.sampled},
            tracks={sample.id: track.interpolated(shown)},
        )
        return replace(result, score=figures.per_query[sample.id])


def weights_of(model: VideoLM) -> str:
    """What tells a model's weights from others: a hash of files that are here, else the commit."""
    if model.is_organism:
        with resources.as_file(resources.files("probe.organism") / "weights") as folder:
            return _hash_of(folder)
    if Path(model.name).is_dir():
        return _hash_of(Path(model.name))
    return str(model.revision)


def _hash_of(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _result(sample: Sample, **found: Any) -> QueryResult:
    about = {"query": sample.query, "kind": sample.kind, "video": sample.recording.name}
    return QueryResult(sample.id, **about, **found)


def _explained(failure: Exception) -> str:
    """One line; our own errors speak for themselves, others name their kind."""
    lines = [line.strip() for line in str(failure).splitlines() if line.strip()]
    first = lines[0] if lines else ""
    return first if type(failure) is ValueError else f"{type(failure).__name__}: {first}"
