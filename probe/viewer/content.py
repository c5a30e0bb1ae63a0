"""A scene in plain values, small enough to be carried in a page; viewer.js reads what this writes.

Arrays are compressed (zlib, after putting the bytes of equal weight together) and written as
base64; browsers undo both by themselves.
"""

import base64
import io
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import matplotlib
import numpy as np
from PIL import Image

from probe.drawing.overlays import COLD, COLOURS, DARKEST, HOT, STRONGEST
from probe.engine.attention import RELATIVE_FLOOR, Heatmap
from probe.engine.readings import Reading
from probe.video import Tube, Video
from probe.viewer.scene import Scene, Sight
from probe.viewer.strongest import Budget, Strongest, Whole, keep

QUALITIES = (85, 70, 50, 30)
"""WebP qualities, tried in turn until all pictures fit."""

SMALLEST = 64
"""Pixels of the longest side below which pictures are not made smaller."""


def content(scene: Scene, budget: Budget) -> str:
    """The scene as JSON that may stand inside a script element: no `<`, `>` or `&` is in it."""
    readings = _readings(scene.sights)
    numbers = {id(reading): number for number, reading in enumerate(readings)}
    record = {
        "title": scene.title,
        "model": scene.model,
        "video": _video(scene.video, budget),
        "scale": {"cold": COLD, "hot": HOT, "floor": RELATIVE_FLOOR, "colours": _colours()},
        "readings": _kept(readings, budget),
        "sights": [_sight(sight, scene.video, numbers) for sight in scene.sights],
        "found": None if scene.found is None else _found(scene.found, scene.video),
        "truth": None if scene.truth is None else _tube(scene.truth, scene.video),
    }
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    escapes = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028"}
    for sign, escaped in (escapes | {"\u2029": "\\u2029"}).items():
        text = text.replace(sign, escaped)
    return text


def packed(array: np.ndarray) -> dict[str, Any]:
    """An array as JSON: its type, and its compressed bytes."""
    little = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<")))
    planes = little.view(np.uint8).reshape(-1, array.dtype.itemsize).T
    squeezed = zlib.compress(planes.tobytes(), 9)
    return {"type": array.dtype.name, "data": base64.b64encode(squeezed).decode()}


def _readings(sights: Sequence[Sight]) -> list[Reading]:
    """Every reading once, however often it is compared with."""
    found: dict[int, Reading] = {}
    for sight in sights:
        for part in (sight, sight.before):
            for reading in () if part is None else (part.reading, part.generic):
                if reading is not None:
                    found[id(reading)] = reading
    return list(found.values())


def _kept(readings: Sequence[Reading], budget: Budget) -> list[dict[str, Any]]:
    """The attention of all readings, the budget divided evenly among their maps."""
    layer_maps = sum(len(one.layers) * len(one.tokens) for one in readings)
    head_maps = sum(one.attention.shape[:3].numel() for one in readings)
    per_layer, per_head = budget.layer_cells // layer_maps, budget.head_cells // head_maps
    return [_reading(reading, per_layer, per_head) for reading in readings]


def _reading(reading: Reading, per_layer: int, per_head: int) -> dict[str, Any]:
    kept = keep(reading.attention.flatten(3).detach().cpu().float().numpy(), per_layer, per_head)
    heads = reading.attention.shape[1]
    return {
        "question": reading.prompt.question,
        "tokens": [{"text": one.text, "kind": one.kind} for one in reading.prompt.tokens],
        "margin": round(reading.margin, 4),
        "layers": list(reading.layers),
        "heads": heads,
        "headNames": list(range(heads) if reading.heads is None else reading.heads),
        "grid": list(reading.grid.shape),
        "region": [round(float(edge), 3) for edge in reading.grid.cells.region],
        "means": _whole(kept.means),
        "layerMaps": _strongest(kept.layers),
        "headMaps": _strongest(kept.heads),
        "error": asdict(kept.error),
    }


def _whole(maps: Whole) -> dict[str, Any]:
    return {"codes": packed(maps.codes), "peaks": packed(maps.peaks)}


def _strongest(maps: Strongest) -> dict[str, Any]:
    steps = np.diff(maps.places, axis=1, prepend=0)
    return {
        "count": maps.places.shape[1],
        "steps": packed(steps.astype(np.uint16 if steps.max() < 2**16 else np.uint32)),
        "codes": packed(maps.codes),
        "peaks": packed(maps.peaks),
        "masses": packed(maps.masses),
    }


def _sight(sight: Sight, video: Video, numbers: Mapping[int, int]) -> dict[str, Any]:
    reading = sight.reading
    cells = reading.grid.cells
    return {
        "name": sight.name,
        "reading": numbers[id(reading)],
        "generic": None if sight.generic is None else numbers[id(sight.generic)],
        "chosen": list(sight.chosen),
        "heads": _averaged(reading, sight.layers),
        "relative": sight.relative,
        "mapFrames": _map_frames(cells.frames, video),
        "answered": None if sight.heatmap is None else _heatmap(sight.heatmap, video),
        "before": None if sight.before is None else _sight(sight.before, video, numbers),
    }


def _averaged(reading: Reading, layers: Sequence[int] | None) -> list[list[int]]:
    """For each layer read, the places of the heads that maps are averaged over at first."""
    count = reading.attention.shape[1]
    held = range(count) if reading.heads is None else reading.heads
    if layers is None and reading.layers_heads is not None:
        pairs = set(reading.layers_heads)
        return [
            [place for place, head in enumerate(held) if (layer, head) in pairs]
            for layer in reading.layers
        ]
    wanted = reading.layers if layers is None else layers
    return [list(range(count)) if layer in wanted else [] for layer in reading.layers]


def _heatmap(heatmap: Heatmap, video: Video) -> dict[str, Any]:
    values = heatmap.values.detach().float().cpu().numpy()
    return {"values": packed(values), "mapFrames": _map_frames(heatmap.cells.frames, video)}


def _map_frames(frames: Sequence[Sequence[int]], video: Video) -> list[int]:
    """For each picture, the frame of the map that shows it."""
    covers = {source: number for number, sources in enumerate(frames) for source in sources}
    return [covers[index] for index in video.indices]


def _found(record: Mapping[str, Any], video: Video) -> dict[str, Any]:
    """The answer on the pictures: span in seconds, scores, and boxes where a picture has one."""
    span = record["span"]
    return {
        "span": [span["start_seconds"], span["stop_seconds"]],
        "scores": record["frame_scores"],
        "tube": _tube(Tube.from_dict(record["tube"]), video),
        "candidates": [
            {
                "score": candidate["score"],
                "chosen": candidate["chosen"],
                **_tube(Tube.from_dict(candidate), video),
            }
            for candidate in record["candidates"]
        ],
    }


def _tube(tube: Tube, video: Video) -> dict[str, Any]:
    boxes = [
        tube.interpolated([index]).boxes[0].round(2).tolist() if index in tube.span else None
        for index in video.indices
    ]
    stop = min(tube.span.stop, video.source_length)
    span = [round(video.time_at(frame), 4) for frame in (tube.span.start, stop)]
    return {"label": tube.label, "span": span, "boxes": boxes}


def _video(video: Video, budget: Budget) -> dict[str, Any]:
    height, width = video.size
    turns = [(a + b + 1) // 2 for a, b in zip(video.indices[:-1], video.indices[1:], strict=True)]
    edges = [video.time_at(frame) for frame in (0, *turns, video.source_length)]
    return {
        "name": "" if video.path is None else video.path.name,
        "width": width,
        "height": height,
        "sources": list(video.indices),
        "times": video.times.round(4).tolist(),
        "edges": np.round(edges, 4).tolist(),
        "pictures": _pictures(video, budget),
    }


def _pictures(video: Video, budget: Budget) -> list[str]:
    """All pictures as WebP, in the best quality at which they fit."""
    if video.frames.nbytes <= budget.picture_bytes:
        return [_as_uri(_webp(picture, max(video.size), None)) for picture in video.frames]
    side = budget.picture_side
    while True:
        for quality in QUALITIES:
            pictures = [_webp(picture, side, quality) for picture in video.frames]
            if sum(map(len, pictures)) <= budget.picture_bytes or side <= SMALLEST:
                return [_as_uri(picture) for picture in pictures]
        side //= 2


def _webp(picture: np.ndarray, side: int, quality: int | None) -> bytes:
    """A picture no larger than `side`; without a quality, without loss."""
    image = Image.fromarray(picture)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=quality or 100, lossless=quality is None)
    return stream.getvalue()


def _as_uri(picture: bytes) -> str:
    return "data:image/webp;base64," + base64.b64encode(picture).decode()


def _colours() -> list[list[int]]:
    """Red, green, blue and opacity of 256 levels of attention, as videos are overlaid with."""
    levels = np.linspace(0, 1, 256)
    colours = matplotlib.colormaps[COLOURS](DARKEST + (1 - DARKEST) * levels)
    colours[:, 3] = STRONGEST * levels
    return np.rint(255 * colours).astype(int).tolist()
