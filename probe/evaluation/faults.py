"""Faults of the machine, told apart from faults of a query.

A query whose video is damaged, or at which a method fails, is written down and counts as zero. A
full disk, missing memory or a lost GPU says nothing about any query: the run stops, and the query
stays open.
"""

import errno
from collections.abc import Iterator

import torch
from av.error import FFmpegError

MACHINE_ERRORS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENODEV}
)
"""Errors of the system that have the same cause for every file: no room on the disk or in a quota,
no memory, too many open files, no device."""

MACHINE_KINDS = (MemoryError, torch.OutOfMemoryError, torch.AcceleratorError)
"""Exceptions of missing memory, and of a GPU or another accelerator."""

MACHINE_TEXTS = (
    "out of memory",
    "can't allocate memory",  # of torch's allocator on a CPU
    "CUDA error",
    "CUDA driver error",
    "CUBLAS_STATUS",
    "cuDNN error",
    "CUDNN_STATUS",
    "NCCL error",
    "HIP error",
    "MPS backend",
)
"""Parts of texts by which plain RuntimeErrors of torch say the same; versions of it differ."""


class MachineError(RuntimeError):
    """The machine cannot go on, whatever is asked next; nothing is written down of the query."""


def explain_failure(failure: Exception, query: str) -> str:
    """Describe in one line why a query failed, to be written down.

    Args:
        failure: The error that ended the query.
        query: The name of the query.

    Raises:
        MachineError: if the query is not to blame.
    """
    if isinstance(failure, MachineError):
        raise failure
    if (fault := find_machine_fault(failure)) is not None:
        raise MachineError(
            f"{query}: {_describe(fault)}; this query stays open and all finished ones are kept: "
            "make room or memory free, or repair the device, and start again to go on"
        ) from failure
    return _describe(failure)


def find_machine_fault(failure: BaseException) -> BaseException | None:
    """Find the fault of the machine among an error and its causes; None if there is none."""
    return next((one for one in _list_causes(failure) if _is_machine_fault(one)), None)


def _list_causes(failure: BaseException) -> Iterator[BaseException]:
    """List an error and those that led to it, as a traceback shows them."""
    seen: set[int] = set()
    found: BaseException | None = failure
    while found is not None and id(found) not in seen:
        seen.add(id(found))  # a chain may be a circle
        yield found
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)


def _is_machine_fault(failure: BaseException) -> bool:
    # A damaged video may claim any size, and decoders then say that there is no memory for it.
    if isinstance(failure, FFmpegError):
        return False
    if isinstance(failure, MACHINE_KINDS):
        return True
    if isinstance(failure, OSError):
        return failure.errno in MACHINE_ERRORS
    text = str(failure)
    return isinstance(failure, RuntimeError) and any(part in text for part in MACHINE_TEXTS)


def _describe(failure: BaseException) -> str:
    """Describe an error in one line; our own say all in their text, others need their type."""
    lines = [line.strip() for line in str(failure).splitlines() if line.strip()]
    first = lines[0] if lines else "no message"
    return first if type(failure) is ValueError else f"{type(failure).__name__}: {first}"
