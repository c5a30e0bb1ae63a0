"""HC-STVG, both versions: sentences about people in 20 second clips of films (Tang et al., 2021).

One JSON object maps each video file to its one query. Traps: frames count from 1; boxes are
(x, y, width, height). There is one box for each frame from the first on, and their number says when
the tube ends: the times in seconds, and in version 2 the last frame, disagree with the boxes. Some
boxes have a negative size.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from probe.datasets.entries import DatasetEntry
from probe.datasets.fields import read_box, read_count, read_query, reading_entry
from probe.datasets.footage import Root
from probe.datasets.samples import DataSet, Sample
from probe.files import read_json
from probe.video import Tube
from probe.video.coercion import describe_given

SECONDS = 20.0
"""Length of every clip."""

HCSTVG_PROTOCOL = "hcstvg-official"


@dataclass(frozen=True)
class Edition:
    """The format in which one version of the data set writes its annotations."""

    name: str
    files: tuple[str, ...]
    """Usual names of the annotation file of the part that people report on."""

    query: str
    """Key of the sentence."""

    size: Callable[[Mapping[str, Any]], tuple[Any, Any]]
    """Reads height and width from an entry."""


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


def read_hcstvg(edition: Edition, root: Path | None, annotations: Path | None = None) -> DataSet:
    """Read the data set in a folder.

    Raises:
        ValueError: if there are no annotations, or they are not of this edition.
    """
    folder = Root.open(root)
    path = annotations or folder.find_annotations(*edition.files)
    entries = _read_entries(path)
    # Both versions have the same shape, so with the wrong one every single query would fail.
    if not any(edition.query in entry for entry in entries.values()):
        raise ValueError(
            f"{path}: no entry has {edition.query!r}, so it is not {edition.name}; give "
            "--annotations its file, or evaluate the other version"
        )
    names = tuple(entries)
    return DataSet(
        name=edition.name,
        version=hashlib.sha256(path.read_bytes()).hexdigest(),
        protocol=HCSTVG_PROTOCOL,
        ids=names,
        make=lambda index: _read_sample(edition, folder, names[index], entries[names[index]]),
    )


def _read_entries(path: Path) -> dict[str, dict[str, Any]]:
    entries = read_json(path)
    if not isinstance(entries, dict) or not all(isinstance(it, dict) for it in entries.values()):
        raise ValueError(f"{path}: must map video names to objects; give HC-STVG's annotations")
    return entries


def _read_sample(edition: Edition, root: Root, name: str, entry: Mapping[str, Any]) -> Sample:
    with reading_entry(name):
        height, width = (read_count(side, "a side of the picture") for side in edition.size(entry))
        length = read_count(entry["img_num"], "img_num")
        boxes = _read_boxes(entry)
        truth = _make_tube(entry, boxes)
        query = read_query(entry[edition.query], edition.query)
        turned = boxes[:, 2:].min(axis=1) < 0
        if turned.all():
            raise ValueError("every box has a negative size")
    return Sample(
        id=name,
        query=query,
        recording=root.find_video(name),
        truth=truth,
        video_name=Path(name).stem,
        size=(height, width),
        length=length,
        fps=length / SECONDS,
        # Boxes in the true span alone would tell a user of the oracle when the query holds.
        tracks=(_leave_out(truth, turned).interpolated(range(max(length, truth.span.stop))),),
        notes=_note_turned(turned),
    )


def _read_boxes(entry: Mapping[str, Any]) -> Float[np.ndarray, "box 4"]:
    """Read the boxes as left, top, width and height."""
    rows = entry["bbox"]
    if not isinstance(rows, list) or not rows:
        raise ValueError(f"bbox is {describe_given(rows)}, not a list of boxes")
    boxes = [read_box(row, f"bbox, {place}") for place, row in enumerate(rows)]
    return np.array(boxes, dtype=np.float64)


def _make_tube(entry: Mapping[str, Any], boxes: Float[np.ndarray, "box 4"]) -> Tube:
    """Make the true tube: one box for each frame from `st_frame` on, which is counted from 1."""
    # A box of negative size becomes one without area, which agrees with nothing; its frame stays
    # part of the tube, as in the official evaluator.
    sizes = np.maximum(boxes[:, 2:], 0)
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + sizes], axis=1)
    return Tube(read_count(entry["st_frame"], "st_frame") - 1 + np.arange(len(boxes)), corners)


def _leave_out(truth: Tube, turned: Bool[np.ndarray, " box"]) -> Tube:
    return Tube(truth.frames[~turned], truth.boxes[~turned])


def _note_turned(turned: Bool[np.ndarray, " box"]) -> tuple[str, ...]:
    """Note that some boxes have a negative size; nothing if none has."""
    if not turned.any():
        return ()
    return (
        f"{int(turned.sum())} of {len(turned)} boxes have a negative size: these frames agree with "
        "no answer",
    )


DATASETS = tuple(
    DatasetEntry(edition.name, partial(read_hcstvg, edition)) for edition in (VERSION_1, VERSION_2)
)
