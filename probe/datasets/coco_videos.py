"""Annotations of videos in the manner of COCO, as lines of one's own: COCO-VID, TAO, YouTube-VIS.

Two layouts are known by their entries. In one, each image of a video has annotations with a `bbox`
(COCO-VID, TAO, MMTracking); in the other, an annotation has the `bboxes` of a whole video
(YouTube-VIS, OVIS). Boxes are left, top, width and height. Without a box, the one around the mask
or polygon is taken.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from probe.datasets.fields import reading_entry
from probe.datasets.own_writing import Written, write_lines
from probe.datasets.sentences import Sentences, make_lines
from probe.files import read_json
from probe.video.masks import read_mask

TRACK_KEYS = ("track_id", "instance_id")
"""Names for the track of an annotation of one image."""

FRAME_KEYS = ("frame_index", "frame_id")
"""Names for the 0-based place of an image in its video."""


@dataclass
class Track:
    """The boxes of one object in one video; it grows while a file is read."""

    name: str
    video: Mapping[str, Any]
    category: str
    boxes: dict[int, list[float] | None]


def read_coco(
    path: Path, sentences: Sentences | None, place: Callable[[str], str] = str
) -> Written:
    """Read the tracks of a file as the lines of a file of your own.

    Without a file of sentences, a track is called by its category, such as "the dog", if it is the
    only one of it in its video. It is not known when a query holds, unless a sentence says it.

    Args:
        path: The annotation file.
        sentences: The sentences by the number of the track.
        place: Names a video as the lines are to name it.

    Raises:
        ValueError: if it is no such file, an entry is damaged, or no query is left.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("videos"), list):
        raise ValueError(f"{path}: has no list of videos; give COCO-VID, TAO or YouTube-VIS")
    with reading_entry(str(path)):
        tracks = list(_read_tracks(content))
    if sentences is not None:
        sentences.check([track.name for track in tracks])
    # A category alone is a query only where it can mean one thing.
    by_track = _name_by_category(tracks) if sentences is None else sentences.by_track
    records = []
    for track in tracks:
        about = {
            "video": place(_name_video(content, track.video)),
            "boxes": {str(frame): box for frame, box in sorted(track.boxes.items())},
            **{side: track.video[side] for side in ("height", "width") if side in track.video},
        }
        records += make_lines(track.name, by_track.get(track.name, ()), about)
    if not records:
        raise ValueError(
            f"{path}: no track is the only one of its category in its video; give --queries a JSON "
            'file such as {"3": "the man in red"}'
        )
    left = sum(track.name not in by_track for track in tracks)
    reason = "have no sentence" if sentences is not None else "are not alone of their category"
    notes = (f"{left} of {len(tracks)} tracks {reason} and are left out",) if left else ()
    return Written(
        write_lines(records, time="frames", box="xywh", unit="pixels"), len(records), notes
    )


def _read_tracks(content: Mapping[str, Any]) -> Iterator[Track]:
    """Read the tracks of either layout, those of several videos under names of their own."""
    videos = {video["id"]: video for video in content["videos"]}
    categories = {one["id"]: one["name"] for one in content.get("categories", ())}
    annotations = content["annotations"]
    if any("bboxes" in one or "segmentations" in one for one in annotations):
        yield from _read_whole(annotations, videos, categories)
    else:
        yield from _read_by_image(content, videos, categories)


def _read_whole(
    annotations: list[dict[str, Any]], videos: Mapping[Any, Any], categories: Mapping[Any, str]
) -> Iterator[Track]:
    """Read annotations that have the boxes of a whole video."""
    for one in annotations:
        video = videos[one["video_id"]]
        masks = one.get("segmentations") or [None] * len(one["bboxes"])
        given = one.get("bboxes") or [None] * len(masks)
        boxes = {
            frame: _find_box(box, mask)
            for frame, (box, mask) in enumerate(zip(given, masks, strict=True))
        }
        if any(box is not None for box in boxes.values()):
            name = str(one["id"])
            yield Track(name, video, categories.get(one["category_id"], ""), _trim(boxes))


def _read_by_image(
    content: Mapping[str, Any], videos: Mapping[Any, Any], categories: Mapping[Any, str]
) -> Iterator[Track]:
    """Read annotations of single images."""
    images = {image["id"]: image for image in content["images"]}
    annotated: dict[Any, set[int]] = {}
    for image in images.values():
        annotated.setdefault(image["video_id"], set()).add(_find_frame(image))
    found: dict[tuple[Any, Any], Track] = {}
    for one in content["annotations"]:
        image = images[one["image_id"]]
        # The video of the image: not every layout repeats it in the annotation.
        track, video = _first(one, TRACK_KEYS), image["video_id"]
        box = _find_box(one.get("bbox"), one.get("segmentation"))
        if one.get("iscrowd") or box is None:  # a group of things is none of them
            continue
        kept = found.setdefault(
            (video, track),
            Track(str(track), videos[video], categories.get(one.get("category_id"), ""), {}),
        )
        kept.boxes[_find_frame(image)] = box
    shared = Counter(track.name for track in found.values())
    for (video, _), track in found.items():
        if shared[track.name] > 1:  # numbers that start again in each video
            track.name = f"{videos[video].get('name', video)}/{track.name}"
        # An image that was annotated, and in which the thing has no box, does not show it.
        absent = dict.fromkeys(annotated[video] - track.boxes.keys())
        track.boxes = _trim({**track.boxes, **absent})
        yield track


def _trim(boxes: Mapping[int, list[float] | None]) -> dict[int, list[float] | None]:
    """Leave out the frames without a box before the first and after the last."""
    shown = [frame for frame, box in boxes.items() if box is not None]
    return {at: boxes[at] for at in sorted(boxes) if min(shown) <= at <= max(shown)}


def _find_box(box: Any, mask: Any) -> list[float] | None:
    """Return the box of a frame, or the one around its mask or polygons; None if it has none."""
    if box:
        left, top, width, height = map(float, box)
        return [left, top, width, height] if width > 0 and height > 0 else None
    if isinstance(mask, list) and mask:
        across = [float(x) for polygon in mask for x in polygon[::2]]
        down = [float(y) for polygon in mask for y in polygon[1::2]]
        return [min(across), min(down), max(across) - min(across), max(down) - min(down)]
    around = read_mask("segmentation", mask).box if mask else None
    if around is None:
        return None
    x1, y1, x2, y2 = around.tolist()
    return [x1, y1, x2 - x1, y2 - y1]


def _first(entry: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    for key in keys:
        if entry.get(key) is not None:
            return entry[key]
    raise ValueError(f"entry {entry.get('id')} has neither {' nor '.join(keys)}")


def _find_frame(image: Mapping[str, Any]) -> int:
    return int(_first(image, FRAME_KEYS))


def _name_video(content: Mapping[str, Any], video: Mapping[str, Any]) -> str:
    """Name a video: its file, or the folder of its frames."""
    if video.get("file_name"):
        return str(video["file_name"])
    for names in (video.get("file_names"), _list_images(content, video)):
        if names and str(PurePosixPath(names[0]).parent) != ".":
            return str(PurePosixPath(names[0]).parent)
    return str(video.get("name", video["id"]))


def _list_images(content: Mapping[str, Any], video: Mapping[str, Any]) -> list[str]:
    images = content.get("images", ())
    # Only the first is looked at: all images of a video are in one folder.
    return [one["file_name"] for one in images if one["video_id"] == video["id"]][:1]


def _name_by_category(tracks: list[Track]) -> dict[str, tuple[Mapping[str, Any], ...]]:
    """Call a track by its category where that tells it from all others of its video."""
    alone = Counter((track.video["id"], track.category) for track in tracks)
    return {
        track.name: ({"query": f"the {track.category.replace('_', ' ')}"},)
        for track in tracks
        if track.category and alone[track.video["id"], track.category] == 1
    }
