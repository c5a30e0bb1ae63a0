"""The page of all commands says what their help says."""

import runpy
from pathlib import Path

import pytest

from probe.cli.commands import NAMES

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.slow
def test_the_page_of_commands_is_what_their_help_says():
    made = runpy.run_path(str(DOCS / "write_commands.py"))["make_page"]()
    assert all(f"## probe {name}\n" in made for name in NAMES)
    written = (DOCS / "commands.md").read_text(encoding="utf-8")
    assert written == made, "write it again: python docs/write_commands.py"
