"""Write the page of all commands from what their help says: `python docs/write_commands.py`."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PAGE = Path(__file__).with_name("commands.md")

COLUMNS = 100
"""Width of the help, in characters."""

OPENING = """# Command reference

This is what `probe COMMAND --help` prints. Each command ends with an example; in this
order they run in one folder, with nothing but the package."""


def read_help(*words: str) -> str:
    """Read the help of the program or of a command, as a terminal of `COLUMNS` shows it."""
    environment = {**os.environ, "COLUMNS": str(COLUMNS), "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-m", "probe", *words, "--help"]
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    return done.stdout.decode("utf-8")


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
    PAGE.write_text(make_page(), encoding="utf-8")
