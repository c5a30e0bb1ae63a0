"""The pictures of a benchmark: video files found in a user's folder by their annotated names.

Frames are 0-based source frames. A name is looked up in a list of the files that exist in the
folder, so that a name in an annotation can never lead out of it.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Protocol, runtime_checkable

import numpy as np

from probe.paths import expand_home, is_there
from probe.video import Sampling, Span, Tube, Video, read_video, sample_part
from probe.video.coercion import to_one_line
from probe.video.decoding import read_timetable
from probe.video.images import VIDEO_SUFFIXES


@dataclass(frozen=True, eq=False)
class Footage:
    """The part of a video that a query is about, with the frames that a model is shown."""

    video: Video
    """The part as a video of its own: frame 0 is the first frame of the part."""

    offset: int
    """Source frame at which the part starts."""

    source_length: int
    """Number of frames of the whole source."""

    def to_source(self, tube: Tube) -> Tube:
        """Convert a tube from frames of the part to source frames."""
        return Tube(tube.frames + self.offset, tube.boxes, tube.label, tube.masks)

    def from_source(self, tube: Tube) -> Tube:
        """Convert a tube from source frames to frames of the part; empty if it lies outside."""
        inside = tube.within(Span(self.offset, self.offset + self.video.source_length))
        return Tube(inside.frames - self.offset, inside.boxes, inside.label, inside.masks)

    def span_from_source(self, span: Span) -> Span:
        """Convert a span from source frames to frames of the part; empty if it lies outside."""
        inside = span & Span(self.offset, self.offset + self.video.source_length)
        return Span(inside.start - self.offset, inside.stop - self.offset)

    @property
    def whole(self) -> Video:
        """A video with the length and size of the whole source, but only one sampled frame.

        Files of tracks count in frames of the whole source, so that is what they are read against.
        """
        times = np.arange(self.source_length) / self.video.fps
        return Video(self.video.frames[:1], (0,), times)


@runtime_checkable
class Recording(Protocol):
    """The source of a sample's pictures; equal recordings give the same pictures.

    `StoredVideo` is the usual one. A class of your own needs the three members below and a hash,
    because the last recording that was read is kept for the next query about the same video.
    """

    @property
    def name(self) -> str:
        """The name of the video in the annotation."""
        ...

    @property
    def remark(self) -> str:
        """A difference from the annotation that a user should know of; empty if there is none."""
        ...

    def read(self, frames: Sampling) -> Footage:
        """Sample this many frames, evenly in time; `probe.video.count_frames` counts a rate.

        Raises:
            ValueError: if there is nothing to read.
        """
        ...

    def __hash__(self) -> int: ...


def read_recording(recording: Recording, frames: Sampling) -> Footage:
    """Read a recording; a plain function, which `lru_cache` can wrap to keep the last result."""
    return recording.read(frames)


@dataclass(frozen=True)
class StoredVideo:
    """A video file or folder of frames, or the reason why the annotated one cannot be read."""

    name: str
    """The name of the video in the annotation."""

    path: Path | None
    """The file; None if there is no usable one."""

    remark: str = ""
    """A difference from the annotation, or the reason why `path` is None."""

    segment: Span | None = None
    """The source frames that are shown; None for all."""

    fps: float | None = None
    """Frames a second of a folder of frames, which has no clock; None if nobody says it. A file has
    its own times, whatever is said here."""

    @classmethod
    def from_path(cls, path: str | Path, segment: Span | None = None) -> "StoredVideo":
        """Name a video file, for a sample of your own; it is read when the sample is answered.

        >>> StoredVideo.from_path("clips/absent.mp4").remark
        'clips/absent.mp4: no such video'
        """
        path = expand_home(path)
        # Not an error: one missing video must not stop the evaluation of the others.
        if absence := explain_absence(path):
            return cls(path.name, None, absence, segment)
        return cls(path.name, path, segment=segment)

    def read(self, frames: Sampling) -> Footage:
        """Sample this many frames of the file, or of its segment, evenly in time.

        Raises:
            ValueError: if there is no such file or it cannot be read.
        """
        if self.path is None:
            raise ValueError(self.remark)
        if self.segment is not None:
            return _read_segment(self.path, self.segment, frames)
        video = read_video(self.path, frames, fps=self.fps if self.path.is_dir() else None)
        return Footage(video, 0, video.source_length)

    def cut(self, segment: Span) -> "StoredVideo":
        """Return this file with only the frames of a segment shown."""
        return replace(self, segment=segment)


def _read_segment(path: Path, segment: Span, frames: Sampling) -> Footage:
    """Sample the middles of equal stretches of a segment, which becomes a video of its own."""
    table = read_timetable(path)
    # Encoding loses frames, so an annotated part may end after the video does.
    part = segment & Span(0, len(table))
    if not len(part):
        raise ValueError(
            f"{path}: has {len(table)} frames, none of them in the annotated part from "
            f"{segment.start} to {segment.stop - 1}; give the whole video"
        )
    video = sample_part(path, table, range(part.start, part.stop), frames)
    return Footage(video, part.start, len(table))


@dataclass(frozen=True)
class Root:
    """The folder in which a user keeps a data set, with any arrangement of subfolders."""

    folder: Path
    files: Mapping[str, Sequence[Path]] = field(repr=False)
    """All files in it, by their names without suffix."""

    @classmethod
    def open(cls, folder: str | Path | None) -> "Root":
        """List the files of a folder and its subfolders.

        Raises:
            ValueError: if there is no such folder, or None is given.
        """
        if folder is None:
            raise ValueError("this data set needs a folder; give --root the folder you keep it in")
        folder = expand_home(folder)
        if not is_there(folder) or not folder.is_dir():
            raise ValueError(f"{folder}: no such folder; give --root the data set's folder")
        files: dict[str, list[Path]] = {}
        for path in sorted(_walk(folder)):
            files.setdefault(path.stem, []).append(path)
        return cls(folder, files)

    def find_annotations(self, *names: str) -> Path:
        """Find the annotation file under the first of these names that exists.

        Raises:
            ValueError: if there is none, or several have that name.
        """
        for name in names:
            if found := self._list_named(name):
                return self._choose(name, found)
        raise ValueError(
            f"{self.folder}: no annotations in it, looked for {' and '.join(names)}; give --root "
            "the data set's folder, or --annotations the file"
        )

    def find_file(self, name: str) -> Path:
        """Find the one file of this name.

        Raises:
            ValueError: if there is none, several, or the name leads out of the folder.
        """
        if leads_out(name):
            raise ValueError(_explain_leading_out(name))
        if not (found := self._list_named(name)):
            shown = to_one_line(name)
            raise ValueError(f"{shown}: no such file under {self.folder}; copy it there")
        return self._choose(name, found)

    def has_file(self, name: str) -> bool:
        """Return True if there is a file of this name, once or more often."""
        return not leads_out(name) and bool(self._list_named(name))

    def find_video(self, name: str) -> StoredVideo:
        """Find the video that an annotation names, with or without its suffix."""
        if leads_out(name):
            return StoredVideo(name, None, _explain_leading_out(name))
        last = PurePosixPath(name).name
        # "1_a.b" has no suffix that means video: only a known one may be taken off the name.
        complete = Path(last).suffix.lower() in VIDEO_SUFFIXES
        stem = Path(last).stem if complete else last
        videos = [
            path for path in self.files.get(stem, ()) if path.suffix.lower() in VIDEO_SUFFIXES
        ]
        # A data set that was encoded again has other suffixes: used, but said in the remark.
        exact = [path for path in videos if path.name == last or not complete]
        if not videos:
            return StoredVideo(
                name, None, f"{to_one_line(name)}: no such video under {self.folder}"
            )
        try:
            path = self._choose(name, exact or videos)
        except ValueError as several:
            return StoredVideo(name, None, str(several))
        return StoredVideo(name, path, "" if exact else f"annotated as {last}, found {path.name}")

    def _list_named(self, name: str) -> list[Path]:
        last = PurePosixPath(name).name
        return [path for path in self.files.get(Path(last).stem, ()) if path.name == last]

    def _choose(self, name: str, found: Sequence[Path]) -> Path:
        """Return the one file found, or of several the one whose folders are those in the name."""
        parts = PurePosixPath(name).parts
        placed = [path for path in found if path.parts[-len(parts) :] == parts]
        chosen = placed if len(placed) == 1 else found
        if len(chosen) == 1:
            return chosen[0]
        listed = " and ".join(str(path.relative_to(self.folder)) for path in chosen[:3])
        raise ValueError(f"{name}: there more than once ({listed}); leave only the right one")


def explain_absence(path: Path) -> str:
    """Explain why no video can be read under a path; "" if there is something to read."""
    try:
        return "" if is_there(path) else f"{path}: no such video"
    except OSError as failure:  # such as a folder that may not be looked into
        return f"{path}: cannot be read ({failure.strerror}); give another path"


def leads_out(name: str) -> bool:
    """Tell whether a name from an annotation is anything but a path downwards.

    >>> leads_out("videos/1.mp4"), leads_out("../1.mp4"), leads_out("C:/1.mp4"), leads_out("/1")
    (False, True, True, True)
    """
    windows = PureWindowsPath(name)  # because it reads both kinds of slash
    outside = bool(windows.drive or windows.root) or ".." in windows.parts
    return outside or "\0" in name or not windows.name


def _explain_leading_out(name: str) -> str:
    shown = to_one_line(repr(name))
    return f"{shown}: a name that leads out of the data set's folder; correct the annotations"


def _walk(folder: Path) -> Iterator[Path]:
    """List every file below a folder, following links and entering no folder twice."""
    entered = set()
    # People link large data sets from other disks; a link to a parent would never end.
    for parent, folders, names in os.walk(folder, followlinks=True):
        here = Path(parent).resolve()
        if here in entered:
            folders.clear()
            continue
        entered.add(here)
        yield from (Path(parent) / name for name in names if not name.startswith("."))
