"""Run all commands as one program, and end each with one line and an exit code.

The exit codes are those of `probe.cli.console.ExitCode`; `probe --help` prints them. Errors are one
line; `--debug` shows where they come from.
"""

import io
import os
import sys
import traceback
import warnings
from contextlib import nullcontext
from typing import NoReturn

from probe.cli.console import (
    ExitCode,
    NotePrinter,
    OutputError,
    be_quiet,
    escape,
    fail,
    flush_output,
    summarise,
)
from probe.cli.stopping import stop_at_once

REFUSALS = (ValueError, OSError, RuntimeError, ImportError)
"""Errors by which this program and its libraries refuse an input, a file or a device, or ask for a
package."""


def main() -> None:
    """Run the command line; the entry point of `probe`."""
    print_whatever_the_locale()
    wait_briefly()
    warnings.showwarning = NotePrinter()
    try:
        try:
            with stop_at_once():
                # Imported here, so that Ctrl-C in the seconds that it takes is one line, too.
                from probe.cli.commands import parse_command

                command = parse_command()
                with be_quiet() if "--quiet" in sys.argv else nullcontext():
                    command.run()
        finally:
            # When Python does this after the program, nobody can tell what went wrong.
            flush_output()
    except SystemExit:
        raise
    except BaseException as failure:  # noqa: BLE001  Rust's are no `Exception`; all are told
        end(failure)


def print_whatever_the_locale() -> None:
    """Have signs that the terminal's encoding lacks printed as escapes, and not raise an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def wait_briefly() -> None:
    """Have threads of torch sleep soon when they wait, unless the user chose otherwise."""
    # They spin about thirty times as long by default. Where other work keeps the cores busy, they
    # then keep each other from working: with two threads on two busy cores, six maps of the shipped
    # model took 4.2 s and take 1.6 s; on idle cores 0.22 s and 0.23 s. GNU's OpenMP reads this when
    # torch is imported.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")


def end(failure: BaseException) -> NoReturn:
    """End the program because of an error: say in one line what it was, with its exit code."""
    if isinstance(failure, KeyboardInterrupt):
        fail("stopped", ExitCode.STOPPED)
    if isinstance(failure, OutputError):
        _discard_output()
        if isinstance(failure.__cause__, BrokenPipeError):  # `probe tokens ... | head -1`
            sys.exit(int(ExitCode.UNREAD))
        fail(f"cannot print ({failure.__cause__})")
    if "--debug" in sys.argv:
        for line in "".join(traceback.format_exception(failure)).splitlines():
            print(escape(line), file=sys.stderr)
    if isinstance(failure, MemoryError):
        detail = f" ({failure})" if str(failure) else ""
        fail(f"not enough memory{detail}; give fewer frames, a smaller video or a smaller model")
    if _is_refusal(failure):
        fail(_describe_refusal(failure))
    fail(
        f"unexpected {type(failure).__name__} ({summarise(str(failure)) or 'no message'}): a fault "
        "of the program or of a library; --debug shows where",
        ExitCode.FAULT,
    )


def _is_refusal(failure: BaseException) -> bool:
    # Nobody raises these to refuse an input, though they are of the same kinds for Python.
    if isinstance(failure, RecursionError):
        return False
    if isinstance(failure, ImportError) and (failure.name or "").startswith("probe"):
        return False
    return isinstance(failure, REFUSALS)


def _describe_refusal(failure: BaseException) -> str:
    # What Python says of a path, "[Errno 36] File name too long: ...", has no remedy.
    if isinstance(failure, OSError) and failure.strerror and failure.filename is not None:
        return f"{failure.filename}: {failure.strerror}; give another path"
    return str(failure) if str(failure).strip() else type(failure).__name__


def _discard_output() -> None:
    """Throw away what cannot be printed, or Python would complain of it when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
