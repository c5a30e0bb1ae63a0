"""Small good files of every kind, from which damaged ones are made."""

import io
import json
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image
from published_formats import write_hcstvg, write_vidstg
from pycocotools import mask as coco_mask

from probe.candidates.tracks import save_tracks
from probe.datasets import load_dataset
from probe.engine.latent_prompts import LatentPrompt
from probe.engine.model import load
from probe.evaluation import EvaluationConfig, Evaluator, Oracle, evaluate
from probe.grounder import ground
from probe.interpret.heads import HeadList
from probe.organism.world import make_clip
from probe.video import Tube, Video

HEIGHT, WIDTH, LENGTH = 48, 64, 12

CONTAINERS = {
    "a.mp4": "libx264", "b.mkv": "libx264", "c.webm": "libvpx", "d.avi": "mpeg4", "e.ts": "libx264",
    "f.mpg": "mpeg2video", "g.flv": "flv", "h.mov": "mjpeg", "i.gif": "gif", "j.h264": "libx264",
    "k.ogv": "libtheora", "l.mp4": "libx265", "m.wmv": "wmv2",
}  # fmt: skip

QUIET = {"libx265": {"x265-params": "log-level=none"}}

PICTURES = {
    "a.png": ("PNG", "RGB"), "b.png": ("PNG", "P"), "c.png": ("PNG", "I;16"),
    "d.jpg": ("JPEG", "L"), "e.jpg": ("JPEG", "RGB"), "f.webp": ("WEBP", "RGBA"),
    "g.bmp": ("BMP", "RGB"),
    "h.png": ("GIF", "P"), "i.jpg": ("TIFF", "RGB"), "j.bmp": ("PPM", "RGB"),
    "k.avif": ("AVIF", "RGBA"),
}  # fmt: skip


def make_seeds(folder: Path) -> None:
    """Write the good files of every kind into a folder of its own below this one."""
    for make in (
        make_videos, make_pictures, make_tracks, make_annotations, make_answers, make_runs,
        make_latents, make_heads, make_splits,
    ):  # fmt: skip
        place = folder / make.__name__.removeprefix("make_")
        place.mkdir(parents=True)
        make(place)


def stand_in() -> Video:
    """Return the video that tracks are read for."""
    return Video(np.zeros((2, HEIGHT, WIDTH, 3), np.uint8), (0, 9), np.arange(LENGTH) / 10)


def make_videos(folder):
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 255, (LENGTH, HEIGHT, WIDTH, 3), np.uint8)
    for name, codec in CONTAINERS.items():
        if codec not in av.codecs_available:
            continue
        with av.open(str(folder / name), "w") as container:
            stream = container.add_stream(
                codec, rate=10, options={"g": "5", **QUIET.get(codec, {})}
            )
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height = WIDTH, HEIGHT
            stream.pix_fmt = {"mjpeg": "yuvj420p", "gif": "rgb8"}.get(codec, "yuv420p")
            for picture in pictures:
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                container.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
            container.mux(stream.encode(None))


def make_pictures(folder):
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    for name, (form, mode) in PICTURES.items():
        picture = Image.fromarray(noise).convert(mode if mode != "I;16" else "I")
        exif = Image.Exif()
        exif[0x0112] = 6
        options = {"exif": exif} if form == "JPEG" else {}
        written = io.BytesIO()
        (picture.convert("I;16") if mode == "I;16" else picture).save(written, form, **options)
        (folder / name).write_bytes(written.getvalue())


def make_tracks(folder):
    tubes = [Tube([0, 3, 9], [[1, 2, 30, 40]] * 3, "man"), Tube([5], [10, 10, 20, 20], "dog")]
    save_tracks(tubes, stand_in(), folder / "own.json")
    runs = [HEIGHT * WIDTH - 20, 10, 10]
    picture = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    picture[10:20, 30:40] = 1
    compressed = str({**coco_mask.encode(picture)}["counts"], "ascii")
    masks = [None, {"size": [HEIGHT, WIDTH], "counts": runs},
             {"size": [HEIGHT, WIDTH], "counts": compressed}]  # fmt: skip
    proposal = {
        "track_id": 1, "bboxes": [[[1, 2, 3, 4]], [[0, 0, 0, 0]], [[0, 0, 0, 0]]], "rles": masks,
        "class_name": "man", "box_format": "xyxy", "img_width": WIDTH, "img_height": HEIGHT,
    }  # fmt: skip
    content = {"sample_frames": [0, 4, 9], "dino_sam2_proposals": [proposal, proposal]}
    (folder / "published.json").write_text(json.dumps(content))


def make_annotations(folder):
    for edition in (1, 2):
        write_hcstvg(folder / f"hcstvg{edition}", edition, (7,))
    write_vidstg(folder / "vidstg", (7,))


def make_answers(folder):
    clip = make_clip(7)
    clip.write(folder / "clip.mp4")
    answer = ground(load(), str(folder / "clip.mp4"), clip.things[0].query, config="best")
    answer.save(folder / "answer.json")


def make_runs(folder):
    config = EvaluationConfig("shapes-val", method="centre", candidates=Oracle())
    evaluator = Evaluator(config, load_dataset("shapes-val"), load())
    evaluate(evaluator, folder, limit=3)


def make_latents(folder):
    vectors = torch.randn(2 * 3 * 4, 5, generator=torch.Generator().manual_seed(0))
    LatentPrompt(vectors, 1, "tiny", (2, 3, 4), "who?").save(folder / "a.safetensors")


def make_heads(folder):
    model = {"name": "tiny", "revision": "1", "layers": 4}
    HeadList([(1, 2), (3, 0)], model, "by votes").save(folder / "heads.json")


def make_splits(folder):
    entry = {"decompose_attribute": ["the old man"], "decompose_action": ["the man bows"]}
    (folder / "split.json").write_text(json.dumps({"1.mp4": entry, "2": entry}))
