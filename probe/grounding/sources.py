"""What splits a query into its parts, and what finds the objects that it may mean: as values.

They are described before anything is loaded, so that a process can hand them to another.
"""

import hashlib
import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from probe.candidates.detections import PAPER_DETECTION, DetectionConfig
from probe.candidates.detectors import TRACKING, Detector, detect_tracks, load_detector
from probe.engine.generation import write_answer
from probe.engine.model import VideoLM
from probe.grounding.queries import Decompositions, Queries, decompose, decompose_with_model
from probe.video import Tube, Video

LONGEST_SPLIT = 128
"""Tokens for two sub-queries and their names: captions of benchmarks have 60 at most."""


@runtime_checkable
class Splitter(Protocol):
    """Splits a query into who it is and what they do."""

    def split(self, model: VideoLM, name: str, query: str) -> Queries:
        """Both parts; one that is not found is marked.

        Args:
            model: The model that is going to be asked.
            name: What a file of sub-queries may know the query under.
            query: What to split.

        Raises:
            ValueError: if the query is empty or too long.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """What the parts follow from, in plain values."""
        ...


@dataclass(frozen=True)
class ByRules:
    """Rules of grammar, which need no model."""

    def split(self, model: VideoLM, name: str, query: str) -> Queries:  # noqa: ARG002
        """Both parts by the rules."""
        return decompose(query)

    def describe(self) -> dict[str, Any]:
        """Who splits."""
        return {"by": "rules"}


@dataclass(frozen=True)
class ByModel:
    """The model itself, asked for the parts in words."""

    def split(self, model: VideoLM, name: str, query: str) -> Queries:  # noqa: ARG002
        """Both parts as the model writes them."""
        return split_by_asking(model, query)

    def describe(self) -> dict[str, Any]:
        """Who splits."""
        return {"by": "model"}


@dataclass(frozen=True, eq=False)
class ByFile:
    """Sub-queries that were prepared, such as those that the paper's authors published."""

    path: Path
    known: Decompositions

    @classmethod
    def load(cls, path: Path) -> "ByFile":
        """Read a file of sub-queries.

        Raises:
            ValueError: if it cannot be read.
        """
        return cls(path, Decompositions.load(path))

    def split(self, model: VideoLM, name: str, query: str) -> Queries:  # noqa: ARG002
        """Both parts as the file has them under this name."""
        return self.known.of(name, query)

    def describe(self) -> dict[str, Any]:
        """What the file says, wherever it lies."""
        entries = {name: dict(entry) for name, entry in self.known.entries.items()}
        content = json.dumps(entries, sort_keys=True).encode()
        return {"by": "file", "content": hashlib.sha256(content).hexdigest()}

    def check(self, names: Collection[str]) -> None:
        """Refuse a file that is about other videos: every query would stand in for its parts.

        Raises:
            ValueError: if it knows none of these names.
        """
        if not any(self.known.knows(name) for name in names):
            example = next(iter(names))
            raise ValueError(
                f"{self.path}: has no sub-queries for any of {len(names)} queries, looked for "
                f"names such as {example!r}; give the file that belongs to the data set"
            )


def splitter(name: str) -> Splitter:
    """What the command line calls "rules", "model", or by the path of a file.

    Raises:
        ValueError: if the file cannot be used.
    """
    if name == "rules":
        return ByRules()
    return ByModel() if name == "model" else ByFile.load(Path(name))


@dataclass(frozen=True)
class Search:
    """Which detector looks for the subject of a query, before it is loaded."""

    detection: str
    """A GroundingDINO checkpoint."""

    tracking: str = TRACKING
    """A SAM 2 checkpoint for video."""

    cache: Path | None = None
    """A folder that keeps what is found, known again by content."""

    config: DetectionConfig = PAPER_DETECTION

    def opened(self, *, device: str, dtype: str) -> "Searcher":
        """Load the detector.

        Raises:
            ValueError: if a checkpoint cannot be opened.
        """
        detector = load_detector(self.detection, self.tracking, device=device, dtype=dtype)
        return Searcher(self, detector)


@dataclass(frozen=True, eq=False)
class Searcher:
    """A detector that is ready to search videos."""

    search: Search
    detector: Detector

    def find(self, video: Video, queries: Queries) -> tuple[Tube, ...]:
        """The tracks of what may be the subject of a query.

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
        """What the tracks follow from: both checkpoints and the numbers, in plain values."""
        parts = {"detection": self.detector.finder, "tracking": self.detector.tracker}
        return {
            **{
                role: {"name": part.name, "content": part.fingerprint}
                for role, part in parts.items()
            },
            "numbers": asdict(self.search.config),
        }


def split_by_asking(model: VideoLM, query: str) -> Queries:
    """Let the model itself split a query, without a video; what it fails at falls back.

    Raises:
        ValueError: if the query is empty, too long, or holds a control token of the model.
    """
    return decompose_with_model(
        lambda prompt: write_answer(model, prompt, video=None, max_new_tokens=LONGEST_SPLIT), query
    )
