"""Where the candidate tracks of a query come from: proposed, detected, files, or the truth."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Protocol, runtime_checkable

import numpy as np

from probe.candidates import proposals
from probe.candidates.proposals import ProposerConfig, propose_tracks
from probe.candidates.tracks import load_tracks
from probe.datasets.footage import Footage, leads_out
from probe.datasets.samples import Sample
from probe.grounding.answers import described
from probe.grounding.queries import Queries
from probe.grounding.sources import Search, Searcher
from probe.video import Tube, Video


@runtime_checkable
class Candidates(Protocol):
    """Where tracks come from, one of which may be the answer; known before anything is loaded."""

    @property
    def closed(self) -> bool:
        """Whether no other track may be the answer, such as the bright part of a heatmap."""
        ...

    @property
    def oracle(self) -> bool:
        """Whether they are the truth, which must be said wherever a figure is shown."""
        ...

    def opened(self, *, device: str, dtype: str) -> "Finder":
        """What gives the tracks, once in each process.

        Raises:
            ValueError: if a model that it needs cannot be opened.
        """
        ...


@runtime_checkable
class Finder(Protocol):
    """Gives the candidate tracks of any sample."""

    def of(self, sample: Sample, footage: Footage, queries: Queries) -> tuple[Tube, ...]:
        """The candidates of a sample, in frames of its footage; ValueError where there is none."""
        ...

    def describe(self) -> dict[str, Any]:
        """What a run has to share with the one it continues, in plain values."""
        ...


class Weightless(Finder, Protocol):
    """Candidates that need no model: where they come from is also what gives them."""

    def opened(self, *, device: str, dtype: str) -> Finder:  # noqa: ARG002
        """There is nothing to load."""
        return self


@dataclass(frozen=True)
class Oracle(Weightless):
    """The true tracks: what is measured is the choice among them, not the finding."""

    closed: bool = True
    oracle: bool = True

    def of(self, sample: Sample, footage: Footage, queries: Queries) -> tuple[Tube, ...]:  # noqa: ARG002
        """The true tracks of the objects that the footage shows.

        Raises:
            ValueError: if it shows none.
        """
        shown = (footage.from_source(track) for track in sample.tracks)
        present = tuple(track for track in shown if len(track))
        if not present:
            raise ValueError(f"{sample.id}: no true track lies within the part that is shown")
        return present

    def describe(self) -> dict[str, Any]:
        """Which candidates these are."""
        return {"from": "the truth (oracle)"}


@dataclass(frozen=True)
class Stored(Weightless):
    """One file of tracks a video, ours or as published with the paper, under the video's name."""

    folder: Path
    closed: bool = True
    oracle: bool = False

    def __post_init__(self) -> None:
        if not self.folder.is_dir():
            raise ValueError(f"{self.folder}: no such folder; give --tracks a folder of files")

    def of(self, sample: Sample, footage: Footage, queries: Queries) -> tuple[Tube, ...]:  # noqa: ARG002
        """The tracks in the video's file that the footage shows.

        Raises:
            ValueError: if there is no such file, it cannot be read, or shows nothing.
        """
        name = f"{sample.video_name}.json"
        if leads_out(name):
            raise ValueError(f"{name!r}: a name that leads out of {self.folder}; rename the video")
        tracks = load_tracks(self.folder / name, footage.whole)
        shown = (footage.from_source(track) for track in tracks)
        present = tuple(track for track in shown if len(track))
        if not present:
            raise ValueError(f"{self.folder / name}: no track in the part that is shown")
        return present

    def describe(self) -> dict[str, Any]:
        """Which candidates these are: the files' names and sizes, wherever they lie now."""
        listing = sorted((path.name, path.stat().st_size) for path in self.folder.glob("*.json"))
        digest = hashlib.sha256(json.dumps(listing).encode()).hexdigest()
        return {"from": "files", "number": len(listing), "listing": digest}


def default_cache() -> Path:
    """The user's folder for what can be made again."""
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(caches).expanduser() / "grounding-probe" / "tracks"


@dataclass(frozen=True)
class Proposed(Weightless):
    """Whatever stands out from its background, found once for each video and then kept."""

    folder: Path = field(default_factory=default_cache)
    """Folder that the tracks are kept in, each file named by what it was made from."""

    config: ProposerConfig = field(default_factory=ProposerConfig)
    closed: bool = False
    oracle: bool = False

    def of(self, sample: Sample, footage: Footage, queries: Queries) -> tuple[Tube, ...]:  # noqa: ARG002
        """The proposals of the footage, from the cache if they are there."""
        path = self.folder / f"{self._key(footage.video)}.json"
        records = _kept(path)
        if records is None:
            tracks = propose_tracks(footage.video, config=self.config)
            records = [_record(track) for track in tracks]
            _write(path, records)
        return tuple(Tube.from_dict(record) for record in records)

    def describe(self) -> dict[str, Any]:
        """Which candidates these are."""
        return {"from": "the proposer", "config": described(self.config)}

    def _key(self, video: Video) -> str:
        """What the proposals follow from: pictures, their places, the proposer and its numbers."""
        about = [_proposer(), described(self.config), video.frames.shape, video.indices]
        digest = hashlib.sha256(json.dumps(about).encode())
        digest.update(np.ascontiguousarray(video.frames).data)
        return digest.hexdigest()


@dataclass(frozen=True)
class Detected:
    """Whatever a detector finds that the subject of the query names."""

    search: Search
    closed: bool = True
    oracle: bool = False

    def opened(self, *, device: str, dtype: str) -> "Detecting":
        """Load the detector."""
        return Detecting(self.search.opened(device=device, dtype=dtype))


@dataclass(frozen=True, eq=False)
class Detecting:
    """The detector of a process, loaded."""

    searcher: Searcher

    def of(self, sample: Sample, footage: Footage, queries: Queries) -> tuple[Tube, ...]:  # noqa: ARG002
        """What is found of the subject, from the cache if it was searched for before.

        Raises:
            ValueError: if nothing is found.
        """
        return self.searcher.find(footage.video, queries)

    def describe(self) -> dict[str, Any]:
        """Which candidates these are."""
        return {"from": "a detector", **self.searcher.describe()}


@cache
def _proposer() -> str:
    """The proposer as it is written, since its version does not change with every line of it."""
    return hashlib.sha256(Path(proposals.__file__).read_bytes()).hexdigest()


def _kept(path: Path) -> list[dict[str, Any]] | None:
    """The tracks in a file of the cache; None where there is none, or a power failure cut it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def _record(track: Tube) -> dict[str, Any]:
    """A track to the last bit, so that it does not matter whether it was kept or made anew."""
    boxes = track.boxes.astype(np.float64)
    return {"label": track.label, "frames": track.frames.tolist(), "boxes": boxes.tolist()}


def _write(path: Path, records: Sequence[dict[str, Any]]) -> None:
    """Write under a name of this process's own first: others may keep the same video's tracks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", dir=path.parent, suffix=".partial", delete=False) as partial:
        json.dump(records, partial)
    Path(partial.name).replace(path)
