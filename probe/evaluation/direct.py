"""The model asked in words for times and boxes, and what can be made of what it writes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from probe.engine.generation import write_answer
from probe.engine.model import VideoLM
from probe.video import Span, Tube, Video

PROMPT = (
    'When and where does this video of {seconds:.1f} seconds show "{query}"? Give the first and '
    "the last second, then boxes as fractions of width and height, like this: from 2.0 to 5.5 "
    "seconds; at 2.0: [0.10, 0.20, 0.30, 0.60]; at 4.0: [0.15, 0.20, 0.35, 0.60]"
)

SCALES = (1.0, 100.0, 1000.0)
"""What models take the sides of a picture to be, whatever they are asked for; or they count
pixels. The smallest that holds all their numbers is taken."""

NEAR = 40
"""Characters before a box within which its second stands."""

INSTANT = 1e-6
"""Seconds that rounding may move a frame's time by."""

_NUMBER = r"(\d*\.?\d+)"
_SECONDS = r"\s*(?:s|secs?|seconds?)\b"
_CLOCK = re.compile(r"\b(\d+):(\d{2}(?:\.\d+)?)\b")
_SPANS = tuple(
    re.compile(pattern, re.IGNORECASE | re.DOTALL)
    for pattern in (
        rf"from\D{{0,12}}?{_NUMBER}(?:{_SECONDS})?\s*(?:to|until|till|-)\D{{0,12}}?{_NUMBER}",
        rf"between\D{{0,12}}?{_NUMBER}(?:{_SECONDS})?\s*and\D{{0,12}}?{_NUMBER}",
        rf"(?:start|begin|first)[^\d]{{1,40}}?{_NUMBER}.{{0,40}}?(?:end|stop|last)[^\d]{{1,40}}?{_NUMBER}",
        rf"{_NUMBER}(?:{_SECONDS})?\s*(?:-|\u2013|to|and|,)\s*{_NUMBER}{_SECONDS}",
    )
)
"""Ways of saying from when to when, the plainest first."""

_CORNERS = r"\s*[,\s]\s*".join([r"(-?\d*\.?\d+)"] * 4)
_BOX = re.compile(rf"[\[(<{{]\s*{_CORNERS}\s*[\])>}}]")
_BOX_TIME = re.compile(
    rf"(?:\bat\s+{_NUMBER}(?:{_SECONDS})?\W*|{_NUMBER}(?:{_SECONDS})?[\"']?\s*[:=]\s*)$",
    re.IGNORECASE,
)
"""A second named right before a box is the one it belongs to."""


@dataclass(frozen=True, eq=False)
class DirectAnswer:
    """What a model wrote, and the tube in it."""

    text: str
    span: Span
    track: Tube


def ask_directly(model: VideoLM, video: Video, query: str, *, longest: int) -> DirectAnswer:
    """Ask for the tube in words; greedy, so that the same question has the same answer.

    Raises:
        ValueError: if the question does not fit, or no times or boxes can be read in the answer.
    """
    seconds = video.time_at(video.source_length)
    question = PROMPT.format(query=query.strip(), seconds=seconds)
    return parse(write_answer(model, question, video=video, longest=longest), video)


def parse(text: str, video: Video) -> DirectAnswer:
    """The tube that a text describes.

    Times are seconds or minutes:seconds. A box that no second stands before belongs to none; where
    none has a second, they are spread evenly over the span. Without a span, the first and the last
    box make it.

    Raises:
        ValueError: if there is no box with an area, no time, or they lie outside the video.
    """
    plain = _CLOCK.sub(lambda found: str(60 * int(found[1]) + float(found[2])), text)
    found = list(_BOX.finditer(plain))
    if not found:
        raise ValueError(f"no box can be read in what the model wrote: {_shortened(text)}")
    boxes = _in_pixels(np.array([[float(edge) for edge in box.groups()] for box in found]), video)
    words = _BOX.sub(lambda box: _blank(box[0]), plain)
    times, words = _spoken_span(words)
    solid = [
        (_second_before(words, match.start()), box)
        for match, box in zip(found, boxes, strict=True)
        if (box[2:] > box[:2]).all()
    ]
    if not solid:
        raise ValueError(f"no box in what the model wrote has an area: {_shortened(text)}")
    timed = {second: box for second, box in reversed(solid) if second is not None}
    if not (times or timed):
        raise ValueError(f"no time can be read in what the model wrote: {_shortened(text)}")
    span = _span(times or tuple(timed), video)
    if timed:
        placed = {_frame(video, second): box for second, box in timed.items()}
    else:
        frames = np.linspace(span.start, span.stop - 1, len(solid)).round().astype(int).tolist()
        placed = dict(zip(frames, (box for _, box in solid), strict=True))
    ordered = sorted(placed)
    track = Tube(np.array(ordered, dtype=np.int64), np.stack([placed[at] for at in ordered]))
    return DirectAnswer(text, span, track)


def _spoken_span(words: str) -> tuple[tuple[float, ...], str]:
    """The two seconds that are named as start and end, if any, and the text without them."""
    for pattern in _SPANS:
        if found := pattern.search(words):
            rest = words[: found.start()] + _blank(found[0]) + words[found.end() :]
            return (float(found[1]), float(found[2])), rest
    return (), words


def _blank(text: str) -> str:
    """As many characters that say nothing, so that places in the text stay what they are."""
    return ";" * len(text)


def _second_before(words: str, place: int) -> float | None:
    named = _BOX_TIME.search(words[:place][-NEAR:])
    return None if named is None else float(named[1] or named[2])


def _span(seconds: Sequence[float], video: Video) -> Span:
    start, stop = min(seconds), max(seconds)
    if start >= (length := video.time_at(video.source_length)):
        raise ValueError(f"the model answered with second {start:g} of a video of {length:.1f}")
    first = _frame(video, start)
    after = int(np.searchsorted(video.source_times, stop - INSTANT))
    return Span(first, max(after, first + 1))


def _frame(video: Video, second: float) -> int:
    """The source frame that is shown at a second."""
    return max(0, int(np.searchsorted(video.source_times, second + INSTANT)) - 1)


def _in_pixels(boxes: Float[np.ndarray, "box 4"], video: Video) -> Float[np.ndarray, "box 4"]:
    """Corners in order and in pixels of the video, whatever the model counts in."""
    height, width = video.size
    sides = np.array([width, height] * 2, dtype=np.float64)
    scale = next((scale for scale in SCALES if boxes.max() <= scale), None)
    if scale is None and (boxes > sides).any():
        raise ValueError(f"the model answered with a box beyond the picture: {boxes.max():g}")
    pixels = np.clip(boxes if scale is None else boxes / scale * sides, 0, sides)
    return np.concatenate(
        [np.minimum(pixels[:, :2], pixels[:, 2:]), np.maximum(pixels[:, :2], pixels[:, 2:])], axis=1
    )


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return repr(line if len(line) <= 80 else f"{line[:77]}...")
