"""A second process for tests, which is there at once: it is a copy of the first."""

import multiprocessing
import threading
import time
from concurrent.futures import ProcessPoolExecutor

import torch
from tqdm.auto import tqdm

TRIES, PATIENCE = 4, 60
"""Copies that are started, and seconds that each is waited for: a run takes a few."""

FORK = multiprocessing.get_context("fork")
"""A new interpreter would import torch and transformers again, which takes seconds."""


def start_copy(act, *arguments, **options):
    """Start a copy of this process that calls a function; return it, to be killed or joined."""
    process = FORK.Process(target=_call, args=(act, *arguments), kwargs=options, daemon=True)
    process.start()
    return process


def kill_when(ready, act, *arguments, **options):
    """Start a copy that calls a function, and kill it once something is true.

    A copy lacks the threads of the first process, and waits for ever if one of them held a lock at
    that moment; it is then killed, too, and another is started.
    """
    for _ in range(TRIES):
        process = start_copy(act, *arguments, **options)
        limit = time.monotonic() + PATIENCE
        while process.is_alive() and not ready() and time.monotonic() < limit:
            process.join(0.001)
        process.kill()
        process.join()
        if ready():
            return
    raise AssertionError(f"in {TRIES} copies, nothing came of it")


def call_in_copy(act, *arguments):
    """Call a function of a module in a copy of this process; return or raise what it does."""
    with ProcessPoolExecutor(1, mp_context=FORK) as copy:
        return copy.submit(_call, act, *arguments).result()


def _call(act, *arguments, **options):
    # The other threads of the first process do not exist in a copy: torch would wait for them.
    torch.set_num_threads(1)
    # The lock of progress bars is one for all processes. A copy that is killed while it draws a bar
    # would keep it for ever, and the next copy would wait for it.
    tqdm.set_lock(threading.RLock())
    return act(*arguments, **options)
