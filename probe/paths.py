"""Paths as people write them: with a home folder in short, or longer than the system has."""

import errno
from pathlib import Path


def expand_home(path: str | Path) -> Path:
    """Return a path with the home folder in the place of "~", where there is such a folder."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # "~name" of nobody here, or no home at all; a file may have such a name
        return Path(path)


def is_there(path: Path) -> bool:
    """Tell whether something has this path; nothing has one that is too long for the system."""
    try:
        return path.exists()
    except OSError as failure:
        if failure.errno != errno.ENAMETOOLONG:
            raise
        return False
