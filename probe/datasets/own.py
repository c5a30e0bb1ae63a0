"""A user's own data set: a file of JSON lines, one query each, with whatever is known of the truth.

Videos are found from the folder of the file. `docs/own_data.md` describes the lines.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probe.datasets.footage import StoredVideo
from probe.datasets.own_lines import Header, LineError, OwnLine, list_problems, read_header
from probe.datasets.own_truth import OwnAnnotation
from probe.datasets.samples import DataSet, Sample
from probe.files import is_there, read_text
from probe.strict_json import parse_json

OWN_SUFFIX = ".jsonl"
"""The ending by which a name is taken for a file of a user's."""

MOST_PROBLEMS = 100
"""Problems of a file that are listed; a mistake of a program is in every line."""


class OwnFileError(ValueError):
    """The problems of a file: the first in its text, and all of them in a list."""

    def __init__(self, path: str | Path, problems: Iterable[str]) -> None:
        found = tuple(f"{path}, {problem}" for problem in problems)
        self.problems = found[:MOST_PROBLEMS]
        """One line each, with file, line, field and remedy."""

        self.count = len(found)
        more = ""
        if len(found) > 1:
            more = f" (and {len(found) - 1} more; list them with `probe evaluate {path} --check`)"
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
        text = read_text(path)
        records, problems = _parse_lines(text)
        if not records and not problems:
            raise ValueError(f"{path}: no query in it; write one JSON object a line")
        return cls._make(path, records, problems, text.encode())

    @classmethod
    def parse(cls, path: Path, text: str) -> "OwnFile":
        """Check the text of a file that is not written yet.

        Raises:
            OwnFileError: if a line is of no use.
        """
        return cls._make(path, *_parse_lines(text), text.encode())

    @classmethod
    def _make(
        cls,
        path: Path,
        records: list[tuple[int, Any]],
        problems: Iterable[str],
        content: bytes,
    ) -> "OwnFile":
        header, found = Header(), list(problems)
        if records and isinstance(records[0][1], dict) and "format" in records[0][1]:
            (number, first), *records = records
            try:
                header = read_header(first)
            except LineError as problem:
                # Without the header every line would be without its forms, too.
                raise OwnFileError(path, [f"line {number}: {problem}"]) from problem
        lines: list[OwnLine] = []
        found += list_problems(records, header, lines.append)
        if found:
            raise OwnFileError(path, sorted(found, key=_line_number))
        if not lines:
            raise ValueError(f"{path}: no query after the first line; write one object a line")
        return cls(path, header, tuple(lines), content)

    def open(self, root: Path | None = None) -> DataSet:
        """Make a data set of the lines.

        Args:
            root: The folder of the videos; by default that of the file.

        Raises:
            OwnFileError: if a file of tracks is not there.
        """
        folder = self.path.parent if root is None else root
        if not (is_there(folder) and folder.is_dir()):
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
        return None if line.tracks is None else self.path.parent / Path(line.tracks).expanduser()

    def _make_sample(self, line: OwnLine, folder: Path) -> Sample:
        annotation = OwnAnnotation(line, self.find_tracks(line))
        return Sample(
            id=line.id,
            query=line.query,
            recording=find_video(line.video, folder),
            kind=line.kind,
            size=line.size,
            length=line.frames,
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
            if is_there(path) and path.is_file():
                digest.update(path.read_bytes())
            else:
                missing.append(
                    f"line {line.number}: tracks: {path}: no such file; correct the path"
                )
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
    path = folder / Path(name).expanduser()
    if not is_there(path):
        return StoredVideo(name, None, f"{path}: no such video")
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


def _line_number(problem: str) -> int:
    return int(problem.removeprefix("line ").partition(":")[0])


def is_own(name: str | Path) -> bool:
    """Return True for the path of a file of a user's, and not a name of a data set.

    >>> is_own("clips/mine.jsonl"), is_own("hcstvg1")
    (True, False)
    """
    return str(name).lower().endswith(OWN_SUFFIX)
