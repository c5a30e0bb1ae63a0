"""Ctrl-C at any moment: the program says that it was stopped, also while it imports torch."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from probe.cli.console import ExitCode

STANDARD_ERROR = 2
"""The number by which the system knows it."""


@contextmanager
def stop_at_once() -> Iterator[None]:
    """Raise `KeyboardInterrupt` for Ctrl-C in the block, as Python does; in an import, end at once.

    Modules in C++ such as those of torch abort the process with a message of their own if that is
    raised while they are set up. Files that are being written are safe: they have temporary names.
    """
    usual = signal.getsignal(signal.SIGINT)
    # A program that was started with `nohup` or in the background ignores the signal.
    own = threading.current_thread() is threading.main_thread() and callable(usual)
    if own:
        signal.signal(signal.SIGINT, _stop)
    try:
        yield
    finally:
        if own:
            signal.signal(signal.SIGINT, usual)


def _stop(_: int, frame: FrameType | None) -> None:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            # Not by `print`, which may be what was interrupted; and below a progress bar.
            line_end = b"\n" if os.isatty(STANDARD_ERROR) else b""
            os.write(STANDARD_ERROR, line_end + b"probe: stopped\n")
            os._exit(ExitCode.STOPPED)
        frame = frame.f_back
    raise KeyboardInterrupt
