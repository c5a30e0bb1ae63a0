"""The starts of a run: machine, process and versions, which may differ from one to the next."""

import hashlib
import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from probe.datasets import is_own
from probe.engine.model_files import choose_device
from probe.engine.provenance import library_versions
from probe.evaluation.config import EvaluationConfig
from probe.files import write_text
from probe.strict_json import parse_json


def describe_environment(config: EvaluationConfig) -> dict[str, Any]:
    """Describe machine, process and versions: what may differ between starts of one run."""
    return {
        **describe_machine(str(choose_device(config.model, config.device) or config.device)),
        # A file of the user's own, whose folder is not in its name.
        "dataset": str(Path(config.dataset).absolute()) if is_own(config.dataset) else None,
        "root": None if config.root is None else str(config.root.absolute()),
        "annotations": None if config.annotations is None else str(config.annotations.absolute()),
        "code": _hash_user_code(config),
    }


def describe_machine(device: str) -> dict[str, Any]:
    """Describe machine, process and versions of a start."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "process": os.getpid(),
        "device": device,
        "threads": torch.get_num_threads(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": dict(library_versions()),
    }


def _hash_user_code(config: EvaluationConfig) -> dict[str, str]:
    """Hash the file of each function and class of the user's that a configuration names."""
    # Not part of what must be equal: whoever asks failed queries again has mended the code first.
    dataset = () if is_own(config.dataset) else (config.dataset,)
    names = (*dataset, config.method, *config.rules.given.values())
    modules = {name.partition(":")[0] for name in names if ":" in name}
    files = {name: getattr(sys.modules.get(name), "__file__", None) for name in sorted(modules)}
    return {
        name: hashlib.sha256(Path(path).read_bytes()).hexdigest()
        for name, path in files.items()
        if path is not None and Path(path).is_file()
    }


def write_starts(path: Path, starts: Sequence[Mapping[str, Any]]) -> None:
    """Write all starts, as a whole file: a torn last line would never be cut off."""
    lines = [json.dumps(start, ensure_ascii=False) for start in starts]
    write_text(path, "".join(f"{line}\n" for line in lines))


def read_starts(path: Path) -> list[dict[str, Any]]:
    """Read all starts; none if there is no file, or no whole line in it.

    Raises:
        ValueError: if a line is damaged.
    """
    if not path.exists():
        return []
    # After the last end of a line is nothing, or a part of one.
    *lines, _ = path.read_bytes().split(b"\n")
    starts = []
    for number, line in enumerate(lines, start=1):
        try:
            start = parse_json(line)
        except ValueError as problem:
            raise ValueError(
                f"{path}, line {number}: damaged ({problem}); delete this file, from which no "
                "result follows"
            ) from problem
        if not _is_start(start):
            raise ValueError(
                f"{path}, line {number}: not a start of a run; delete this file, from which no "
                "result follows"
            )
        starts.append(start)
    return starts


def _is_start(start: Any) -> bool:
    """Return True for an object whose entries, as far as they are read again, have their types."""
    if not isinstance(start, dict):
        return False
    if any(not isinstance(start.get(name, {}), dict) for name in ("versions", "code")):
        return False
    places = ("root", "annotations", "dataset")
    return all(isinstance(start.get(name), str | None) for name in places)


def note_changes(starts: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Say in a sentence each which libraries and which code are others than at the first start."""
    libraries = [f"{name} {then} to {now}" for name, then, now in _list_changes(starts, "versions")]
    code = [name for name, *_ in _list_changes(starts, "code")]
    notes = []
    if libraries:
        notes.append(
            f"libraries have changed since the first start ({', '.join(libraries)}): results may "
            "differ in their last digits"
        )
    if code:
        notes.append(
            f"your code has changed since the first start ({', '.join(code)}): earlier results are "
            "of the earlier code"
        )
    return tuple(notes)


def _list_changes(
    starts: Sequence[Mapping[str, Any]], part: str
) -> Iterator[tuple[str, object, object]]:
    """Yield the name, first and last value of what is another at some later start."""
    first = starts[0].get(part, {})
    changed = {
        name: now
        for start in starts[1:]
        for name, now in start.get(part, {}).items()
        if name in first and first[name] != now
    }
    yield from ((name, first[name], now) for name, now in changed.items())
