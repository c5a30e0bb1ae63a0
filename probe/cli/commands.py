"""The commands of the program, and the reading of what was typed."""

import os
import sys
from contextlib import redirect_stderr
from dataclasses import fields, is_dataclass, replace
from functools import partial
from io import StringIO
from typing import Annotated, Any, TypeAlias, TypeVar, get_args

import tyro
from tyro.conf import subcommand

from probe.cli.checking import CheckModel
from probe.cli.complaints import explain_complaint
from probe.cli.concepts import Concepts
from probe.cli.console import ExitCode, fail, show, strip_box, tell_output_errors
from probe.cli.converting import Convert
from probe.cli.demo import Demo
from probe.cli.evaluating import Evaluate
from probe.cli.examples import EXAMPLES
from probe.cli.grounding import Ground
from probe.cli.looking import MakePage, RankTokens
from probe.cli.option_help import make_registry
from probe.cli.pretraining import Pretrain
from probe.cli.reporting import Report
from probe.cli.responses import TrainResponses
from probe.cli.serving import Serve
from probe.cli.training import TrainOrganism, list_defaults_of_worlds
from probe.cli.versions import format_versions
from probe.spelling import explain_unknown

Command: TypeAlias = (
    Annotated[Demo, subcommand("demo")]
    | Annotated[Ground, subcommand("ground")]
    | Annotated[RankTokens, subcommand("tokens")]
    | Annotated[Evaluate, subcommand("evaluate")]
    | Annotated[Report, subcommand("report")]
    | Annotated[Convert, subcommand("convert")]
    | Annotated[MakePage, subcommand("view")]
    | Annotated[Serve, subcommand("serve")]
    | Annotated[CheckModel, subcommand("check-model")]
    | Annotated[Concepts, subcommand("concepts")]
    | Annotated[TrainResponses, subcommand("responses")]
    | Annotated[TrainOrganism, subcommand("train-organism")]
    | Annotated[Pretrain, subcommand("pretrain")]
)

NAMES: tuple[str, ...] = tuple(get_args(one)[1].name for one in get_args(Command))
"""Names of the commands."""

Options = TypeVar("Options", bound=Any)

SHELLS = ("bash", "zsh", "fish")
"""Shells for which the parser writes a completion."""

DESCRIPTION = "\n".join(
    (
        "Where does a video language model look when it reads a question?",
        "`probe COMMAND --help` explains a command; `probe --version` prints versions;",
        f"`probe --completion SHELL` prints what completes words in {', '.join(SHELLS)}.\n",
        "Exit codes:",
        *(f"{code.value:5} {code.meaning}" for code in ExitCode),
    )
)


def parse_command() -> Command:
    """Read the command that was typed; exit with one line if it is none."""
    first = sys.argv[1] if len(sys.argv) > 1 else ""
    if first == "--version":
        show(format_versions())
        sys.exit(int(ExitCode.DONE))
    if first == "--completion":
        _ask_for_completion(sys.argv[2:])
    elif not first:
        fail(f"which command? Give one of {', '.join(NAMES)} (see --help)")
    elif not first.startswith("-") and first not in NAMES:
        fail(explain_unknown("command", first, NAMES))
    # The parser prints its errors in a box of many lines and exits.
    said = StringIO()
    try:
        # The parser opens no file: an error of the system is one of printing the help.
        with redirect_stderr(said), tell_output_errors():
            command = _read_options()
    except SystemExit as stop:
        if not stop.code:  # --help exits, too, but has printed what was asked for
            if first in EXAMPLES:
                show("", f"example: {EXAMPLES[first]}")
            raise
        fail(f"{explain_complaint(strip_box(said.getvalue()))} (see --help)")
    return decode_texts(command)


def _read_options() -> Command:
    """Read the command and its options as they were typed."""
    trains = sys.argv[1:2] == ["train-organism"]
    read = partial(
        tyro.cli,
        prog="probe",
        description=DESCRIPTION,
        config=(tyro.conf.FlagCreatePairsOff,),
        registry=make_registry(list_defaults_of_worlds() if trains else {}),
    )
    command = read(Command)
    if not isinstance(command, TrainOrganism):
        return command
    # Read again: which lengths are the default depends on the world that was typed.
    return read(TrainOrganism, args=sys.argv[2:], default=command.use_defaults_of_world())


def _ask_for_completion(words: list[str]) -> None:
    """Ask the parser for a shell's completion in its words; exit with one line if it has none."""
    if len(words) != 1:
        fail(f"which shell? Give --completion one of {', '.join(SHELLS)}")
    if words[0] not in SHELLS:
        fail(explain_unknown("shell", words[0], SHELLS))
    sys.argv[1:] = ["--tyro-print-completion", words[0]]


def decode_texts(options: Options) -> Options:
    """Read the texts among options as UTF-8, whatever the locale; exit with one line if they fail.

    Paths stay as they were typed: files are found by their bytes, whatever those mean.
    """
    changed = {}
    for field in fields(options):
        value = getattr(options, field.name)
        if is_dataclass(value):
            changed[field.name] = decode_texts(value)
        elif isinstance(value, tuple):
            changed[field.name] = tuple(_decode(field.name, one) for one in value)
        else:
            changed[field.name] = _decode(field.name, value)
    return replace(options, **changed)


def _decode(name: str, value: Any) -> Any:
    # Python keeps bytes that the locale cannot read as lone surrogates. Tokenizers and writers of
    # files would fail at them later, each in its own way.
    if not isinstance(value, str) or value.isascii():
        return value
    try:
        return os.fsencode(value).decode("utf-8")
    except UnicodeError:
        fail(f"{name} {value}: holds bytes that are not UTF-8; write it in UTF-8")
