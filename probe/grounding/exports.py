"""Answers as values of other programs: Detections of `supervision`, and a sample of FiftyOne.

Neither is needed for anything else: `pip install 'grounding-probe[exports]'` for the first, and
`pip install fiftyone` for the second. Masks go along where a tracker or a file of tracks gave them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool

from probe.grounding.answers import Answer
from probe.video import Tube, Video
from probe.video.masks import Mask

if TYPE_CHECKING:
    import supervision

    from probe.video import Box

TRACK_NUMBER = 1
"""The number of the answered track; an answer has one."""

CLASS_NUMBER = 0
"""The number of its class."""


@dataclass(frozen=True)
class RelativeBox:
    """The box of one source frame as FiftyOne has it."""

    frame: int
    """Frame of the file, from 1."""

    box: "Box"
    """Left, top, width and height in shares of the picture."""

    mask: Bool[np.ndarray, "row column"] | None
    """Pixels of the object inside the box, if they are known."""


def to_detections(answer: Answer, tube: Tube | None = None) -> "dict[int, supervision.Detections]":
    """Convert an answer to Detections of `supervision` by source frame, one object in each.

    Args:
        answer: The answer; its score is the confidence if it lies between 0 and 1.
        tube: The boxes; by default those of the answer's span. `answer.whole_track` has one in each
            frame.

    Raises:
        RuntimeError: if supervision is not installed.
    """
    module = _import_supervision()
    boxes = answer.tube if tube is None else tube
    label = _name(answer)
    return {
        frame: module.Detections(
            xyxy=box[None].astype(np.float64),
            mask=None if (mask := boxes.mask_at(frame)) is None else mask.to_pixels()[None],
            confidence=_find_confidence(answer),
            class_id=np.array([CLASS_NUMBER]),
            tracker_id=np.array([TRACK_NUMBER]),
            data={"class_name": np.array([label]), "frame": np.array([frame])},
            # Equal in all frames: supervision merges only those whose metadata agree.
            metadata={"query": answer.queries.whole},
        )
        for frame, box in zip(boxes.frames.tolist(), boxes.boxes, strict=True)
    }


def to_fiftyone(answer: Answer, tube: Tube | None = None, *, field: str = "probe") -> Any:
    """Convert an answer to a sample of FiftyOne: boxes by frame, and the span in the whole video.

    Args:
        answer: The answer, about a video file.
        tube: The boxes; by default those of the answer's span.
        field: The name under which boxes and span are found in the sample.

    Returns:
        A `fiftyone.Sample`; `dataset.add_sample` takes it.

    Raises:
        ValueError: if the video of the answer is no file.
        RuntimeError: if fiftyone is not installed.
    """
    path = _find_file(answer.video)
    module = _import_fiftyone()
    sample = module.Sample(filepath=str(path.absolute()))
    boxes = answer.tube if tube is None else tube
    label, score = _name(answer), _find_confidence(answer)
    confidence = None if score is None else float(score[0])
    for one in list_relative_boxes(boxes, answer.video):
        found = module.Detection(
            label=label,
            bounding_box=list(one.box),
            mask=one.mask,
            index=TRACK_NUMBER,
            confidence=confidence,
        )
        sample.frames[one.frame] = module.Frame(**{field: module.Detections(detections=[found])})
    first = _count_from_file(answer.video, answer.span.start)
    last = _count_from_file(answer.video, answer.span.stop - 1)
    when = module.TemporalDetection(label=answer.queries.whole, support=[first, last])
    sample[f"{field}_span"] = module.TemporalDetections(detections=[when])
    sample[f"{field}_presence"] = answer.presence
    sample[f"{field}_doubts"] = list(answer.doubts)
    return sample


def list_relative_boxes(tube: Tube, video: Video) -> Iterator[RelativeBox]:
    """List the boxes of a tube in shares of the picture, by frame of the file from 1."""
    height, width = video.size
    for frame, box in zip(tube.frames.tolist(), tube.boxes.tolist(), strict=True):
        x1, y1, x2, y2 = box
        relative = (x1 / width, y1 / height, (x2 - x1) / width, (y2 - y1) / height)
        mask = tube.mask_at(frame)
        inside = None if mask is None else cut_mask(mask, (x1, y1, x2, y2))
        yield RelativeBox(_count_from_file(video, frame), relative, inside)


def cut_mask(mask: Mask, box: "Box") -> Bool[np.ndarray, "row column"]:
    """Cut the pixels of a mask that lie inside a box, which has at least one row and column."""
    x1, y1, x2, y2 = (round(edge) for edge in box)
    return mask.to_pixels()[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)]


def _count_from_file(video: Video, frame: int) -> int:
    """Return the number in the file of a frame of the video, which may be a part of it; from 1."""
    start = 0 if video.part is None else video.part.start
    return start + frame + 1


def _name(answer: Answer) -> str:
    return answer.track.label or answer.queries.whole


def _find_confidence(answer: Answer) -> np.ndarray | None:
    """Return the score of the track as a confidence; None where it is on another scale."""
    # A causal effect is in logits, which no program would read as a confidence.
    return np.array([answer.score]) if 0 <= answer.score <= 1 else None


def _find_file(video: Video) -> Path:
    if video.path is None or not video.path.is_file():
        what = "an array" if video.path is None else f"{video.path}, a folder"
        raise ValueError(f"{what}: FiftyOne opens video files; write it as one first")
    return video.path


def _import_supervision() -> ModuleType:
    try:
        import supervision
    except ImportError as missing:
        raise RuntimeError(
            "supervision is not installed; install it with: pip install 'grounding-probe[exports]'"
        ) from missing
    return supervision


def _import_fiftyone() -> Any:
    try:
        # No extra of ours: it brings a database server of its own, for which not every system has a
        # build.
        import fiftyone  # pyright: ignore[reportMissingImports]
    except ImportError as missing:
        raise RuntimeError(
            "fiftyone is not installed; install it with: pip install fiftyone"
        ) from missing
    return fiftyone
