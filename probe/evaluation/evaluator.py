"""The evaluator: a data set, a model and a method, opened together to answer and score any query.

It knows nothing of runs. If anything goes wrong with a query, the error becomes part of its result;
if the machine cannot go on, there is no result, and a `MachineError`.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass, replace
from functools import cached_property, lru_cache
from importlib.metadata import version
from itertools import chain
from typing import Any

from probe.datasets import DataSet, Footage, Recording, Sample
from probe.datasets.footage import read_recording
from probe.engine.kept_views import SharingModel, keep_views
from probe.engine.model import VideoLM, load
from probe.evaluation.ahead import prepare_ahead
from probe.evaluation.candidates import Finder
from probe.evaluation.config import EvaluationConfig
from probe.evaluation.faults import explain_failure
from probe.evaluation.groups import group_queries
from probe.evaluation.methods import Grounding, Method, Prediction, PresenceMethod, Task
from probe.evaluation.presence import LOGITS
from probe.evaluation.references import (
    References,
    compute_references,
    make_worst_references,
)
from probe.evaluation.results import QueryResult
from probe.evaluation.scoring import check_margin, make_result, score_prediction
from probe.grounding.queries import Queries
from probe.plain import to_plain
from probe.trained.responses.shipped import check_maps
from probe.video import Sampling, Tube


@dataclass(frozen=True, eq=False)
class Prepared:
    """A query with everything that is needed to answer it, or the reason why it cannot be."""

    index: int
    sample: Sample | None = None
    queries: Queries | None = None
    footage: Footage | None = None
    candidates: tuple[Tube, ...] = ()
    references: References = field(default_factory=dict)
    """Figures that the candidates alone give."""

    error: str | None = None


@dataclass(frozen=True, eq=False)
class Evaluator:
    """A configuration with its data set and model loaded; `evaluate` writes a run of it.

    `open` loads both. To use a model that is loaded already, or a data set that you made, give them
    here with a configuration that says the rest.

    Raises:
        ValueError: if the detector cannot be opened, or the method has response maps that were
            learned on another model.
    """

    config: EvaluationConfig
    dataset: DataSet
    model: VideoLM
    _read: Callable[[Recording, Sampling], Footage] = field(
        default_factory=lambda: lru_cache(maxsize=1)(read_recording)
    )
    """Reads a recording and keeps the last one, since queries about one video follow each other."""

    _finder: Finder = field(init=False)
    """Finds candidates; a detector's weights are on the device of the model's first."""

    _method: Method = field(init=False)

    _shown: SharingModel = field(init=False)
    """The model as methods get it: it watches a video once for all queries about it."""

    def __post_init__(self) -> None:
        device = str(self.model.checkpoint.device)
        finder = self.config.candidates.open(device=device, dtype=self.config.dtype)
        object.__setattr__(self, "_finder", finder)
        method = self.config.find_method()
        if isinstance(method, Grounding):  # or every query would fail for the same reason
            check_maps(method.config.maps, self.model)
        object.__setattr__(self, "_method", method)
        object.__setattr__(self, "_shown", keep_views(self.model))

    @classmethod
    def open(cls, config: EvaluationConfig) -> "Evaluator":
        """Load what a configuration names.

        Raises:
            ValueError: if data set, model or detector cannot be opened, or the method has response
                maps that were learned on another model.
        """
        dataset = config.load_dataset()
        model = load(
            config.model,
            device=config.device,
            dtype=config.dtype,
            revision=config.revision,
            attention=config.attention,
            quantize=config.quantize,
            chat_template=config.chat_template,
            adapter=config.adapter,
            pixels=config.pixels,
        )
        return cls(config, dataset, model)

    @property
    def ids(self) -> tuple[str, ...]:
        """Names of the queries, in the order of the data set."""
        return self.dataset.ids

    @property
    def frames(self) -> Sampling:
        """Number of frames that the model is shown, or a rate that gives one for each video."""
        return self.config.frames or self.model.preferred_frames

    @property
    def protocol(self) -> str:
        """Name of the protocol by which answers are scored."""
        return self.config.protocol or self.dataset.protocol

    @property
    def provenance(self) -> Mapping[str, Any]:
        """All that the results follow from, in plain values: equal whenever a run continues."""
        return self._provenance

    # Kept, because it hashes the weights; and apart, because `Answerer` asks for a property.
    @cached_property
    def _provenance(self) -> Mapping[str, Any]:
        return {
            "dataset": {
                "name": self.config.dataset_name,
                "version": self.dataset.version,
                "queries": len(self.dataset),
                "absent": self.dataset.absent_version,
            },
            "model": {
                **self.model.identity,
                "fingerprint": self.model.known_fingerprint.read(),
                "attention": self.config.attention,
            },
            "method": {
                "name": self.config.method,
                "rules": self.config.rules.given,
                "presence": self._presence_scale,
                "choices": to_plain(self._method) if is_dataclass(self._method) else None,
            },
            "split": self.config.splitter.describe(),
            "candidates": self._finder.describe(),
            "oracle": self.config.candidates.oracle,
            "frames": to_plain(self.frames),
            "protocol": self.protocol,
            "grounding-probe": version("grounding-probe"),
        }

    def answer_all(self, indices: Sequence[int]) -> Generator[QueryResult, None, None]:
        """Answer queries, all of one video in a row, while the next one's video is decoded.

        A video is read, searched and watched once, wherever the queries about it are in the file.
        In memory are two videos, and what the model keeps of one: see `keep_views`.

        Raises:
            MachineError: if the machine cannot go on.
        """
        order = chain.from_iterable(group_queries(self.dataset, indices))
        try:
            for prepared in prepare_ahead(map(self.ask, order), self.prepare):
                yield self.answer(prepared)
        finally:
            self._shown.views.clear()

    def ask(self, index: int) -> Prepared:
        """Look up a query and split it into its parts."""
        # Here and not in `prepare`: the model itself may have to split the query, and the thread
        # that prepares must not use it while another query is answered.
        sample = None
        try:
            sample = self.dataset[index]
            queries = self.config.splitter.split(self.model, sample.id, sample.query)
        except Exception as failure:  # noqa: BLE001  a run outlives any one query; it is recorded
            return Prepared(index, sample, error=explain_failure(failure, self.ids[index]))
        return Prepared(index, sample, queries)

    def prepare(self, asked: Prepared) -> Prepared:
        """Read the video of a query and find its candidates."""
        sample, queries = asked.sample, asked.queries
        if sample is None or queries is None:
            return asked
        try:
            footage = self._read(sample.recording, self.frames)
            sample.check_size(footage)
            sample = sample.settle(footage)
            candidates = self._finder.find(sample, footage, queries)
            # Here, while another query is answered; the method may not see what follows from truth.
            references = compute_references(sample, footage, candidates, self.protocol)
        except Exception as failure:  # noqa: BLE001  a run outlives any one query; it is recorded
            return replace(asked, error=explain_failure(failure, sample.id))
        return replace(
            asked, sample=sample, footage=footage, candidates=candidates, references=references
        )

    def answer(self, prepared: Prepared) -> QueryResult:
        """Answer and score a query, and measure what the method says of absent things."""
        sample, queries, footage = prepared.sample, prepared.queries, prepared.footage
        if sample is None:
            failed = QueryResult(self.ids[prepared.index], error=prepared.error)
            return replace(failed, references=make_worst_references(failed.score))
        if queries is None or footage is None:
            return self._fail(sample, prepared.error, prepared.references)
        task = Task(
            id=sample.id,
            video=footage.video,
            queries=queries,
            candidates=prepared.candidates,
            closed=self.config.candidates.closed,
        )
        try:
            prediction = self._predict(task)
            result = score_prediction(sample, footage, prediction, self.protocol)
            result = replace(result, references=prepared.references)
            # Part of the answer: a method that fails here must not keep its figures about tubes.
            result = replace(result, absent=self._measure_absent(sample, footage))
            # Read back, since a method of a user's may give details that no line can hold.
            return QueryResult.from_line(result.to_line())
        except Exception as failure:  # noqa: BLE001  a run outlives any one query; it is recorded
            reason = explain_failure(failure, sample.id)
            failed = self._fail(sample, reason, prepared.references)
            return replace(failed, remarks=sample.list_remarks(footage))

    def _predict(self, task: Task) -> Prediction:
        """Have the method answer; one of a user's may return anything."""
        found: Any = self._method(self._shown, task)
        if not isinstance(found, Prediction):
            kind = type(found).__name__
            raise ValueError(f"the method {self.config.method} returned a {kind}, not a Prediction")
        return found

    def _measure_absent(self, sample: Sample, footage: Footage) -> dict[str, float | None]:
        """Measure how sure the method is that each absent thing is there, in one call."""
        method, asked = self._method, sample.absent
        if not asked or not isinstance(method, PresenceMethod):
            return {}
        found = method.measure_presence(self._shown, footage.video, tuple(asked.values()))
        if len(found) != len(asked):
            raise ValueError(
                f"the method {self.config.method} measured the presence of {len(found)} things, "
                f"asked for {len(asked)}"
            )
        return dict(zip(asked, map(check_margin, found), strict=True))

    @property
    def _presence_scale(self) -> str | None:
        """The scale of what the method says about presence; None if it says nothing."""
        if not isinstance(self._method, PresenceMethod):
            return None
        return LOGITS if isinstance(self._method, Grounding) else "a scale of its own"

    def _fail(self, sample: Sample, error: str | None, references: References) -> QueryResult:
        """Make the result of a query that failed; without candidates every reference is 0."""
        # Named although not measured: absent queries count as failed, and not as never asked.
        asked = sample.absent if self._presence_scale else ()
        references = references or make_worst_references(sample.known.worst)
        return make_result(sample, error=error, absent=dict.fromkeys(asked), references=references)
