"""DORO-STVG: queries about one or several targets, one JSON object a line, read and written.

As the benchmark's repository writes its queries: `video_path`, `video_width`, `video_height`,
`query_id`, `query`, and `target_members`, each with `boxes` by frame as corners in pixels; or, in
the formatted file, a text `box` with JSON of the boxes of each target in shares of the picture.
Frames are those of the video sampled twice a second, so that frame 12 is second 6.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from probe.datasets.own_writing import (
    READ_FRAMES,
    Written,
    name_video,
    note_truths,
    write_lines,
)
from probe.datasets.samples import DataSet, Sample
from probe.files import read_text
from probe.strict_json import parse_json
from probe.video import Tube, Video
from probe.video.coercion import describe_given

RATE = 2
"""Sampled frames a second, in which the benchmark counts."""

TIME_ROUNDING = 1e-6
"""Seconds by which rounding may move the time of a frame."""


def read_doro(path: Path, place: Callable[[str], str] = str) -> Written:
    """Read a file of queries as the lines of a file of your own.

    A query about several targets becomes one line for each, with the target's own sentence if the
    file has one: an answer here is one tube.

    Args:
        path: The file.
        place: Names a video as the lines are to name it.

    Raises:
        ValueError: if a line is damaged, or has no target with boxes.
    """
    records: list[dict[str, Any]] = []
    several = 0
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            found = list(_read_query(parse_json(line), number, place))
        except (ValueError, KeyError, TypeError, AttributeError) as failure:
            reason = " ".join(f"{failure}".split())
            raise ValueError(
                f"{path}, line {number}: not a query of DORO-STVG ({reason}); correct the line"
            ) from failure
        several += len(found) > 1
        records += found
    if not records:
        raise ValueError(f"{path}: no query in it; give a file of DORO-STVG")
    notes = (f"{several} queries are about several targets, and became a line for each target",)
    text = write_lines(records, time="seconds", box="xyxy")
    return Written(text, len(records), notes if several else ())


def _read_query(
    entry: Mapping[str, Any], number: int, place: Callable[[str], str]
) -> Iterator[dict[str, Any]]:
    """Make the line of each target of a query."""
    name = str(entry.get("query_id") or entry.get("queryid") or f"line {number}")
    targets = list(_list_targets(entry))
    if not targets:
        raise ValueError("it has no target with boxes")
    video = place(entry.get("video_path") or entry["videopath"])
    for target, (query, unit, boxes) in enumerate(targets, start=1):
        frames = sorted(boxes)
        record = {
            "id": name if len(targets) == 1 else f"{name}/target {target}",
            "video": video,
            "query": query,
            # A frame lasts until the next one.
            "span": [frames[0] / RATE, (frames[-1] + 1) / RATE],
            "boxes": {f"{frame / RATE:g}": boxes[frame] for frame in frames},
            "unit": unit,
        }
        height = entry.get("video_height") or entry.get("Height")
        width = entry.get("video_width") or entry.get("Width")
        yield {**record, **({"height": height, "width": width} if height and width else {})}


def _list_targets(
    entry: Mapping[str, Any],
) -> Iterator[tuple[str, str, dict[int, list[float]]]]:
    """List the sentence, the unit and the boxes by sampled frame of each target."""
    sentences = entry.get("per_target_queries") or {}
    for member in entry.get("target_members") or ():
        query = sentences.get(f"target {member.get('target_index')}") or entry["query"]
        if member["boxes"]:
            yield query, "pixels", _read_boxes(member["boxes"])
    if not entry.get("target_members") and entry.get("box"):
        objects = parse_json(entry["box"])
        for name, boxes in objects.items():
            yield entry["query"] if len(objects) == 1 else name, "shares", _read_boxes(boxes)


def _read_boxes(boxes: Mapping[str, Any]) -> dict[int, list[float]]:
    for frame, box in boxes.items():
        if not isinstance(box, list) or len(box) != 4:
            raise ValueError(f"the box of frame {frame} is {describe_given(box)}")
    return {int(frame): [float(edge) for edge in box] for frame, box in boxes.items()}


def to_doro(dataset: DataSet, folder: Path) -> Written:
    """Write a data set in this format: the boxes that a query has twice a second, in pixels.

    Args:
        dataset: The data set.
        folder: The folder of the file, from which it names the videos.

    Raises:
        ValueError: if a video cannot be read, or no query has boxes and a time.
    """
    lines = []
    left = 0
    noted: list[Sample] = []
    for sample in dataset:
        known = sample.known
        entry = _describe(sample, folder, noted) if known.time and known.place else None
        left += entry is None
        lines += [] if entry is None else [json.dumps(entry, ensure_ascii=False)]
    if not lines:
        raise ValueError(f"{dataset.name}: no query has a time, and a box at some half second")
    reason = "without time and boxes at some half second are left out: DORO-STVG cannot hold them"
    notes = (*(f"{left} queries {reason}",) * bool(left), *note_truths(noted))
    return Written("\n".join(lines) + "\n", len(lines), notes)


def _describe(sample: Sample, folder: Path, noted: list[Sample]) -> dict[str, Any] | None:
    """Describe a sample, and add it to those about whose truth something is noted."""
    try:
        footage = sample.recording.read(READ_FRAMES)
        sample.check_size(footage)
        settled = sample.settle(footage)
    except ValueError as failure:
        raise ValueError(f"{sample.id}: {failure}") from failure
    noted += [settled] if settled.notes else []
    tube = settled.truth
    assert tube is not None, "both parts of its truth are known"
    height, width = footage.video.size
    boxes = _sample_boxes(tube, footage.video)
    if not boxes:
        return None
    member = {
        "object_id": sample.id,
        "start_frame": min(map(int, boxes)),
        "end_frame": max(map(int, boxes)),
        "target_index": 1,
        "boxes": boxes,
    }
    return {
        "video_path": name_video(sample, folder),
        "video_width": width,
        "video_height": height,
        "query_id": sample.id,
        "query": sample.query,
        "target_arity": 1,
        "target_members": [member],
        "per_target_queries": {},
    }


def _sample_boxes(tube: Tube, video: Video) -> dict[str, list[float]]:
    """Return the box that is shown at each half second."""
    count = int(video.time_at(video.source_length) * RATE) + 1
    moments = np.arange(count) / RATE + TIME_ROUNDING
    shown = np.searchsorted(video.source_times, moments, side="right") - 1
    boxes = {number: tube.box_at(frame) for number, frame in enumerate(shown.tolist())}
    return {str(number): box.tolist() for number, box in boxes.items() if box is not None}
