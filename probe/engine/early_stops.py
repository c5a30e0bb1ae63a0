"""Stopping a trace early, so that all it held is freed at once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nnsight.intervention.interleaver import EarlyStopException


@contextmanager
def early_stop() -> Iterator[Callable[[], None]]:
    """Give a function that stops the trace inside the block, as `tracer.stop()` does."""
    exception = EarlyStopException()

    def stop() -> None:
        raise exception

    try:
        yield stop
    finally:
        # nnsight 0.8 leaves the exception that stops a pass in a frame that the exception's own
        # traceback holds: a cycle. It keeps every activation of the pass until Python collects
        # cycles, which a full GPU does not make it do.
        exception.__traceback__ = exception.__context__ = None
        vars(exception).clear()  # nnsight keeps the traceback here once more
