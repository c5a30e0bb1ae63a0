"""Sources of a query's candidate tracks: a proposer, a detector, files, or the truth."""

import hashlib
import json
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Protocol, runtime_checkable

import numpy as np

from probe.candidates.proposers import PLAIN, PROPOSERS, Proposer
from probe.candidates.tracks import load_tracks
from probe.datasets.footage import Footage, leads_out
from probe.datasets.samples import Sample
from probe.files import read_json, write_text
from probe.grounding.queries import Queries
from probe.grounding.sources import Search, Searcher
from probe.paths import expand_home
from probe.plain import to_plain
from probe.video import Tube, Video


@runtime_checkable
class Candidates(Protocol):
    """A source of tracks, one of which may be the answer; a value, before anything is loaded."""

    @property
    def closed(self) -> bool:
        """True if no other track may be the answer, such as the bright part of a heatmap."""
        ...

    @property
    def oracle(self) -> bool:
        """True if they are the truth, which must be said wherever a figure is shown."""
        ...

    def open(self, *, device: str, dtype: str) -> "Finder":
        """Load what finds the tracks, once in each process.

        Raises:
            ValueError: if a model that it needs cannot be opened.
        """
        ...


@runtime_checkable
class Finder(Protocol):
    """Finds the candidate tracks of any sample."""

    def find(self, sample: Sample, footage: Footage, queries: Queries) -> tuple[Tube, ...]:
        """Find the candidates of a sample, in frames of its footage.

        Args:
            sample: The query with its truth, which an oracle alone may look at.
            footage: The pictures that the model is shown.
            queries: The parts of the query, of which a detector looks for the subject.

        Raises:
            ValueError: if there is no candidate.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """Return what must be equal for a run to be continued, in plain values."""
        ...


class Weightless(Finder, Protocol):
    """Candidates that need no model, so that the source is its own finder."""

    def open(self, *, device: str, dtype: str) -> Finder:  # noqa: ARG002
        """Return the source itself; there is nothing to load."""
        return self


class TracksOfVideo(Finder):
    """Finds tracks that depend on the video alone once for all queries about it.

    It is mutable: it keeps the tracks of the last video.
    """

    def __init__(self, source: Finder) -> None:
        self._source = source
        self._last: tuple[Footage, tuple[Tube, ...]] | None = None

    def find(self, sample: Sample, footage: Footage, queries: Queries) -> tuple[Tube, ...]:
        """Return the tracks of the video, as the source finds them for the first query about it."""
        # To hash the pictures, by which the cache on the disk knows them, costs a tenth of a second
        # for 20 frames of 720p.
        if self._last is None or self._last[0] is not footage:
            self._last = (footage, self._source.find(sample, footage, queries))
        return self._last[1]

    def describe(self) -> dict[str, Any]:
        """Describe the source, from which all tracks come."""
        return self._source.describe()


class ByVideo(Weightless, Protocol):
    """Candidates that need no model and depend on the video alone, whatever is asked about it."""

    def open(self, *, device: str, dtype: str) -> Finder:  # noqa: ARG002
        """Return a finder that looks for the tracks of a video once."""
        return TracksOfVideo(self)


@dataclass(frozen=True)
class Oracle(Weightless):
    """The true tracks: measures the choice among them, without the finding."""

    closed: bool = True
    oracle: bool = True

    def find(self, sample: Sample, footage: Footage, queries: Queries) -> tuple[Tube, ...]:  # noqa: ARG002
        """Return the true tracks of the objects that the footage shows.

        Raises:
            ValueError: if it shows none.
        """
        if sample.boxes is None and not sample.tracks:
            raise ValueError(f"{sample.id}: no true boxes are known; leave out --oracle")
        if not (tracks := sample.find_tracks(footage)):
            raise ValueError(f"{sample.id}: no true track lies within the part that is shown")
        return tracks

    def describe(self) -> dict[str, Any]:
        """Say that these are the truth."""
        return {"from": "the truth (oracle)"}


@dataclass(frozen=True)
class Stored(ByVideo):
    """Tracks from a folder with one file for each video, in our format or the paper's."""

    folder: Path
    """The folder; each file is called by the video's name without suffix."""

    closed: bool = True
    oracle: bool = False

    def __post_init__(self) -> None:
        if not self.folder.is_dir():
            raise ValueError(f"{self.folder}: no such folder; give --tracks a folder of files")

    def find(self, sample: Sample, footage: Footage, queries: Queries) -> tuple[Tube, ...]:  # noqa: ARG002
        """Read the tracks in the video's file that the footage shows.

        Raises:
            ValueError: if there is no such file, it cannot be read, or shows nothing.
        """
        name = f"{sample.video_name}.json"
        if leads_out(name):
            raise ValueError(f"{name!r}: a name that leads out of {self.folder}; rename the video")
        # Files count in frames of the whole source, also if a part of it is shown.
        tracks = load_tracks(self.folder / name, footage.whole)
        shown = (footage.from_source(track) for track in tracks)
        present = tuple(track for track in shown if len(track))
        if not present:
            raise ValueError(f"{self.folder / name}: no track in the part that is shown")
        return present

    def describe(self) -> dict[str, Any]:
        """Identify the files by their names and contents, in whatever folder they are."""
        # A file of another content changes every answer about its video. A second for a gigabyte.
        listing = [(path.name, _hash_file(path)) for path in sorted(self.folder.glob("*.json"))]
        digest = hashlib.sha256(json.dumps(listing).encode()).hexdigest()
        return {"from": "files", "number": len(listing), "content": digest}


def default_cache() -> Path | None:
    """Return the folder for tracks in the user's cache, from where they may be deleted.

    Returns:
        The folder; None, with a warning, if the system knows no home folder, as of a user of a
        container who has a number and no name.
    """
    caches = expand_home(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    if caches.parts[:1] == ("~",):  # a folder of this very name, which nobody would look for
        _warn_once(
            "no home folder is known, so tracks are kept nowhere, and are searched for again at "
            "each start; give --cache a folder, or set HOME"
        )
        return None
    return caches / "grounding-probe" / "tracks"


@dataclass(frozen=True)
class Proposed(ByVideo):
    """Whatever differs from its background, found once for each video and then kept."""

    folder: Path | None = field(default_factory=default_cache)
    """Folder in which tracks are kept, each file named by a hash of what they follow from; None to
    keep none."""

    proposer: str = PLAIN
    """The proposer that finds them, by its name in `PROPOSERS`."""

    closed: bool = False
    oracle: bool = False

    def find(self, sample: Sample, footage: Footage, queries: Queries) -> tuple[Tube, ...]:  # noqa: ARG002
        """Propose tracks for the footage, or read those proposed before.

        If they cannot be kept, a warning says so once, and they are proposed again the next time.
        """
        path = None if self.folder is None else self.folder / f"{self._hash(footage.video)}.json"
        if path is not None and (kept := _read_kept(path)) is not None:
            return kept
        records = [_to_record(one) for one in PROPOSERS[self.proposer].propose(footage.video)]
        if path is not None:
            self._keep(path, records)
        # From the records, as they are read the next time: the same to the last bit.
        return tuple(Tube.from_dict(record) for record in records)

    def _keep(self, path: Path, records: Sequence[Mapping[str, Any]]) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, json.dumps(records))  # on one line: thousands of boxes
        except (OSError, ValueError) as failure:
            _note_unwritable(path.parent, failure)

    def describe(self) -> dict[str, Any]:
        """Identify the proposer by its numbers."""
        # The first one had no name when the first runs were made, which still go on.
        name = "the proposer" if self.proposer == PLAIN else f"the {self.proposer} proposer"
        return {"from": name, "config": to_plain(PROPOSERS[self.proposer].config)}

    def _hash(self, video: Video) -> str:
        """Hash what the proposals follow from: pictures, frames, the proposer and its numbers."""
        used = PROPOSERS[self.proposer]
        about = [_hash_code(used), to_plain(used.config), video.frames.shape, video.indices]
        digest = hashlib.sha256(json.dumps(about).encode())
        digest.update(np.ascontiguousarray(video.frames).data)
        return digest.hexdigest()


@dataclass(frozen=True)
class Detected:
    """The objects that a detector finds for the subject of the query."""

    search: Search
    closed: bool = True
    oracle: bool = False

    def open(self, *, device: str, dtype: str) -> "DetectorFinder":
        """Load the detector; if its cache cannot be written, say so and go on without one."""
        search = self.search
        if search.cache is not None:
            try:
                search.cache.mkdir(parents=True, exist_ok=True)
                TemporaryFile(dir=search.cache).close()
            except OSError as failure:
                # Asked now, since a search refuses such a folder, and every query would fail.
                _note_unwritable(search.cache, failure)
                search = replace(search, cache=None)
        return DetectorFinder(search.open(device=device, dtype=dtype))


@dataclass(frozen=True, eq=False)
class DetectorFinder:
    """A loaded detector that finds candidates."""

    searcher: Searcher

    def find(self, sample: Sample, footage: Footage, queries: Queries) -> tuple[Tube, ...]:  # noqa: ARG002
        """Search for the subject, or read what was found of it before.

        Raises:
            ValueError: if nothing is found.
        """
        return self.searcher.find(footage.video, queries)

    def describe(self) -> dict[str, Any]:
        """Identify the detector by its checkpoints and numbers."""
        return {"from": "a detector", **self.searcher.describe()}


def _note_unwritable(folder: Path, failure: Exception) -> None:
    """Say that tracks cannot be kept in a cache, which costs time and no answer."""
    reason = failure.__cause__ if isinstance(failure.__cause__, OSError) else failure
    _warn_once(
        f"{folder}: tracks cannot be kept there ({getattr(reason, 'strerror', None) or failure}), "
        "and are searched for again at each start; give --cache another folder"
    )


@cache
def _warn_once(text: str) -> None:
    # Python would do so by itself, but forgets at every change of its filters, which libraries
    # make: a note would come with each query.
    warnings.warn(text, stacklevel=3)


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def _hash_code(proposer: Proposer) -> str:
    """Hash a proposer's code: the version of the package does not change with every line."""
    code = b"".join(Path(str(module.__file__)).read_bytes() for module in proposer.modules)
    return hashlib.sha256(code).hexdigest()


def _read_kept(path: Path) -> tuple[Tube, ...] | None:
    """Read the tracks in a file of the cache; None if there is none, or it is damaged."""
    try:
        return tuple(Tube.from_dict(record) for record in read_json(path))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        # The cache is ours, and what it holds can be found again: nothing is lost.
        return None


def _to_record(track: Tube) -> dict[str, Any]:
    """Convert a track to the last bit, so that kept and newly made ones are the same."""
    boxes = track.boxes.astype(np.float64)
    return track.to_dict() | {"boxes": boxes.tolist()}
