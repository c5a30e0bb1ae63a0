"""Waiting for other processes."""

import time

LONGEST_WAIT = 120
"""Seconds after which a test gives up: machines that run many tests at once are slow."""


def wait_for(holds):
    """Wait until a condition holds."""
    deadline = time.monotonic() + LONGEST_WAIT
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)
