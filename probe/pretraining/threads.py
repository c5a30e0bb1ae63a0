"""The number of CPU threads that networks learn on: one, if they are small."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

SMALL_WEIGHTS = 2_000_000
"""Weights up to which a network learns on one CPU thread: those of response maps of 256 channels,
and some more. Two threads gained nothing on idle cores, and took twenty times as long where one of
the cores had other work, for which they waited."""


@contextmanager
def use_few_threads(network: nn.Module) -> Iterator[None]:
    """Let torch use one CPU thread in the block if a network is small, else as many as before."""
    before = torch.get_num_threads()
    if sum(one.numel() for one in network.parameters()) <= SMALL_WEIGHTS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
