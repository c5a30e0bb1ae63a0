"""Print what the command line says: one line for an error, a bar for progress."""

import json
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from enum import Enum
from math import isfinite
from typing import Any, NoReturn

from tqdm.auto import tqdm

from probe.pictures.escapes import escape
from probe.progress import hide_bars, make_bar

LONGEST_MESSAGE = 2000
"""Characters of an error or a note; more would hide the line in its own text."""


class ExitCode(int, Enum):
    """The number that the program ends with, and its meaning."""

    DONE = 0, "done"
    PROOF_FAILED = 1, "a proof of check-model failed"
    BAD_INPUT = 2, "wrong use, bad input, or no room, memory or device"
    ABSENT = 3, "the model says that the thing is not there"
    FAILED_QUERIES = 4, "queries of an evaluation failed, and count as zero"
    FAULT = 70, "a fault of the program"  # EX_SOFTWARE of sysexits.h
    STOPPED = 130, "stopped"  # as shells say it: 128, and the number of the signal SIGINT
    UNREAD = 141, "whoever read the output has gone"  # 128 and SIGPIPE

    meaning: str

    def __new__(cls, value: int, meaning: str) -> "ExitCode":
        """Make a number that knows its meaning."""
        code = int.__new__(cls, value)
        code._value_, code.meaning = value, meaning
        return code


def show(*lines: str) -> None:
    """Print lines as they are written: no sign in them moves the cursor, sets colours or ends one.

    All commands print with this, since any line may hold text of users or of a model.
    """
    with tell_output_errors():
        for line in lines:
            print(escape(line))


def show_json(record: Mapping[str, Any]) -> None:
    """Print a record as one line of JSON, in ASCII: any terminal and any program can read it."""
    with tell_output_errors():
        print(json.dumps(record, allow_nan=False))


def as_json(value: Any) -> Any:
    """Convert a value of a table to what JSON has; numbers that are not finite become null.

    >>> as_json(float("nan")), as_json("red")
    (None, 'red')
    """
    plain = value.item() if hasattr(value, "item") else value
    return None if isinstance(plain, float) and not isfinite(plain) else plain


@contextmanager
def keep_for_json(wanted: bool) -> Iterator[None]:
    """Send all that is printed in the block to the standard error, if JSON is wanted.

    A rule or a method of the user's may print, and the object must be alone on the standard output.
    """
    if not wanted:
        yield
        return
    with redirect_stdout(sys.stderr):
        yield


@contextmanager
def be_quiet() -> Iterator[None]:
    """Show no progress bars and print no notes in the block; results and errors stay."""
    usual, warnings.showwarning = warnings.showwarning, _print_nothing
    try:
        with hide_bars():
            yield
    finally:
        warnings.showwarning = usual


def _print_nothing(*_: object, **__: object) -> None:
    """Take the place of what shows warnings: filters would be undone by libraries that set them."""


class OutputError(Exception):
    """A failure to hand on what the program printed; its cause says why."""


@contextmanager
def tell_output_errors() -> Iterator[None]:
    """Tell errors of printing from those of files, which the block must not use.

    Raises:
        OutputError: if a print in the block fails.
    """
    try:
        yield
    except OSError as failure:
        raise OutputError from failure


def flush_output() -> None:
    """Hand on what was printed.

    Raises:
        OutputError: if that fails.
    """
    if sys.stdout is not None:  # there is none if the program was started without one
        with tell_output_errors():
            sys.stdout.flush()


def fail(message: str, code: int = ExitCode.BAD_INPUT) -> NoReturn:
    """Print in one line what is wrong, and exit with this code."""
    _print_aside(f"probe: {summarise(message)}")
    sys.exit(int(code))


def summarise(message: str) -> str:
    r"""Put a message on one line: its first that is not blank, with signs of control escaped.

    >>> summarise("\nCould not open \x1b[31mit\nbecause of that")
    'Could not open \\x1b[31mit'
    """
    # Our own errors are one line; those of libraries may be many, the first of them the reason.
    lines = [line for line in message.split("\n") if line.strip()]
    line = escape(lines[0].strip()) if lines else ""
    return line if len(line) <= LONGEST_MESSAGE else f"{line[: LONGEST_MESSAGE - 1]}…"


def silence_libraries() -> None:
    """Switch off what libraries print while a checkpoint is opened."""
    # Their bars and notes would run into our own progress bar.
    from huggingface_hub.utils import logging as hub_logging
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    hub_logging.set_verbosity_error()


@contextmanager
def show_progress(*steps: str) -> "Iterator[ProgressSteps]":
    """Show a progress bar over named steps; call what it gives at the end of each."""
    look = "{desc:8} {bar:30} {elapsed}"
    with make_bar(total=len(steps), leave=False, bar_format=look) as bar:
        yield ProgressSteps(bar, steps)


class ProgressSteps:
    """A progress bar whose steps have names."""

    def __init__(self, bar: tqdm, names: tuple[str, ...]) -> None:
        self._bar = bar
        self._names = iter(names[1:])
        bar.set_description_str(names[0])

    def __call__(self) -> None:
        """Move the bar on by one step, and show the name of the next."""
        self._bar.update()
        self._bar.set_description_str(next(self._names, "done"))


def strip_box(text: str) -> str:
    r"""Put on one line what the parser prints in a box, without title, frame and hint at --help.

    >>> strip_box("╭─ Oh ─╮\n│ odd  │\n│ word │\n│ ──── │\n│ For full helptext, run --help │")
    'odd word'
    """
    _, _, boxed = text.partition("\n")
    lines = boxed.partition("For full helptext")[0].splitlines()
    # A terminal that cannot show box-drawing signs gets -, | and + for them.
    inside = (line.strip("│╰╯─|+ ") for line in lines)
    return " ".join(line for line in inside if line.strip("-"))


class NotePrinter:
    """Prints warnings as notes, each once; replaces `warnings.showwarning`, which says where.

    What was printed is remembered here: the memory that Python has of that is emptied whenever a
    library changes the filters of warnings.
    """

    def __init__(self) -> None:
        self._printed: set[str] = set()

    def __call__(self, message: Warning | str, *_: object, **__: object) -> None:
        """Print a warning in one line, if it has not been printed."""
        line = summarise(str(message))
        if line not in self._printed:
            self._printed.add(line)
            _print_aside(f"probe: note: {line}")


def _print_aside(line: str) -> None:
    # Without a terminal to write to, such as after `2>&1 | head`, the exit code still says it.
    with suppress(OSError):
        tqdm.write(line, file=sys.stderr)  # not into the middle of a progress bar
