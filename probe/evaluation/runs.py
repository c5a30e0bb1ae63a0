"""The folder of a run: one line for each finished query, which nothing that happens later can take.

    config.json         what was asked for; a run continues only under the same
    environment.jsonl   with what, one line for each start
    results.jsonl       one line for each query, written out before the next one starts
    summary.json        the figures, once the run has come to its end
    lock                held by the process that writes

A process that is killed, even by a power failure, leaves at most one torn line, which is cut off at
the next start. At the end the lines are put into the order of the data set, so that they do not
tell how often the run was stopped.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from probe.datasets.samples import Kind
from probe.metrics import QueryScore
from probe.video import Span, Tube

FORMAT = "grounding-probe/run"
CONFIG, ENVIRONMENT, RESULTS, SUMMARY, LOCK = (
    "config.json",
    "environment.jsonl",
    "results.jsonl",
    "summary.json",
    "lock",
)
DIGITS = 6
"""Decimals of a score that are kept."""


@dataclass(frozen=True, eq=False)
class QueryResult:
    """How one query was answered; a line of `results.jsonl`."""

    id: str
    query: str = ""
    kind: Kind = "declarative"
    video: str = ""
    """What the annotation calls the video."""

    span: Span | None = None
    """The answer's source frames; None where it failed."""

    track: Tube | None = None
    """The answered object over the whole video, in source frames, where its box is known."""

    sampled: tuple[int, ...] = ()
    """The source frames that the model was shown."""

    score: QueryScore = field(default_factory=lambda: QueryScore(0.0, 0.0, 0.0))
    error: str | None = None
    """Why it failed; it counts as zero in every figure."""

    remarks: tuple[str, ...] = ()
    """What was not as annotated."""

    details: Mapping[str, Any] = field(default_factory=dict)
    """What the answer was read from."""

    @property
    def tube(self) -> Tube:
        """The answer: one box for each frame of the span; empty where it failed."""
        if self.span is None or self.track is None:
            return Tube.from_dict({"frames": [], "boxes": []})
        return self.track.interpolated(range(self.span.start, self.span.stop))

    def to_line(self) -> bytes:
        """The line, its end included; the same for the same result."""
        record = {
            "id": self.id,
            "query": self.query,
            "kind": self.kind,
            "video": self.video,
            "span": None if self.span is None else [self.span.start, self.span.stop],
            "track": None if self.track is None else self.track.to_dict(),
            "sampled": self.sampled,
            **{name: round(value, DIGITS) for name, value in asdict(self.score).items()},
            "error": self.error,
            "remarks": self.remarks,
            "details": dict(self.details),
        }
        return json.dumps(record, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "QueryResult":
        """The result that `to_line` wrote.

        Raises:
            ValueError: if it is not such a line.
        """
        try:
            record = json.loads(line)
            return cls(
                id=record["id"],
                query=record["query"],
                kind=record["kind"],
                video=record["video"],
                span=None if record["span"] is None else Span(*record["span"]),
                track=None if record["track"] is None else Tube.from_dict(record["track"]),
                sampled=tuple(record["sampled"]),
                score=QueryScore(record["tiou"], record["viou"], record["gt_viou"]),
                error=record["error"],
                remarks=tuple(record["remarks"]),
                details=record["details"],
            )
        except (KeyError, TypeError, ValueError) as problem:
            raise ValueError(f"not a result ({type(problem).__name__}: {problem})") from problem


@dataclass(frozen=True, eq=False)
class Run:
    """A run folder that this process alone may write to."""

    folder: Path
    results: dict[str, QueryResult]
    """What is finished, by query."""

    _file: IO[bytes]

    def add(self, result: QueryResult) -> None:
        """Write a finished query so that not even a power failure can take it."""
        line = result.to_line()
        self._file.write(line)
        self._file.flush()
        os.fsync(self._file.fileno())
        self.results[result.id] = QueryResult.from_line(line)  # as the next start will read it

    def finish(self, order: Sequence[str], summary: Mapping[str, Any]) -> None:
        """Put the lines into this order, and write the summary."""
        lines = b"".join(self.results[name].to_line() for name in order)
        _write_whole(self.folder / RESULTS, lines)
        _write_whole(self.folder / SUMMARY, _as_json(summary))
        _sync(self.folder)


@dataclass(frozen=True, eq=False)
class StoredRun:
    """What a run folder holds, read without touching it."""

    folder: Path
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    """What it was last started with."""

    results: Mapping[str, QueryResult]
    """What is finished, by query, in the order of the file."""


def read_run(folder: str | Path) -> StoredRun:
    """Read a run, be it finished, stopped or still going on; a torn last line is left out.

    Raises:
        ValueError: if the folder is not one of a run, or a line in it is damaged.
    """
    folder = Path(folder)
    if not (folder / CONFIG).is_file():
        raise ValueError(f"{folder}: not the folder of a run; give one that `probe evaluate` wrote")
    results, _ = _read_results(folder / RESULTS)
    starts = (folder / ENVIRONMENT).read_text(encoding="utf-8").splitlines()
    return StoredRun(folder, _read_config(folder), json.loads(starts[-1]), results)


@contextmanager
def open_run(
    folder: Path, config: Mapping[str, Any], environment: Mapping[str, Any]
) -> Iterator[Run]:
    """Start a run, or continue it where it was stopped.

    Args:
        folder: Where it is kept; made if it is not there.
        config: What the run has to share with the one it continues, in plain values.
        environment: What it is run with, which may differ from start to start.

    Raises:
        ValueError: if the folder holds something else, another config, or a damaged line.
        RuntimeError: if another process is writing to it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    strange = sorted({path.name for path in folder.iterdir()} - {LOCK, f".{CONFIG}.partial"})
    if strange and not (folder / CONFIG).exists():
        raise ValueError(f"{folder}: holds {strange[0]} and no run; give --out another folder")
    with _locked(folder):
        _settle(folder, config)
        _note_start(folder / ENVIRONMENT, environment)
        results, sound = _read_results(folder / RESULTS)
        with (folder / RESULTS).open("ab") as file:
            file.truncate(sound)
            _sync(folder)
            yield Run(folder, results, file)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """The folder for this process alone; the system lets go of it when the process ends."""
    with (folder / LOCK).open("a+") as lock:
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


def _settle(folder: Path, config: Mapping[str, Any]) -> None:
    """Write the config of a new run; compare that of one that was begun."""
    wanted = json.loads(json.dumps({"format": FORMAT, **config}))
    path = folder / CONFIG
    if not path.exists():
        _write_whole(path, _as_json(wanted))
        _sync(folder)
        return
    then, now = _flat(_read_config(folder)), _flat(wanted)
    differing = [name for name in {**then, **now} if then.get(name) != now.get(name)]
    if differing:
        first = differing[0]
        more = f" (and {len(differing) - 1} more)" if len(differing) > 1 else ""
        raise ValueError(
            f"{folder}: was begun with {first} = {then.get(first)!r}, now it is "
            f"{now.get(first)!r}{more}; give --out another folder, or the same options"
        )


def _note_start(path: Path, environment: Mapping[str, Any]) -> None:
    line = json.dumps(environment, ensure_ascii=False).encode() + b"\n"
    earlier = path.read_bytes() if path.exists() else b""
    _write_whole(path, earlier[: earlier.rfind(b"\n") + 1] + line)


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except ValueError as problem:
        raise ValueError(f"{folder / CONFIG}: not JSON ({problem}); start a new run") from problem
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise ValueError(f"{folder / CONFIG}: not of a run; give one that `probe evaluate` wrote")
    return config


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """A nested config as one value for each path into it."""
    if not isinstance(value, dict):
        return {name: value}
    parts = (_flat(inner, f"{name}.{key}".lstrip(".")) for key, inner in value.items())
    return {path: leaf for part in parts for path, leaf in part.items()}


def _read_results(path: Path) -> tuple[dict[str, QueryResult], int]:
    """The results by query, the last of each, and how many bytes of the file are sound.

    Only the last line can be torn; damage before it was not done by us, and is not passed over.
    """
    results: dict[str, QueryResult] = {}
    sound = 0
    *lines, torn = path.read_bytes().split(b"\n") if path.exists() else [b""]
    for number, line in enumerate(lines, start=1):
        try:
            result = QueryResult.from_line(line)
        except ValueError as problem:
            if number == len(lines) and not torn:
                break
            raise ValueError(
                f"{path}, line {number}: {problem}; delete this line to have the query asked again"
            ) from problem
        results.pop(result.id, None)
        results[result.id] = result
        sound += len(line) + 1
    return results, sound


def _as_json(content: Any) -> bytes:
    return json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n"


def _write_whole(path: Path, content: bytes) -> None:
    """Replace a file so that at any time either the old or the new one is there, whole."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _sync(folder: Path) -> None:
    """Have the names in a folder written out."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
