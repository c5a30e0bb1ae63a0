"""Where a benchmark's pictures lie: the files in a user's folder, found by the names annotated.

Frames are 0-based source frames. Files are looked up among those that are there, so that a name
from an annotation never leads out of the folder.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Protocol, runtime_checkable

import numpy as np

from probe.video import Span, Tube, Video, read_video
from probe.video.decoding import decode, read_timetable

VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".mpg", ".mpeg", ".flv")


@dataclass(frozen=True, eq=False)
class Footage:
    """The part of a video that a query is about, as it is shown to a model."""

    video: Video
    """Its frames count from 0 where the part starts."""

    offset: int
    """The source frame at which the part starts."""

    source_length: int
    """Frames of the whole source."""

    def to_source(self, tube: Tube) -> Tube:
        """A tube of the part, in source frames."""
        return Tube(tube.frames + self.offset, tube.boxes, tube.label)

    def from_source(self, tube: Tube) -> Tube:
        """What the part shows of a tube in source frames; empty where that is nothing."""
        inside = tube.within(Span(self.offset, self.offset + self.video.source_length))
        return Tube(inside.frames - self.offset, inside.boxes, inside.label)

    @property
    def whole(self) -> Video:
        """The whole source in length and size, showing only the first sampled frame."""
        times = np.arange(self.source_length) / self.video.fps
        return Video(self.video.frames[:1], (0,), times)


@runtime_checkable
class Recording(Protocol):
    """What a sample's pictures are read from; those that are equal give the same pictures."""

    @property
    def name(self) -> str:
        """What the annotation calls it."""
        ...

    @property
    def remark(self) -> str:
        """What a user should know about it; empty where all is as annotated."""
        ...

    def read(self, frames: int) -> Footage:
        """Sample what is shown evenly in time; ValueError where there is nothing to read."""
        ...

    def __hash__(self) -> int: ...


def read_recording(recording: Recording, frames: int) -> Footage:
    """What a recording shows; a function, so that the last one can be kept for the next query."""
    return recording.read(frames)


@dataclass(frozen=True)
class StoredVideo:
    """A video file that an annotation names, or the reason why there is none."""

    name: str
    path: Path | None
    remark: str = ""
    """What is odd about the file; where there is none, why."""

    segment: Span | None = None
    """The source frames that are shown; None for all."""

    def read(self, frames: int) -> Footage:
        """Sample the file, or its segment, evenly.

        Raises:
            ValueError: if there is no such file or it cannot be read.
        """
        if self.path is None:
            raise ValueError(self.remark)
        if self.segment is not None:
            return _read_segment(self.path, self.segment, frames)
        video = read_video(self.path, frames)
        return Footage(video, 0, video.source_length)

    def showing(self, segment: Span) -> "StoredVideo":
        """The same file, of which only a part is shown."""
        return replace(self, segment=segment)


def _read_segment(path: Path, segment: Span, frames: int) -> Footage:
    """The middles of equal stretches of the segment, which becomes a video of its own."""
    table = read_timetable(path)
    part = segment & Span(0, len(table))
    if not len(part):
        raise ValueError(
            f"{path}: has {len(table)} frames, none of them in the annotated part from "
            f"{segment.start} to {segment.stop - 1}; give the whole video"
        )
    count = min(frames, len(part))
    indices = tuple(((2 * np.arange(count) + 1) * len(part) // (2 * count)).tolist())
    pictures = decode(path, table, [part.start + index for index in indices])
    times = table.times[part.start : part.stop]
    shown = range(part.start, part.stop)
    return Footage(Video(pictures, indices, times - times[0], path, shown), part.start, len(table))


@dataclass(frozen=True)
class Root:
    """The folder that a user keeps a data set in, however it is ordered inside."""

    folder: Path
    files: Mapping[str, Sequence[Path]] = field(repr=False)
    """The files by their names without suffix."""

    @classmethod
    def open(cls, folder: str | Path) -> "Root":
        """Learn what is in a folder.

        Raises:
            ValueError: if there is no such folder.
        """
        folder = Path(folder).expanduser()
        if not folder.is_dir():
            raise ValueError(f"{folder}: no such folder; give --root the data set's folder")
        files: dict[str, list[Path]] = {}
        for path in sorted(_files(folder)):
            files.setdefault(path.stem, []).append(path)
        return cls(folder, files)

    def annotations(self, *names: str) -> Path:
        """The one file of the first of these names that is there.

        Raises:
            ValueError: if there is none, or several of one name.
        """
        for name in names:
            if found := self._named(name):
                return self._only(name, found)
        raise ValueError(
            f"{self.folder}: no annotations in it, looked for {' and '.join(names)}; give --root "
            "the data set's folder, or --annotations the file"
        )

    def file(self, name: str) -> Path:
        """The one file of this name.

        Raises:
            ValueError: if there is none, several, or the name leads out of the folder.
        """
        if leads_out(name):
            raise ValueError(_leads_out(name))
        if not (found := self._named(name)):
            raise ValueError(f"{name}: no such file under {self.folder}; copy it there")
        return self._only(name, found)

    def video(self, name: str) -> StoredVideo:
        """The video that an annotation names, with or without its suffix."""
        if leads_out(name):
            return StoredVideo(name, None, _leads_out(name))
        last = PurePosixPath(name).name
        complete = Path(last).suffix.lower() in VIDEO_SUFFIXES
        stem = Path(last).stem if complete else last
        there = [path for path in self.files.get(stem, ()) if path.suffix.lower() in VIDEO_SUFFIXES]
        exact = [path for path in there if path.name == last or not complete]
        if not there:
            return StoredVideo(name, None, f"{name}: no such video under {self.folder}")
        try:
            path = self._only(name, exact or there)
        except ValueError as several:
            return StoredVideo(name, None, str(several))
        return StoredVideo(name, path, "" if exact else f"annotated as {last}, found {path.name}")

    def _named(self, name: str) -> list[Path]:
        last = PurePosixPath(name).name
        return [path for path in self.files.get(Path(last).stem, ()) if path.name == last]

    def _only(self, name: str, found: Sequence[Path]) -> Path:
        """The one file, or the one in the folder that the name gives."""
        parts = PurePosixPath(name).parts
        placed = [path for path in found if path.parts[-len(parts) :] == parts]
        chosen = placed if len(placed) == 1 else found
        if len(chosen) == 1:
            return chosen[0]
        listed = " and ".join(str(path.relative_to(self.folder)) for path in chosen[:3])
        raise ValueError(f"{name}: there more than once ({listed}); leave only the right one")


def leads_out(name: str) -> bool:
    """Whether a name from an annotation is anything but a path downwards.

    >>> leads_out("videos/1.mp4"), leads_out("../1.mp4"), leads_out("C:/1.mp4"), leads_out("/1")
    (False, True, True, True)
    """
    windows = PureWindowsPath(name)  # reads both kinds of slash
    outside = bool(windows.drive or windows.root) or ".." in windows.parts
    return outside or "\0" in name or not windows.name


def _leads_out(name: str) -> str:
    return f"{name!r}: a name that leads out of the data set's folder; correct the annotations"


def _files(folder: Path) -> Iterator[Path]:
    """Every file below a folder, links followed, no folder entered twice."""
    entered = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        here = Path(parent).resolve()
        if here in entered:
            folders.clear()
            continue
        entered.add(here)
        yield from (Path(parent) / name for name in names if not name.startswith("."))
