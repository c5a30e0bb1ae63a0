"""Paths of videos, as people type them: of a file or folder, and of nothing else.

An address, a pipe or a device is named as what it is, with the way to a file.
"""

import os
import re
from pathlib import Path
from urllib.parse import unquote

from probe.files import check_file
from probe.paths import expand_home
from probe.video.coercion import to_one_line

ADDRESS = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]+):/", re.IGNORECASE)
"""The beginning of an address, such as "https://"; `Path` leaves one of the two slashes. A single
letter is a drive of Windows."""

LONGEST_PATH = 400
"""Characters of a path that are shown: its last part is what tells it from others."""

DOWNLOADED = frozenset({"http", "https", "ftp", "ftps", "sftp", "s3", "gs"})
"""Schemes of files that lie elsewhere; others are of streams, which have no length."""


def find_source(source: str | os.PathLike[str]) -> Path:
    """Find the file or folder that a person named.

    Raises:
        ValueError: if there is none, or the name is one of an address, a pipe or a device.
    """
    typed = os.fspath(source)
    if isinstance(typed, bytes):
        typed = os.fsdecode(typed)
    if not typed:
        raise ValueError("the path of the video is empty; give a file or a folder of images")
    path = expand_home(typed)
    if _can_look(path):
        if not path.is_dir():
            check_file(path)
        return path
    if (address := ADDRESS.match(typed)) and not isinstance(source, str):
        typed = _restore_slash(typed, address)
    shown = to_one_line(typed, LONGEST_PATH)
    if address:
        raise ValueError(f"{shown}: an address; {_explain_address(typed, address)}")
    if typed == "-":
        raise ValueError("-: the standard input is no file; a video is read more than once")
    raise ValueError(f"{shown}: no such file or folder (looked from {Path.cwd()})")


def _can_look(path: Path) -> bool:
    """Return True if there is a file or a folder of this name.

    Raises:
        ValueError: if the system refuses to look, as it does for a name that is too long.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a null character
        return False
    except OSError as failure:
        raise ValueError(
            f"{to_one_line(str(path), LONGEST_PATH)}: cannot be read ({failure.strerror}); give "
            "another path"
        ) from failure
    return True


def _restore_slash(typed: str, address: re.Match[str]) -> str:
    """Give an address back the slashes that `Path`, as the command line makes one, took from it."""
    slashes = "///" if address["scheme"].lower() == "file" else "//"
    return f"{address['scheme']}:{slashes}{typed[address.end() :]}"


def _explain_address(typed: str, address: re.Match[str]) -> str:
    scheme = address["scheme"].lower()
    if scheme == "file":
        path = to_one_line(unquote(typed[len("file:") :].removeprefix("//")))
        return f"give the path of the file alone: {path}"
    if scheme in DOWNLOADED:
        return "only files are read, so download it first and give the file"
    return "only files are read, so record it to one first, with ffmpeg for example"
