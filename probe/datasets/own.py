"""A user's own data set: a file of JSON lines, one query each, with whatever is known of the truth.

Videos are found from the folder of the file. `docs/own_data.md` describes the lines.
"""

import hashlib
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from probe.datasets.footage import StoredVideo, explain_absence
from probe.datasets.own_lines import Header, LineError, OwnLine, read_header, read_line
from probe.datasets.own_truth import OwnAnnotation
from probe.datasets.samples import DataSet, Sample
from probe.files import encode_text, read_bytes, read_text
from probe.paths import expand_home, is_there
from probe.strict_json import parse_json

OWN_SUFFIX = ".jsonl"
"""The ending by which a name is taken for a file of a user's."""

MOST_PROBLEMS = 100
"""Problems of a file that are listed; a mistake of a program is in every line."""


class OwnFileError(ValueError):
    """The problems of a file: the first in its text, and all of them in a list."""

    def __init__(self, path: str | Path, problems: Iterable[str], *, written: bool = True) -> None:
        """Make the error; `written` is False if there is no such file yet to be checked."""
        found = tuple(f"{path}, {problem}" for problem in problems)
        self.problems = found[:MOST_PROBLEMS]
        """One line each, with file, line, field and remedy."""

        self.count = len(found)
        more = ""
        if len(found) > 1:
            check = shlex.join(["probe", "evaluate", str(path), "--check"])
            listing = f"; list them with `{check}`" if written and is_own(path) else ""
            more = f" (and {len(found) - 1} more{listing})"
        super().__init__("".join(found[:1]) + more)


@dataclass(frozen=True, eq=False)
class OwnFile:
    """The lines of a file, all of which can be used."""

    path: Path
    """The file, which errors name."""

    header: Header
    lines: tuple[OwnLine, ...]
    content: bytes
    """Text from which the lines follow, for the version of the data set."""

    @classmethod
    def read(cls, path: Path) -> "OwnFile":
        """Read a file and check every line.

        Raises:
            OwnFileError: if a line is of no use; it lists the problems of all lines.
            ValueError: if there is no such file, or no line in it.
        """
        return cls._make(path, read_text(path), written=True)

    @classmethod
    def parse(cls, path: Path, text: str) -> "OwnFile":
        """Check the text of a file that is not written yet.

        Raises:
            OwnFileError: if a line is of no use.
        """
        return cls._make(path, text, written=False)

    @classmethod
    def _make(cls, path: Path, text: str, *, written: bool) -> "OwnFile":
        records, found = _parse_lines(text)
        if not records and not found:
            raise ValueError(f"{path}: no query in it; write one JSON object a line")
        header = Header()
        if records and isinstance(records[0][1], dict) and "format" in records[0][1]:
            (number, first), *records = records
            try:
                header = read_header(first)
            except LineError as problem:
                # Without the header every line would be without its forms, too.
                raise OwnFileError(
                    path, [f"line {number}: {problem}"], written=written
                ) from problem
        lines: list[OwnLine] = []
        found += _list_problems(records, header, lines.append)
        if found:
            raise OwnFileError(path, sorted(found, key=_line_number), written=written)
        if not lines:
            raise ValueError(f"{path}: no query after the first line; write one object a line")
        # As the file holds it, or will: names of videos that are not UTF-8 become escapes.
        return cls(path, header, tuple(lines), encode_text(text))

    def open(self, root: Path | None = None) -> DataSet:
        """Make a data set of the lines.

        Args:
            root: The folder of the videos; by default that of the file.

        Raises:
            OwnFileError: if a file of tracks is not there.
        """
        folder = self.path.parent if root is None else root
        if not is_there(folder) or not folder.is_dir():
            raise ValueError(f"{folder}: no such folder; give --root the folder of the videos")
        samples = [self._make_sample(line, folder) for line in self.lines]
        return DataSet(
            name=self.path.name,
            version=self._hash(),
            protocol=self.header.protocol,
            ids=tuple(line.id for line in self.lines),
            make=samples.__getitem__,
            absent_version=self._hash() if any(line.absent for line in self.lines) else "",
        )

    def find_tracks(self, line: OwnLine) -> Path | None:
        """Return the file of tracks that a line names, from the folder of the file."""
        return None if line.tracks is None else self.path.parent / expand_home(line.tracks)

    def _make_sample(self, line: OwnLine, folder: Path) -> Sample:
        annotation = OwnAnnotation(line, self.find_tracks(line))
        return Sample(
            id=line.id,
            query=line.query,
            recording=replace(find_video(line.video, folder), fps=line.fps),
            kind=line.kind,
            size=line.size,
            length=line.frames,
            fps=line.fps,
            absent=line.absent,
            annotation=annotation,
        )

    def _hash(self) -> str:
        """Hash the file and the files of tracks, from which the truth follows."""
        digest = hashlib.sha256(self.content)
        missing = []
        for line in self.lines:
            if (path := self.find_tracks(line)) is None:
                continue
            try:
                digest.update(read_bytes(path))
            except ValueError as failure:
                missing.append(f"line {line.number}: tracks: {failure}; correct the path")
        if missing:
            raise OwnFileError(self.path, missing)
        return digest.hexdigest()


def read_own(path: Path, root: Path | None = None) -> DataSet:
    """Read a user's own data set.

    Args:
        path: The file of JSON lines.
        root: The folder of the videos; by default that of the file.

    Raises:
        ValueError: if there is no such file or folder, or a line is of no use: `OwnFileError` has
            a list of what is wrong.
    """
    return OwnFile.read(path).open(root)


def find_video(name: str, folder: Path) -> StoredVideo:
    """Find the video that a line names, from a folder; an absolute path stays as it is."""
    # Any path, unlike the names in a published benchmark: it is the user who wrote the file.
    path = folder / expand_home(name)
    # No error of the file: one missing video must not stop the queries about the others.
    if absence := explain_absence(path):
        return StoredVideo(name, None, absence)
    return StoredVideo(name, path)


def _parse_lines(text: str) -> tuple[list[tuple[int, Any]], list[str]]:
    """Parse the lines of a file: the number and value of each, and what is wrong with others."""
    records: list[tuple[int, Any]] = []
    problems: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            records.append((number, parse_json(line)))
        except ValueError as failure:
            reason = " ".join(str(failure).split())
            problems.append(f"line {number}: not JSON ({reason}); write one object on a line")
    return records, problems


def _list_problems(
    records: Sequence[tuple[int, Any]], header: Header, keep: Callable[[OwnLine], None]
) -> Iterator[str]:
    """Read the records of lines in turn, keep what can be used, and yield what is wrong.

    Args:
        records: The number of each line, and its JSON value.
        header: The forms that lines may leave out.
        keep: Called with each line that can be used.
    """
    seen: dict[str, int] = {}
    for number, record in records:
        try:
            line = read_line(record, number, header)
        except LineError as problem:
            yield f"line {number}: {problem}"
            continue
        if line.id in seen:
            yield (
                f"line {number}: id: {line.id!r} is that of line {seen[line.id]}, too; give each "
                "query its own"
            )
            continue
        seen[line.id] = number
        keep(line)


def _line_number(problem: str) -> int:
    return int(problem.removeprefix("line ").partition(":")[0])


def is_own(name: str | Path) -> bool:
    """Return True for the path of a file of a user's, and not a name of a data set.

    >>> is_own("clips/mine.jsonl"), is_own("hcstvg1")
    (True, False)
    """
    return str(name).lower().endswith(OWN_SUFFIX)
