"""A small folder in the published form of RefCOCO: drawn pictures, refs, instances and cues."""

import json
import pickle

import numpy as np
from PIL import Image, ImageDraw

from probe.video.masks import Mask

WIDTH, HEIGHT = 104, 64
COLOURS = {
    "red": (220, 30, 30), "green": (30, 170, 50), "blue": (40, 60, 230), "white": (250, 250, 250),
    "yellow": (240, 220, 30), "black": (10, 10, 10), "purple": (150, 40, 190),
    "cyan": (40, 220, 230),
}  # fmt: skip
FORMS = ("square", "circle")
RADIUS = 19
"""Half of a thing's width, so that a circle has more than the 1,000 pixels of a proposal."""


def draw_thing(draw, colour, form, x, y):
    box = (x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS)
    (draw.rectangle if form == "square" else draw.ellipse)(box, fill=colour)


def make_polygon(form, x, y):
    """Corners of a thing, as COCO lists them; pixel (3, 4) is the square from there to (4, 5)."""
    if form == "square":
        left, top, right, bottom = x - RADIUS, y - RADIUS, x + RADIUS + 1, y + RADIUS + 1
        return [left, top, right, top, right, bottom, left, bottom]
    turns = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    corners = np.stack([x + 0.5 + RADIUS * np.cos(turns), y + 0.5 + RADIUS * np.sin(turns)], axis=1)
    return corners.round(2).ravel().tolist()


def list_things(number):
    """Two things, on the left and on the right; those of eight pictures are all different."""
    kinds = [(colour, form) for colour in COLOURS for form in FORMS]
    # 7 has no factor in common with 16, so that each kind comes once in eight pictures.
    chosen = [kinds[7 * (2 * number + side) % len(kinds)] for side in (0, 1)]
    rng = np.random.default_rng(number)
    return [
        (*kind, int(24 + 54 * side + rng.integers(-4, 5)), int(rng.integers(20, 44)))
        for side, kind in enumerate(chosen)
    ]


def write_refer(root, name="refcoco+", split="unc", parts=("train", "val"), pictures=4):
    """Write pictures of two things each, for every part; return the folder of the annotations."""
    folder, stored = root / "refer" / name, root / "images" / "train2014"
    folder.mkdir(parents=True)
    stored.mkdir(parents=True, exist_ok=True)
    refs, images, annotations, cues = [], [], [], {}
    for number, part in enumerate(np.repeat(parts, pictures).tolist()):
        file = f"COCO_train2014_{number:012d}.jpg"
        picture = Image.new("RGB", (WIDTH, HEIGHT), (110, 110, 110))
        images.append({"id": number, "file_name": file, "height": HEIGHT, "width": WIDTH})
        for side, (colour, form, x, y) in enumerate(list_things(number)):
            draw_thing(ImageDraw.Draw(picture), COLOURS[colour], form, x, y)
            thing = 10 * number + side
            polygon = make_polygon(form, x, y)
            annotations.append(
                {
                    "id": thing, "image_id": number, "category_id": 1,
                    "bbox": [x - RADIUS, y - RADIUS, 2 * RADIUS + 1, 2 * RADIUS + 1],
                    "segmentation": [polygon], "area": 1.0, "iscrowd": 0,
                }
            )  # fmt: skip
            texts = (f"the {colour} {form}", f"{form} in {colour}")
            refs.append(
                {
                    "ref_id": 500 + thing, "ann_id": thing, "image_id": number, "category_id": 1,
                    # No picture has this name: it ends in the number of the annotation.
                    "split": part, "file_name": file.replace(".jpg", f"_{thing}.jpg"),
                    "sent_ids": [9000 + 2 * thing, 9001 + 2 * thing],
                    "sentences": [
                        {"sent_id": 9000 + 2 * thing + k, "sent": text, "raw": text.upper(),
                         "tokens": text.split()}
                        for k, text in enumerate(texts)
                    ],
                }
            )  # fmt: skip
            cues[str(500 + thing)] = {
                str(9000 + 2 * thing + k): [f"a {form}", f"a {colour} thing"] for k in (0, 1)
            }
        picture.save(stored / file, quality=95)
    (folder / f"refs({split}).p").write_bytes(pickle.dumps(refs, protocol=2))
    categories = [{"id": 1, "name": "thing"}]
    (folder / "instances.json").write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    (folder / "cues.json").write_text(json.dumps(cues))
    return folder


def write_masks(root, target):
    """Write the true things of each picture as proposals: one JSON list of runs a picture."""
    target.mkdir()
    (instances,) = root.glob("refer/*/instances.json")
    content = json.loads(instances.read_text())
    for image in content["images"]:
        masks = [
            Mask.from_pixels(draw_mask(one["segmentation"][0])).to_dict()
            for one in content["annotations"]
            if one["image_id"] == image["id"]
        ]
        name = image["file_name"].replace(".jpg", ".json")
        (target / name).write_text(json.dumps(masks))
    return target


def draw_mask(polygon):
    """The pixels of a polygon by Pillow, which shares no code with pycocotools."""
    picture = Image.new("1", (WIDTH, HEIGHT))
    # Pillow fills to the middle of the last pixel, COCO's corners are at its outer edge.
    corners = np.reshape(polygon, (-1, 2)) - 0.5
    ImageDraw.Draw(picture).polygon([tuple(one) for one in corners.tolist()], fill=1)
    return np.asarray(picture)
