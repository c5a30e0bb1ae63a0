"""Write a scene as JSON that is small enough for a page; viewer.js reads what this module writes.

Arrays are written by `arrays`, words of cells by `lens_json`.
"""

import base64
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from PIL import Image

from probe.engine.attention import RELATIVE_FLOOR, Heatmap
from probe.engine.readings import Reading
from probe.grounding.answers import Answer
from probe.interpret.logit_lens import LogitLens
from probe.pictures.escapes import escape
from probe.pictures.heat import (
    COLD_PERCENTILE,
    HOT_PERCENTILE,
    colour_heat,
)
from probe.video import Tube, Video
from probe.viewer.answer_words import describe_scores
from probe.viewer.arrays import encode_array
from probe.viewer.compression import (
    Budget,
    StrongestCells,
    WholeMaps,
    compress_attention,
    encode_logs,
)
from probe.viewer.lens_json import encode_lens
from probe.viewer.scene import Scene, ShownQuestion

WEBP_QUALITIES = (85, 70, 50, 30)
"""Qualities of pictures, tried in turn until all pictures fit."""

LEAST_PICTURE_SIDE = 64
"""Pixels of the longest side below which pictures are not made smaller."""

ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}
"""Signs that could end a script element, as JSON writes them otherwise. Those that could end a line
of JavaScript are none that `make_visible` leaves."""


def encode_scene(scene: Scene, budget: Budget, pictures: Sequence[str] | None = None) -> str:
    """Write a scene as JSON that may be put inside a script element: it has no `<`, `>` or `&`.

    Args:
        scene: The scene.
        budget: How much of the attention is kept, and the size of pictures.
        pictures: The pictures of the video, where they were encoded before.
    """
    readings = _collect_readings(scene.questions)
    # By identity: readings hold large tensors, and one is often shared by several questions.
    numbers = {id(reading): number for number, reading in enumerate(readings)}
    scale = {
        "cold": COLD_PERCENTILE,
        "hot": HOT_PERCENTILE,
        "floor": RELATIVE_FLOOR,
        "colours": _list_colours(),
    }
    record = {
        "title": scene.title,
        "model": scene.model,
        "video": _describe_video(scene.video, pictures or encode_pictures(scene.video, budget)),
        "scale": scale,
        "readings": _encode_readings(readings, budget),
        "questions": [_describe_question(one, scene.video, numbers) for one in scene.questions],
        "answer": None if scene.answer is None else _describe_answer(scene.answer, scene.video),
        "truth": None if scene.truth is None else _describe_tube(scene.truth, scene.video),
        "maps": [
            {"name": name, **_encode_map(heatmap, scene.video)}
            for name, heatmap in scene.maps.items()
        ],
        "lens": None if scene.lens is None else _describe_lens(scene.lens, scene.video, budget),
    }
    # Python would write NaN, which is no JSON: the browser would refuse the whole page.
    shown = make_visible(record)
    text = json.dumps(shown, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign, escaped in ESCAPES.items():
        text = text.replace(sign, escaped)
    return text


def make_visible(content: Any) -> Any:
    """Write signs of control in all texts of plain values as escapes: browsers show nothing there.

    A turn of direction would also turn the words of the page that follow it.
    """
    if isinstance(content, str):
        return escape(content)
    if isinstance(content, Mapping):
        return {name: make_visible(value) for name, value in content.items()}
    # Numbers are left alone as a whole: there are many, such as the times of all frames.
    if isinstance(content, list) and not all(isinstance(one, int | float) for one in content):
        return [make_visible(one) for one in content]
    return content


def _collect_readings(questions: Sequence[ShownQuestion]) -> list[Reading]:
    """List every reading once, however many questions are compared with it."""
    found: dict[int, Reading] = {}
    for question in questions:
        for part in (question, question.before):
            for reading in () if part is None else (part.reading, part.generic):
                if reading is not None:
                    found[id(reading)] = reading
    return list(found.values())


def _encode_readings(readings: Sequence[Reading], budget: Budget) -> list[dict[str, Any]]:
    """Write the attention of all readings; the budget is divided evenly among their maps."""
    layer_maps = sum(len(one.layers) * len(one.tokens) for one in readings)
    head_maps = sum(one.attention.shape[:3].numel() for one in readings)
    # The peak and the sum of a map take about as much room as a kept cell.
    per_layer = budget.layer_cells // layer_maps - 1
    per_head = budget.head_cells // head_maps - 1
    return [_encode_reading(reading, per_layer, per_head) for reading in readings]


def _encode_reading(reading: Reading, layer_cells: int, head_cells: int) -> dict[str, Any]:
    maps = reading.attention.flatten(3).detach().cpu().float().numpy()
    kept = compress_attention(maps, layer_cells, head_cells)
    heads = reading.attention.shape[1]
    return {
        "question": reading.prompt.question,
        "tokens": [{"text": one.text, "kind": one.kind} for one in reading.prompt.tokens],
        "asked": reading.prompt.asked,
        "margin": round(reading.margin, 4),
        "layers": list(reading.layers),
        "heads": heads,
        "headNames": list(range(heads) if reading.heads is None else reading.heads),
        "grid": list(reading.grid.shape),
        "region": [round(float(edge), 3) for edge in reading.grid.cells.region],
        "means": _encode_whole(kept.means),
        "layerMaps": _encode_strongest(kept.layers),
        "headMaps": _encode_strongest(kept.heads),
        "error": asdict(kept.error),
    }


def _encode_whole(maps: WholeMaps) -> dict[str, Any]:
    return {"codes": encode_array(maps.codes), "peaks": encode_array(maps.peaks)}


def _encode_strongest(maps: StrongestCells) -> dict[str, Any]:
    # Steps between kept cells are smaller numbers than their places, and compress better.
    steps = np.diff(maps.places, axis=1, prepend=0)
    return {
        "count": maps.places.shape[1],
        "steps": encode_array(steps.astype(np.uint16 if steps.max() < 2**16 else np.uint32)),
        "codes": encode_array(maps.codes),
        "peaks": encode_array(encode_logs(maps.peaks)),
        "masses": encode_array(encode_logs(maps.masses)),
    }


def _describe_question(
    question: ShownQuestion, video: Video, numbers: Mapping[int, int]
) -> dict[str, Any]:
    """Describe a question; `numbers` gives the place of each reading (by its id) in the record."""
    reading, before = question.reading, question.before
    return {
        "name": question.name,
        "reading": numbers[id(reading)],
        "generic": None if question.generic is None else numbers[id(question.generic)],
        "chosen": list(question.chosen),
        "heads": _list_averaged_heads(reading, question.layers),
        "relative": question.relative,
        "mapFrames": _find_map_frames(reading.grid.cells.frames, video),
        "answered": None if question.heatmap is None else _encode_map(question.heatmap, video),
        "before": None if before is None else _describe_question(before, video, numbers),
        "change": question.change,
        "use": question.use,
        "missing": question.missing,
    }


def _list_averaged_heads(reading: Reading, layers: Sequence[int] | None) -> list[list[int]]:
    """List, for each layer read, the places of the heads that the page averages when it opens."""
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


def _encode_map(heatmap: Heatmap, video: Video) -> dict[str, Any]:
    values = heatmap.values.detach().float().cpu().numpy()
    frames = _find_map_frames(heatmap.cells.frames, video)
    return {"values": encode_array(values), "mapFrames": frames}


def _describe_lens(lens: LogitLens, video: Video, budget: Budget) -> dict[str, Any]:
    frames = _find_map_frames(lens.cells.frames, video)
    return {**encode_lens(lens, budget.lens_words), "mapFrames": frames}


def _find_map_frames(frames: Sequence[Sequence[int]], video: Video) -> list[int]:
    """Find, for each picture of the video, the frame of the map that covers it."""
    covers = {source: number for number, sources in enumerate(frames) for source in sources}
    return [covers[index] for index in video.indices]


def _describe_answer(answer: Answer, video: Video) -> dict[str, Any]:
    """Describe an answer: span in seconds, scores, and the box that each picture has, if any."""
    return {
        # The page of a picture has no timeline, and draws no span.
        "span": None if video.is_still else [round(time, 4) for time in answer.seconds],
        "scores": [round(score, 6) for score in answer.frame_scores.tolist()],
        "tube": _describe_tube(answer.tube, video),
        "presence": None if answer.presence is None else round(answer.presence, 4),
        "doubts": list(answer.doubts),
        "scoreWords": describe_scores(answer),
        "candidates": [
            {
                # JSON has no infinity; a candidate that was not asked about has no score.
                "score": None if score == -math.inf else score,
                "chosen": track is answer.track,
                **_describe_tube(track, video),
            }
            for score, track in zip(answer.scores, answer.candidates, strict=True)
        ],
    }


def _describe_tube(tube: Tube, video: Video) -> dict[str, Any]:
    boxes = [
        tube.interpolated([index]).boxes[0].round(2).tolist() if index in tube.span else None
        for index in video.indices
    ]
    stop = min(tube.span.stop, video.source_length)
    span = [round(video.time_at(frame), 4) for frame in (tube.span.start, stop)]
    return {"label": tube.label, "span": span, "boxes": boxes}


def _describe_video(video: Video, pictures: Sequence[str]) -> dict[str, Any]:
    height, width = video.size
    # Each picture is shown for the stretch of time around it, up to half-way to its neighbours.
    turns = [(a + b + 1) // 2 for a, b in zip(video.indices[:-1], video.indices[1:], strict=True)]
    edges = [video.time_at(frame) for frame in (0, *turns, video.source_length)]
    return {
        "name": "" if video.path is None else video.path.name,
        "width": width,
        "height": height,
        "sources": list(video.indices),
        "times": video.times.round(4).tolist(),
        "edges": np.round(edges, 4).tolist(),
        "pictures": list(pictures),
    }


def encode_pictures(video: Video, budget: Budget) -> list[str]:
    """Write all pictures as addresses of data in WebP, in the best quality at which they fit."""
    if video.frames.nbytes <= budget.picture_bytes:
        return [_as_uri(_encode_webp(picture, max(video.size), None)) for picture in video.frames]
    side = budget.picture_side
    while True:
        for quality in WEBP_QUALITIES:
            pictures = [_encode_webp(picture, side, quality) for picture in video.frames]
            fits = sum(map(len, pictures)) <= budget.picture_bytes
            if fits or side <= LEAST_PICTURE_SIDE:
                return [_as_uri(picture) for picture in pictures]
        side //= 2


def _encode_webp(picture: np.ndarray, side: int, quality: int | None) -> bytes:
    """Write a picture, no larger than `side` pixels; without a quality, without loss."""
    image = Image.fromarray(picture)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=quality or 100, lossless=quality is None)
    return stream.getvalue()


def _as_uri(picture: bytes) -> str:
    return "data:image/webp;base64," + base64.b64encode(picture).decode()


def _list_colours() -> list[list[int]]:
    """List red, green, blue and opacity of 256 levels of attention, as overlays have them."""
    return np.rint(255 * colour_heat(np.linspace(0, 1, 256))).astype(int).tolist()
