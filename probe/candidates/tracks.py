"""Candidate tracks: load, save, score, choose. A candidate is a `Tube`."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from pycocotools import mask as coco_mask
from torch import Tensor

from probe.argument_order import accept_path_first
from probe.engine.attention import Heatmap
from probe.files import FileFormat, read_json, write_json
from probe.video import Box, Tube, Video

TRACKS_FORMAT = FileFormat(
    "grounding-probe/tracks", 1, contents="candidate tracks", writer="save_tracks"
)

EDGE_TOLERANCE = 1.0
"""Pixels by which a box may leave the frame, and is clipped: detectors round their boxes."""


# No sequence of tracks is a path, so the first argument tells the order.
@accept_path_first(lambda args, _: isinstance(args[0], str | PathLike))
def save_tracks(tracks: Sequence[Tube], video: Video, path: str | Path) -> None:
    """Write candidate tracks as JSON that `load_tracks` reads, rounded to 0.01 pixels.

    Raises:
        ValueError: if there is no track, or one does not fit the video.
    """
    _require(len(tracks), f"{path}: there are no tracks to save; give at least one")
    fitting = [
        _fit(f"{path}: track {number}", track.frames, track.boxes, track.label, video)
        for number, track in enumerate(tracks)
    ]
    content = {
        **TRACKS_FORMAT.header,
        "size": list(video.size),
        "frames": video.source_length,
        "tracks": [track.to_dict() for track in fitting],
    }
    write_json(path, content)


def load_tracks(path: str | Path, video: Video) -> tuple[Tube, ...]:
    """Read candidate tracks for a video, in the order of the file.

    There are two formats, which are recognised by their entries: the one of `save_tracks`, and the
    proposals that the authors of the method publish (METHOD.md, "Proposals"). In the latter, a box
    of zeros means that the object is absent, unless the frame has a mask: then the box around the
    mask is taken. Masks are used for nothing else. A box that leaves the frame by a pixel or less
    is clipped.

    Raises:
        ValueError: if the file is missing or in neither format, has no track, or a track does not
            fit the video; the message names file, track, frame and value.
    """
    content = read_json(path)
    _require(isinstance(content, dict), f"{path}: a JSON list or value; tracks are a JSON object")
    own = content.get("format") == TRACKS_FORMAT.name
    _require(
        own or "dino_sam2_proposals" in content,
        f'{path}: neither "format": "{TRACKS_FORMAT.name}" nor "dino_sam2_proposals" is in it; '
        "give a file of save_tracks or of the published proposals",
    )
    with TRACKS_FORMAT.reading(path):  # such as numbers that no float can hold
        tracks = (_read_own if own else _read_published)(path, content, video)
    _require(tracks, f"{path}: no tracks in it; give at least one with a box, or propose tracks")
    return tracks


def track_scores(candidates: Sequence[Tube], heatmap: Heatmap) -> Float[Tensor, " track"]:
    """Score each candidate by the strongest cell of the map inside it, over all frames.

    A cell that is partly inside counts in proportion (METHOD.md, "Spatial inference").

    Raises:
        ValueError: if there is no candidate.
    """
    _require(len(candidates), "there is no candidate to score; load or propose tracks first")
    return torch.stack([heatmap.peak_within(candidate).amax() for candidate in candidates])


def best_track(candidates: Sequence[Tube], heatmap: Heatmap) -> Tube:
    """Return the candidate with the highest score (`track_scores`); among equals, the first.

    Raises:
        ValueError: if there is no candidate, or the map has a value that is not a number.
    """
    scores = track_scores(candidates, heatmap)
    _require(not scores.isnan().any(), "the heatmap has NaN values, so no track is the best")
    ordered = scores.tolist()
    return candidates[ordered.index(max(ordered))]


def _read_own(path: str | Path, content: dict[str, Any], video: Video) -> tuple[Tube, ...]:
    TRACKS_FORMAT.check(path, content)
    _require_size(f"{path}", content.get("size"), video)
    _require(
        content.get("frames") == video.source_length,
        f"{path}: made for a video of {content.get('frames')} frames, this one has "
        f"{video.source_length}; give the tracks of this video",
    )
    tracks = []
    for number, record in enumerate(_expect_list(f"{path}: tracks", content.get("tracks"))):
        where = f"{path}: track {number}"
        _require(isinstance(record, dict), f"{where} is {record!r}; it must be a JSON object")
        frames = _expect_frames(f"{where}: frames", record.get("frames"))
        boxes = [
            _expect_box(f"{where}, frame {frame}", box)
            for frame, box in zip(
                frames, _expect_boxes(where, record, "boxes", frames), strict=True
            )
        ]
        label = str(record.get("label", ""))
        tracks.append(_fit(where, frames, np.array(boxes).reshape(-1, 4), label, video))
    return tuple(tracks)


def _read_published(path: str | Path, content: dict[str, Any], video: Video) -> tuple[Tube, ...]:
    """Read every proposal that has at least one box."""
    frames = _expect_frames(f"{path}: sample_frames", content.get("sample_frames"))
    proposals = _expect_list(f"{path}: dino_sam2_proposals", content["dino_sam2_proposals"])
    tracks = [
        _read_proposal(f"{path}: track {number}", proposal, frames, video)
        for number, proposal in enumerate(proposals)
    ]
    return tuple(track for track in tracks if len(track))


def _read_proposal(where: str, proposal: Any, frames: np.ndarray, video: Video) -> Tube:
    _require(isinstance(proposal, dict), f"{where} is {proposal!r}; it must be a JSON object")
    where = f"{where} (track_id {proposal.get('track_id')})"
    _require_size(where, [proposal.get("img_height"), proposal.get("img_width")], video)
    _require(
        proposal.get("box_format", "xyxy") == "xyxy",
        f"{where}: boxes are {proposal.get('box_format')!r}; convert them to 'xyxy' pixels",
    )
    masks = proposal.get("rles") or [None] * len(frames)
    boxes = _expect_boxes(where, proposal, "bboxes", frames)
    _require(
        len(masks) == len(frames),
        f"{where}: {len(masks)} rles for {len(frames)} frames; give one for each, or none",
    )
    seen = {
        int(frame): _read_box(f"{where}, frame {frame}", box, mask, video)
        for frame, box, mask in zip(frames, boxes, masks, strict=True)
    }
    # The authors list every sampled frame, and write zeros where the object is absent.
    present = {frame: box for frame, box in seen.items() if box != (0, 0, 0, 0)}
    return _fit(
        where,
        np.array(list(present), dtype=np.int64),
        np.array(list(present.values()), dtype=np.float64).reshape(-1, 4),
        str(proposal.get("class_name") or ""),
        video,
    )


def _read_box(where: str, entry: Any, mask: Any, video: Video) -> Box:
    """Read the box of one frame, or else the box around its mask; zeros if there is neither."""
    # Some files have a list of one box for each frame, others the box itself.
    nested = isinstance(entry, list) and len(entry) == 1
    box = _expect_box(where, entry[0] if nested else entry) if entry else (0.0, 0.0, 0.0, 0.0)
    if any(box) or not mask:
        return box
    return find_mask_box(where, mask, video.size)


def find_mask_box(where: str, mask: Any, size: tuple[int, int]) -> Box:
    """Find the box around a mask in COCO run-length form; zeros if the mask is empty.

    Args:
        where: The place of the mask, with which an error starts.
        mask: A record with "size" and "counts". The counts may be text, as in JSON, or bytes, as
            pycocotools makes them.
        size: Height and width that the mask must have, in pixels.

    Raises:
        ValueError: if the mask has another size, or no counts.
    """
    well_formed = isinstance(mask, dict) and isinstance(mask.get("counts"), str | bytes)
    _require(well_formed, f"{where}: a mask without counts; give COCO run-length form, or null")
    _require(
        mask.get("size") == list(size),
        f"{where}: a mask of {mask.get('size')}, the video has {list(size)}; "
        "give the masks of this video",
    )
    counts = mask["counts"]
    encoded = counts.encode() if isinstance(counts, str) else counts
    x, y, width, height = coco_mask.toBbox({"size": list(size), "counts": encoded}).tolist()
    return (x, y, x + width, y + height) if width and height else (0.0, 0.0, 0.0, 0.0)


def _fit(
    where: str,
    frames: Int[np.ndarray, " box"],
    boxes: Float[np.ndarray, "box 4"],
    label: str,
    video: Video,
) -> Tube:
    """Make a tube, and check that it lies in the video; boxes just over the edge are clipped."""
    outside = (frames < 0) | (frames >= video.source_length)
    if outside.any():
        raise ValueError(
            f"{where}: frame {frames[outside][0]} is outside the video, "
            f"which has {video.source_length} frames counted from 0; give the tracks of this video"
        )
    height, width = video.size
    edges = np.array([width, height] * 2, dtype=np.float64)
    beyond = (boxes < -EDGE_TOLERANCE) | (boxes > edges + EDGE_TOLERANCE)
    faults = {
        "is not finite; leave the frame out where the object is absent": ~np.isfinite(boxes),
        "is inside out; give x1, y1, x2, y2 with x1 <= x2 and y1 <= y2": (
            boxes[:, 2:] < boxes[:, :2]
        ),
        f"leaves the frame of {width} x {height} pixels; give pixels of this video": beyond,
    }
    for fault, found in faults.items():
        if found.any():
            at = int(found.any(axis=1).argmax())
            raise ValueError(f"{where}, frame {frames[at]}: the box {boxes[at].tolist()} {fault}")
    return Tube(frames, np.clip(boxes, 0, edges), label)


def _expect_boxes(where: str, record: dict[str, Any], name: str, frames: np.ndarray) -> list[Any]:
    boxes = _expect_list(f"{where}: {name}", record.get(name))
    _require(
        len(boxes) == len(frames),
        f"{where}: {len(boxes)} {name} for {len(frames)} frames; give one box for each frame",
    )
    return boxes


def _expect_frames(where: str, value: Any) -> Int[np.ndarray, " box"]:
    numbers = _expect_list(where, value)
    for earlier, number in zip([-1, *numbers], numbers, strict=False):
        _require(type(number) is int, f"{where}: {number!r} is not a whole number; count frames")
        _require(
            number > earlier or number < 0,
            f"{where}: {number} follows {earlier}; frames must increase, each listed once",
        )
    return np.array(numbers, dtype=np.int64)


def _expect_box(where: str, value: Any) -> Box:
    _require(
        isinstance(value, list)
        and len(value) == 4
        and all(isinstance(number, int | float) for number in value),
        f"{where}: the box {value!r} is not four numbers; give [x1, y1, x2, y2] in pixels",
    )
    x1, y1, x2, y2 = (float(number) for number in value)
    return x1, y1, x2, y2


def _expect_list(where: str, value: Any) -> list[Any]:
    _require(isinstance(value, list), f"{where}: found {value!r}; it must be a list")
    return value


def _require_size(where: str, size: Any, video: Video) -> None:
    _require(
        size == list(video.size),
        f"{where}: made for pictures of [height, width] {size}, the video has "
        f"{list(video.size)}; give the tracks of this video at this size",
    )


def _require(holds: Any, message: str) -> None:
    if not holds:
        raise ValueError(message)
