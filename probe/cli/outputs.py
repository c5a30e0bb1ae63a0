"""Check folders for results before any work is done; make them when there is a result to keep."""

import os
from pathlib import Path


def check_writable(folder: Path) -> None:
    """Check that a folder can be written to; make nothing yet.

    Raises:
        ValueError: if it cannot.
    """
    # A folder that does not exist yet can be made if the nearest one above it can be written to.
    nearest = folder.absolute()
    while not nearest.exists():
        nearest = nearest.parent
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise ValueError(f"{folder}: cannot write there ({nearest}); give --out another folder")


def make_folder(folder: Path) -> None:
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
