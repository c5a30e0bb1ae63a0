"""Writing of a data set as a file of a user's own: one line a query, in frames and pixels."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from probe.datasets.footage import StoredVideo
from probe.datasets.own_lines import OWN_FORMAT, OWN_VERSION
from probe.datasets.samples import DataSet, Sample
from probe.files import write_text
from probe.video import Tube

READ_FRAMES = 1
"""Frames read of a video whose times and size are all that is needed."""


@dataclass(frozen=True)
class Written:
    """The text of a file, with sentences about what it does not hold."""

    text: str
    queries: int
    notes: tuple[str, ...] = ()

    def save(self, path: str | Path) -> None:
        """Write the text.

        Raises:
            ValueError: if it cannot be written.
        """
        write_text(path, self.text)


def write_lines(records: Iterable[Mapping[str, Any]], **forms: str) -> str:
    """Write records of queries as lines, after a header that names the forms of their numbers."""
    header = {"format": OWN_FORMAT, "version": OWN_VERSION, **forms}
    return "".join(f"{json.dumps(one, ensure_ascii=False)}\n" for one in (header, *records))


def to_own(dataset: DataSet, folder: Path) -> Written:
    """Write a data set as a file of your own, in frames, corners and pixels.

    Args:
        dataset: The data set.
        folder: The folder of the file, from which it names the videos.

    Raises:
        ValueError: if a truth needs its video, and that cannot be read.
    """
    noted: list[Sample] = []
    records = []
    for sample in map(settle, dataset):
        records.append(describe_sample(sample, folder))
        noted += [sample] if sample.notes else []
    text = write_lines(records, protocol=dataset.protocol, time="frames", box="xyxy", unit="pixels")
    return Written(text, len(records), note_truths(noted))


def note_truths(noted: Sequence[Sample]) -> tuple[str, ...]:
    """Tell what is noted about truths, of the first of some queries; none if there are none."""
    # The file that is written is exact about what was a guess, so that no check will tell it again.
    if not noted:
        return ()
    more = f" (and notes about {len(noted) - 1} more queries)" if len(noted) > 1 else ""
    return (f"{noted[0].id}: {'; '.join(noted[0].notes)}{more}",)


def settle(sample: Sample) -> Sample:
    """Return a sample with its truth in frames and pixels; its video is read if that is needed.

    Raises:
        ValueError: if the video cannot be read, or the truth is about another.
    """
    if sample.annotation is None:
        return sample
    try:
        footage = sample.recording.read(READ_FRAMES)
        sample.check_size(footage)
        return sample.settle(footage)
    except ValueError as failure:
        raise ValueError(f"{sample.id}: {failure}") from failure


def describe_sample(sample: Sample, folder: Path) -> dict[str, Any]:
    """Describe a settled sample as the record of a line; what is not known is left out."""
    record: dict[str, Any] = {
        "id": sample.id,
        "video": name_video(sample, folder),
        "query": sample.query,
        "kind": sample.kind,
    }
    if sample.span is not None:
        record["span"] = [sample.span.start, sample.span.stop]
    if sample.boxes is not None:
        record["boxes"] = list_tube(sample.boxes)
    if sample.size is not None:
        record["height"], record["width"] = sample.size
    if sample.length is not None:
        record["frames"] = sample.length
    if isinstance(sample.recording, StoredVideo) and sample.recording.fps is not None:
        record["fps"] = sample.recording.fps
    if sample.absent:
        record["absent"] = dict(sample.absent)
    return record


def name_video(sample: Sample, folder: Path) -> str:
    """Name the video of a sample from a folder; one that was not found keeps its name."""
    recording = sample.recording
    if not isinstance(recording, StoredVideo):
        raise ValueError(f"{sample.id}: its video is no file, so that no line can name it")
    if recording.segment is not None:
        raise ValueError(f"{sample.id}: is about a part of its video, which no line can say")
    if recording.path is None:
        return recording.name
    try:
        return Path(os.path.relpath(recording.path, folder)).as_posix()
    except ValueError:  # on Windows, on another drive
        return str(recording.path)


def list_tube(tube: Tube) -> dict[str, list[float] | None]:
    """List boxes by frame, with null at the start of each gap, which would be filled otherwise."""
    boxes: dict[str, list[float] | None] = {}
    last: int | None = None
    for frame, box in zip(tube.frames.tolist(), tube.boxes.tolist(), strict=True):
        if last is not None and frame > last + 1:
            boxes[str(last + 1)] = None
        boxes[str(frame)] = box
        last = frame
    return boxes


def list_gaps(frames: Sequence[int]) -> list[tuple[int, int]]:
    """List the frames before and after each gap.

    >>> list_gaps([3, 4, 8, 9])
    [(4, 8)]
    """
    return [(before, after) for before, after in pairwise(frames) if after > before + 1]
