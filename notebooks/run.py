"""Run the notebooks, and compare what they give with their committed outputs; or write it there.

python notebooks/run.py               run all, and say which committed outputs are stale
python notebooks/run.py 03 --write    run one, and write its outputs into it
"""

import copy
import os
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import nbformat
import tyro
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from outputs import clean, list_differences, list_faults
from tyro.conf import Positional, arg

HERE = Path(__file__).parent

REMEDY = "make notebooks WRITE=1"

LONGEST_CELL = 300
"""Seconds after which a cell is given up."""

MOST_AT_ONCE = 4
"""Kernels that run at the same time, each with a model of its own."""


@dataclass(frozen=True)
class Options:
    """Run notebooks, and compare their outputs with the committed ones."""

    names: Annotated[Positional[tuple[str, ...]], arg(metavar="[NAME ...]")] = ()
    """Beginnings of the names of notebooks; all by default."""

    write: bool = False
    """Write the outputs into the notebooks instead."""

    folder: Annotated[Path, arg(metavar="DIR")] = HERE
    """Folder of the notebooks."""


def run(notebook: NotebookNode, folder: Path) -> NotebookNode:
    """Run all cells in a new kernel, whose working folder is given; return what is to be committed.

    The run ends at the first cell that fails; its error is then an output like any other.
    """
    fresh = copy.deepcopy(notebook)
    client = NotebookClient(
        fresh,
        timeout=LONGEST_CELL,
        coalesce_streams=True,  # in how many pieces a text arrives is chance
        store_widget_state=False,
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )
    # Sockets of files, since nobody but this process may talk to the kernel.
    with TemporaryDirectory() as sockets:
        manager = client.create_kernel_manager()
        manager.transport, manager.connection_file = "ipc", f"{sockets}/kernel.json"
        with suppress(CellExecutionError):  # `list_faults` finds the error among the outputs
            client.execute()
    return clean(fresh)


def check(path: Path, *, write: bool) -> list[str]:
    """Run a notebook, and list what is wrong; with `write`, write its outputs if nothing is."""
    committed: NotebookNode = nbformat.read(path, as_version=4)
    fresh = run(committed, path.parent)
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
    with ThreadPoolExecutor(min(MOST_AT_ONCE, os.cpu_count() or 1)) as pool:
        # In the order of their names, each as soon as it and those before it are done.
        found = pool.map(lambda path: check(path, write=options.write), paths)
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
