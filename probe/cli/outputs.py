"""Check folders for results before any work is done; write the files of one command together."""

import os
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from probe.files import find_target, write_atomically

UNFINISHED = ".unfinished-"
"""Prefix of the folder for files that are being written together."""

ABANDONED = 24 * 3600
"""Seconds after which such a folder must be that of a program that was killed: nothing is written
to it, and no command writes one answer for a day."""


def check_writable(folder: Path, option: str = "--out") -> None:
    """Check that a folder can be written to; make nothing yet.

    Args:
        folder: The folder; it need not exist.
        option: The option that gives another one.

    Raises:
        ValueError: if it cannot.
    """
    # A folder that does not exist yet can be made if the nearest one above it can be written to.
    nearest = folder.absolute()
    try:
        while not nearest.exists():
            if nearest.is_symlink():
                raise ValueError(
                    f"{folder}: {nearest} is a symbolic link that leads nowhere; give {option} "
                    f"another folder"
                )
            nearest = nearest.parent
    except OSError as failure:  # such as a name that is too long
        raise _unwritable_error(folder, failure, option) from failure
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise ValueError(f"{folder}: cannot write there ({nearest}); give {option} another folder")


def check_file_writable(path: Path, option: str = "--out", suffix: str = "") -> None:
    """Check that a file can be written, so that no work is lost; make nothing yet.

    Args:
        path: The file; neither it nor its folder need exist.
        option: The option that gives another one.
        suffix: The end that its name must have, such as ".json", by which it is known later.

    Raises:
        ValueError: if it cannot be written, or has another name.
    """
    if not path.name.endswith(suffix):
        raise ValueError(f"{option} {path}: give a name that ends in {suffix}")
    check_writable(path.parent, option)
    if path.parent.is_dir():
        find_target(path)


def check_input_stays(source: Path, outputs: Iterable[Path], option: str = "--out") -> None:
    """Refuse outputs that would replace what they are made from, or be taken for a part of it.

    Args:
        source: The file, or the folder of frames, that is read.
        outputs: The files that are written, or removed.
        option: The option that gives other ones.

    Raises:
        ValueError: if one of them is the file that is read, or lies in the folder that is.
    """
    for output in outputs:
        if source.is_dir() and output.parent.resolve() == source.resolve():
            raise ValueError(
                f"{source}: is read, and {option} would put {output.name} into it; give {option} "
                f"another folder"
            )
        if output.exists() and source.exists() and output.samefile(source):
            raise ValueError(
                f"{source}: is read, and {option} would replace it; give {option} another place"
            )


def make_folder(folder: Path, option: str = "--out") -> None:
    """Make a folder for results.

    Args:
        folder: The folder.
        option: The option that gives another one.

    Raises:
        ValueError: if it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise _unwritable_error(folder, failure, option) from failure


def _unwritable_error(folder: Path, failure: OSError, option: str) -> ValueError:
    reason = failure.strerror or type(failure).__name__
    return ValueError(f"{folder}: cannot write there ({reason}); give {option} another folder")


@contextmanager
def write_together(folder: Path) -> Iterator[Path]:
    """Give a temporary folder to write to, and move its files into `folder` when the block ended.

    Files of one command belong together: an answer and the picture of another would mislead. If the
    block raises an error, none of its files appear, and those of an earlier command stay. All files
    are whole and on the disk before the first is renamed, so that hardly any time is left in which
    a program that is killed could leave new ones next to old ones. They are renamed from the last
    name in the alphabet to the first: where `answer.json` is new, its pictures are.

    Raises:
        ValueError: if the folder or one of the files cannot be written.
    """
    was_there = folder.exists()
    make_folder(folder)
    sweep(folder)
    # Within the folder: files can only be renamed inside one file system.
    temporary = folder / f"{UNFINISHED}{uuid.uuid4().hex[:12]}"
    make_folder(temporary)
    try:
        yield temporary
        with ExitStack() as renaming:  # leaves its blocks from the last to the first
            for path in sorted(temporary.iterdir()):
                path.replace(renaming.enter_context(write_atomically(folder / path.name)))
    except ValueError as failure:
        if str(temporary) not in str(failure):
            raise
        # Nobody has heard of the temporary folder, in which the failed file was written.
        message = str(failure).replace(str(temporary), str(folder))
        raise ValueError(message) from failure
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if not was_there:
            with suppress(OSError):  # it is not empty, so the results are there
                folder.rmdir()


def sweep(folder: Path) -> None:
    """Remove what programs that were killed left in a folder of results."""
    for path in folder.glob(f"{UNFINISHED}*"):
        with suppress(OSError):  # another command sweeps here, too
            if time.time() - path.stat().st_mtime > ABANDONED:
                shutil.rmtree(path)
