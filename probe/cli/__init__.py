"""The command line: `probe demo`, `ground`, `tokens`, `evaluate`, `report`, `view` and others.

Heavy imports wait until a command runs, so that `--help` answers at once.
"""

from probe.cli.program import main

__all__ = ["main"]
