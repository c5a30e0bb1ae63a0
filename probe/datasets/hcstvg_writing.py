"""Writing of a data set in the official format of HC-STVG, whose evaluators then score answers.

The format holds one query for each video, and a box in every frame of its tube.
"""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from probe.datasets.footage import Footage, StoredVideo
from probe.datasets.hcstvg import VERSION_1, Edition
from probe.datasets.own_writing import READ_FRAMES, Written, list_gaps, note_truths
from probe.datasets.samples import DataSet, Sample
from probe.video import Tube


def to_hcstvg(dataset: DataSet, edition: Edition) -> Written:
    """Write a data set as one of the two versions of HC-STVG's annotations.

    Queries whose truth is known in part, or has a frame without a box, cannot be written: the notes
    tell how many are left out.

    Args:
        dataset: The data set.
        edition: The version.

    Raises:
        ValueError: if two queries are about one video, a video cannot be read, or no query is left.
    """
    _refuse_shared(dataset)
    entries: dict[str, Any] = {}
    partial = gaps = 0
    noted: list[Sample] = []
    for sample in dataset:
        known = sample.known
        if not (known.time and known.place):
            partial += 1
            continue
        footage = _read(sample)
        settled = sample.settle(footage)
        noted += [settled] if settled.notes else []
        tube = settled.truth
        assert tube is not None, "both parts of its truth are known"
        if list_gaps(tube.frames.tolist()):
            gaps += 1
            continue
        entries[_name_entry(sample)] = _describe(sample, tube, footage, edition)
    if not entries:
        raise ValueError(f"{dataset.name}: no query has a time and a box in each frame of it")
    reasons = {
        "whose time and boxes are not both known": partial,
        "with frames without a box": gaps,
    }
    left = tuple(
        f"{count} queries {reason} are left out: {edition.name} cannot hold them"
        for reason, count in reasons.items()
        if count
    )
    notes = (*left, *note_truths(noted))
    return Written(json.dumps(entries, ensure_ascii=False) + "\n", len(entries), notes)


def _refuse_shared(dataset: DataSet) -> None:
    names = Counter(_name_entry(sample) for sample in dataset)
    (name, count), *_ = names.most_common(1)
    if count > 1:
        raise ValueError(
            f"{name}: {count} queries about it, and HC-STVG holds one a video; write them to "
            "several files, each with one of them"
        )


def _name_entry(sample: Sample) -> str:
    """Return the name of a sample's video file, by which HC-STVG knows its query."""
    recording = sample.recording
    if isinstance(recording, StoredVideo) and recording.segment is not None:
        raise ValueError(f"{sample.id}: is about a part of its video, which HC-STVG cannot hold")
    return PurePosixPath(recording.name).name


def _read(sample: Sample) -> Footage:
    try:
        footage = sample.recording.read(READ_FRAMES)
        sample.check_size(footage)
    except ValueError as failure:
        raise ValueError(f"{sample.id}: {failure}") from failure
    return footage


def _describe(sample: Sample, tube: Tube, footage: Footage, edition: Edition) -> Mapping[str, Any]:
    video = footage.video
    height, width = video.size
    x1, y1, x2, y2 = tube.boxes.T
    entry: dict[str, Any] = {
        "bbox": [list(box) for box in zip(*map(list, (x1, y1, x2 - x1, y2 - y1)), strict=True)],
        "st_time": round(video.time_at(tube.span.start), 3),
        "ed_time": round(video.time_at(tube.span.stop), 3),
        # Frames count from 1.
        "st_frame": tube.span.start + 1,
        "img_num": footage.source_length,
        edition.query: sample.query,
    }
    if edition is VERSION_1:
        return {**entry, "sub": "", "width": width, "height": height}
    return {**entry, "img_size": [height, width], "ed_frame": tube.span.stop}
