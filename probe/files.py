"""Files of the outside world: the one place where they are read and written.

Everything that is written appears under its name only when it is complete. Everything that is read
may have been made by anybody, so whatever is wrong with it is said in one line.
"""

import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

PARTIAL = ".partial-"
"""Prefix of the temporary name of a file that is being written."""


@contextmanager
def write_atomically(path: str | Path) -> Iterator[Path]:
    """Give a temporary path to write to, and rename it to `path` when the block has ended.

    At any moment either the old file or the whole new one is there, even after a power failure:
    file and folder are flushed to disk. If the block raises an error, nothing is left. The
    temporary name keeps the suffix, by which some libraries choose a format, and is different for
    each writer, so that several processes may write the same file.
    """
    path = Path(path)
    temporary = path.with_name(f"{PARTIAL}{uuid.uuid4().hex[:12]}-{path.name}")
    try:
        yield temporary
        _flush(temporary)
        temporary.replace(path)
        flush_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file that is there whole or not at all."""
    with write_atomically(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 file, whatever the locale, that is there whole or not at all."""
    write_bytes(path, text.encode())


def write_json(path: str | Path, content: Any) -> None:
    """Write plain values as JSON that a person can read."""
    write_text(path, to_json(content))


def write_tensors(path: str | Path, tensors: "Mapping[str, Tensor]", metadata: Any) -> None:
    """Write tensors as safetensors, with plain values that say what they are."""
    from safetensors.torch import save_file  # with torch, which takes a second to import

    about = {"about": json.dumps(metadata)}
    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with write_atomically(path) as temporary:
        save_file(ready, temporary, metadata=about)


def to_json(content: Any) -> str:
    """Convert plain values to the JSON text that our files hold."""
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        ValueError: if there is no such file, or it is not JSON in UTF-8.
    """
    path = Path(path)
    content = _read(path)
    try:
        return json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as failure:
        problem = "nested too deeply" if isinstance(failure, RecursionError) else str(failure)
        raise ValueError(
            f"{path}: cannot be read as JSON ({problem}); give another file"
        ) from failure


def read_tensors(path: str | Path) -> "tuple[dict[str, Tensor], Any]":
    """Read the tensors of a safetensors file, and the plain values that say what they are.

    Raises:
        ValueError: if there is no such file, or it is not one that `write_tensors` wrote.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    _check_file(path)
    try:
        with safe_open(path, framework="pt") as stored:
            about = json.loads((stored.metadata() or {}).get("about", "null"))
            return {name: stored.get_tensor(name) for name in stored.keys()}, about  # noqa: SIM118
    except (SafetensorError, ValueError, RecursionError, OSError) as failure:
        raise ValueError(f"{path}: not a safetensors file of ours ({failure})") from failure


@dataclass(frozen=True)
class FileFormat:
    """A kind of file of ours: what is written at its head, and checked when it is read."""

    name: str
    """Such as "grounding-probe/tracks"."""

    version: int
    contents: str
    """What is in it, for people: "candidate tracks"."""

    writer: str
    """The function that writes it: "save_tracks"."""

    @property
    def header(self) -> dict[str, Any]:
        """The entries that every file of this kind begins with."""
        return {"format": self.name, "version": self.version}

    def check(self, path: str | Path, content: Any) -> dict[str, Any]:
        """Return the content of a file of this kind.

        Raises:
            ValueError: if it is of another kind, or of a version that this program cannot read.
        """
        if not isinstance(content, dict) or content.get("format") != self.name:
            raise ValueError(f"{path}: not {self.contents}; give a file that {self.writer} wrote")
        if content.get("version") != self.version:
            raise ValueError(
                f"{path}: version {content.get('version')} of {self.contents}, but this program "
                f"reads version {self.version}; write it again with {self.writer}"
            )
        return content

    @contextmanager
    def reading(self, path: str | Path) -> Iterator[None]:
        """Say in one line that entries of a file are missing or of another type."""
        try:
            yield
        except (KeyError, TypeError, IndexError, AttributeError, OverflowError) as failure:
            raise ValueError(
                f"{path}: damaged {self.contents} ({type(failure).__name__}: {failure}); give a "
                f"file that {self.writer} wrote"
            ) from failure


def flush_folder(folder: Path) -> None:
    """Have the names in a folder written to disk, where the system can do that."""
    with suppress(OSError, AttributeError):  # Windows cannot open folders
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove_partials(folder: Path) -> None:
    """Remove what writers that were killed left in a folder; only for its one writer."""
    for path in folder.glob(f"{PARTIAL}*"):
        path.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _read(path: Path) -> bytes:
    _check_file(path)
    try:
        return path.read_bytes()
    except OSError as failure:
        raise ValueError(f"{path}: cannot be read ({failure.strerror})") from failure


def _check_file(path: Path) -> None:
    if not path.exists():
        raise ValueError(f"{path}: no such file (looked from {Path.cwd()})")
    if not path.is_file():
        raise ValueError(f"{path}: not a file")
