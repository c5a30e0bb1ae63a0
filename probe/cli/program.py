"""Run all commands as one program.

Exit codes: 0 done, 1 a proof of `check-model` fails, 2 wrong use or bad input, 130 stopped. Errors
are one line; `--debug` shows where they come from.
"""

import warnings
from contextlib import redirect_stderr
from io import StringIO
from typing import Annotated, TypeAlias

import tyro
from tyro.conf import subcommand

from probe.cli.checking import CheckModel
from probe.cli.console import fail, print_warning, strip_box
from probe.cli.evaluating import Evaluate, Report
from probe.cli.grounding import Demo, Ground
from probe.cli.looking import MakePage, RankTokens
from probe.cli.training import TrainOrganism

Command: TypeAlias = (
    Annotated[Demo, subcommand("demo")]
    | Annotated[Ground, subcommand("ground")]
    | Annotated[RankTokens, subcommand("tokens")]
    | Annotated[Evaluate, subcommand("evaluate")]
    | Annotated[Report, subcommand("report")]
    | Annotated[MakePage, subcommand("view")]
    | Annotated[CheckModel, subcommand("check-model")]
    | Annotated[TrainOrganism, subcommand("train-organism")]
)


def parse_command() -> Command:
    """Read the command that was typed; exit with one line if it is none."""
    # The parser prints its errors in a box of many lines and exits.
    said = StringIO()
    try:
        with redirect_stderr(said):
            return tyro.cli(
                Command,
                prog="probe",
                description="Where does a video language model look when it reads a question?",
                config=(tyro.conf.FlagCreatePairsOff,),
            )
    except SystemExit as stop:
        if not stop.code:  # --help exits, too, but has printed what was asked for
            raise
        fail(f"{strip_box(said.getvalue())} (see --help)")


def main() -> None:
    """Run the command line; the entry point of `probe`."""
    command = parse_command()
    warnings.showwarning = print_warning
    try:
        command.run()
    except (ValueError, OSError, RuntimeError) as failure:
        if command.debug:
            raise
        # Our own errors are one line; those of libraries may be many, the first of them the reason.
        lines = [line for line in str(failure).splitlines() if line.strip()]
        fail(lines[0] if lines else type(failure).__name__)
    except KeyboardInterrupt:
        fail("stopped", code=130)
