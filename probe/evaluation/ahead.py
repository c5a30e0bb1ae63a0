"""Preparation of one piece of work while the one before it is done."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

AHEAD = 1
"""Queries prepared while one is answered; each holds its sampled frames in memory."""

Asked = TypeVar("Asked")
Prepared = TypeVar("Prepared")


def prepare_ahead(
    asked: Iterable[Asked], prepare: Callable[[Asked], Prepared]
) -> Generator[Prepared, None, None]:
    """Prepare things in turn, the next one while whoever takes them works on the last.

    Args:
        asked: The things; each is taken in the thread of the caller.
        prepare: Prepares one of them, in a thread of its own.
    """
    # One thread: what is kept of a video serves only queries that are prepared in order.
    with ThreadPoolExecutor(1, "prepare") as thread:
        waiting: deque[Future[Prepared]] = deque()
        for one in asked:
            waiting.append(thread.submit(prepare, one))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
