"""The data sets people compare on: samples, where their pictures are, and each data set by name.

A file of your own, one query a line, is a data set by its path: `docs/own_data.md` describes it.
A module of this room that lists data sets in `DATASETS` is found by itself, so a new data set is
one new file here; or a function in your own code, called by `module:qualname`.

>>> from probe.datasets import load_dataset
>>> shapes = load_dataset("shapes-val")
>>> len(shapes), shapes[0].query
(500, 'the red triangle that grows')
"""

import inspect
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import MappingProxyType

from probe.datasets.checking import Finding, check_samples
from probe.datasets.entries import DatasetEntry, DatasetReader
from probe.datasets.footage import Footage, Recording, Root, StoredVideo
from probe.datasets.own import OwnFileError, is_own, read_own
from probe.datasets.samples import Annotation, DataSet, QueryKind, Sample, SettledTruth
from probe.datasets.user_code import find_user_object
from probe.paths import expand_home, is_there
from probe.spelling import explain_unknown

__all__ = [
    "ENTRIES",
    "NAMES",
    "Annotation",
    "DataSet",
    "DatasetEntry",
    "DatasetReader",
    "Finding",
    "Footage",
    "OwnFileError",
    "QueryKind",
    "Recording",
    "Root",
    "Sample",
    "SettledTruth",
    "StoredVideo",
    "check_samples",
    "is_own",
    "load_dataset",
]


def _collect_entries() -> Mapping[str, DatasetEntry]:
    """Import the modules of this room and collect what they list in `DATASETS`."""
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    found = [entry for module in modules for entry in getattr(module, "DATASETS", ())]
    found.sort(key=lambda entry: entry.needs_root)  # first those that anybody can use at once
    return MappingProxyType({entry.name: entry for entry in found})


ENTRIES = _collect_entries()
"""The data sets of this room by name."""

NAMES = tuple(ENTRIES)
"""The names of the data sets of this room."""


def load_dataset(
    name: str | Path, root: str | Path | None = None, annotations: str | Path | None = None
) -> DataSet:
    """Open a data set by its name; samples are read when they are asked for.

    >>> load_dataset("shapes-val")[0].span
    Span(start=13, stop=48)

    Args:
        name: One of `NAMES`; the path of a file of your own, which ends in `.jsonl`; or
            `module:qualname` of a function of yours that takes `root` and `annotations`, each a
            path or None, and returns a `DataSet`.
        root: The folder with its videos and annotations; data sets drawn from a seed have none. The
            videos of a file of your own are found from its own folder, unless this is given.
        annotations: The annotation file, if it is not found in `root` by its published name.

    Raises:
        ValueError: if there is no such data set, a folder is missing or superfluous, there are no
            annotations in it, or a line of a file of your own is of no use.
    """
    folder = None if root is None else expand_home(root)
    path = None if annotations is None else expand_home(annotations)
    if is_own(name):
        if path is not None:
            raise ValueError(f"{name}: holds the annotations itself; leave out --annotations")
        return read_own(expand_home(name), folder)
    name = str(name)
    if ":" in name:
        return _read_user_dataset(name, folder, path)
    if name not in ENTRIES:
        also = "a file of yours as mine.jsonl, functions of yours as module:name"
        raise ValueError(explain_unknown("data set", name, NAMES, also))
    entry = ENTRIES[name]
    if not entry.needs_root and (root is not None or annotations is not None):
        raise ValueError(f"{name} is drawn from a seed; leave out --root and --annotations")
    if entry.needs_root and root is None:
        raise ValueError(f"{name} cannot be shipped; give --root the folder you keep it in")
    if path is not None and not (is_there(path) and path.is_file()):
        raise ValueError(f"{path}: no such file; give --annotations the data set's JSON file")
    return entry.read(folder, path)


def _read_user_dataset(name: str, root: Path | None, annotations: Path | None) -> DataSet:
    read = find_user_object(name)
    if not callable(read):
        raise ValueError(
            f"{name}: a {type(read).__name__}, not a function; give one that takes root and "
            "annotations and returns a DataSet"
        )
    try:
        inspect.signature(read).bind(root, annotations)
    except TypeError as problem:
        raise ValueError(
            f"{name}: cannot be called with root and annotations ({problem}); give it these two "
            "parameters"
        ) from problem
    dataset = read(root, annotations)
    if not isinstance(dataset, DataSet):
        raise ValueError(
            f"{name}: returned a {type(dataset).__name__}, not a probe.datasets.DataSet"
        )
    return dataset
