"""A run of the grounder over many queries: an answer each, kept at once, and a line for each.

    config.json         all that the answers follow from; a run continues only if it is the same
    environment.jsonl   machine, process and versions, one line for each start
    results.jsonl       one line for each query: when, presence, doubts and where its answer is
    answers/ID/         answer.json of each query, as `probe ground` writes it
    summary.json        how many queries were answered, and which failed

A run that is stopped at any moment and started again goes on where it was; it asks those queries
again that failed.
"""

import hashlib
import re
import reprlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, get_args

from probe.evaluation.batch import Batch, Failure, Grounded
from probe.evaluation.checksums import check_line, write_line
from probe.evaluation.faults import explain_failure
from probe.evaluation.results import require_type
from probe.evaluation.runner import watch_signals
from probe.evaluation.runs import BATCH_FORMAT, Run, open_run
from probe.evaluation.starts import describe_machine
from probe.grounding.absence import Absence
from probe.grounding.answers import OVERLAYS, Answer
from probe.plain import to_plain
from probe.progress import make_bar
from probe.strict_json import parse_json

ANSWERS = "answers"

LONGEST_NAME = 80
"""Characters of the folder of an answer, most of which are those of its query's name."""

FIGURE = "answer.png"

Status: TypeAlias = Literal["found", "absent", "failed"]
"""The outcome of a query: a tube; that the model does not say that the thing is there, where this
is required; or neither."""

_NUMBER, _NOTHING = (int, float), type(None)
_TYPES: Mapping[str, tuple[type, ...]] = MappingProxyType(
    {
        **dict.fromkeys(("id", "video", "query", "status"), (str,)),
        "frames": (list, _NOTHING),
        "seconds": (list, _NOTHING),
        "presence": (*_NUMBER, _NOTHING),
        "doubts": (list,),
        "answer": (str, _NOTHING),
        "error": (str, _NOTHING),
    }
)
"""The entries of a line and their types."""


@dataclass(frozen=True)
class BatchLine:
    """The outcome of one query of a run; a line of `results.jsonl`."""

    id: str
    video: str
    query: str
    status: Status
    frames: tuple[int, ...] | None = None
    """First source frame of the span, and that after its last; None without a span, which a picture
    has not either."""

    seconds: tuple[float, ...] | None = None
    """Start and end of the span; None without one, and for a picture."""

    presence: float | None = None
    """Yes minus no of the whole query, in logits; None if it failed."""

    doubts: tuple[str, ...] = ()
    answer: str | None = None
    """The file of the answer, from the folder of the run; None if it failed."""

    error: str | None = None
    """The reason why it failed; None if it did not."""

    def to_line(self) -> bytes:
        """Write the outcome as one line, with a checksum and its end."""
        return write_line(asdict(self))

    @classmethod
    def from_line(cls, line: bytes) -> "BatchLine":
        """Read the outcome that `to_line` wrote.

        Raises:
            ValueError: if it is not such a line, or has been changed since.
        """
        record = parse_json(check_line(line))
        if not isinstance(record, dict) or record.keys() != _TYPES.keys():
            raise ValueError(f"not a result ({reprlib.repr(record)})")
        for name, kinds in _TYPES.items():
            require_type(name, record[name], kinds)
        if record["status"] not in get_args(Status):
            raise ValueError(f"not a result (unknown status {record['status']!r})")
        lists = {name: tuple(one) for name, one in record.items() if isinstance(one, list)}
        return cls(**{**record, **lists})


@dataclass(frozen=True)
class BatchOutcome:
    """The state of a run over many queries at the end of a start."""

    summary: Mapping[str, Any]
    """The counts that `summary.json` holds, and the names of queries that failed."""

    stopped: bool
    """True if it ended before all queries were answered."""


def run_batch(
    batch: Batch,
    folder: str | Path,
    *,
    pictures: bool = False,
    tell: Callable[[BatchLine], None] = lambda _: None,
) -> BatchOutcome:
    """Ground the queries that a folder has no answer of yet, and keep each answer at once.

    The first request to stop (Ctrl-C) lets the current query finish; the second does not.

    Args:
        batch: The queries, the model and the grounder's choices.
        folder: The folder of the run; answers are kept there, and found again.
        pictures: Whether to write the video and the figure of each answer, too.
        tell: Called with the outcome of each query that is answered now.

    Raises:
        ValueError: if the folder is of another run, or holds something else or answers to other
            queries; or it cannot be written.
        RuntimeError: if another process is writing to it; a `MachineError` if there is no room, no
            memory or no device to go on with.
    """
    folder, ids = Path(folder), batch.dataset.ids
    started = describe_machine(str(batch.model.checkpoint.device))
    config = describe_batch(batch)
    with (
        open_run(folder, config, started, read=BatchLine.from_line, name=BATCH_FORMAT) as run,
        watch_signals() as stop,
    ):
        _refuse_other_queries(batch, run)
        todo = [place for place, name in enumerate(ids) if _is_open(run.results.get(name))]
        with (
            make_bar(total=len(ids), initial=len(ids) - len(todo), unit="query") as bar,
            closing(batch.answer_all(todo)) as found,  # ends its threads, even after an error
        ):
            for one in found:
                line = _keep(one, folder, pictures)
                run.add(line)
                tell(line)
                bar.update()
                if stop.is_set():
                    break
        finished = [name for name in ids if name in run.results]
        summary = summarise([run.results[name] for name in finished], len(ids))
        run.finish(finished, summary)
    return BatchOutcome(summary, len(finished) < len(ids))


def describe_batch(batch: Batch) -> dict[str, Any]:
    """Describe in plain values all that the answers of a batch follow from, but its queries."""
    # Not the queries: a file may grow, and each line is compared with its own.
    return {
        "model": {**batch.model.identity, "fingerprint": batch.model.known_fingerprint.read()},
        "grounder": to_plain(batch.config),
        "split": batch.splitter.describe(),
        "candidates": batch.describe_finder(),
        "frames": to_plain(batch.frames or batch.model.preferred_frames),
        "grounding-probe": version("grounding-probe"),
    }


def summarise(lines: Sequence[BatchLine], of: int) -> dict[str, Any]:
    """Count the outcomes.

    Args:
        lines: The outcomes of all finished queries.
        of: The number of all queries.
    """
    names: dict[str, list[str]] = {status: [] for status in get_args(Status)}
    for line in lines:
        names[line.status].append(line.id)
    return {"queries": len(lines), "of": of, **names, "found": len(names["found"])}


def format_outcome(line: BatchLine) -> str:
    """Format the outcome of one query for the screen."""
    about = f"{line.id}  {line.video}  {line.query!r}"
    if line.error is not None:
        return f"failed  {about}: {line.error}"
    times = "" if line.seconds is None else "  {:.2f} to {:.2f} s".format(*line.seconds)
    presence = "" if line.presence is None else f"  present {line.presence:+.2f}"
    doubts = f"  doubts {len(line.doubts)}" if line.doubts else ""
    return f"{line.status:6}  {about}{times}{presence}{doubts}"


def name_folder(query: str) -> str:
    """Make the name of a folder for the answer to a query: its own, as far as files may have it.

    >>> name_folder("clip.mp4"), name_folder("a/b")
    ('clip.mp4', 'a-b-c14cddc0')
    """
    plain = re.sub(r"[^\w.-]+", "-", query, flags=re.ASCII).strip(".-")[:LONGEST_NAME]
    # Names that differ in what is replaced, or in capitals that some disks ignore, stay apart.
    if plain and plain == query == query.lower():
        return plain
    digest = hashlib.sha256(query.encode(errors="backslashreplace")).hexdigest()[:8]
    return f"{plain}-{digest}".strip("-")


def _is_open(line: BatchLine | None) -> bool:
    """Return True for a query that is still to be asked: it was not yet, or it failed."""
    return line is None or line.status == "failed"


def _refuse_other_queries(batch: Batch, run: Run[BatchLine]) -> None:
    """Refuse a folder in which a query of this name was another one."""
    places = {name: place for place, name in enumerate(batch.dataset.ids)}
    for name, line in run.results.items():
        if name not in places or _is_open(line):
            continue
        sample = batch.dataset[places[name]]
        for what, then, now in (
            ("query", line.query, sample.query),
            ("video", line.video, sample.recording.name),
        ):
            if then != now:
                raise ValueError(
                    f"{run.folder}: the {what} of {name!r} was {then!r}, now it is {now!r}; give "
                    "--out another folder"
                )


def _keep(one: Grounded, folder: Path, pictures: bool) -> BatchLine:
    """Write the answer to a query, and make its line."""
    failed = BatchLine(one.id, one.video, one.query, "failed")
    if isinstance(one.found, Failure):
        return replace(failed, error=one.found.reason)
    path = folder / ANSWERS / name_folder(one.id) / "answer.json"
    try:
        _write(one.found, path, pictures)
    except Exception as failure:  # noqa: BLE001  the others go on; a full disk is a MachineError
        return replace(failed, error=explain_failure(failure, one.id))
    line = replace(
        failed,
        status="absent",
        presence=one.found.presence,
        doubts=one.found.doubts,
        answer=path.relative_to(folder).as_posix(),
    )
    if isinstance(one.found, Absence):
        return line
    if one.found.video.is_still:
        return replace(line, status="found")
    frames = (one.found.span.start, one.found.span.stop)
    return replace(line, status="found", frames=frames, seconds=one.found.seconds)


def _write(found: Answer | Absence, path: Path, pictures: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Before the new answer has its name: pictures of another must never lie next to it.
    for name in (*OVERLAYS, FIGURE):
        (path.parent / name).unlink(missing_ok=True)
    found.save(path)
    if pictures and isinstance(found, Answer):
        found.overlay(path.parent / found.overlay_name)
        found.figure(path.parent / FIGURE)
