"""Gradients of a batch that is learned part by part, several parts at once.

The parts, and the order in which their gradients are summed, do not depend on the number of
threads: a run ends with the same weights on any number of them.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor

Part = TypeVar("Part")
Report = TypeVar("Report")

Gradients = tuple[Tensor | None, ...]


def compute_gradients(
    parameters: Sequence[Tensor],
    parts: Sequence[Part],
    compute_loss: Callable[[Part], tuple[Tensor, Report]],
) -> list[Report]:
    """Set the gradient of each parameter to that of the sum of all parts' losses.

    As many parts are computed at once as torch uses threads.

    Args:
        parameters: Parameters; one that is fixed, or that no loss depends on, gets no gradient.
        parts: What the batch is divided into.
        compute_loss: Computes the loss of a part, and whatever is to be returned of it.

    Returns:
        What was computed of each part besides its loss.
    """
    learning = [parameter for parameter in parameters if parameter.requires_grad]

    def learn(part: Part) -> tuple[Gradients, Report]:
        loss, report = compute_loss(part)
        return torch.autograd.grad(loss, learning, allow_unused=True), report

    for parameter in parameters:
        parameter.grad = None
    reports = []
    with _use_one_thread_each() as threads, ThreadPoolExecutor(threads) as workers:
        for gradients, report in workers.map(learn, parts):
            _add(learning, gradients)
            reports.append(report)
    return reports


@contextmanager
def _use_one_thread_each() -> Iterator[int]:
    """Let each thread of Python compute with one thread of torch; yield how many torch had."""
    # In the small products of an organism two threads of torch wait for each other, a quarter of
    # the time on idle cores and far longer on a busy one. Two parts of a batch never wait.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)


def _add(parameters: Sequence[Tensor], gradients: Gradients) -> None:
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if gradient is not None:
            known = parameter.grad
            parameter.grad = gradient if known is None else known.add_(gradient)
