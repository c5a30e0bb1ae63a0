"""Candidate tracks: load, save, score, choose. A candidate is a `Tube`."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from probe.argument_order import accept_path_first
from probe.engine.attention import Heatmap
from probe.files import FileFormat, read_json, write_json
from probe.video import Box, Tube, Video
from probe.video.coercion import describe_given
from probe.video.masks import Mask, read_mask

TRACKS_FORMAT = FileFormat(
    "grounding-probe/tracks", 1, contents="candidate tracks", writer="save_tracks"
)

EDGE_TOLERANCE = 1.0
"""Pixels by which a box may leave the frame, and is clipped: detectors round their boxes."""

NUMBERS = frozenset({int, float})
"""Types of the numbers of JSON."""

ABSENT = (0.0, 0.0, 0.0, 0.0)
"""The box that the published files have where an object is absent."""


# No sequence of tracks is a path, so the first argument tells the order.
@accept_path_first(lambda args, _: isinstance(args[0], str | PathLike))
def save_tracks(tracks: Sequence[Tube], video: Video, path: str | Path) -> None:
    """Write candidate tracks as JSON that `load_tracks` reads, boxes rounded to 0.01 pixels.

    Masks are written in COCO run-length form.

    Raises:
        ValueError: if there is no track, or one does not fit the video.
    """
    if not len(tracks):
        raise ValueError(f"{path}: there are no tracks to save; give at least one")
    records = [
        _Record(
            f"{path}: track {number}",
            track.frames.tolist(),
            track.boxes.tolist(),
            track.label,
            track.masks,
        )
        for number, track in enumerate(tracks)
    ]
    content = {
        **TRACKS_FORMAT.header,
        "size": list(video.size),
        "frames": video.source_length,
        "tracks": [track.to_dict() for track in _fit(f"{path}", records, video)],
    }
    write_json(path, content)


def load_tracks(path: str | Path, video: Video) -> tuple[Tube, ...]:
    """Read candidate tracks for a video, in the order of the file.

    There are two formats, which are recognised by their entries: the one of `save_tracks`, and the
    proposals that the authors of the method publish (METHOD.md, "Proposals"). In the latter, a box
    of zeros means that the object is absent, unless the frame has a mask: then the box around the
    mask is taken. Masks are kept (`Tube.masks`), but candidates are chosen by their boxes. A box
    that leaves the frame by a pixel or less is clipped.

    Raises:
        ValueError: if the file is missing or in neither format, has no track, a track does not
            fit the video, a mask is none of COCO's, or all boxes lie within one pixel; the message
            names file, track, frame and value.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path}: a JSON list or value; tracks are a JSON object")
    own = content.get("format") == TRACKS_FORMAT.name
    if not own and "dino_sam2_proposals" not in content:
        raise ValueError(
            f'{path}: neither "format": "{TRACKS_FORMAT.name}" nor "dino_sam2_proposals" is in it; '
            "give a file of save_tracks or of the published proposals"
        )
    with TRACKS_FORMAT.reading(path):  # such as numbers that no float can hold
        read = _read_own if own else _read_published
        tracks = _fit(f"{path}", list(read(path, content, video)), video)
    if not tracks:
        raise ValueError(
            f"{path}: no tracks in it; give at least one with a box, or propose tracks"
        )
    return tracks


def check_tracks(tracks: Sequence[Tube], video: Video) -> None:
    """Check that tracks lie in a video; parts of their boxes may leave the picture.

    Raises:
        ValueError: if one is no track, has a frame that the video does not have, or no box in the
            picture.
    """
    if others := [one for one in tracks if not isinstance(one, Tube)]:
        raise ValueError(
            f"a candidate is {describe_given(others[0])}; give tracks (probe.Tube) or their file"
        )
    for place, track in enumerate(tracks):
        name = f"candidate {place}" + (f" ({track.label!r})" if track.label else "")
        if len(track.frames) and track.frames[-1] >= video.source_length:
            raise ValueError(
                f"{name}: frame {track.frames[-1]} is outside the video, which has "
                f"{video.source_length} frames counted from 0; give the tracks of this video"
            )
        height, width = video.size
        low, high = track.boxes[:, :2], track.boxes[:, 2:]
        if len(track.boxes) and not ((high > 0) & (low < (width, height))).all(axis=1).any():
            raise ValueError(
                f"{name}: all of its boxes, such as {track.boxes[0].tolist()}, lie outside the "
                f"frame of {width} x {height} pixels; give pixels of this video"
            )


def track_scores(candidates: Sequence[Tube], heatmap: Heatmap) -> Float[Tensor, " track"]:
    """Score each candidate by the strongest cell of the map inside it, over all frames.

    A cell that is partly inside counts in proportion (METHOD.md, "Spatial inference").

    Raises:
        ValueError: if there is no candidate.
    """
    if not len(candidates):
        raise ValueError("there is no candidate to score; load or propose tracks first")
    return torch.stack([heatmap.peak_within(candidate).amax() for candidate in candidates])


def best_track(candidates: Sequence[Tube], heatmap: Heatmap) -> Tube:
    """Return the candidate with the highest score (`track_scores`); among equals, the first.

    Raises:
        ValueError: if there is no candidate, or the map has a value that is not a number.
    """
    scores = track_scores(candidates, heatmap)
    if scores.isnan().any():
        raise ValueError("the heatmap has NaN values, so no track is the best")
    ordered = scores.tolist()
    return candidates[ordered.index(max(ordered))]


class _Record(NamedTuple):
    """A track of a file, of which every box is four numbers, and not more is known."""

    where: str
    """The place in the file, with which an error starts."""
    frames: list[int]
    boxes: list[Any]
    label: str
    masks: Sequence[Mask | None] = ()
    """One for each box, or none at all."""
    masked: frozenset[int] = frozenset()
    """The frames whose box is that of a mask, and so in pixels, whatever the others are in."""


def _read_own(path: str | Path, content: dict[str, Any], video: Video) -> Iterator[_Record]:
    TRACKS_FORMAT.check(path, content)
    _check_size(f"{path}", content.get("size"), video)
    if content.get("frames") != video.source_length:
        raise ValueError(
            f"{path}: made for a video of {describe_given(content.get('frames'))} frames, this one "
            f"has {video.source_length}; give the tracks of this video"
        )
    for number, record in enumerate(_expect_list(f"{path}: tracks", content.get("tracks"))):
        where = f"{path}: track {number}"
        _check_object(where, record)
        frames = _expect_frames(f"{where}: frames", record.get("frames"))
        boxes = _expect_boxes(where, record, "boxes", frames)
        for frame, box in zip(frames, boxes, strict=True):
            _check_box(where, frame, box)
        masks = _read_masks(where, "masks", record.get("masks"), frames, video)
        yield _Record(where, frames, boxes, _read_label(where, record, "label"), masks)


def _read_published(path: str | Path, content: dict[str, Any], video: Video) -> Iterator[_Record]:
    """Read every proposal that has at least one box."""
    frames = _expect_frames(f"{path}: sample_frames", content.get("sample_frames"))
    proposals = _expect_list(f"{path}: dino_sam2_proposals", content["dino_sam2_proposals"])
    for number, proposal in enumerate(proposals):
        record = _read_proposal(f"{path}: track {number}", proposal, frames, video)
        if record.frames:
            yield record


def _read_proposal(where: str, proposal: Any, frames: list[int], video: Video) -> _Record:
    _check_object(where, proposal)
    where = f"{where} (track_id {describe_given(proposal.get('track_id'))})"
    _check_size(where, [proposal.get("img_height"), proposal.get("img_width")], video)
    form = proposal.get("box_format", "xyxy")
    if form != "xyxy":
        raise ValueError(
            f"{where}: boxes are {describe_given(form)}; convert them to 'xyxy' pixels"
        )
    boxes = _expect_boxes(where, proposal, "bboxes", frames)
    masks = _read_masks(where, "rles", proposal.get("rles"), frames, video)
    drawn = [_read_box(where, frame, box) for frame, box in zip(frames, boxes, strict=True)]
    # The authors list every sampled frame, and write zeros where the object is absent.
    absent = {frame for frame, box in zip(frames, drawn, strict=True) if box == ABSENT}
    found = dict(zip(frames, masks, strict=False))
    seen = {
        frame: _find_edges(found.get(frame)) if frame in absent else box
        for frame, box in zip(frames, drawn, strict=True)
    }
    present = {frame: box for frame, box in seen.items() if box != ABSENT}
    return _Record(
        where,
        list(present),
        list(present.values()),
        label=_read_label(where, proposal, "class_name"),
        masks=[found.get(frame) for frame in present],
        masked=frozenset(present).intersection(absent),
    )


def _read_label(where: str, record: dict[str, Any], name: str) -> str:
    """Read the name of an object; "" if nobody gave one."""
    label = record.get(name)
    if label is not None and not isinstance(label, str):
        raise ValueError(f"{where}: {name} is {describe_given(label)}; give a text, or null")
    return label or ""


def _read_box(where: str, frame: int, entry: Any) -> Box:
    """Read the box of one frame; zeros if there is none."""
    if not entry:
        return ABSENT
    # Some files have a list of one box for each frame, others the box itself.
    box = entry[0] if isinstance(entry, list) and len(entry) == 1 else entry
    _check_box(where, frame, box)
    x1, y1, x2, y2 = map(float, box)
    return x1, y1, x2, y2


def _read_masks(
    where: str, name: str, given: Any, frames: list[int], video: Video
) -> list[Mask | None]:
    """Read the masks of a track, one for each frame; none if none are given."""
    masks = [] if given is None else _expect_list(f"{where}: {name}", given)
    if masks and len(masks) != len(frames):
        raise ValueError(
            f"{where}: {len(masks)} {name} for {len(frames)} frames; give one for each, or none"
        )
    return [
        read_mask(f"{where}, frame {frame}", mask, video.size) if mask else None
        for frame, mask in zip(frames, masks, strict=False)
    ]


def _find_edges(mask: Mask | None) -> Box:
    """Find the box around a mask; zeros if there is none, or it is empty."""
    if mask is None or (box := mask.box) is None:
        return ABSENT
    x1, y1, x2, y2 = box.tolist()
    return x1, y1, x2, y2


def _fit(where: str, records: Sequence[_Record], video: Video) -> tuple[Tube, ...]:
    """Make tubes, and check that they lie in the video; boxes just over the edge are clipped."""
    if empty := next((record for record in records if not record.frames), None):
        raise ValueError(f"{empty.where}: it has no frame with a box; leave the track out")
    # In one array for all tracks: files of many thousands of short tracks take no longer to check
    # than to parse.
    counts = [len(record.frames) for record in records]
    frames = np.array([frame for record in records for frame in record.frames], dtype=np.int64)
    listed = [box for record in records for box in record.boxes]
    boxes = np.array(listed, dtype=np.float64).reshape(-1, 4)
    owners = np.repeat(np.arange(len(records)), counts)
    outside = (frames < 0) | (frames >= video.source_length)
    if outside.any():
        at = int(outside.argmax())
        raise ValueError(
            f"{records[owners[at]].where}: frame {frames[at]} is outside the video, "
            f"which has {video.source_length} frames counted from 0; give the tracks of this video"
        )
    for fault, found in _list_faults(boxes, video.size).items():
        if found.any():
            at = int(found.any(axis=1).argmax())
            place = f"{records[owners[at]].where}, frame {frames[at]}"
            raise ValueError(f"{place}: the box {boxes[at].tolist()} {fault}")
    _check_unit(where, records, boxes, video)
    height, width = video.size
    clipped = np.clip(boxes, 0, (width, height, width, height))
    ends = np.cumsum(counts).tolist()
    return tuple(
        Tube.from_checked(
            frames[end - count : end], clipped[end - count : end], record.label, record.masks
        )
        for record, count, end in zip(records, counts, ends, strict=True)
    )


def _list_faults(
    boxes: Float[np.ndarray, "box 4"], size: tuple[int, int]
) -> dict[str, Bool[np.ndarray, "box side"]]:
    """Find the boxes that no tube of a video of this size can have, by what is wrong with them."""
    height, width = size
    edges = np.array([width, height] * 2, dtype=np.float64)
    beyond = (boxes < -EDGE_TOLERANCE) | (boxes > edges + EDGE_TOLERANCE)
    return {
        "is not finite; leave the frame out where the object is absent": ~np.isfinite(boxes),
        "is inside out; give x1, y1, x2, y2 with x1 <= x2 and y1 <= y2": (
            boxes[:, 2:] < boxes[:, :2]
        ),
        f"leaves the frame of {width} x {height} pixels; give pixels of this video": beyond,
    }


def _check_unit(
    where: str, records: Sequence[_Record], boxes: Float[np.ndarray, "box 4"], video: Video
) -> None:
    """Refuse boxes that are given in shares of the picture, from 0 to 1, and not in pixels."""
    # A single track may well be a sliver in the corner; not all of them, unless that is all that
    # the picture has.
    drawn = [frame not in record.masked for record in records for frame in record.frames]
    relative = boxes[np.array(drawn, dtype=bool)]
    if len(relative) and (relative <= 1).all() and max(video.size) > 1:
        height, width = video.size
        raise ValueError(
            f"{where}: every box lies within one pixel, such as {relative[0].tolist()}; boxes are "
            f"in pixels, so multiply those from 0 to 1 by {width} (x) and {height} (y)"
        )


def _expect_boxes(where: str, record: dict[str, Any], name: str, frames: list[int]) -> list[Any]:
    boxes = _expect_list(f"{where}: {name}", record.get(name))
    if len(boxes) != len(frames):
        raise ValueError(
            f"{where}: {len(boxes)} {name} for {len(frames)} frames; give one box for each frame"
        )
    return boxes


def _expect_frames(where: str, value: Any) -> list[int]:
    frames = _expect_list(where, value)
    for frame in frames:
        if type(frame) is not int:
            raise ValueError(
                f"{where}: {describe_given(frame)} is not a whole number; count frames"
            )
    for earlier, frame in pairwise(frames):
        if frame <= earlier:
            raise ValueError(
                f"{where}: {describe_given(frame)} follows {describe_given(earlier)}; frames must "
                "increase, each listed once"
            )
    return frames


def _check_box(where: str, frame: int, box: Any) -> None:
    # The types by themselves, since true is a number to Python.
    if type(box) is not list or len(box) != 4 or not NUMBERS.issuperset(map(type, box)):
        raise ValueError(
            f"{where}, frame {describe_given(frame)}: the box {describe_given(box)} is not four "
            "numbers; give [x1, y1, x2, y2] in pixels"
        )


def _check_object(where: str, value: Any) -> None:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is {describe_given(value)}; it must be a JSON object")


def _expect_list(where: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{where}: found {describe_given(value)}; it must be a list")
    return value


def _check_size(where: str, size: Any, video: Video) -> None:
    if size != list(video.size):
        raise ValueError(
            f"{where}: made for pictures of [height, width] {describe_given(size)}, the video has "
            f"{list(video.size)}; give the tracks of this video at this size"
        )
