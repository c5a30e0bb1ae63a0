"""The folder of a run: one line for each finished query, which is never lost again.

    config.json         all that the results follow from; a run continues only if it is the same
    environment.jsonl   machine, process and versions, one line for each start
    results.jsonl       one line for each query, on the disk before the next one starts
    summary.json        the figures, written at the end of the run
    lock                held by the process that writes

Each line has a checksum. A process that is killed, even by a power failure, leaves at most one torn
line, which is cut off at the next start; any other damage is refused. At the end the lines are put
into the order of the data set, so that they are the same however often the run was stopped.
"""

import json
import os
import reprlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, runtime_checkable

from probe.evaluation.checksums import has_checksum
from probe.evaluation.faults import MachineError
from probe.evaluation.results import QueryResult
from probe.evaluation.starts import note_changes, read_starts, write_starts
from probe.files import PARTIAL, flush_folder, read_json, remove_partials, write_bytes, write_json
from probe.paths import is_there

RUN_FORMAT, BATCH_FORMAT = "grounding-probe/run", "grounding-probe/batch"

WRITERS: Mapping[str, str] = MappingProxyType(
    {RUN_FORMAT: "probe evaluate", BATCH_FORMAT: "probe ground --batch"}
)
"""The command that writes runs of a format."""

CONFIG, ENVIRONMENT, RESULTS, SUMMARY, LOCK = (
    "config.json",
    "environment.jsonl",
    "results.jsonl",
    "summary.json",
    "lock",
)

REPORTED: Mapping[str, type] = MappingProxyType(
    {
        "dataset.name": str,
        "dataset.version": str,
        "dataset.queries": int,
        "model.name": str,
        "method.name": str,
        "candidates.from": str,
        "oracle": bool,
        "protocol": str,
    }
)
"""Entries of a config that every report shows, and their types."""


@runtime_checkable
class Line(Protocol):
    """The result of one query that a run keeps in one line."""

    @property
    def id(self) -> str:
        """The name of the query."""
        ...

    def to_line(self) -> bytes:
        """Write the result as one line, with its end."""
        ...


AnyLine = TypeVar("AnyLine", bound=Line)

LineReader: TypeAlias = Callable[[bytes], AnyLine]
"""Reads the result that `to_line` wrote; raises ValueError for any other line."""


@dataclass(frozen=True, eq=False)
class Run(Generic[AnyLine]):
    """A run folder that this process alone may write to; `results` grows with each query."""

    folder: Path
    results: dict[str, AnyLine]
    """The finished queries by name."""

    notes: tuple[str, ...]
    """Sentences for readers of the results, such as that libraries have changed."""

    _read: LineReader[AnyLine]
    _file: FileIO

    def add(self, result: AnyLine) -> None:
        """Write a finished query, so that not even a power failure can lose it.

        Raises:
            MachineError: if it cannot be written; the query stays open.
        """
        line = result.to_line()
        try:
            _write_whole(self._file, line)
        except OSError as failure:
            raise MachineError(
                f"{self.folder / RESULTS}: cannot be written ({failure.strerror}); all queries "
                "before this one are kept: make room, and start again to go on"
            ) from failure
        # Read back, because a run that goes on from the file must end with the same figures.
        self.results[result.id] = self._read(line)

    def finish(self, order: Sequence[str], summary: Mapping[str, Any]) -> None:
        """Put the lines into this order, and write the summary."""
        lines = b"".join(self.results[name].to_line() for name in order)
        write_bytes(self.folder / RESULTS, lines)
        write_json(self.folder / SUMMARY, summary)


@dataclass(frozen=True, eq=False)
class StoredRun:
    """The content of a run folder, read without changing it or waiting for its lock."""

    folder: Path
    config: Mapping[str, Any]
    """All that the results follow from."""

    environment: Mapping[str, Any]
    """Machine, process and versions of the last start."""

    results: Mapping[str, QueryResult]
    """The finished queries by name, in the order of the file."""

    notes: tuple[str, ...] = ()
    """Sentences for readers of the results, such as that libraries have changed."""


def read_run(folder: str | Path) -> StoredRun:
    """Read a run, whether it is finished, stopped or still going on; a torn last line is left out.

    Raises:
        ValueError: if the folder is not one of a run, or a file in it is damaged.
    """
    folder = Path(folder)
    if not (is_there(folder / CONFIG) and (folder / CONFIG).is_file()):
        raise ValueError(f"{folder}: not the folder of a run; give one that `probe evaluate` wrote")
    config, starts = _read_config(folder, RUN_FORMAT), read_starts(folder / ENVIRONMENT)
    _check_reported(folder / CONFIG, config)
    if not starts:
        raise ValueError(
            f"{folder / ENVIRONMENT}: holds no start of the run; start it again with "
            "`probe evaluate`"
        )
    stored = _read_results(folder / RESULTS, QueryResult.from_line)
    notes = (*note_changes(starts), *stored.notes)
    return StoredRun(folder, config, starts[-1], stored.results, notes)


@contextmanager
def open_run(
    folder: Path,
    config: Mapping[str, Any],
    environment: Mapping[str, Any],
    *,
    read: LineReader[AnyLine] = QueryResult.from_line,
    name: str = RUN_FORMAT,
) -> Iterator[Run[AnyLine]]:
    """Start a run, or continue it where it was stopped.

    Args:
        folder: Its folder; created if there is none.
        config: All that the results follow from, in plain values; equal at every start.
        environment: Machine, process and versions, which may differ from start to start.
        read: Reads a line of its results.
        name: The format that its config names.

    Raises:
        ValueError: if the folder holds something else, another config, or a damaged line, or it
            cannot be written.
        RuntimeError: if another process is writing to it, or the system has no file locks.
    """
    with ExitStack() as stack:
        with _explain_refusal(folder):
            folder.mkdir(parents=True, exist_ok=True)
            _refuse_foreign(folder)
            stack.enter_context(_lock(folder))
            # Only now: the files being written may be those of the process that holds the lock.
            remove_partials(folder)
            _settle_config(folder, {"format": name, **config})
            starts = [*read_starts(folder / ENVIRONMENT), environment]
            stored = _read_results(folder / RESULTS, read)
            write_starts(folder / ENVIRONMENT, starts)
            # Unbuffered: at a full disk, what is in a buffer would be written again at the end.
            file = stack.enter_context((folder / RESULTS).open("ab", buffering=0))
            file.truncate(stored.sound)
            # Without its name in the folder, what is flushed to a new file would still be lost.
            flush_folder(folder)
        # The torn line is not told: its query is asked again.
        yield Run(folder, stored.results, note_changes(starts), read, file)


def _write_whole(file: FileIO, line: bytes) -> None:
    """Append a line, and have it written to the disk before going on."""
    # The system may take a part of it, and refuse the rest at the next call.
    while line:
        line = line[file.write(line) :]
    os.fsync(file.fileno())


@contextmanager
def _explain_refusal(folder: Path) -> Iterator[None]:
    """Name the folder when the system refuses to make, read or write a file in it."""
    try:
        yield
    except OSError as failure:
        name = failure.filename or folder
        raise ValueError(
            f"{name}: the folder of a run cannot be used ({failure.strerror}); give --out another"
        ) from failure


def _refuse_foreign(folder: Path) -> None:
    """Refuse a folder that holds files, but no run."""
    if (folder / CONFIG).exists():
        return
    names = sorted(path.name for path in folder.iterdir())
    # A process that was killed at its start leaves a lock and partial files, and no config yet.
    foreign = [name for name in names if name != LOCK and not name.startswith(PARTIAL)]
    if foreign:
        raise ValueError(f"{folder}: holds {foreign[0]} and no run; give --out another folder")


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Lock the folder for this process; the system unlocks it when the process ends."""
    try:
        import fcntl  # here, so that the package can be imported on Windows, which has none
    except ImportError as missing:
        raise RuntimeError(
            "this system has no fcntl, by which two processes are kept from writing one run; "
            "evaluate on Linux or macOS (on Windows: in WSL)"
        ) from missing
    with (folder / LOCK).open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as taken:
            lock.seek(0)
            writer = lock.read().strip() or "unknown"
            raise RuntimeError(
                f"{folder}: process {writer} is writing this run; wait for it, or give --out "
                "another folder"
            ) from taken
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _settle_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Write the config of a new run, or compare it with that of the run to continue."""
    # Through JSON and back, because there tuples become lists and all keys strings.
    wanted = json.loads(json.dumps(config))
    path = folder / CONFIG
    if not path.exists():
        write_json(path, wanted)
        return
    then, now = _flatten(_read_config(folder, wanted["format"])), _flatten(wanted)
    differing = [name for name in {**then, **now} if then.get(name) != now.get(name)]
    if differing:
        first = differing[0]
        more = f" (and {len(differing) - 1} more)" if len(differing) > 1 else ""
        raise ValueError(
            f"{folder}: was begun with {first} = {then.get(first)!r}, now it is "
            f"{now.get(first)!r}{more}; give --out another folder, or the same options"
        )


def _read_config(folder: Path, name: str) -> dict[str, Any]:
    path = folder / CONFIG
    config = read_json(path)
    if not isinstance(config, dict) or config.get("format") != name:
        raise ValueError(f"{path}: not of a run; give one that `{WRITERS[name]}` wrote")
    return config


def _check_reported(path: Path, config: Mapping[str, Any]) -> None:
    """Refuse a config without an entry that a report shows, or with one of another type."""
    known = _flatten(config)
    # Runs of earlier versions have no rules, and a method without rules of its own has none either.
    wrong = [name for name, kind in REPORTED.items() if not isinstance(known.get(name), kind)]
    wrong += [name for name in ("method.rules",) if known.get(name) is not None]
    if wrong:
        raise ValueError(
            f"{path}: damaged; {wrong[0]} is {reprlib.repr(known.get(wrong[0]))}; give a run that "
            "`probe evaluate` wrote"
        )


def _flatten(config: Mapping[str, Any]) -> dict[str, Any]:
    """Give a nested config as one value for each path into it."""
    flat, waiting = {}, [("", config)]
    # Without calling itself: a config from elsewhere may be deeper than Python's stack.
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, dict):
            inner = [(f"{name}.{key}".lstrip("."), one) for key, one in value.items()]
            waiting += reversed(inner)
        else:
            flat[name] = value
    return flat


@dataclass(frozen=True, eq=False)
class StoredResults(Generic[AnyLine]):
    """The content of a file of results."""

    results: dict[str, AnyLine]
    """The last result of each query, by name."""

    sound: int
    """Bytes of the file up to the end of the last whole line."""

    notes: tuple[str, ...]
    """Sentences for readers of the results about the file."""


def _read_results(path: Path, read: LineReader[AnyLine]) -> StoredResults[AnyLine]:
    """Read the results by query.

    Raises:
        ValueError: if a line is damaged that no killed process can have left so.
    """
    results: dict[str, AnyLine] = {}
    sound = plain = 0
    content = path.read_bytes() if path.exists() else b""
    *lines, torn = content.split(b"\n")
    for number, line in enumerate(lines, start=1):
        try:
            result = read(line)
        except ValueError as problem:
            # A process that is killed can damage the last line only. Damage before it was done by
            # something else, and to pass over it would hide that.
            if number == len(lines) and not torn:
                break
            raise ValueError(
                f"{path}, line {number}: {problem}; delete this line to have the query asked again"
            ) from problem
        # A query that was asked again moves to the end, as its line does.
        results.pop(result.id, None)
        results[result.id] = result
        sound += len(line) + 1
        plain += not has_checksum(line)
    notes = []
    if lost := len(content) - sound:
        notes.append(
            f"{lost} bytes after the last whole line of {path.name} are left out: it is being "
            "written, its writer was killed, or it is damaged; its query is asked again"
        )
    if plain:
        notes.append(
            f"{plain} of {len(results)} results have no checksum, as an earlier version wrote "
            "them: a change since then would not be noticed"
        )
    return StoredResults(results, sound, tuple(notes))
