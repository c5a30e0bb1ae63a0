"""An answer and the truth as one still picture: a strip of frames with both boxes and spans."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from probe.datasets.footage import Footage
from probe.datasets.samples import Sample
from probe.drawing.overlays import ANSWER_COLOUR, TRUTH_COLOUR, draw_outline
from probe.drawing.time_bars import StripText, TimeBar
from probe.video import Span, Tube, Video

STRIP_FRAMES = 6
"""Frames in a strip."""

FRAME_HEIGHT = 170
"""Height of each frame, in pixels."""

FRAME_GAP = 4
"""Space between two frames, in pixels."""

TEXT_HEIGHT = 14
"""Height of text, in pixels."""

NO_BOXES = Tube([], [])
"""The true boxes of a query that has none."""


def draw_answer_strip(footage: Footage, answer: Tube, sample: Sample, title: str) -> bytes:
    """Draw frames from the time of the answer and the truth, with the boxes of both.

    Of a truth that is known in part, that part is drawn.

    Args:
        footage: The video, whose sampled frames are drawn.
        answer: The answered tube in source frames; its boxes are solid.
        sample: The query, settled on this video; its true boxes are dashed.
        title: The text below, usually the query.

    Returns:
        The picture as a PNG file.
    """
    video = footage.video
    answer, truth = footage.from_source(answer), footage.from_source(sample.boxes or NO_BOXES)
    time = sample.span and footage.span_from_source(sample.span)
    spans = [span for span in (answer.span, truth.span, time) if span]
    pictures = [_draw_frame(video, place, answer, truth) for place in _choose_places(video, spans)]
    gap = np.full((FRAME_HEIGHT, FRAME_GAP, 3), 255, dtype=np.uint8)
    row = np.concatenate([part for one in pictures for part in (one, gap)][:-1], axis=1)
    bars = [("answer", answer.span, ANSWER_COLOUR)]
    bars += [("truth", time, TRUTH_COLOUR)] if time else []
    text = StripText(title)
    below = TimeBar.of(video, bars, width=row.shape[1], unit=TEXT_HEIGHT, text=text).background
    file = BytesIO()
    Image.fromarray(np.concatenate([row, np.asarray(below)])).save(file, format="PNG")
    return file.getvalue()


def _choose_places(video: Video, spans: Sequence[Span]) -> list[int]:
    """Choose sampled frames, evenly over the time from the start of a span to the last end."""
    hull = Span(min(span.start for span in spans), max(span.stop for span in spans))
    within = [place for place, index in enumerate(video.indices) if index in hull]
    # A short tube may contain hardly any sampled frame: then the whole video is shown.
    shown = within if len(within) >= STRIP_FRAMES // 2 else list(range(len(video)))
    count = min(STRIP_FRAMES, len(shown))
    return [shown[int(place)] for place in np.linspace(0, len(shown) - 1, count).round()]


def _draw_frame(
    video: Video, place: int, answer: Tube, truth: Tube
) -> UInt8[np.ndarray, "height width 3"]:
    """Draw one frame at its height in the strip, with the boxes that both tubes have in it."""
    scale = FRAME_HEIGHT / video.size[0]
    width = max(1, round(video.size[1] * scale))
    size = (width, FRAME_HEIGHT)
    image = Image.fromarray(video.frames[place]).resize(size, Image.Resampling.LANCZOS)
    # The answer last: where both boxes agree, its solid line is on top.
    for tube, colour, dashed in ((truth, TRUTH_COLOUR, True), (answer, ANSWER_COLOUR, False)):
        if (box := tube.box_at(video.indices[place])) is not None:
            x1, y1, x2, y2 = (box * scale).tolist()
            draw_outline(image, (x1, y1, x2, y2), colour, dashed=dashed)
    return np.asarray(image)
