"""The command line: `probe demo`, `ground`, `tokens`, `evaluate`, `report`, `view` and others.

This room reads what was typed, calls the rooms below, and prints. It may use all of them; nothing
uses it. Torch, transformers and the like are imported when a command runs, inside its functions, so
that `--help` answers at once.
"""

from probe.cli.program import main

__all__ = ["main"]
