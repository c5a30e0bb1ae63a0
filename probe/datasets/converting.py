"""Conversion of annotations: other formats to a file of one's own, and back to published ones."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from probe.datasets.coco_videos import read_coco
from probe.datasets.doro import read_doro, to_doro
from probe.datasets.drafts import read_answer
from probe.datasets.hcstvg import VERSION_1, VERSION_2, Edition, read_hcstvg
from probe.datasets.hcstvg_writing import to_hcstvg
from probe.datasets.mot import read_mot
from probe.datasets.own import OwnFile
from probe.datasets.own_writing import Written, to_own
from probe.datasets.samples import DataSet
from probe.datasets.sentences import Sentences
from probe.paths import expand_home
from probe.spelling import explain_unknown

OWN = "own"
"""The name of the format of files of one's own."""


@dataclass(frozen=True)
class Source:
    """Annotations to convert."""

    path: Path
    root: Path | None
    """The folder of the videos; None for the usual place."""

    sentences: Sentences | None
    out: Path
    """The file to write."""

    def name_root(self) -> Path:
        """Return the folder of the videos, by default that of the annotations."""
        return self.path.parent if self.root is None else self.root

    def place(self, video: str) -> str:
        """Name a video from the folder of the file to write, where it will be looked for."""
        path = self.name_root() / expand_home(video)
        try:
            return Path(os.path.relpath(path, self.out.parent)).as_posix()
        except ValueError:  # on Windows, on another drive
            return str(path.absolute())


Reader: TypeAlias = Callable[[Source], DataSet | Written]
"""Reads annotations: a data set, or, where the videos are not needed for it, lines of one."""


def _read_own(source: Source) -> DataSet:
    return OwnFile.read(source.path).open(source.root)


def _read_hcstvg(edition: Edition, source: Source) -> DataSet:
    return read_hcstvg(edition, source.name_root(), source.path)


READERS: Mapping[str, Reader] = MappingProxyType(
    {
        OWN: _read_own,
        "hcstvg1": partial(_read_hcstvg, VERSION_1),
        "hcstvg2": partial(_read_hcstvg, VERSION_2),
        "doro-stvg": lambda source: read_doro(source.path, source.place),
        "answer": lambda source: read_answer(source.path, source.place),
        "coco": lambda source: read_coco(source.path, source.sentences, source.place),
        "mot": lambda source: read_mot(source.path, source.sentences, source.root, source.place),
    }
)
"""The formats that can be read, by name."""

WRITERS: Mapping[str, Callable[[DataSet, Path], Written]] = MappingProxyType(
    {
        OWN: to_own,
        "hcstvg1": lambda dataset, _: to_hcstvg(dataset, VERSION_1),
        "hcstvg2": lambda dataset, _: to_hcstvg(dataset, VERSION_2),
        "doro-stvg": to_doro,
    }
)
"""The formats that can be written, by name; each takes a data set and the folder of the file."""


def convert(source: Source, read: str, write: str) -> Written:
    """Convert annotations, without writing the file.

    Args:
        source: The annotations.
        read: The format that they have: a name in `READERS`.
        write: The format to write: a name in `WRITERS`.

    Raises:
        ValueError: if there is no such format, the annotations are of no use, or the format to
            write cannot hold any of them.
    """
    for name, known in ((read, READERS), (write, WRITERS)):
        if name not in known:
            raise ValueError(explain_unknown("format", name, known))
    found = READERS[read](source)
    if isinstance(found, DataSet):
        return WRITERS[write](found, source.out.parent)
    # Checked, so that no file is written which the program itself would refuse.
    own = OwnFile.parse(source.out, found.text)
    if write == OWN:
        return found
    written = WRITERS[write](own.open(), source.out.parent)
    return Written(written.text, written.queries, (*found.notes, *written.notes))
