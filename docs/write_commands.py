"""Write the page of all commands from what their help says: `python docs/write_commands.py`."""

import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from pathlib import Path

PAGE = Path(__file__).with_name("commands.md")

COLUMNS = 100
"""Width of the help, in characters."""

OPENING = """# Command reference

This is what `probe COMMAND --help` prints. Each command ends with an example; in this
order they run in one folder, with nothing but the package."""


def read_help(*words: str) -> str:
    """Read the help of the program or of a command, as a terminal of `COLUMNS` shows it.

    It is read in this process and through a stream of its own, so that neither the terminal and its
    colours nor another installed version of the package has a part in it.
    """
    from probe.cli.commands import parse_command

    written = io.BytesIO()
    # Not a StringIO, which has no encoding: the help would have frames of other signs.
    stream = io.TextIOWrapper(written, encoding="utf-8", write_through=True)
    typed, width = sys.argv, os.environ.get("COLUMNS")
    sys.argv, os.environ["COLUMNS"] = ["probe", *words, "--help"], str(COLUMNS)
    try:
        with redirect_stdout(stream), suppress(SystemExit):
            parse_command()
    finally:
        sys.argv = typed
        os.environ.pop("COLUMNS")
        if width is not None:
            os.environ["COLUMNS"] = width
    return written.getvalue().decode("utf-8")


def open_boxes(text: str) -> Iterator[str]:
    """Yield the lines of a help without the frames around groups of options."""
    for line in text.splitlines():
        if line.startswith("╭"):
            yield f"{line.strip('╭─╮ ')}:"
        elif line.startswith("╰"):
            yield ""
        else:
            yield line.removeprefix("│").removesuffix("│").rstrip()


def make_page() -> str:
    """Make the page: the program, then each command."""
    from probe.cli.commands import NAMES

    parts = [OPENING]
    for words in ((), *((name,) for name in NAMES)):
        title = " ".join(("probe", *words))
        shown = re.sub(r"\n{3,}", "\n\n", "\n".join(open_boxes(read_help(*words)))).strip()
        parts.append(f"## {title}\n\n```text\n{shown}\n```")
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    # This checkout before any other: a shell may have a path to another version.
    sys.path.insert(0, str(PAGE.parents[1]))
    PAGE.write_text(make_page(), encoding="utf-8")
