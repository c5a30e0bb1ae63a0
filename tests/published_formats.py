"""Small data sets written to disk in the exact formats in which the real ones are published."""

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from probe.organism.world import LENGTH, RATE, SIDE, make_clip

SCALE = 2
"""Pixels of a written picture for one of the drawn clip's."""


@cache
def encoded(seed):
    """The bytes of a clip's video; encoded once."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        make_clip(seed).write(path, scale=SCALE)
        return path.read_bytes()


def written_clip(path, seed):
    """Write a clip as a video; its boxes are to be scaled."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(seed))
    return make_clip(seed)


def xywh(boxes):
    return [[x1, y1, x2 - x1, y2 - y1] for x1, y1, x2, y2 in np.asarray(boxes).tolist()]


def hcstvg1_entry(tube, query):
    """As version 1 has it: the first frame counted from 1, times that disagree with it."""
    return {
        "bbox": xywh(tube.boxes * SCALE),
        "st_time": 0.5,
        "ed_time": 19.5,
        "st_frame": int(tube.frames[0]) + 1,
        "img_num": LENGTH,
        "caption": query,
        "sub": "man",
        "width": SIDE * SCALE,
        "height": SIDE * SCALE,
    }


def hcstvg2_entry(tube, query):
    """As version 2 has it: the sentence in two languages, the size in one entry."""
    entry = hcstvg1_entry(tube, query)
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
    """A folder of HC-STVG 1 or 2; its videos lie in numbered folders, as they are handed out."""
    entry, annotations = {
        1: (hcstvg1_entry, root / "annos" / "test.json"),
        2: (hcstvg2_entry, root / "anno_v2" / "val_v2.json"),
    }[edition]
    entries = {}
    for place, seed in enumerate(seeds):
        name = f"{seed}_a.b-c.mp4"
        clip = written_clip(root / "video_parts" / str(place) / name, seed)
        entries[name] = entry(clip.things[0].tube(), clip.things[0].query)
    annotations.parent.mkdir(parents=True)
    annotations.write_text(json.dumps(entries))
    return annotations


def vidor(clip):
    """VidOR's file of a clip: for each frame the boxes of the objects in it."""
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
    """A folder of VidSTG: annotations, videos and VidOR's boxes."""
    entries = []
    for seed in seeds:
        vid = f"40000{seed}"
        clip = written_clip(root / "videos" / "0001" / f"{vid}.mp4", seed)
        boxes = root / "vidor" / "validation" / "0001" / f"{vid}.json"
        boxes.parent.mkdir(parents=True, exist_ok=True)
        boxes.write_text(json.dumps(vidor(clip)))
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
