"""A second process for tests, which is there at once: it is a copy of the first."""

import multiprocessing
import threading
from concurrent.futures import ProcessPoolExecutor

import torch
from tqdm.auto import tqdm

FORK = multiprocessing.get_context("fork")
"""A new interpreter would import torch and transformers again, which takes seconds."""


def start_copy(act, *arguments, **options):
    """Start a copy of this process that calls a function; return it, to be killed or joined."""
    process = FORK.Process(target=_call, args=(act, *arguments), kwargs=options, daemon=True)
    process.start()
    return process


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
