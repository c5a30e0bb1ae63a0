"""The declaration of a data set: its name, and the function that reads it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from probe.datasets.samples import DataSet

DatasetReader: TypeAlias = Callable[[Path | None, Path | None], DataSet]
"""Reads a data set from its folder and, if it is not under its usual name, its annotation file."""


@dataclass(frozen=True)
class DatasetEntry:
    """A data set that goes by a name; a module of this room lists its own in `DATASETS`."""

    name: str
    read: DatasetReader
    needs_root: bool = True
    """True if the user has to give its folder, because we may not ship it."""
