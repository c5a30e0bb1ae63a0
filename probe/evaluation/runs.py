"""The folder of a run: one line for each finished query, which is never lost again.

    config.json         all that the results follow from; a run continues only if it is the same
    environment.jsonl   machine, process and versions, one line for each start
    results.jsonl       one line for each query, on the disk before the next one starts
    summary.json        the figures, written at the end of the run
    lock                held by the process that writes

A process that is killed, even by a power failure, leaves at most one torn line, which is cut off at
the next start. At the end the lines are put into the order of the data set, so that they are the
same however often the run was stopped.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from probe.evaluation.results import QueryResult
from probe.files import (
    PARTIAL,
    flush_folder,
    read_json,
    remove_partials,
    write_bytes,
    write_json,
)

RUN_FORMAT = "grounding-probe/run"
CONFIG, ENVIRONMENT, RESULTS, SUMMARY, LOCK = (
    "config.json",
    "environment.jsonl",
    "results.jsonl",
    "summary.json",
    "lock",
)


@dataclass(frozen=True, eq=False)
class Run:
    """A run folder that this process alone may write to; `results` grows with each query."""

    folder: Path
    results: dict[str, QueryResult]
    """The finished queries by name."""

    _file: IO[bytes]

    def add(self, result: QueryResult) -> None:
        """Write a finished query, so that not even a power failure can lose it."""
        line = result.to_line()
        self._file.write(line)
        # `flush` hands the line to the system, and only `fsync` has it written to the disk.
        self._file.flush()
        os.fsync(self._file.fileno())
        # Read back, because a run that goes on from the file must end with the same figures.
        self.results[result.id] = QueryResult.from_line(line)

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


def read_run(folder: str | Path) -> StoredRun:
    """Read a run, whether it is finished, stopped or still going on; a torn last line is left out.

    Raises:
        ValueError: if the folder is not one of a run, or a file in it is damaged.
    """
    folder = Path(folder)
    if not (folder / CONFIG).is_file():
        raise ValueError(f"{folder}: not the folder of a run; give one that `probe evaluate` wrote")
    config, environment = _read_config(folder), _read_environment(folder)
    results, _ = _read_results(folder / RESULTS)
    return StoredRun(folder, config, environment, results)


@contextmanager
def open_run(
    folder: Path, config: Mapping[str, Any], environment: Mapping[str, Any]
) -> Iterator[Run]:
    """Start a run, or continue it where it was stopped.

    Args:
        folder: Its folder; created if there is none.
        config: All that the results follow from, in plain values; equal at every start.
        environment: Machine, process and versions, which may differ from start to start.

    Raises:
        ValueError: if the folder holds something else, another config, or a damaged line.
        RuntimeError: if another process is writing to it, or the system has no file locks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _refuse_foreign(folder)
    with _lock(folder):
        # Only now: the files being written may be those of the process that holds the lock.
        remove_partials(folder)
        _settle_config(folder, config)
        _note_start(folder / ENVIRONMENT, environment)
        results, sound = _read_results(folder / RESULTS)
        with (folder / RESULTS).open("ab") as file:
            file.truncate(sound)
            # Without its name in the folder, what is flushed to a new file would still be lost.
            flush_folder(folder)
            yield Run(folder, results, file)


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
    wanted = json.loads(json.dumps({"format": RUN_FORMAT, **config}))
    path = folder / CONFIG
    if not path.exists():
        write_json(path, wanted)
        return
    then, now = _flatten(_read_config(folder)), _flatten(wanted)
    differing = [name for name in {**then, **now} if then.get(name) != now.get(name)]
    if differing:
        first = differing[0]
        more = f" (and {len(differing) - 1} more)" if len(differing) > 1 else ""
        raise ValueError(
            f"{folder}: was begun with {first} = {then.get(first)!r}, now it is "
            f"{now.get(first)!r}{more}; give --out another folder, or the same options"
        )


def _note_start(path: Path, environment: Mapping[str, Any]) -> None:
    """Add a line to the starts; as a whole file, since a torn last line would never be cut off."""
    line = json.dumps(environment, ensure_ascii=False).encode() + b"\n"
    earlier = path.read_bytes() if path.exists() else b""
    write_bytes(path, earlier[: earlier.rfind(b"\n") + 1] + line)


def _read_config(folder: Path) -> dict[str, Any]:
    config = read_json(folder / CONFIG)
    if not isinstance(config, dict) or config.get("format") != RUN_FORMAT:
        raise ValueError(f"{folder / CONFIG}: not of a run; give one that `probe evaluate` wrote")
    return config


def _read_environment(folder: Path) -> dict[str, Any]:
    """Read the last start."""
    path = folder / ENVIRONMENT
    try:
        return json.loads(path.read_bytes().splitlines()[-1])
    except (OSError, ValueError, IndexError) as problem:
        raise ValueError(
            f"{path}: holds no start of the run ({problem}); start it again with `probe evaluate`"
        ) from problem


def _flatten(value: Any, name: str = "") -> dict[str, Any]:
    """Give a nested config as one value for each path into it."""
    if not isinstance(value, dict):
        return {name: value}
    parts = (_flatten(inner, f"{name}.{key}".lstrip(".")) for key, inner in value.items())
    return {path: leaf for part in parts for path, leaf in part.items()}


def _read_results(path: Path) -> tuple[dict[str, QueryResult], int]:
    """Read the results by query, the last of each, and the number of sound bytes of the file."""
    results: dict[str, QueryResult] = {}
    sound = 0
    *lines, torn = path.read_bytes().split(b"\n") if path.exists() else [b""]
    for number, line in enumerate(lines, start=1):
        try:
            result = QueryResult.from_line(line)
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
    return results, sound
