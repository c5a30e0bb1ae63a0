"""HC-STVG, both versions: what people do in 20 second clips of films (Tang et al., 2021).

One JSON object maps video files to their one query each. Traps: frames count from 1; boxes are
(x, y, width, height); times in seconds, and in version 2 the last frame, disagree with the boxes,
of which there is one a frame from the first on: their number says when the tube ends.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from probe.datasets.footage import Root
from probe.datasets.samples import DataSet, Sample
from probe.video import Tube

SECONDS = 20.0
"""Length of every clip."""

PROTOCOL = "hcstvg-official"


@dataclass(frozen=True)
class Edition:
    """How one version of the data set writes its annotations."""

    name: str
    files: tuple[str, ...]
    """What people call the file of the part that is reported on."""

    query: str
    """The entry that holds the sentence."""

    size: Callable[[Mapping[str, Any]], tuple[Any, Any]]
    """Height and width."""


VERSION_1 = Edition(
    "hcstvg1", ("test.json", "test_v1.json"), "caption", lambda it: (it["height"], it["width"])
)
"""Its test part: 1160 queries."""

VERSION_2 = Edition(
    "hcstvg2",
    ("val_v2.json", "valv2.json", "val.json"),
    "English",
    lambda it: (it["img_size"][0], it["img_size"][1]),
)
"""Its validation part, since the truth of its test part was never published: 2000 queries."""


def read_hcstvg(edition: Edition, root: Root, annotations: Path | None = None) -> DataSet:
    """The data set under a root.

    Raises:
        ValueError: if there are no annotations, or they are not of this edition.
    """
    path = annotations or root.annotations(*edition.files)
    content = path.read_bytes()
    entries = _parsed(path, content)
    if not any(edition.query in entry for entry in entries.values()):
        raise ValueError(
            f"{path}: no entry has {edition.query!r}, so it is not {edition.name}; give "
            "--annotations its file, or evaluate the other version"
        )
    names = tuple(entries)
    return DataSet(
        name=edition.name,
        version=hashlib.sha256(content).hexdigest(),
        protocol=PROTOCOL,
        ids=names,
        make=lambda index: _sample(edition, root, names[index], entries[names[index]]),
    )


def _parsed(path: Path, content: bytes) -> dict[str, dict[str, Any]]:
    try:
        entries = json.loads(content)
    except ValueError as problem:
        raise ValueError(f"{path}: not JSON ({problem}); copy it again") from problem
    if not isinstance(entries, dict) or not all(isinstance(it, dict) for it in entries.values()):
        raise ValueError(f"{path}: must map video names to objects; give HC-STVG's annotations")
    return entries


def _sample(edition: Edition, root: Root, name: str, entry: Mapping[str, Any]) -> Sample:
    try:
        height, width = map(int, edition.size(entry))
        length = int(entry["img_num"])
        truth = _tube(entry)
        query = str(entry[edition.query])
    except (KeyError, TypeError, ValueError, IndexError) as problem:
        raise ValueError(
            f"{name}: its annotation cannot be read ({type(problem).__name__}: {problem}); "
            f"correct the entry"
        ) from problem
    return Sample(
        id=name,
        video_name=Path(name).stem,
        recording=root.video(name),
        query=query,
        kind="declarative",
        truth=truth,
        fps=length / SECONDS,
        size=(height, width),
        length=length,
        tracks=(truth.interpolated(range(max(length, truth.span.stop))),),
    )


def _tube(entry: Mapping[str, Any]) -> Tube:
    """The true tube: one box a frame, from the first frame on, which is counted from 1."""
    boxes = np.asarray(entry["bbox"], dtype=np.float64).reshape(-1, 4)
    if not len(boxes):
        raise ValueError("there is no box")
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    return Tube(int(entry["st_frame"]) - 1 + np.arange(len(boxes)), corners)


read_hcstvg1 = partial(read_hcstvg, VERSION_1)
read_hcstvg2 = partial(read_hcstvg, VERSION_2)
