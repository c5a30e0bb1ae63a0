"""Stopping a trace early, so that what it held is let go of at once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nnsight.intervention.interleaver import EarlyStopException


@contextmanager
def early_stop() -> Iterator[Callable[[], None]]:
    """What stops the trace within when called, as `tracer.stop()` does.

    nnsight 0.8 leaves the exception that stops a pass in a frame that its traceback holds: a cycle,
    which keeps all states of the pass until Python collects cycles, and a full GPU does not make
    it do so.
    """
    exception = EarlyStopException()

    def stop() -> None:
        raise exception

    try:
        yield stop
    finally:
        exception.__traceback__ = exception.__context__ = None
        vars(exception).clear()  # nnsight notes the traceback here once more
