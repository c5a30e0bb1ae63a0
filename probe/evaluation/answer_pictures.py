"""An answer and the truth as still pictures: frames with both boxes, and the time of both."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from PIL import Image

from probe.datasets.footage import Footage
from probe.datasets.samples import Sample
from probe.drawing.overlays import ANSWER_COLOUR, TRUTH_COLOUR, draw_outline
from probe.evaluation.page import Picture, TimeSpan
from probe.video import Span, Tube, Video
from probe.video.previews import write_times

SHOWN_FRAMES = 6
"""Frames of an answer that are shown."""

FRAME_HEIGHT = 200
"""Height of each frame, in pixels."""

PICTURE_QUALITY = 88
"""Quality of WebP at which edges of boxes stay sharp; a frame takes a few kB."""

NO_BOXES = Tube([], [])
"""The true boxes of a query that has none."""


def draw_answer(footage: Footage, answer: Tube, sample: Sample) -> tuple[Picture, ...]:
    """Draw frames from the time of the answer and the truth, with the boxes of both.

    Of a truth that is known in part, that part is drawn.

    Args:
        footage: The video, whose sampled frames are drawn.
        answer: The answered tube in source frames; its boxes are solid.
        sample: The query, settled on this video; its true boxes are dashed.
    """
    video = footage.video
    answer, truth = footage.from_source(answer), footage.from_source(sample.boxes or NO_BOXES)
    spans = [answer.span, truth.span, _find_true_time(footage, sample)]
    places = _choose_places(video, [span for span in spans if span])
    times = write_times(np.array([video.time_at(video.indices[place]) for place in places]))
    return tuple(
        Picture(_draw_frame(video, place, answer, truth), "webp", time)
        for place, time in zip(places, times, strict=True)
    )


def list_spans(footage: Footage, answer: Tube, sample: Sample) -> tuple[TimeSpan, ...]:
    """List the time of the answer and, if it is known, the true one, as shares of the video."""
    found = {
        "answer": footage.from_source(answer).span,
        "truth": _find_true_time(footage, sample),
    }
    video = footage.video
    duration = video.time_at(video.source_length)
    return tuple(
        TimeSpan(name, video.time_at(span.start) / duration, video.time_at(span.stop) / duration)
        for name, span in found.items()
        if span
    )


def _find_true_time(footage: Footage, sample: Sample) -> Span | None:
    return None if sample.span is None else footage.span_from_source(sample.span)


def _choose_places(video: Video, spans: Sequence[Span]) -> list[int]:
    """Choose sampled frames, evenly over the time from the start of a span to the last end."""
    hull = Span(min(span.start for span in spans), max(span.stop for span in spans))
    within = [place for place, index in enumerate(video.indices) if index in hull]
    # A short tube may contain hardly any sampled frame: then the whole video is shown.
    shown = within if len(within) >= SHOWN_FRAMES // 2 else list(range(len(video)))
    count = min(SHOWN_FRAMES, len(shown))
    return [shown[int(place)] for place in np.linspace(0, len(shown) - 1, count).round()]


def _draw_frame(video: Video, place: int, answer: Tube, truth: Tube) -> bytes:
    """Draw one frame with the boxes that both tubes have in it, as a WebP file."""
    scale = FRAME_HEIGHT / video.size[0]
    width = max(1, round(video.size[1] * scale))
    size = (width, FRAME_HEIGHT)
    image = Image.fromarray(video.frames[place]).resize(size, Image.Resampling.LANCZOS)
    # The answer last: where both boxes agree, its solid line is on top.
    for tube, colour, dashed in ((truth, TRUTH_COLOUR, True), (answer, ANSWER_COLOUR, False)):
        if (box := tube.box_at(video.indices[place])) is not None:
            x1, y1, x2, y2 = (box * scale).tolist()
            draw_outline(image, (x1, y1, x2, y2), colour, dashed=dashed)
    file = BytesIO()
    image.save(file, "WEBP", quality=PICTURE_QUALITY)
    return file.getvalue()
