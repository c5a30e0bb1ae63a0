"""Model and clips that a claim is measured on; clips come from any data set of `probe.datasets`."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

import numpy as np
from jaxtyping import Bool
from torch import Tensor
from tqdm.auto import tqdm
from tyro.conf import arg

from probe.datasets import DataSet, Footage, Recording, Sample, load_dataset
from probe.datasets.drawn import BENCHMARKS
from probe.datasets.footage import read_recording
from probe.engine.fingerprint import identify_weights
from probe.engine.grids import VisualGrid
from probe.engine.kept_views import keep_views
from probe.engine.model import ORGANISM, VideoLM, load
from probe.engine.readings import Reading
from probe.evaluation.candidates import Stored
from probe.evaluation.groups import group_queries
from probe.grounding.lexicon import DETERMINERS, RELATIVES
from probe.grounding.queries import Queries, as_question, decompose
from probe.grounding.statements import as_statement
from probe.metrics import spatial_iou
from probe.plain import to_plain
from probe.video import Sampling, Tube, Video

SAME_OBJECT_OVERLAP = 0.5
"""Mean box overlap with the true track, above which a track is taken to follow the same object."""

RecordT = TypeVar("RecordT")
Record_co = TypeVar("Record_co", covariant=True)


@dataclass(frozen=True)
class MeasurementConfig:
    """Model, and part of a data set, that a claim is measured on."""

    data: str = "shapes-test"
    """Name of a data set, as in `probe evaluate`."""

    root: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder of the data set; none for drawn worlds, whose clips follow from a seed."""

    annotations: Annotated[Path | None, arg(metavar="FILE")] = None
    """Annotation file of the data set, if it is not under --root by its published name."""

    tracks: Annotated[Path | None, arg(metavar="DIR")] = None
    """Candidate tracks, one file a video, as `probe evaluate` takes them. They are also the wrong
    tracks next to the true one if the data set annotates a single object, as HC-STVG does."""

    clips: int = 100
    """Number of queries to use."""

    first: int = 0
    """Number of queries to skip before them."""

    model: str = ORGANISM
    """Folder of a checkpoint, or its name on the Hugging Face hub."""

    device: str = "cpu"
    """Device of the model: cpu, cuda, or auto to spread it over all devices."""

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Number type of the weights; auto is the type they were saved in."""

    frames: Annotated[int | None, arg(metavar="INT")] = None
    """Number of frames to sample; by default as many as the model was trained on."""

    def open(self) -> "Measurement":
        """Open the data set, then the model.

        Raises:
            ValueError: if one of them does not exist, or no query is left.
        """
        # The data set first: a wrong path is found at once, opening a 7B model takes minutes.
        dataset = load_dataset(self.data, self.root, self.annotations)
        others = None if self.tracks is None else Stored(self.tracks)
        if not 0 <= self.first < len(dataset) or self.clips < 1:
            raise ValueError(
                f"{self.data} has {len(dataset)} queries: there are no {self.clips} from "
                f"{self.first} on; give a smaller --first, and --clips of 1 or more"
            )
        model = load(self.model, device=self.device, dtype=self.dtype)
        return Measurement(self, dataset, model, others)

    def for_choosing(self) -> "MeasurementConfig":
        """Return a configuration with other clips, to choose on them what these clips report.

        For a benchmark of a drawn world those are the clips that it is chosen on, such as
        shapes-val; for any other data set the next ones.
        """
        if self.data in BENCHMARKS and (other := BENCHMARKS[self.data].chosen_on) is not None:
            return replace(self, data=other.name)
        return replace(self, first=self.first + self.clips)


@dataclass(frozen=True, eq=False)
class Case:
    """A video and a query about it; all tubes count the frames of this video."""

    name: str
    video: Video
    queries: Queries
    truth: Tube
    """True tube: the boxes of the queried object while the query holds."""

    sampled: tuple[int, ...]
    """Frames that the model sees."""

    tracks: tuple[Tube, ...]
    """Tracks of all objects: first that of the queried one, which is the right choice."""

    candidates: tuple[Tube, ...] | None
    """Tracks that a grounder, which does not know the truth, chooses from; None to propose them."""

    absent: Mapping[str, str]
    """Queries by kind that are true of nothing in the video; empty if the data set has none."""

    @property
    def track(self) -> Tube:
        """True track of the queried object, also outside the time that the query describes."""
        return self.tracks[0]

    @property
    def query(self) -> str:
        """Sentence to ground."""
        return self.queries.whole

    @property
    def question(self) -> str:
        """Yes-or-no question of the whole query."""
        return whole_question(self.query)

    def on_track(self, grid: VisualGrid) -> Bool[Tensor, "frame row column"]:
        """Return which cells lie on the true track."""
        return grid.cells.inside(self.track)

    def is_right(self, track: Tube) -> bool:
        """Tell whether a track follows the queried object while the query holds."""
        shown = track.interpolated(self.truth.frames)
        return spatial_iou(shown, self.truth) > SAME_OBJECT_OVERLAP

    def is_another(self, track: Tube) -> bool:
        """Tell whether a track follows an object that is not asked about, at that time."""
        frames = self.truth.frames
        shown = track.interpolated(frames)
        return any(
            spatial_iou(shown, other.interpolated(frames)) > SAME_OBJECT_OVERLAP
            for other in self.tracks[1:]
        )

    def parts(self, reading: Reading) -> list[str]:
        """Name the part of each token in the question, alike for all questions.

        Words of the query are SUBJECT, LOOKS or ACTION, by its split; any other word keeps its
        own name; a role token is called by its text and its place from the end.
        """
        length, parts = len(reading.tokens), self._parts_of_words()
        names = []
        for index, word in enumerate(_words(reading)):
            if word is None:
                names.append(f"{_printable(reading.tokens[index])} ({index - length})")
            else:
                names.append(parts.get(word, word))
        return names

    def _parts_of_words(self) -> Mapping[str, str]:
        """Return the part of each word of the query."""
        said = _bare_words(as_statement(self.query))
        looks, subject = _bare_words(self.queries.attribute), _bare_words(self.queries.subject)
        empty = DETERMINERS | RELATIVES
        # Later entries win: a word of the subject is SUBJECT although it also opens the action.
        return {
            **{word: "ACTION" for word in said if word not in empty | set(looks)},
            **{word: "LOOKS" for word in looks if word not in empty},
            **dict.fromkeys(subject, "SUBJECT"),
        }


@dataclass(frozen=True)
class Records(Generic[Record_co]):
    """Measurements of all clips, and the clips on which measuring failed."""

    values: tuple[Record_co, ...]
    failed: Mapping[str, str]
    """Reason for each clip, by name, that could not be read or asked about."""

    def __iter__(self) -> Iterator[Record_co]:
        return iter(self.values)

    def __len__(self) -> int:
        return len(self.values)

    def entries(self, name: str) -> "Records[Any]":
        """Return one entry of every record."""
        values: tuple[Any, ...] = self.values
        return Records(tuple(record[name] for record in values), self.failed)


@dataclass(frozen=True, eq=False)
class Measurement:
    """Model and data set of a configuration, opened."""

    config: MeasurementConfig
    dataset: DataSet
    model: VideoLM
    others: Stored | None
    """Source of candidate tracks; None if none are given."""

    @property
    def indices(self) -> range:
        """Places of the used queries in the data set."""
        first = self.config.first
        return range(first, min(first + self.config.clips, len(self.dataset)))

    def measure_cases(
        self, measure_case: Callable[[VideoLM, Case], RecordT], *, share: bool = True
    ) -> Records[RecordT]:
        """Measure one query after the other; note those that fail, and go on.

        Args:
            measure_case: Measures one query.
            share: Whether a video is read and watched once for all that is asked about it; not
                where the time that it takes is measured.

        Returns:
            The records in the order of the data set.

        Raises:
            ValueError: if all queries fail.
        """
        found: dict[int, RecordT] = {}
        failed: dict[int, str] = {}
        model = keep_views(self.model) if share else self.model
        read = lru_cache(maxsize=1)(read_recording)
        order = list(chain.from_iterable(group_queries(self.dataset, self.indices)))
        for index in tqdm(order, desc=self.dataset.name, unit="query", leave=False):
            # One clip of a user's data that cannot be read must not cost the hours before it. Only
            # errors about the input are noted: any other is a fault of the program and stops it.
            try:
                found[index] = measure_case(model, self._read_case(self.dataset[index], read))
            except (ValueError, OSError) as failure:
                failed[index] = str(failure)
        reasons = {self.dataset.ids[index]: failed[index] for index in sorted(failed)}
        if not found:
            name, reason = next(iter(reasons.items()))
            raise ValueError(f"{self.dataset.name}: all {len(failed)} clips fail; {name}: {reason}")
        return Records(tuple(found[index] for index in sorted(found)), reasons)

    def control_questions(self) -> dict[str, str]:
        """Return for each clip, by name, the question of the next clip that is another video.

        Raises:
            ValueError: if there is only one video.
        """
        # The questions wrap around, so that every clip has a control and each question is used.
        samples = [sample for index in self.indices if (sample := self._annotated(index))]
        return {
            sample.id: next(_questions(samples[place + 1 :] + samples[:place], sample.video_name))
            for place, sample in enumerate(samples)
        }

    def for_choosing(self) -> "Measurement":
        """Open other clips for the same model, to choose on them what these clips report.

        Raises:
            ValueError: if no other clips are left.
        """
        config = self.config.for_choosing()
        dataset = load_dataset(config.data, config.root, config.annotations)
        if config.first >= len(dataset):
            raise ValueError(
                f"{dataset.name} has {len(dataset)} queries, all of them used for reporting; give "
                "fewer --clips, so that some are left to choose on"
            )
        return replace(self, config=config, dataset=dataset)

    def provenance(self, *records: Records[Any]) -> dict[str, Any]:
        """Return what is needed to measure the numbers again, and the clips that failed."""
        config = self.config
        return {
            "dataset": {"name": self.dataset.name, "version": self.dataset.version},
            "first": config.first,
            "cases": len(self.indices),
            "failed": {name: why for some in records for name, why in some.failed.items()},
            "tracks": None if self.others is None else self.others.describe(),
            "frames": to_plain(config.frames or self.model.preferred_frames),
            "model": dict(self.model.identity),
            # Two checkpoints may have one name: the hash tells them apart.
            "weights": identify_weights(self.model),
            "versions": {name: version(name) for name in ("torch", "transformers", "nnsight")},
        }

    def _annotated(self, index: int) -> Sample | None:
        """Return a sample, or None if its annotation is broken (`measure_cases` notes why)."""
        try:
            return self.dataset[index]
        except ValueError:
            return None

    def _read_case(self, sample: Sample, read: Callable[[Recording, Sampling], Footage]) -> Case:
        """Read the video of a sample, and convert its tracks to the frames of that video."""
        footage = read(sample.recording, self.config.frames or self.model.preferred_frames)
        sample.check_size(footage)
        sample = sample.settle(footage)
        if sample.truth is None:
            raise ValueError(f"{sample.id}: its time and its boxes are not both known")
        truth = footage.from_source(sample.truth)
        if not len(truth):
            raise ValueError(f"{sample.id}: the true tube lies outside the part that is shown")
        queries = decompose(sample.query)
        given = None if self.others is None else self.others.find(sample, footage, queries)
        return Case(
            name=sample.id,
            video=footage.video,
            queries=queries,
            truth=truth,
            sampled=footage.video.indices,
            tracks=_right_first(truth, sample, footage, given),
            candidates=given,
            absent=sample.absent,
        )


def whole_question(query: str) -> str:
    """Turn a query into the yes-or-no question whether what it says is in the video."""
    return as_question(as_statement(query))


def _right_first(
    truth: Tube, sample: Sample, footage: Footage, given: tuple[Tube, ...] | None
) -> tuple[Tube, ...]:
    """Return the true track, those of other annotated objects, and given ones of yet others."""
    annotated = sorted(
        sample.find_tracks(footage),
        key=lambda track: spatial_iou(track, truth),
        reverse=True,  # sorting is stable: annotated tracks of equal overlap keep their order
    )
    # A detector finds annotated objects again; a second track of one would be right as well.
    others = [
        track
        for track in given or ()
        if all(_overlap(track, known) <= SAME_OBJECT_OVERLAP for known in annotated)
    ]
    return (*annotated, *others)


def _overlap(track: Tube, known: Tube) -> float:
    """Compute the mean box overlap over the frames in which both have a box; 0 without any."""
    shared = np.intersect1d(track.frames, known.frames)
    return spatial_iou(track, known.interpolated(shared)) if len(shared) else 0.0


def _questions(samples: list[Sample], video: str) -> Iterator[str]:
    """Yield the questions about other videos.

    Raises:
        ValueError: if more are wanted than there are.
    """
    yield from (whole_question(one.query) for one in samples if one.video_name != video)
    raise ValueError(f"only the video {video} is asked about; give more --clips for a control")


def _words(reading: Reading) -> Iterator[str | None]:
    """Yield the word of the question that each token is a part of.

    A token of no word yields its own text, and a role token None.
    """
    question = reading.prompt.question
    end = 0
    for token in reading.prompt.tokens:
        text = token.text.strip()
        # Searching from the end of the last token finds the right one of two equal words.
        start = question.find(text, end)
        if token.kind != "word" or not text or start < 0:
            yield None if token.kind == "role" else _printable(token.text)
            continue
        end = start + len(text)
        begin = question.rfind(" ", 0, start + 1) + 1
        yield next(iter(_bare_words(question[begin:].split()[0])), text)


def _bare_words(text: str) -> list[str]:
    """Split a text into words in lower case, without punctuation marks."""
    return [bare for word in text.split() if (bare := word.strip(".,;:?!\"'()").lower())]


def _printable(text: str) -> str:
    """Return a token in a form that can be seen: a newline as two characters."""
    return text if text.strip() else repr(text)[1:-1]
