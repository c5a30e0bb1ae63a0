"""VidSTG: sentences and questions about objects in the videos of VidOR (Zhang et al., 2020).

One JSON list holds annotated parts of videos, each with sentences and questions; the boxes of each
video are in a file of VidOR's. Traps: the shown part includes its last frame, the tube does not
include its own; an object may lack a box in some frames. Without files of boxes, time is scored.
"""

import hashlib
import warnings
from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from probe.datasets.entries import DatasetEntry
from probe.datasets.fields import (
    UNREADABLE,
    describe_problem,
    read_count,
    read_query,
    reading_entry,
)
from probe.datasets.footage import Root
from probe.datasets.samples import DataSet, QueryKind, Sample
from probe.files import read_json
from probe.video import Span, Tube
from probe.video.coercion import describe_given

VIDSTG_FILES = ("test_annotations.json", "test.json")
"""Usual names of the annotation file of the test part."""

VIDSTG_PROTOCOL = "stcat"

QUERIES_OF: dict[QueryKind, str] = {"declarative": "captions", "interrogative": "questions"}
"""Key of an entry's queries of each kind."""

KEPT_FILES = 4
"""Files of boxes kept in memory: a video's queries follow each other."""


class _Place(NamedTuple):
    """Position of a query in the annotations."""

    entry: int
    kind: QueryKind
    number: int


def read_vidstg(
    kinds: Sequence[QueryKind], root: Path | None, annotations: Path | None = None
) -> DataSet:
    """Read the queries of some kinds from the test part in a folder.

    Raises:
        ValueError: if there are no annotations, or they are not VidSTG's.
    """
    folder = Root.open(root)
    path = annotations or folder.find_annotations(*VIDSTG_FILES)
    entries = _read_parts(path)
    places = [
        _Place(number, kind, query)
        for number, entry in enumerate(entries)
        for kind in kinds
        for query in range(_count_queries(path, number, entry, kind))
    ]
    # One file that is missing is a mistake, and its queries fail; without any, the boxes are not
    # known, and what is not known must not count as zero.
    boxed = any(folder.has_file(f"{_name_video(entry)}.json") for entry in entries)
    tracks_of = lru_cache(KEPT_FILES)(lambda video: _read_tracks(folder, video) if boxed else {})
    if not boxed:
        warnings.warn(
            f"{folder.folder}: no VidOR file of boxes for any of its videos: queries are scored in "
            "time alone; copy VidOR's annotations into it to score boxes",
            stacklevel=2,
        )

    def make(index: int) -> Sample:
        place = places[index]
        entry = entries[place.entry]
        tracks = tracks_of(_name_video(entry))
        with reading_entry(ids[index]):
            return _read_query(ids[index], place, entry, folder, tracks if boxed else None)

    # With the number of the entry, since a video has several parts, and a part several queries.
    ids = tuple(
        f"{_name_video(entries[entry])}/{entry:05d}-{kind}-{number}"
        for entry, kind, number in places
    )
    name = "vidstg" if len(kinds) == len(QUERIES_OF) else f"vidstg-{kinds[0]}"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    version = digest if boxed else f"{digest} in time alone"

    def show(index: int) -> Hashable:
        entry = entries[places[index].entry]
        return _name_video(entry), repr(entry.get("used_segment"))

    return DataSet(name, version, VIDSTG_PROTOCOL, ids, make, pictures=show)


def _read_parts(path: Path) -> list[dict[str, Any]]:
    entries = read_json(path)
    listed = isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries)
    if not listed or not any("temporal_gt" in entry for entry in entries):
        raise ValueError(f"{path}: not a list of parts of videos; give VidSTG's annotations")
    return entries


def _count_queries(path: Path, number: int, entry: Mapping[str, Any], kind: QueryKind) -> int:
    queries = entry.get(QUERIES_OF[kind], [])
    if not isinstance(queries, list):
        raise ValueError(
            f"{path}: entry {number}: {QUERIES_OF[kind]} is {describe_given(queries)}; it must be "
            "a list"
        )
    return len(queries)


def _name_video(entry: Mapping[str, Any]) -> str:
    """Return the name of an entry's video; without one, a name that no file has."""
    return str(entry.get("vid"))


def _read_query(
    name: str,
    place: _Place,
    entry: Mapping[str, Any],
    root: Root,
    tracks: Mapping[int, Tube] | None,
) -> Sample:
    """Read a query; without tracks, which are those of its video, only its time is known."""
    query = entry[QUERIES_OF[place.kind]][place.number]
    holds = Span(entry["temporal_gt"]["begin_fid"], entry["temporal_gt"]["end_fid"])
    # Frame numbers of the shown part include its end, those of the tube do not.
    shown = Span(entry["used_segment"]["begin_fid"], entry["used_segment"]["end_fid"] + 1)
    target = query["target_id"]
    truth = None if tracks is None else _find_truth(tracks, target, holds)
    if not len(holds):
        raise ValueError("its tube has no frame")
    video = _name_video(entry)
    others = () if tracks is None else (one for number, one in tracks.items() if number != target)
    return Sample(
        id=name,
        query=read_query(query["description"], "description"),
        recording=root.find_video(video).cut(shown),
        truth=truth,
        video_name=video,
        kind=place.kind,
        size=(read_count(entry["height"], "height"), read_count(entry["width"], "width")),
        length=read_count(entry["frame_count"], "frame_count"),
        fps=float(entry["fps"]),
        tracks=() if tracks is None else (tracks[target], *others),
        time=holds if tracks is None else None,
    )


def _find_truth(tracks: Mapping[int, Tube], target: Any, holds: Span) -> Tube:
    truth = tracks[target].within(holds) if target in tracks else None
    if truth is None or not len(truth):
        raise ValueError(
            f"the object {describe_given(target)} has no box in frames {holds.start} to "
            f"{holds.stop - 1}; give the VidOR file that belongs to the annotation"
        )
    return truth


def _read_tracks(root: Root, video: str) -> dict[int, Tube]:
    """Read every object's track over the whole video, by its number in VidOR."""
    path = root.find_file(f"{video}.json")
    content = read_json(path)
    found: dict[int, tuple[list[int], list[list[float]]]] = {}
    try:
        for frame, objects in enumerate(content["trajectories"]):
            for it in objects:
                frames, boxes = found.setdefault(it["tid"], ([], []))
                frames.append(frame)
                boxes.append([float(it["bbox"][edge]) for edge in ("xmin", "ymin", "xmax", "ymax")])
        return {
            number: Tube(np.array(frames, dtype=np.int64), np.array(boxes, dtype=np.float64))
            for number, (frames, boxes) in found.items()
        }
    except UNREADABLE as problem:
        raise ValueError(
            f"{path}: not a file of VidOR's boxes ({describe_problem(problem)}); copy it again"
        ) from problem


DATASETS = (
    DatasetEntry("vidstg", partial(read_vidstg, tuple(QUERIES_OF))),
    *(DatasetEntry(f"vidstg-{kind}", partial(read_vidstg, (kind,))) for kind in QUERIES_OF),
)
