"""VidSTG: sentences and questions about objects in the videos of VidOR (Zhang et al., 2020).

A list of annotated parts of videos, each with sentences and questions; the boxes lie in a file of
VidOR's for each video. Traps: the part that is shown ends with its last frame, the tube before its
last; an object may lack a box in some frames.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from probe.datasets.footage import Root
from probe.datasets.samples import DataSet, Kind, Sample
from probe.video import Span, Tube

ANNOTATIONS = ("test_annotations.json", "test.json")
PROTOCOL = "stcat"
KINDS: dict[Kind, str] = {"declarative": "captions", "interrogative": "questions"}
"""Where an entry holds the queries of each kind."""

REMEMBERED = 4
"""Files of boxes kept in memory: a video's queries follow each other."""


class _Place(NamedTuple):
    """Where a query stands in the annotations."""

    entry: int
    kind: Kind
    number: int


def read_vidstg(
    root: Root, annotations: Path | None = None, kinds: Sequence[Kind] = tuple(KINDS)
) -> DataSet:
    """The queries of some kinds in the test part under a root.

    Raises:
        ValueError: if there are no annotations, or they are not VidSTG's.
    """
    path = annotations or root.annotations(*ANNOTATIONS)
    content = path.read_bytes()
    entries = _parsed(path, content)
    places = [
        _Place(number, kind, query)
        for number, entry in enumerate(entries)
        for kind in kinds
        for query in range(len(entry.get(KINDS[kind], ())))
    ]
    tracks_of = lru_cache(REMEMBERED)(lambda video: _tracks(root, video))

    def make(index: int) -> Sample:
        place = places[index]
        entry = entries[place.entry]
        try:
            return _sample(ids[index], place, entry, root, tracks_of(str(entry["vid"])))
        except (KeyError, TypeError) as problem:
            raise ValueError(
                f"{ids[index]}: its annotation cannot be read ({type(problem).__name__}: "
                f"{problem}); correct the entry"
            ) from problem

    ids = tuple(
        f"{entries[entry].get('vid')}/{entry:05d}-{kind}-{number}" for entry, kind, number in places
    )
    name = "vidstg" if len(kinds) == len(KINDS) else f"vidstg-{kinds[0]}"
    return DataSet(name, hashlib.sha256(content).hexdigest(), PROTOCOL, ids, make)


def _parsed(path: Path, content: bytes) -> list[dict[str, Any]]:
    try:
        entries = json.loads(content)
    except ValueError as problem:
        raise ValueError(f"{path}: not JSON ({problem}); copy it again") from problem
    listed = isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries)
    if not listed or not any("temporal_gt" in entry for entry in entries):
        raise ValueError(f"{path}: not a list of parts of videos; give VidSTG's annotations")
    return entries


def _sample(
    name: str, place: _Place, entry: Mapping[str, Any], root: Root, tracks: Mapping[int, Tube]
) -> Sample:
    query = entry[KINDS[place.kind]][place.number]
    holds = Span(entry["temporal_gt"]["begin_fid"], entry["temporal_gt"]["end_fid"])
    shown = Span(entry["used_segment"]["begin_fid"], entry["used_segment"]["end_fid"] + 1)
    target = query["target_id"]
    truth = tracks[target].within(holds) if target in tracks else None
    if truth is None or not len(truth):
        raise ValueError(
            f"{name}: the object {target} has no box in frames {holds.start} to {holds.stop - 1}; "
            "give the VidOR file that belongs to the annotation"
        )
    video = str(entry["vid"])
    others = [track for number, track in tracks.items() if number != target]
    return Sample(
        id=name,
        video_name=video,
        recording=root.video(video).showing(shown),
        query=query["description"],
        kind=place.kind,
        truth=truth,
        fps=float(entry["fps"]),
        size=(entry["height"], entry["width"]),
        length=entry["frame_count"],
        tracks=(tracks[target], *others),
    )


def _tracks(root: Root, video: str) -> dict[int, Tube]:
    """Every object's track over the whole video, by its number in VidOR."""
    path = root.file(f"{video}.json")
    found: dict[int, tuple[list[int], list[list[float]]]] = {}
    try:
        for frame, objects in enumerate(json.loads(path.read_bytes())["trajectories"]):
            for it in objects:
                frames, boxes = found.setdefault(it["tid"], ([], []))
                frames.append(frame)
                boxes.append([float(it["bbox"][edge]) for edge in ("xmin", "ymin", "xmax", "ymax")])
        return {
            number: Tube(np.array(frames, dtype=np.int64), np.array(boxes, dtype=np.float64))
            for number, (frames, boxes) in found.items()
        }
    except (KeyError, TypeError, ValueError) as problem:
        raise ValueError(
            f"{path}: not a file of VidOR's boxes ({type(problem).__name__}: {problem}); copy it "
            "again"
        ) from problem
