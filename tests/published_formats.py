"""Writers of small data sets in the exact formats in which the real ones are published."""

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from scipy.io import savemat

from probe.organism.world import LENGTH, RATE, SIDE, make_clip

SCALE = 2
"""Factor by which pictures, and so boxes, are larger than those of the drawn clip."""


@cache
def encode_clip(seed):
    """Return the bytes of a clip's video; each clip is encoded once."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        make_clip(seed).write(path, scale=SCALE)
        return path.read_bytes()


def write_clip(path, seed):
    """Write a clip as a video and return it; its boxes have to be scaled by `SCALE`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_clip(seed))
    return make_clip(seed)


def to_xywh(boxes):
    """Convert corners to left, top, width and height."""
    return [[x1, y1, x2 - x1, y2 - y1] for x1, y1, x2, y2 in np.asarray(boxes).tolist()]


def make_hcstvg1_entry(tube, query):
    """Make an entry of version 1: frames count from 1, and times disagree with them."""
    return {
        "bbox": to_xywh(tube.boxes * SCALE),
        "st_time": 0.5,
        "ed_time": 19.5,
        "st_frame": int(tube.frames[0]) + 1,
        "img_num": LENGTH,
        "caption": query,
        "sub": "man",
        "width": SIDE * SCALE,
        "height": SIDE * SCALE,
    }


def make_hcstvg2_entry(tube, query):
    """Make an entry of version 2: the sentence in two languages, the size in one pair."""
    entry = make_hcstvg1_entry(tube, query)
    for name in ("caption", "sub", "width", "height"):
        del entry[name]
    return {
        **entry,
        "English": query,
        "Chinese": "...",
        "img_size": [SIDE * SCALE, SIDE * SCALE],
        "ed_frame": int(tube.frames[-1]) + 3,
    }


def write_hcstvg(root, edition, seeds=(7, 8, 9)):
    """Write a folder of HC-STVG 1 or 2, with its videos in numbered folders, as published."""
    entry, annotations = {
        1: (make_hcstvg1_entry, root / "annos" / "test.json"),
        2: (make_hcstvg2_entry, root / "anno_v2" / "val_v2.json"),
    }[edition]
    entries = {}
    for place, seed in enumerate(seeds):
        name = f"{seed}_a.b-c.mp4"
        clip = write_clip(root / "video_parts" / str(place) / name, seed)
        entries[name] = entry(clip.things[0].tube(), clip.things[0].query)
    annotations.parent.mkdir(parents=True)
    annotations.write_text(json.dumps(entries))
    return annotations


def make_vidor_boxes(clip):
    """Make the content of VidOR's file of a clip: the boxes of the objects in each frame."""
    tracks = [thing.track() for thing in clip.things]
    edges = ("xmin", "ymin", "xmax", "ymax")
    return {
        "frame_count": LENGTH,
        "trajectories": [
            [
                {
                    "tid": number,
                    "bbox": dict(zip(edges, (track.boxes[frame] * SCALE).tolist(), strict=True)),
                    "generated": 0,
                }
                for number, track in enumerate(tracks)
            ]
            for frame in range(LENGTH)
        ],
    }


def write_vidstg(root, seeds=(7, 8), used=None):
    """Write a folder of VidSTG: annotations, videos and VidOR's boxes."""
    entries = []
    for seed in seeds:
        vid = f"40000{seed}"
        clip = write_clip(root / "videos" / "0001" / f"{vid}.mp4", seed)
        boxes = root / "vidor" / "validation" / "0001" / f"{vid}.json"
        boxes.parent.mkdir(parents=True, exist_ok=True)
        boxes.write_text(json.dumps(make_vidor_boxes(clip)))
        thing = clip.things[0]
        begin, end = used or (0, LENGTH - 1)
        entries.append(
            {
                "vid": vid,
                "fps": RATE,
                "frame_count": LENGTH,
                "width": SIDE * SCALE,
                "height": SIDE * SCALE,
                "used_segment": {"begin_fid": begin, "end_fid": end},
                "temporal_gt": {"begin_fid": thing.span.start, "end_fid": thing.span.stop},
                "captions": [{"description": thing.query, "type": "thing", "target_id": 0}],
                "questions": [
                    {"description": f"what {thing.action}?", "type": "thing", "target_id": 0}
                ],
            }
        )
    annotations = root / "sent_annos" / "test_annotations.json"
    annotations.parent.mkdir(parents=True)
    annotations.write_text(json.dumps(entries))
    return annotations


# xlsa17, the form of the zero-shot data sets

CLASSES, IMAGES = 6, 24
SEEN, VALIDATION = (0, 1, 3, 4), 3


def write_xlsa17(folder, **changes):
    """Write a small data set in the form of xlsa17: six classes, four pictures of each."""
    labels = np.arange(IMAGES) % CLASSES
    numbers = np.arange(IMAGES)
    is_seen = np.isin(labels, SEEN)
    held = is_seen & (numbers >= 18)
    rng = np.random.default_rng(0)
    cells = np.empty((CLASSES, 1), dtype=object)
    cells[:, 0] = [f"animal+{one}" for one in range(CLASSES)]
    files = np.empty((IMAGES, 1), dtype=object)
    files[:, 0] = [f"/authors/data/JPEGImages/animal+{one}/{k}.jpg" for k, one in enumerate(labels)]
    samples = {
        "features": rng.normal(size=(5, IMAGES)),
        "labels": (labels + 1)[:, None].astype(float),
        "image_files": files,
    }
    places = {
        "trainval_loc": is_seen & ~held,
        "train_loc": is_seen & ~held & (labels != VALIDATION),
        "val_loc": is_seen & ~held & (labels == VALIDATION),
        "test_seen_loc": held,
        "test_unseen_loc": ~is_seen,
    }
    splits = {
        "att": rng.normal(size=(3, CLASSES)),
        "allclasses_names": cells,
        **{name: (numbers[own] + 1)[:, None].astype(float) for name, own in places.items()},
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("res101.mat", samples), ("att_splits.mat", splits)):
        savemat(folder / name, {k: v for k, v in {**content, **changes}.items() if k in content})
    return samples, splits
