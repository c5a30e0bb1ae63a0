"""Run the command line as `python -m probe`."""

from probe.cli import main

main()
