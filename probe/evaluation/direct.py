"""A baseline: ask the model in words for times and boxes, and parse the text that it writes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from probe.engine.generation import write_answer
from probe.engine.model import VideoLM
from probe.video import Span, Tube, Video

DIRECT_PROMPT = (
    'When and where does this video of {seconds:.1f} seconds show "{query}"? Give the first and '
    "the last second, then boxes as fractions of width and height, like this: from 2.0 to 5.5 "
    "seconds; at 2.0: [0.10, 0.20, 0.30, 0.60]; at 4.0: [0.15, 0.20, 0.35, 0.60]"
)

BOX_SCALES = (1.0, 100.0, 1000.0)
"""Lengths that models give the sides of a picture, whatever they are asked for, unless they count
pixels. The smallest that is at least as large as all numbers of an answer is taken."""

BEFORE_BOX = 40
"""Characters before a box in which its second is looked for."""

TIME_ROUNDING = 1e-6
"""Seconds by which rounding may move the time of a frame."""

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
"""Patterns of a start and an end in words, the most explicit first."""

_CORNERS = r"\s*[,\s]\s*".join([r"(-?\d*\.?\d+)"] * 4)
_BOX = re.compile(rf"[\[(<{{]\s*{_CORNERS}\s*[\])>}}]")
_BOX_TIME = re.compile(
    rf"(?:\bat\s+{_NUMBER}(?:{_SECONDS})?\W*|{_NUMBER}(?:{_SECONDS})?[\"']?\s*[:=]\s*)$",
    re.IGNORECASE,
)
"""Pattern of a second that is named directly before a box, and so belongs to it."""


@dataclass(frozen=True, eq=False)
class DirectAnswer:
    """The text that a model wrote, with the time and boxes read from it."""

    text: str
    span: Span
    track: Tube


def ask_directly(model: VideoLM, video: Video, query: str, *, max_new_tokens: int) -> DirectAnswer:
    """Ask the model in words for the tube of a query; greedy, so that a question has one answer.

    Args:
        model: The model to ask.
        video: The video, with its sampled frames.
        query: The query, as it is annotated.
        max_new_tokens: Limit on the tokens of the answer.

    Raises:
        ValueError: if the question does not fit, or no times or boxes can be read in the answer.
    """
    seconds = video.time_at(video.source_length)
    question = DIRECT_PROMPT.format(query=query.strip(), seconds=seconds)
    text = write_answer(model, question, video=video, max_new_tokens=max_new_tokens)
    return parse_answer(text, video)


def parse_answer(text: str, video: Video) -> DirectAnswer:
    """Read the span and the boxes in a text that a model wrote.

    Times are seconds or minutes:seconds. Boxes without a second are used only if none has one: then
    they are spread evenly over the span. Without a span, it goes from the first box to the last.

    Raises:
        ValueError: if there is no box with an area, no time, or they lie outside the video.
    """
    plain = _CLOCK.sub(lambda found: str(60 * int(found[1]) + float(found[2])), text)
    found = list(_BOX.finditer(plain))
    if not found:
        raise ValueError(f"no box can be read in what the model wrote: {_shorten(text)}")
    boxes = _to_pixels(np.array([[float(edge) for edge in box.groups()] for box in found]), video)
    # Boxes and the span are blanked and not removed: the place of a box must go on telling which
    # words are before it.
    words = _BOX.sub(lambda box: _blank(box[0]), plain)
    times, words = _find_span(words)
    solid = [
        (_find_second(words, match.start()), box)
        for match, box in zip(found, boxes, strict=True)
        if (box[2:] > box[:2]).all()
    ]
    if not solid:
        raise ValueError(f"no box in what the model wrote has an area: {_shorten(text)}")
    # Reversed, so that of two boxes at one second the first is kept.
    timed = {second: box for second, box in reversed(solid) if second is not None}
    if not (times or timed):
        raise ValueError(f"no time can be read in what the model wrote: {_shorten(text)}")
    span = _to_span(times or tuple(timed), video)
    if timed:
        placed = {_find_frame(video, second): box for second, box in timed.items()}
    else:
        frames = np.linspace(span.start, span.stop - 1, len(solid)).round().astype(int).tolist()
        placed = dict(zip(frames, (box for _, box in solid), strict=True))
    ordered = sorted(placed)
    track = Tube(np.array(ordered, dtype=np.int64), np.stack([placed[at] for at in ordered]))
    return DirectAnswer(text, span, track)


def _find_span(words: str) -> tuple[tuple[float, ...], str]:
    """Find the two seconds named as start and end, and blank them; no seconds if there are none."""
    for pattern in _SPANS:
        if found := pattern.search(words):
            rest = words[: found.start()] + _blank(found[0]) + words[found.end() :]
            return (float(found[1]), float(found[2])), rest
    return (), words


def _blank(text: str) -> str:
    """Return as many characters without meaning."""
    return ";" * len(text)


def _find_second(words: str, place: int) -> float | None:
    """Find the second named before a box at this place of the text."""
    named = _BOX_TIME.search(words[:place][-BEFORE_BOX:])
    return None if named is None else float(named[1] or named[2])


def _to_span(seconds: Sequence[float], video: Video) -> Span:
    start, stop = min(seconds), max(seconds)
    if start >= (length := video.time_at(video.source_length)):
        raise ValueError(f"the model answered with second {start:g} of a video of {length:.1f}")
    first = _find_frame(video, start)
    after = int(np.searchsorted(video.source_times, stop - TIME_ROUNDING))
    return Span(first, max(after, first + 1))


def _find_frame(video: Video, second: float) -> int:
    """Return the source frame that is shown at a second."""
    return max(0, int(np.searchsorted(video.source_times, second + TIME_ROUNDING)) - 1)


def _to_pixels(boxes: Float[np.ndarray, "box 4"], video: Video) -> Float[np.ndarray, "box 4"]:
    """Convert boxes from any unit to pixels of the video, and put their corners in order."""
    height, width = video.size
    sides = np.array([width, height] * 2, dtype=np.float64)
    scale = next((scale for scale in BOX_SCALES if boxes.max() <= scale), None)
    if scale is None and (boxes > sides).any():
        raise ValueError(f"the model answered with a box beyond the picture: {boxes.max():g}")
    pixels = np.clip(boxes if scale is None else boxes / scale * sides, 0, sides)
    return np.concatenate(
        [np.minimum(pixels[:, :2], pixels[:, 2:]), np.maximum(pixels[:, :2], pixels[:, 2:])], axis=1
    )


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return repr(line if len(line) <= 80 else f"{line[:77]}...")
