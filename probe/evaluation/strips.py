"""An answer beside the truth as one still picture: a strip of frames, and both spans below it."""

from io import BytesIO

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from probe.datasets.footage import Footage
from probe.drawing.overlays import ANSWER_COLOUR, TRUTH_COLOUR, TimeBar, draw_outline
from probe.video import Span, Tube, Video

FRAMES = 6
"""Frames in a strip."""

HEIGHT = 170
"""Their height in pixels."""

GAP = 4
UNIT = 14
"""Height of text in pixels."""


def strip(footage: Footage, answer: Tube, truth: Tube, title: str) -> bytes:
    """Frames around when answer and truth are, with both boxes; a PNG.

    The answer's box is drawn through, the truth's dashed. Both tubes are in source frames.
    """
    video = footage.video
    answer, truth = footage.from_source(answer), footage.from_source(truth)
    pictures = [_picture(video, place, answer, truth) for place in _places(video, answer, truth)]
    gap = np.full((HEIGHT, GAP, 3), 255, dtype=np.uint8)
    row = np.concatenate([part for one in pictures for part in (one, gap)][:-1], axis=1)
    bars = [("answer", answer.span, ANSWER_COLOUR), ("truth", truth.span, TRUTH_COLOUR)]
    below = TimeBar.of(video, bars, width=row.shape[1], unit=UNIT, title=title).background
    file = BytesIO()
    Image.fromarray(np.concatenate([row, np.asarray(below)])).save(file, format="PNG")
    return file.getvalue()


def _places(video: Video, answer: Tube, truth: Tube) -> list[int]:
    """Sampled frames evenly over the time of either, or over all where there is hardly any."""
    spans = [tube.span for tube in (answer, truth) if len(tube)]
    hull = Span(min(span.start for span in spans), max(span.stop for span in spans))
    within = [place for place, index in enumerate(video.indices) if index in hull]
    shown = within if len(within) >= FRAMES // 2 else list(range(len(video)))
    count = min(FRAMES, len(shown))
    return [shown[int(place)] for place in np.linspace(0, len(shown) - 1, count).round()]


def _picture(
    video: Video, place: int, answer: Tube, truth: Tube
) -> UInt8[np.ndarray, "height width 3"]:
    """One frame, enlarged or reduced, with the boxes it has."""
    scale = HEIGHT / video.size[0]
    width = max(1, round(video.size[1] * scale))
    image = Image.fromarray(video.frames[place]).resize((width, HEIGHT), Image.Resampling.LANCZOS)
    for tube, colour, dashed in ((truth, TRUTH_COLOUR, True), (answer, ANSWER_COLOUR, False)):
        if (box := tube.box_at(video.indices[place])) is not None:
            x1, y1, x2, y2 = (box * scale).tolist()
            draw_outline(image, (x1, y1, x2, y2), colour, dashed=dashed)
    return np.asarray(image)
