"""The page of all commands says what their help says."""

import os
import runpy
from pathlib import Path

import pytest

from probe.cli.commands import NAMES

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.slow
def test_the_page_of_commands_is_what_their_help_says_whatever_the_terminal(monkeypatch):
    # Colours on a terminal that has any, and a width of its own, would be those of one shell.
    monkeypatch.setenv("COLUMNS", "61")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    made = runpy.run_path(str(DOCS / "write_commands.py"))["make_page"]()
    assert all(f"## probe {name}\n" in made for name in NAMES)
    written = (DOCS / "commands.md").read_text(encoding="utf-8")
    assert written == made, "write it again: python docs/write_commands.py"
    assert os.environ["COLUMNS"] == "61"
