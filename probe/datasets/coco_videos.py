"""Annotations of videos in the manner of COCO, as lines of one's own: COCO-VID, TAO, YouTube-VIS.

Two layouts are known by their entries. In one, each image of a video has annotations with a `bbox`
(COCO-VID, TAO, MMTracking); in the other, an annotation has the `bboxes` of a whole video
(YouTube-VIS, OVIS). Boxes are left, top, width and height. Without a box, the one around the mask
or polygon is taken.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from math import isfinite
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from probe.datasets.fields import (
    read_box,
    read_count,
    read_frame,
    read_objects,
    read_words,
    reading_entry,
)
from probe.datasets.own_writing import Written, write_lines
from probe.datasets.sentences import Sentences, make_lines
from probe.files import read_json
from probe.video.coercion import describe_given, to_one_line
from probe.video.masks import read_mask

Known = TypeVar("Known")

TRACK_KEYS = ("track_id", "instance_id")
"""Names for the track of an annotation of one image."""

FRAME_KEYS = ("frame_index", "frame_id")
"""Names for the 0-based place of an image in its video."""


@dataclass(frozen=True)
class Film:
    """A video of the file."""

    key: int | str
    """Its id."""

    name: str
    """Words for it where numbers of tracks start again in each video."""

    place: str
    """The file, or the folder of its frames."""

    sides: Mapping[str, int]
    """Height and width, if the file says them."""


@dataclass
class Track:
    """The boxes of one object in one video; it grows while a file is read."""

    name: str
    film: Film
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
            "video": place(track.film.place),
            "boxes": {str(frame): box for frame, box in sorted(track.boxes.items())},
            **track.film.sides,
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
    annotations = read_objects(content.get("annotations"), "annotations")
    whole = any("bboxes" in one or "segmentations" in one for one in annotations)
    # Files of whole tracks need no images, and may have null there.
    listed = content.get("images")
    images = [] if whole and listed is None else read_objects(listed, "images")
    videos = read_objects(content["videos"], "videos")
    films = _index(((film.key, film) for film in _read_films(videos, images)), "videos")
    named = read_objects(content.get("categories") or [], "categories")
    pairs = (
        (_read_key(one, "id", "a category"), read_words(one.get("name"), "the name of a category"))
        for one in named
    )
    categories = _index(pairs, "categories")
    if whole:
        yield from _read_whole(annotations, films, categories)
    else:
        yield from _read_by_image(annotations, images, films, categories)


def _read_films(
    videos: Sequence[Mapping[str, Any]], images: Sequence[Mapping[str, Any]]
) -> Iterator[Film]:
    """Read the videos; one without a file is in the folder of its images, or is a folder itself."""
    folders: dict[Any, str] = {}
    for image in images:
        # Only the first is needed: all images of a video are in one folder.
        if image.get("video_id") is not None and image.get("file_name") is not None:
            key = _read_key(image, "video_id", "an image")
            folders.setdefault(key, _find_folder([image["file_name"]], "an image"))
    for video in videos:
        key = _read_key(video, "id", "a video")
        where = f"video {to_one_line(str(key))}"
        name = str(key)
        if video.get("name") is not None:
            name = read_words(video["name"], f"{where}: name")
        place = _find_folder(video.get("file_names") or [], where) or folders.get(key) or name
        if video.get("file_name"):
            place = read_words(video["file_name"], f"{where}: file_name")
        sides = {
            side: read_count(video[side], f"{where}: {side}")
            for side in ("height", "width")
            if video.get(side) is not None
        }
        yield Film(key, name, place, sides)


def _find_folder(names: Any, where: str) -> str:
    """Find the folder of the first of some pictures; "" if their names have none."""
    if not isinstance(names, list):
        raise ValueError(f"{where}: file_names is {describe_given(names)}, not a list")
    if not names:
        return ""
    folder = str(PurePosixPath(read_words(names[0], f"{where}: the name of a picture")).parent)
    return "" if folder == "." else folder


def _index(pairs: Iterable[tuple[int | str, Known]], kind: str) -> dict[int | str, Known]:
    """Collect entries by their ids, no two of which may be the same."""
    found: dict[int | str, Known] = {}
    for key, one in pairs:
        if key in found:
            raise ValueError(f"two {kind} have the id {describe_given(key)}; leave one")
        found[key] = one
    return found


def _read_key(entry: Mapping[str, Any], name: str, where: str) -> int | str:
    """Read the id of an entry, or of one that it belongs to."""
    key = entry.get(name)
    if isinstance(key, float) and key.is_integer():
        return int(key)
    if isinstance(key, bool) or not isinstance(key, int | str):
        raise ValueError(f"{where}: {name} is {describe_given(key)}, not a whole number or a text")
    return key


def _look_up(entry: Mapping[str, Any], name: str, known: Mapping[Any, Known], where: str) -> Known:
    """Look up the entry whose id another one names."""
    key = _read_key(entry, name, where)
    if key not in known:
        raise ValueError(f"{where}: its {name}, {describe_given(key)}, is not in the file")
    return known[key]


def _name_entry(place: int, entry: Mapping[str, Any], kind: str) -> str:
    return f"{kind} {to_one_line(str(entry.get('id', place)))}"


def _read_category(one: Mapping[str, Any], categories: Mapping[Any, str], where: str) -> str:
    """Return the name of the category of an annotation; "" if it has none that is listed."""
    if one.get("category_id") is None:
        return ""
    return categories.get(_read_key(one, "category_id", where), "")


def _read_whole(
    annotations: Sequence[Mapping[str, Any]],
    films: Mapping[Any, Film],
    categories: Mapping[Any, str],
) -> Iterator[Track]:
    """Read annotations that have the boxes of a whole video."""
    for place, one in enumerate(annotations):
        where = _name_entry(place, one, "annotation")
        film = _look_up(one, "video_id", films, where)
        given, masks = (one.get(name) or [] for name in ("bboxes", "segmentations"))
        for name, listed in (("bboxes", given), ("segmentations", masks)):
            if not isinstance(listed, list):
                raise ValueError(f"{where}: {name} is {describe_given(listed)}, not a list")
        if given and masks and len(given) != len(masks):
            raise ValueError(f"{where}: {len(given)} bboxes and {len(masks)} segmentations")
        boxes = {
            frame: _find_box(box, mask, f"{where}, frame {frame}")
            for frame, (box, mask) in enumerate(zip_longest(given, masks))
        }
        if any(box is not None for box in boxes.values()):
            name = str(_read_key(one, "id", where))
            yield Track(name, film, _read_category(one, categories, where), _trim(boxes))


def _read_by_image(
    annotations: Sequence[Mapping[str, Any]],
    images: Sequence[Mapping[str, Any]],
    films: Mapping[Any, Film],
    categories: Mapping[Any, str],
) -> Iterator[Track]:
    """Read annotations of single images."""
    shown = _index(_place_images(images), "images")
    annotated: dict[Any, set[int]] = {}
    for key, frame in shown.values():
        annotated.setdefault(key, set()).add(frame)
    found: dict[tuple[Any, str], Track] = {}
    for place, one in enumerate(annotations):
        where = _name_entry(place, one, "annotation")
        # The video of the image: not every layout repeats it in the annotation.
        key, frame = _look_up(one, "image_id", shown, where)
        film = _look_up({"video_id": key}, "video_id", films, f"{where}, its image")
        name = str(_read_key(one, _choose_key(one, TRACK_KEYS, where), where))
        box = _find_box(one.get("bbox"), one.get("segmentation"), where)
        if one.get("iscrowd") or box is None:  # a group of things is none of them
            continue
        category = _read_category(one, categories, where)
        kept = found.setdefault((film.key, name), Track(name, film, category, {}))
        if frame in kept.boxes:
            raise ValueError(f"{where}: a second box of track {to_one_line(name)} in frame {frame}")
        kept.boxes[frame] = box
    shared = Counter(track.name for track in found.values())
    for track in found.values():
        if shared[track.name] > 1:  # numbers that start again in each video
            track.name = f"{track.film.name}/{track.name}"
        # An image that was annotated, and in which the thing has no box, does not show it.
        absent = dict.fromkeys(annotated[track.film.key] - track.boxes.keys())
        track.boxes = _trim({**track.boxes, **absent})
        yield track


def _place_images(
    images: Sequence[Mapping[str, Any]],
) -> Iterator[tuple[int | str, tuple[int | str, int]]]:
    """List the id of each image with its video's and its frame."""
    for place, image in enumerate(images):
        where = _name_entry(place, image, "image")
        video, frame = _read_key(image, "video_id", where), _find_frame(image, where)
        yield _read_key(image, "id", where), (video, frame)


def _trim(boxes: Mapping[int, list[float] | None]) -> dict[int, list[float] | None]:
    """Leave out the frames without a box before the first and after the last."""
    shown = [frame for frame, box in boxes.items() if box is not None]
    return {at: boxes[at] for at in sorted(boxes) if min(shown) <= at <= max(shown)}


def _find_box(box: Any, mask: Any, where: str) -> list[float] | None:
    """Return the box of a frame, or the one around its mask or polygons; None if it has none."""
    if box:
        left, top, width, height = read_box(box, f"{where}: the box")
        return [left, top, width, height] if width > 0 and height > 0 else None
    if isinstance(mask, list) and mask:
        return _surround(mask, where)
    around = read_mask(f"{where}: segmentation", mask).box if mask else None
    if around is None:
        return None
    x1, y1, x2, y2 = around.tolist()
    return [x1, y1, x2 - x1, y2 - y1]


def _surround(polygons: list[Any], where: str) -> list[float] | None:
    """Return the box around polygons, each a list of x, y, x, y ...; None if they have no area."""
    for polygon in polygons:
        numbers = isinstance(polygon, list) and all(type(it) in (int, float) for it in polygon)
        if not numbers or not polygon or len(polygon) % 2 or not all(map(isfinite, polygon)):
            raise ValueError(
                f"{where}: a polygon is {describe_given(polygon)}, not a list of x, y, x, y ..."
            )
    across = [float(x) for polygon in polygons for x in polygon[::2]]
    down = [float(y) for polygon in polygons for y in polygon[1::2]]
    width, height = max(across) - min(across), max(down) - min(down)
    return [min(across), min(down), width, height] if width > 0 and height > 0 else None


def _choose_key(entry: Mapping[str, Any], keys: tuple[str, ...], where: str) -> str:
    for key in keys:
        if entry.get(key) is not None:
            return key
    raise ValueError(f"{where}: it has neither {' nor '.join(keys)}")


def _find_frame(image: Mapping[str, Any], where: str) -> int:
    key = _choose_key(image, FRAME_KEYS, where)
    return read_frame(image[key], f"{where}: {key}")


def _name_by_category(tracks: list[Track]) -> dict[str, tuple[Mapping[str, Any], ...]]:
    """Call a track by its category where that tells it from all others of its video."""
    alone = Counter((track.film.key, track.category) for track in tracks)
    return {
        track.name: ({"query": f"the {track.category.replace('_', ' ')}"},)
        for track in tracks
        if track.category and alone[track.film.key, track.category] == 1
    }
