"""The grounder over many queries: each video is read and watched once for all queries about it.

>>> import probe
>>> from probe.evaluation import ground_many
>>> from probe.organism.world import make_clip
>>> clip = make_clip(7)
>>> asked = [(clip.video(), thing.query) for thing in clip.things[:2]]
>>> [one.found.span for one in ground_many(probe.load(), asked)]
[Span(start=24, stop=48), Span(start=32, stop=56)]
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

from probe.candidates.given import Given
from probe.candidates.proposers import TrackFinder
from probe.datasets import DataSet, Footage, Recording, Sample, StoredVideo
from probe.datasets.footage import read_recording
from probe.engine.kept_views import keep_views
from probe.engine.model import VideoLM
from probe.evaluation.ahead import prepare_ahead
from probe.evaluation.candidates import Finder
from probe.evaluation.faults import explain_failure
from probe.evaluation.groups import group_queries
from probe.grounder import ground
from probe.grounding.absence import Absence, AbsenceError
from probe.grounding.answers import Answer
from probe.grounding.config import GrounderConfig
from probe.grounding.presets import CAUSAL, as_config
from probe.grounding.queries import Queries
from probe.grounding.sources import ByRules, Splitter
from probe.plain import to_plain
from probe.trained.responses.shipped import check_maps
from probe.video import Sampling, Video


@dataclass(frozen=True)
class Failure:
    """A query that could not be answered; the others are."""

    reason: str
    """One line that says why."""


_Reader: TypeAlias = Callable[[Recording, Sampling], Footage]

Found: TypeAlias = Answer | Absence | Failure
"""The outcome of one query: its answer; or that the model does not say clearly enough that the
thing is there, where the configuration requires that; or the reason why it failed."""


@dataclass(frozen=True, eq=False)
class Grounded:
    """One of many queries, and what was found for it."""

    place: int
    """Its place among the queries, from 0."""

    id: str
    query: str
    video: str
    """The name of its video, as it was given."""

    found: Found


@dataclass(frozen=True, eq=False)
class GivenVideo:
    """A video in memory as a recording, with the frames that it has."""

    video: Video
    name: str = "video"
    remark: str = ""

    def __eq__(self, other: object) -> bool:
        # By identity: to compare the pixels of two videos takes as long as to decode one.
        return isinstance(other, GivenVideo) and self.video is other.video

    def __hash__(self) -> int:
        return id(self.video)

    def read(self, frames: Sampling) -> Footage:  # noqa: ARG002  they were chosen when it was sampled
        """Return the video as it is."""
        return Footage(self.video, 0, self.video.source_length)


@dataclass(frozen=True, eq=False)
class _Prepared:
    """A query with everything that is needed to ground it, or the reason why it cannot be."""

    place: int
    sample: Sample | None = None
    queries: Queries | None = None
    footage: Footage | None = None
    candidates: Given = None
    failure: Failure | None = None


@dataclass(frozen=True, eq=False)
class Batch:
    """Many queries, a model, and the choices of the grounder; the truth is not looked at.

    Raises:
        ValueError: if the configuration has response maps that were learned on another model.
    """

    dataset: DataSet
    """The queries with their videos."""

    model: VideoLM
    config: GrounderConfig = CAUSAL
    frames: Sampling | None = None
    """Frames to sample, or a rate; None for as many as the model wants."""

    splitter: Splitter = field(default_factory=ByRules)
    """Splits queries into their parts."""

    finder: Finder | TrackFinder | None = None
    """Finds candidates, of a query or in a video alone; None for the grounder's own proposals."""

    def __post_init__(self) -> None:
        check_maps(self.config.maps, self.model)

    def describe_finder(self) -> Any:
        """Describe in plain values what the candidates follow from; None for the usual ones."""
        return self.finder.describe() if isinstance(self.finder, Finder) else to_plain(self.finder)

    def answer_all(self, places: Sequence[int]) -> Generator[Grounded, None, None]:
        """Answer queries, all of one video in a row, while the next one's video is decoded.

        A query that fails gives a `Failure`, and the others go on.

        Args:
            places: Places of the queries in the data set.

        Raises:
            MachineError: if the machine cannot go on.
        """
        model, read = keep_views(self.model), lru_cache(maxsize=1)(read_recording)
        order = chain.from_iterable(group_queries(self.dataset, places))

        def prepare(asked: _Prepared) -> _Prepared:
            return self._prepare(asked, read)

        try:
            for prepared in prepare_ahead(map(self._ask, order), prepare):
                yield self._answer(prepared, model)
        finally:
            model.views.clear()

    def _ask(self, place: int) -> _Prepared:
        """Look up a query and split it; here, since the model itself may have to split it."""
        sample = None
        try:
            sample = self.dataset[place]
            queries = self.splitter.split(self.model, sample.id, sample.query)
        except Exception as failure:  # noqa: BLE001  the others go on; it is handed on
            return _Prepared(place, sample, failure=self._explain(failure, place))
        return _Prepared(place, sample, queries)

    def _prepare(self, asked: _Prepared, read: _Reader) -> _Prepared:
        """Read the video of a query and find its candidates."""
        sample, queries = asked.sample, asked.queries
        if sample is None or queries is None:
            return asked
        try:
            footage = read(sample.recording, self.frames or self.model.preferred_frames)
            candidates: Given = None
            if isinstance(self.finder, Finder):
                candidates = self.finder.find(sample, footage, queries)
            else:  # the grounder finds them once for all queries about a video
                candidates = self.finder
        except Exception as failure:  # noqa: BLE001  the others go on; it is handed on
            return replace(asked, failure=self._explain(failure, asked.place))
        return replace(asked, footage=footage, candidates=candidates)

    def _answer(self, prepared: _Prepared, model: VideoLM) -> Grounded:
        sample = prepared.sample
        found = prepared.failure or self._ground(prepared, model)
        name = self.dataset.ids[prepared.place]
        query, video = ("", "") if sample is None else (sample.query, sample.recording.name)
        return Grounded(prepared.place, name, query, video, found)

    def _ground(self, prepared: _Prepared, model: VideoLM) -> Found:
        footage, queries = prepared.footage, prepared.queries
        assert footage is not None, "it was prepared, or has a failure"
        assert queries is not None, "it was prepared, or has a failure"
        try:
            return ground(
                model,
                footage.video,
                queries.whole,
                prepared.candidates,
                queries=queries,
                config=self.config,
            )
        except AbsenceError as refused:
            return refused.absence
        except Exception as failure:  # noqa: BLE001  the others go on; it is handed on
            return self._explain(failure, prepared.place)

    def _explain(self, failure: Exception, place: int) -> Failure:
        """Describe a failure of a query; raise a `MachineError` if the query is not to blame."""
        return Failure(explain_failure(failure, self.dataset.ids[place]))


def ground_many(
    model: VideoLM,
    asked: Iterable[tuple[Video | str | Path, str]],
    *,
    config: GrounderConfig | str = CAUSAL,
    frames: Sampling | None = None,
) -> Iterator[Grounded]:
    """Ground many queries; a video is read and watched once for all queries about it.

    Results come as they are found: all queries about a video in a row, and their `place` says which
    of the pairs each belongs to. A query that fails gives a `Failure`, and the others go on. In
    memory are two videos, and keys and values of one of them, in both frame orders.

    Args:
        model: The model to look through.
        asked: Pairs of a video, or its file, and a query.
        config: What the method leaves open: a configuration, or the name of a preset.
        frames: Frames to sample from files, or a rate; None for as many as the model wants.

    Raises:
        ValueError: if there is no such preset, its maps are of another model, or what is given are
            no pairs.
        MachineError: if the machine cannot go on: no memory, no room or no device.
    """
    samples = [_as_sample(place, pair) for place, pair in enumerate(asked)]
    if not samples:
        return iter(())
    dataset = DataSet.from_samples("queries", samples, version="given")
    batch = Batch(dataset, model, as_config(config), frames)
    return batch.answer_all(range(len(dataset)))


def _as_sample(place: int, pair: Any) -> Sample:
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise ValueError(f"query {place} is {pair!r}; give pairs of a video and a query")
    video, query = pair
    if isinstance(video, Video):
        name = "video" if video.path is None else str(video.path)
        return Sample(str(place), query, GivenVideo(video, name))
    return Sample(str(place), query, replace(StoredVideo.from_path(video), name=str(video)))
