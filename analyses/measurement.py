"""What a claim is measured on: a model, and clips of any data set that `probe.datasets` knows."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor
from tqdm.auto import tqdm
from tyro.conf import arg

from probe.datasets import DataSet, Sample, load_dataset
from probe.datasets.footage import Footage
from probe.engine.attention import ON_TUBE
from probe.engine.grids import VisualGrid
from probe.engine.model import ORGANISM, VideoLM, load
from probe.engine.readings import Reading
from probe.evaluation.bench import weights_of
from probe.evaluation.candidates import Stored
from probe.grounding.grammar import DETERMINERS, RELATIVES, as_statement
from probe.grounding.queries import Queries, as_question, decompose
from probe.metrics import spatial_iou
from probe.video import Tube, Video

SAME = 0.5
"""Mean box overlap over the true span from which a track is that of the thing asked about."""

Measured = TypeVar("Measured")
Record_co = TypeVar("Record_co", covariant=True)


@dataclass(frozen=True)
class MeasurementConfig:
    """The model, and the part of a data set, that a claim is measured on."""

    data: str = "shapes-test"
    """A data set, by the name that `probe evaluate` knows it under."""

    root: Annotated[Path | None, arg(metavar="DIR")] = None
    """The folder you keep the data set in; none for the shapes, which follow from a seed."""

    annotations: Annotated[Path | None, arg(metavar="FILE")] = None
    """Its annotation file, where that is not under --root by its published name."""

    tracks: Annotated[Path | None, arg(metavar="DIR")] = None
    """Candidate tracks, one file a video, as `probe evaluate` takes them. They also stand beside
    the true track where the data set annotates but one object, as HC-STVG does."""

    clips: int = 100
    """How many of its queries to use."""

    first: int = 0
    """How many of them to pass over before."""

    model: str = ORGANISM
    """A checkpoint's folder, or its name on the Hugging Face hub."""

    device: str = "cpu"
    """Where the model runs: cpu, cuda, or auto to error_bars it over what there is."""

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Number type of the weights; auto is the type they were saved in."""

    frames: Annotated[int | None, arg(metavar="INT")] = None
    """Frames to sample; by default as many as the model was made for."""

    def open(self) -> "Measurement":
        """Find the data, then open the model.

        Raises:
            ValueError: if one of them is not there, or no query is left.
        """
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
        """Clips to choose on what is then reported on these.

        For shapes-test they are those of shapes-val, for any other data set those that follow.
        """
        if self.data == "shapes-test":
            return replace(self, data="shapes-val")
        return replace(self, first=self.first + self.clips)


@dataclass(frozen=True, eq=False)
class Case:
    """A video and what is asked about it; everything counts in the frames of the video."""

    name: str
    video: Video
    queries: Queries
    truth: Tube
    """The true tube: the boxes of the thing asked about while the query holds."""

    sampled: tuple[int, ...]
    """The frames that are shown."""

    tracks: tuple[Tube, ...]
    """The tracks one of which is right: first that of the thing asked about, then the others'."""

    candidates: tuple[Tube, ...] | None
    """What a grounder may choose from without knowing the truth; None to let it propose."""

    @property
    def track(self) -> Tube:
        """The true track of the thing asked about, whenever it is there."""
        return self.tracks[0]

    @property
    def query(self) -> str:
        """The sentence to ground."""
        return self.queries.whole

    @property
    def question(self) -> str:
        """Whether the thing is there and does what it does."""
        return whole_question(self.query)

    def on_track(self, grid: VisualGrid) -> Bool[Tensor, "frame row column"]:
        """The cells that lie on the true track."""
        return torch.from_numpy(grid.cells.coverage(self.track)) > ON_TUBE

    def parts(self, reading: Reading) -> list[str]:
        """The part that each token of the question plays, of the same name in all questions.

        The config, its looks and the action, as the query is split; any other word is called by
        itself, and a role token by its text and its place from the end.
        """
        length = len(reading.tokens)
        names = []
        for index, word in enumerate(_words(reading)):
            if word is None:
                names.append(f"{_visible(reading.tokens[index])} ({index - length})")
            else:
                names.append(self._roles.get(word, word))
        return names

    @cached_property
    def _roles(self) -> Mapping[str, str]:
        """The part played by each word of the query."""
        said = _bare(as_statement(self.query))
        looks, subject = _bare(self.queries.attribute), _bare(self.queries.subject)
        empty = DETERMINERS | RELATIVES
        return {
            **{word: "ACTION" for word in said if word not in empty | set(looks)},
            **{word: "LOOKS" for word in looks if word not in empty},
            **dict.fromkeys(config, "SUBJECT"),
        }


@dataclass(frozen=True)
class Records(Generic[Record_co]):
    """What was measured on each clip, and on which clips nothing could be."""

    values: tuple[Record_co, ...]
    failed: Mapping[str, str]
    """The reason for each clip that could not be read or asked about."""

    def __iter__(self) -> Iterator[Record_co]:
        return iter(self.values)

    def __len__(self) -> int:
        return len(self.values)

    def of(self, name: str) -> "Records[Any]":
        """One entry of each record."""
        values: tuple[Any, ...] = self.values
        return Records(tuple(record[name] for record in values), self.failed)


@dataclass(frozen=True, eq=False)
class Measurement:
    """A config opened."""

    config: MeasurementConfig
    dataset: DataSet
    model: VideoLM
    others: Stored | None
    """Where candidate tracks are read from; None if they are not given."""

    @property
    def indices(self) -> range:
        """The places in the data set of the queries that are used."""
        first = self.config.first
        return range(first, min(first + self.config.clips, len(self.dataset)))

    def each(self, measured: Callable[[VideoLM, Case], Measured]) -> Records[Measured]:
        """Measure on one clip after the other; what fails is noted, and the rest goes on.

        Raises:
            ValueError: if all fail.
        """
        found: list[Measured] = []
        failed: dict[str, str] = {}
        for index in tqdm(self.indices, desc=self.dataset.name, unit="clip", leave=False):
            try:
                found.append(measured(self.model, self._case(self.dataset[index])))
            except (ValueError, OSError) as failure:
                failed[self.dataset.ids[index]] = str(failure)
        if not found:
            name, reason = next(iter(failed.items()))
            raise ValueError(f"{self.dataset.name}: all {len(failed)} clips fail; {name}: {reason}")
        return Records(tuple(found), failed)

    def control_questions(self) -> dict[str, str]:
        """For each clip, by name, a question about what another video shows: the next one's.

        Raises:
            ValueError: if there is but one video.
        """
        samples = [sample for index in self.indices if (sample := self._annotated(index))]
        return {
            sample.id: next(_questions(samples[place + 1 :] + samples[:place], sample.video_name))
            for place, sample in enumerate(samples)
        }

    def for_choosing(self) -> "Measurement":
        """The same model and other clips, to choose on what is then reported on these."""
        config = self.config.for_choosing()
        dataset = load_dataset(config.data, config.root, config.annotations)
        if config.first >= len(dataset):
            raise ValueError(
                f"{dataset.name} has {len(dataset)} queries, all of them used for reporting; give "
                "fewer --clips, so that some are left to choose on"
            )
        return replace(self, config=config, dataset=dataset)

    def provenance(self, *records: Records[Any]) -> dict[str, Any]:
        """What numbers need to be measured again, and which clips they lack."""
        config = self.config
        return {
            "dataset": {"name": self.dataset.name, "version": self.dataset.version},
            "first": config.first,
            "cases": len(self.indices),
            "failed": {name: why for some in records for name, why in some.failed.items()},
            "tracks": None if self.others is None else self.others.describe(),
            "frames": config.frames or self.model.preferred_frames,
            "model": dict(self.model.identity),
            "weights": weights_of(self.model),
            "versions": {name: version(name) for name in ("torch", "transformers", "nnsight")},
        }

    def _annotated(self, index: int) -> Sample | None:
        """A sample, or None where its annotation is of no use (`each` says why)."""
        try:
            return self.dataset[index]
        except ValueError:
            return None

    def _case(self, sample: Sample) -> Case:
        """Read a sample's video."""
        footage = sample.recording.read(self.config.frames or self.model.preferred_frames)
        sample.check_size(footage)
        truth = footage.from_source(sample.truth)
        if not len(truth):
            raise ValueError(f"{sample.id}: the true tube lies outside the part that is shown")
        queries = decompose(sample.query)
        given = None if self.others is None else self.others.of(sample, footage, queries)
        return Case(
            name=sample.id,
            video=footage.video,
            queries=queries,
            truth=truth,
            sampled=footage.video.indices,
            tracks=_right_first(truth, sample, footage, given),
            candidates=given,
        )


def whole_question(query: str) -> str:
    """What a query states, as a yes-or-no question."""
    return as_question(as_statement(query))


def _right_first(
    truth: Tube, sample: Sample, footage: Footage, given: tuple[Tube, ...] | None
) -> tuple[Tube, ...]:
    """The true track, those of the other objects annotated, and those given of yet others."""
    shown = [footage.from_source(track) for track in sample.tracks]
    annotated = sorted(
        (track for track in shown if len(track)),
        key=lambda track: spatial_iou(track, truth),
        reverse=True,  # of equals, the order stays
    )
    others = [
        track for track in given or () if all(_overlap(track, known) <= SAME for known in annotated)
    ]
    return (*annotated, *others)


def _overlap(track: Tube, known: Tube) -> float:
    """Mean box overlap over the frames in which both have a box; 0 where there are none."""
    shared = np.intersect1d(track.frames, known.frames)
    return spatial_iou(track, known.interpolated(shared)) if len(shared) else 0.0


def _questions(samples: list[Sample], video: str) -> Iterator[str]:
    """The questions about other videos."""
    yield from (whole_question(one.query) for one in samples if one.video_name != video)
    raise ValueError(f"only the video {video} is asked about; give more --clips for a control")


def _words(reading: Reading) -> Iterator[str | None]:
    """The word of the question that each token is of, whole and bare; None for no word of it."""
    question = reading.prompt.question
    end = 0
    for token in reading.prompt.tokens:
        text = token.text.strip()
        start = question.find(text, end)
        if token.kind != "word" or not text or start < 0:
            yield None if token.kind == "role" else _visible(token.text)
            continue
        end = start + len(text)
        begin = question.rfind(" ", 0, start + 1) + 1
        yield next(iter(_bare(question[begin:].split()[0])), text)


def _bare(text: str) -> list[str]:
    """The words in lower case, without marks."""
    return [bare for word in text.split() if (bare := word.strip(".,;:?!\"'()").lower())]


def _visible(text: str) -> str:
    """A token as it can be printed."""
    return text if text.strip() else repr(text)[1:-1]
