"""Sources of sub-queries and of candidate tracks: splitters of queries, and a search by detector.

They are values that describe the work before anything is loaded, so that one process can hand them
to another.
"""

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from probe.candidates.detections import PAPER_DETECTION, DetectionConfig
from probe.candidates.detectors import (
    Detector,
    detect_tracks,
    load_detector,
    load_picture_detector,
)
from probe.engine.generation import write_answer
from probe.engine.model import VideoLM
from probe.grounding.queries import Decompositions, Queries, decompose, decompose_with_model
from probe.video import Tube, Video

SPLIT_MAX_TOKENS = 128
"""Tokens of an answer with two sub-queries and their labels; captions of benchmarks have 60."""


@runtime_checkable
class Splitter(Protocol):
    """A way to split a query into the attribute part and the action part."""

    def split(self, model: VideoLM, name: str, query: str) -> Queries:
        """Split a query; a part that is not found is marked.

        Args:
            model: The model that is going to be asked.
            name: The name of the query in a file of sub-queries.
            query: The query to split.

        Raises:
            ValueError: if the query is empty or too long.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """Return what the parts depend on, in plain values: a run notes it."""
        ...


@dataclass(frozen=True)
class ByRules:
    """A splitter by rules of grammar, which need no model."""

    def split(self, model: VideoLM, name: str, query: str) -> Queries:  # noqa: ARG002
        """Split a query by the rules."""
        return decompose(query)

    def describe(self) -> dict[str, Any]:
        """Return the name of the splitter."""
        return {"by": "rules"}


@dataclass(frozen=True)
class ByModel:
    """A splitter that asks the model itself for the parts, in words."""

    def split(self, model: VideoLM, name: str, query: str) -> Queries:  # noqa: ARG002
        """Split a query as the model writes its parts."""
        return split_by_asking(model, query)

    def describe(self) -> dict[str, Any]:
        """Return the name of the splitter."""
        return {"by": "model"}


@dataclass(frozen=True, eq=False)
class ByFile:
    """A splitter that reads prepared sub-queries, such as those that the authors published."""

    path: Path
    known: Decompositions
    """The content of the file."""

    @classmethod
    def load(cls, path: Path) -> "ByFile":
        """Read a file of sub-queries.

        Raises:
            ValueError: if it cannot be read.
        """
        return cls(path, Decompositions.load(path))

    def split(self, model: VideoLM, name: str, query: str) -> Queries:  # noqa: ARG002
        """Return the parts that the file has under this name."""
        return self.known.of(name, query)

    def describe(self) -> dict[str, Any]:
        """Return a hash of the content, which is the same wherever the file is."""
        # Of what was read, not of the bytes: another order of entries is the same file.
        entries = {name: dict(entry) for name, entry in self.known.entries.items()}
        content = json.dumps(entries, sort_keys=True).encode()
        return {"by": "file", "content": hashlib.sha256(content).hexdigest()}

    def check(self, names: Collection[str]) -> None:
        """Refuse a file that is about other videos, with which no query would be split.

        Raises:
            ValueError: if it knows none of these names.
        """
        if not any(self.known.knows(name) for name in names):
            example = next(iter(names))
            raise ValueError(
                f"{self.path}: has no sub-queries for any of {len(names)} queries, looked for "
                f"names such as {example!r}; give the file that belongs to the data set"
            )


def make_splitter(name: str) -> Splitter:
    """Make the splitter that the command line calls "rules" or "model", or by the path of a file.

    Raises:
        ValueError: if the file cannot be used.
    """
    if name == "rules":
        return ByRules()
    return ByModel() if name == "model" else ByFile.load(Path(name))


@dataclass(frozen=True)
class Search:
    """The detector that looks for the subject of a query, described before it is loaded."""

    detection: str
    """A checkpoint that finds things by a phrase, or finds and follows them."""

    tracking: str | None = None
    """A checkpoint that follows them; None for the usual one, where one is needed."""

    cache: Path | None = None
    """A folder that keeps the tracks found, by the content of all that they depend on."""

    config: DetectionConfig = PAPER_DETECTION
    """The numbers of the search."""

    def open(self, *, device: str, dtype: str) -> "Searcher":
        """Load the detector.

        Raises:
            ValueError: if a checkpoint cannot be opened.
        """
        detector = load_detector(self.detection, self.tracking, device=device, dtype=dtype)
        return Searcher(self, detector)

    def open_for(self, video: Video, *, device: str, dtype: str) -> "Searcher":
        """Load what it takes to search one video: of a picture, no tracker.

        Raises:
            ValueError: if a checkpoint cannot be opened.
        """
        if video.source_length > 1:
            return self.open(device=device, dtype=dtype)
        detector = load_picture_detector(self.detection, device=device, dtype=dtype)
        return Searcher(self, detector)


@dataclass(frozen=True, eq=False)
class Searcher:
    """A loaded detector, ready to search videos."""

    search: Search
    detector: Detector

    def find(self, video: Video, queries: Queries) -> tuple[Tube, ...]:
        """Find the tracks of all objects that may be the subject of a query.

        Raises:
            ValueError: if nothing is found.
        """
        phrase, search = queries.subject, self.search
        found = detect_tracks(
            self.detector, video, [phrase], config=search.config, cache=search.cache
        )
        if not found:
            where = "the video" if video.path is None else video.path
            raise ValueError(
                f"{where}: the detector finds no {phrase!r} in it; give --tracks, or neither "
                "for whatever stands out from the background"
            )
        return found

    def describe(self) -> dict[str, Any]:
        """Return what the tracks depend on, in plain values: checkpoints and numbers."""
        return self.detector.describe(self.search.config)


def split_by_asking(model: VideoLM, query: str) -> Queries:
    """Let the model itself split a query, without a video; a part that it fails at is marked.

    Raises:
        ValueError: if the query is empty, too long, or holds a control token of the model.
    """
    return decompose_with_model(
        lambda prompt: write_answer(model, prompt, video=None, max_new_tokens=SPLIT_MAX_TOKENS),
        query,
    )
