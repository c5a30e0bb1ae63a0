"""Folders for results: checked before any work is done, made when there is something to keep."""

import os
from pathlib import Path


def writable(folder: Path) -> None:
    """Check that a folder can be written before any work is done; make nothing yet.

    Raises:
        ValueError: if it cannot.
    """
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise ValueError(f"{folder}: cannot write there ({there}); give --out another folder")


def made(folder: Path) -> None:
    """Make a folder for results.

    Raises:
        ValueError: if it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        reason = failure.strerror or type(failure).__name__
        raise ValueError(
            f"{folder}: cannot write there ({reason}); give --out another folder"
        ) from failure
