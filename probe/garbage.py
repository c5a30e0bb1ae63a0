"""Fewer searches for garbage while modules are imported, in which there is none."""

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

NEW_OBJECTS = 100_000
"""New objects after which the next search is made; Python's own number is 700 (2,000 in later
versions)."""


@contextmanager
def collect_seldom() -> Iterator[None]:
    """Let the collector search for unreachable objects seldom in the block, and as usual after it.

    Torch and transformers make a million objects when they are imported, all of which stay. Python
    searches through them again and again, which is a seventh of the time that `probe.load()` takes.
    """
    # The numbers are those of the whole process: two threads could leave each other's.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = gc.get_threshold()
    gc.set_threshold(max(NEW_OBJECTS, usual[0]) if usual[0] else 0, *usual[1:])  # 0 is never
    try:
        yield
    finally:
        gc.set_threshold(*usual)
