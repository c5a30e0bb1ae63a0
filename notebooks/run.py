"""Run the notebooks, and compare what they give with their committed outputs; or write it there.

python notebooks/run.py               run all, and say which committed outputs are stale
python notebooks/run.py 03 --write    run one, and write its outputs into it
"""

import copy
import os
import resource
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import Annotated, TypeAlias

import nbformat
import tyro
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import run_sync
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from outputs import clean, list_differences, list_faults
from tyro.conf import Positional, arg

HERE = Path(__file__).parent

REMEDY = "make notebooks WRITE=1"

LONGEST_CELL = 300
"""Seconds after which a cell is given up, and a kernel that does not start."""

MOST_AT_ONCE = 4
"""Kernels that run at the same time, each with a model of its own."""

FORGET = "get_ipython().reset(new_session=True)"
"""Makes a kernel forget all names, and count its cells from one."""

Kernels: TypeAlias = SimpleQueue[AsyncKernelManager]
"""Kernels that no notebook uses at the moment; each is started by the first that does."""


@dataclass(frozen=True)
class Options:
    """Run notebooks, and compare their outputs with the committed ones."""

    names: Annotated[Positional[tuple[str, ...]], arg(metavar="[NAME ...]")] = ()
    """Beginnings of the names of notebooks; all by default."""

    write: bool = False
    """Write the outputs into the notebooks instead."""

    folder: Annotated[Path, arg(metavar="DIR")] = HERE
    """Folder of the notebooks."""


@contextmanager
def open_kernels(count: int) -> Iterator[Kernels]:
    """Lend some kernels to notebooks that run at the same time, and end them in the end.

    Reading the libraries takes a kernel longer than most notebooks run, so that it does it once.
    """
    kernels: Kernels = SimpleQueue()
    # Sockets of files, since nobody but this process may talk to the kernels.
    with TemporaryDirectory() as sockets:
        for number in range(count):
            manager = AsyncKernelManager(kernel_name="python3")
            manager.transport, manager.connection_file = "ipc", f"{sockets}/{number}.json"
            kernels.put(manager)
        try:
            yield kernels
        finally:
            for _ in range(count):
                if (manager := kernels.get()).has_kernel:
                    run_sync(manager.shutdown_kernel)(now=True)


def run(notebook: NotebookNode, folder: Path, kernel: AsyncKernelManager) -> NotebookNode:
    """Run all cells in a kernel that knows no names yet; return what is to be committed.

    The run ends at the first cell that fails; its error is then an output like any other.

    Args:
        notebook: The notebook.
        folder: The working folder of a kernel that has not started yet.
        kernel: A kernel that no other notebook uses at the moment.
    """
    fresh = copy.deepcopy(notebook)

    async def forget(**_: object) -> None:
        assert client.kc is not None
        # Without a place in the history, where it would be counted as a cell.
        asked = client.kc.execute(FORGET, silent=True, store_history=False)
        await client.async_wait_for_reply(asked)

    client = NotebookClient(
        fresh,
        km=kernel,
        timeout=LONGEST_CELL,
        startup_timeout=LONGEST_CELL,
        coalesce_streams=True,  # in how many pieces a text arrives is chance
        store_widget_state=False,
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
        on_notebook_start=forget,
    )
    with suppress(CellExecutionError):  # `list_faults` finds the error among the outputs
        client.execute()
    assert client.kc is not None
    client.kc.stop_channels()
    return clean(fresh)


def check(path: Path, kernels: Kernels, *, write: bool) -> list[str]:
    """Run a notebook, and list what is wrong; with `write`, write its outputs if nothing is."""
    committed: NotebookNode = nbformat.read(path, as_version=4)
    kernel = kernels.get()
    try:
        fresh = run(committed, path.parent, kernel)
    finally:
        kernels.put(kernel)
    problems = list(list_faults(fresh))
    if not problems and not write:
        problems = [
            f"{line}; rewrite with `{REMEDY}`" for line in list_differences(clean(committed), fresh)
        ]
    if not problems and write:
        nbformat.write(fresh, path)
    return problems


def main(options: Options) -> int:
    """Run the notebooks that are named, a few at a time; return how many are wrong."""
    paths = [
        path
        for path in sorted(options.folder.glob("*.ipynb"))
        if not options.names or path.name.startswith(options.names)
    ]
    if not paths:
        raise ValueError(f"no notebook in {options.folder} begins with {options.names}")
    wrong, start = 0, time.monotonic()
    count = min(MOST_AT_ONCE, os.cpu_count() or 1, len(paths))
    with open_kernels(count) as kernels, ThreadPoolExecutor(count) as pool:
        # In the order of their names, each as soon as it and those before it are done.
        found = pool.map(lambda path: check(path, kernels, write=options.write), paths)
        for path, problems in zip(paths, found, strict=True):
            wrong += bool(problems)
            state = "written" if options.write else "outputs are current"
            lines = [f"{path.name}: {line}" for line in problems] or [f"{path.name}: {state}"]
            print("\n".join(lines), flush=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{used.ru_utime + used.ru_stime:.0f} CPU s, {time.monotonic() - start:.0f} s")
    return wrong


if __name__ == "__main__":
    sys.exit(min(main(tyro.cli(Options)), 1))
