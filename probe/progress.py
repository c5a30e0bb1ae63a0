"""Progress bars of all rooms: on a terminal and in a notebook, and nowhere else."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from tqdm.auto import tqdm

_hidden = ContextVar("hidden", default=False)


def make_bar(items: Iterable[Any] | None = None, **options: Any) -> "tqdm[Any]":
    """Make a progress bar, which is not shown where it would be no bar.

    In a file or a pipe, such as the log of a CI run, each step of a bar is one more line of blocks.

    Args:
        items: The things to go through, if the bar is to be moved by them.
        options: Options of `tqdm`.
    """
    # None is how tqdm is asked to look at what it would write to.
    return tqdm(items, disable=True if _hidden.get() else None, **options)


@contextmanager
def hide_bars() -> Iterator[None]:
    """Show no bar that is made in the block, wherever it would be written to."""
    before = _hidden.set(True)
    try:
        yield
    finally:
        _hidden.reset(before)
