"""Files of the outside world: the one place where they are read and written.

A file appears under its name only when it is complete. A file that is read may have been made by
anybody, so whatever is wrong with it is said in one line.
"""

import errno
import json
import os
import reprlib
import stat
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probe.strict_json import parse_json

if TYPE_CHECKING:
    from torch import Tensor

PARTIAL = ".partial-"
"""Prefix of the temporary name of a file that is being written."""

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Errors of a disk without room, a quota, or a file system that holds no file so large."""

OTHER_KINDS = {
    stat.S_IFDIR: "a folder, not a file",
    stat.S_IFIFO: "a pipe, not an ordinary file",  # reading it would wait for its writer
    stat.S_IFCHR: "a device, not an ordinary file",
    stat.S_IFBLK: "a device, not an ordinary file",
}
"""Kinds of what may have the name of a file."""

LARGEST_TEXT = 2**29
"""Bytes of the largest file that is read whole: parsed as JSON, it takes ten times the memory."""

UNREADABLE = (
    *(KeyError, TypeError, IndexError, AttributeError, OverflowError),
    *(RecursionError, RuntimeError),  # the latter from torch, about numbers that it cannot hold
)
"""Errors of code that reads entries which are missing or of another type."""

LONGEST_PROBLEM = 200
"""Characters that an error of one line quotes of another library's message."""

FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
"""Errors of a folder that may not be written."""


@contextmanager
def write_atomically(path: str | Path) -> Iterator[Path]:
    """Give a temporary path to write to, and rename it to `path` when the block has ended.

    At any moment either the old file or the whole new one is there, even after a power failure:
    file and folder are flushed to disk. If the block raises an error, nothing is left. An empty
    file is at the temporary path from the start, so that a folder that cannot be written is known
    before the work is done. The temporary name keeps the suffix, by which some libraries choose a
    format, and is different for each writer, so that several processes may write the same file;
    the last one wins.

    A new file gets the permissions that the umask gives; a file that is replaced keeps its own, and
    its group if the system allows it. A symbolic link stays, and the file that it leads to is
    replaced.

    Raises:
        ValueError: if the folder is missing, a folder or a device has this name, the file is
            write-protected, or the system refuses to write.
    """
    path = Path(path)
    target = find_target(path)
    temporary = target.with_name(f"{PARTIAL}{uuid.uuid4().hex[:12]}{target.suffix}")
    try:
        with _explain_writing(path, temporary):
            permissions = _create(temporary, target)
            yield temporary
            _set_permissions(temporary, permissions)
            _flush(temporary)
            temporary.replace(target)
        flush_folder(target.parent)
    finally:
        with suppress(OSError):  # or it would hide the error that is on its way
            temporary.unlink()


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file that is there whole or not at all.

    Raises:
        ValueError: if it cannot be written.
    """
    with write_atomically(path) as temporary:
        temporary.write_bytes(content)


def encode_text(text: str) -> bytes:
    """Encode a text in UTF-8, as files of ours hold it."""
    # Python keeps the bytes of a file name that is not UTF-8 as lone surrogates, which UTF-8 cannot
    # hold. Their escapes can be read, and are what JSON itself writes for them.
    return text.encode("utf-8", errors="backslashreplace")


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 file, whatever the locale, that is there whole or not at all.

    Raises:
        ValueError: if it cannot be written.
    """
    write_bytes(path, encode_text(text))


def write_json(path: str | Path, content: Any) -> None:
    """Write plain values as JSON that a person can read.

    Raises:
        ValueError: if the file cannot be written.
    """
    write_text(path, to_json(content))


def write_tensors(path: str | Path, tensors: "Mapping[str, Tensor]", metadata: Any) -> None:
    """Write tensors as safetensors, with plain values that say what they are.

    Raises:
        ValueError: if the file cannot be written.
    """
    import torch  # a second of work, which most callers of this module do not need
    from safetensors.torch import save

    # Copies, since safetensors refuses tensors that share memory, as parts of one tensor do.
    copies = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    write_bytes(path, save(copies, metadata={"about": json.dumps(metadata)}))


def to_json(content: Any) -> str:
    """Convert plain values to the JSON text that our files hold."""
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def read_bytes(path: str | Path) -> bytes:
    """Read a file that is not larger than we read whole.

    Raises:
        ValueError: if there is no such file, it is larger, or the system refuses to read it.
    """
    path = Path(path)
    check_file(path)
    try:
        if (size := path.stat().st_size) > LARGEST_TEXT:
            room = f"at most {LARGEST_TEXT / 1e6:.0f} MB are read"
            raise ValueError(f"{path}: too large ({size / 1e6:.0f} MB); {room}")
        return path.read_bytes()
    except OSError as failure:
        raise ValueError(f"{path}: cannot be read ({failure.strerror})") from failure


def read_text(path: str | Path) -> str:
    """Read a UTF-8 file, whatever the locale, with or without a byte order mark.

    Raises:
        ValueError: if there is no such file, or it is not UTF-8.
    """
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        raise ValueError(f"{path}: not a text in UTF-8 ({failure}); save it as one") from failure


def read_json(path: str | Path) -> Any:
    """Read a JSON file in UTF-8, with or without a byte order mark, or in UTF-16 or UTF-32.

    Raises:
        ValueError: if there is no such file, or it is not JSON, too large, nested too deeply, or
            has two entries of one name in an object.
    """
    path = Path(path)
    content = read_bytes(path)
    try:
        return parse_json(content)
    except ValueError as failure:
        problem = _shorten(failure) if content.strip() else "the file is empty"
        raise ValueError(
            f"{path}: cannot be read as JSON ({problem}); give another file"
        ) from failure


def read_tensors(path: str | Path) -> "tuple[dict[str, Tensor], Any]":
    """Read the tensors of a safetensors file, and the plain values that say what they are.

    Returns:
        Tensors by name, and the metadata of `write_tensors`; None if another program wrote it.

    Raises:
        ValueError: if there is no such file, or it is not a whole safetensors file.
    """
    from safetensors import SafetensorError, safe_open  # opens with torch, like `save`

    path = Path(path)
    check_file(path)
    try:
        with safe_open(path, framework="pt") as stored:
            about = parse_json((stored.metadata() or {}).get("about", "null"))
            return {name: stored.get_tensor(name) for name in stored.keys()}, about  # noqa: SIM118
    except (SafetensorError, ValueError, RecursionError, OSError) as failure:
        problem = str(failure).splitlines()[0]
        raise ValueError(
            f"{path}: not a safetensors file, or damaged ({problem}); give another file"
        ) from failure


@dataclass(frozen=True)
class FileFormat:
    """A kind of file of ours: its header, and the check of what is read."""

    name: str
    """Such as "grounding-probe/tracks"."""

    version: int
    contents: str
    """The contents, for people: "candidate tracks"."""

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
                f"{path}: version {reprlib.repr(content.get('version'))} of {self.contents}, but "
                f"this program reads version {self.version}; write it again with {self.writer}"
            )
        return content

    @contextmanager
    def reading(self, path: str | Path) -> Iterator[None]:
        """Say in one line, with the file's name, that its entries are missing or of no use.

        Raises:
            ValueError: if the block looks for an entry in vain, or makes nothing of one.
        """
        try:
            yield
        except ValueError as failure:
            # One about the whole file is complete; one about a value does not know the file.
            if str(failure).startswith(str(path)):
                raise
            raise ValueError(
                f"{path}: cannot be read as {self.contents} ({_shorten(failure)})"
            ) from failure
        except UNREADABLE as failure:
            raise ValueError(
                f"{path}: damaged; cannot be read as {self.contents} "
                f"({type(failure).__name__}: {_shorten(failure)}); give a "
                f"file that {self.writer} wrote"
            ) from failure


def check_file(path: Path) -> None:
    """Check that there is an ordinary file.

    Raises:
        ValueError: if there is none, or a folder, a pipe or a device has this name.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(f"{path}: no such file (looked from {Path.cwd()})") from None
    except (OSError, ValueError) as failure:  # ValueError: a null character in the name
        reason = getattr(failure, "strerror", None) or failure
        raise ValueError(f"{path}: cannot be read ({reason}); give another path") from failure
    if not stat.S_ISREG(mode):
        kind = OTHER_KINDS.get(stat.S_IFMT(mode), "not an ordinary file")
        raise ValueError(f"{path}: {kind}; give a file")


def flush_folder(folder: Path) -> None:
    """Have the names in a folder written to disk, where the system can do that."""
    with suppress(OSError):  # Windows cannot open folders; some network drives cannot flush them
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove_partials(folder: Path) -> None:
    """Remove what writers that were killed left in a folder; only for its one writer."""
    for path in folder.glob(f"{PARTIAL}*"):
        path.unlink(missing_ok=True)


def find_target(path: Path) -> Path:
    """Find the file to replace, after all symbolic links, and check that it may be replaced.

    Raises:
        ValueError: if it may not, or its folder is not there, or the path is too long.
    """
    with _explain_writing(path):
        return _find_replaced(path)


def _find_replaced(path: Path) -> Path:
    # Absolute, so that a block may change the working folder.
    target = Path(os.path.realpath(path))
    folder = target.parent
    if not folder.is_dir():
        problem = "is not a folder" if folder.exists() else "does not exist; make it first"
        raise ValueError(f"{path}: the folder {folder} {problem}")
    if target.is_dir():
        raise ValueError(f"{path}: a folder; give the name of a file")
    if target.is_symlink():
        raise ValueError(f"{path}: a symbolic link that leads to itself; give another name")
    if target.exists() and not target.is_file():
        # A rename would put a file in the place of a device such as /dev/null.
        raise ValueError(f"{path}: not an ordinary file; give another name")
    # A rename asks the folder alone, and would replace what somebody has protected.
    effective = os.access in os.supports_effective_ids
    if target.exists() and not os.access(target, os.W_OK, effective_ids=effective):
        raise ValueError(f"{path}: write-protected; give another name, or make it writable")
    return target


def _create(temporary: Path, target: Path) -> int:
    """Create an empty file to write to, and return the permissions that it must end with."""
    try:
        replaced = target.stat()
    except FileNotFoundError:
        replaced = None
    # Where the old file is private, nobody may read the new one while it is written either.
    asked = 0o666 if replaced is None else 0o600
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, asked))
    if replaced is None:
        # The umask has been applied. It cannot be asked without being set, for all threads.
        return stat.S_IMODE(temporary.stat().st_mode)
    if hasattr(os, "chown"):
        with suppress(OSError):  # a group to which the writer does not belong
            os.chown(temporary, -1, replaced.st_gid)
    return stat.S_IMODE(replaced.st_mode) & 0o777


def _set_permissions(path: Path, permissions: int) -> None:
    # Some libraries put a file of their own, with their own permissions, in the place of the one
    # that they are asked to write. Some file systems refuse every change, also to what is there.
    if stat.S_IMODE(path.stat().st_mode) != permissions:
        path.chmod(permissions)


def _flush(path: Path) -> None:
    with path.open("rb+") as file:  # Windows flushes only what is open for writing
        os.fsync(file.fileno())


@contextmanager
def _explain_writing(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Turn the system's refusal to write a file into one line that names it and the remedy.

    Given a temporary path, errors about other files, which a block may read, pass unchanged.
    """
    try:
        yield
    except OSError as failure:
        about_it = temporary is None or str(failure.filename) == str(temporary)
        # A full disk is noticed when bytes are written, by a file that has lost its name.
        on_disk = failure.filename is None and failure.errno in {*FULL, errno.EIO}
        if not failure.strerror or not (about_it or on_disk):
            raise
        remedy = "give another path"
        if failure.errno in FULL:
            remedy = "make room, or give another folder"
        elif failure.errno in FORBIDDEN:
            remedy = "give a folder that you may write to"
        raise ValueError(f"{path}: cannot be written ({failure.strerror}); {remedy}") from failure


def _shorten(failure: Exception) -> str:
    """Return what an error says as one line that is not long."""
    line = " ".join(str(failure).split())
    return line if len(line) <= LONGEST_PROBLEM else f"{line[: LONGEST_PROBLEM - 3]}..."
