"""The figure of an answer: the query, the tokens, where and when they look, the box, the span."""

from typing import TYPE_CHECKING

from matplotlib.figure import Figure, SubFigure

from probe.drawing.candidate_scores import draw_candidate_scores
from probe.drawing.figures import (
    BARS_HEIGHT,
    SCORES_HEIGHT,
    compute_frames_size,
    draw_activation,
    draw_frame_scores,
    draw_frames,
    stack_rows,
)
from probe.drawing.headings import Heading
from probe.drawing.keys import KEY_HEIGHT, KeyLine, draw_key
from probe.grounding.looks import Look
from probe.grounding.targets import list_others
from probe.pictures.style import ALSO_COLOUR, CHOSEN_COLOUR
from probe.video import Tube

if TYPE_CHECKING:
    from probe.grounding.answers import Answer

MOST_NAMED = 2
"""Tokens that are named in the title of a map; of more, their number is told."""


def draw_answer(answer: "Answer", title: str, truth: Tube | None, agreement: str) -> Figure:
    """Draw an answer in the order in which it was found, with the truth where that is known.

    Args:
        answer: The answer.
        title: The text above all.
        truth: The true boxes in the true time.
        agreement: A line below the title, about answer and truth.
    """
    width, height = compute_frames_size(answer.video)
    heading = Heading.of(title, answer.doubts, width, note=agreement)
    looks = {"where": answer.where}
    looks |= {} if answer.video.is_still else {"when": answer.when}
    heights = [heading.height, BARS_HEIGHT, KEY_HEIGHT, *([height] * len(looks))]
    heights += [] if answer.video.is_still else [SCORES_HEIGHT]
    figure = Figure((width, sum(heights)), layout="constrained")
    above, words, key, *parts = stack_rows(figure, heights)
    heading.write(above)
    _draw_tokens(words, answer, looks)
    draw_key(key, _list_lines(answer, truth), "attention" if answer.config.maps is None else "map")
    for part, (name, look) in zip(parts, looks.items(), strict=False):
        _draw_look(part, answer, name, look, truth)
    for part in parts[len(looks) :]:
        draw_frame_scores(
            part.subplots(),
            answer.video,
            answer.when.heatmap,
            answer.frame_scores,
            answer.span,
            truth=None if truth is None else truth.span,
        )
    return figure


def _draw_tokens(part: SubFigure, answer: "Answer", looks: dict[str, Look]) -> None:
    """Draw the tokens of each question, and the score of each candidate next to them."""
    *bars, scored = part.subplots(1, len(looks) + 1, width_ratios=(*([3] * len(looks)), 2))
    for ax, (name, look) in zip(bars, looks.items(), strict=True):
        draw_activation(ax, look.table, look.tokens, title=f"tokens for {name}")
    chosen = answer.scores.index(answer.score)
    rule = getattr(answer.config.track, "__name__", type(answer.config.track).__name__)
    kind = "box" if answer.video.is_still else "track"
    places = [other.candidate for other in list_others(answer.targets, answer.track)]
    title = f"{kind}, by {rule}"
    draw_candidate_scores(scored, answer.scores, chosen, others=places, title=title)


def _draw_look(
    part: SubFigure, answer: "Answer", name: str, look: Look, truth: Tube | None
) -> None:
    """Draw the frames with the map of a look, the boxes of the answer and those of the truth."""
    # Where: in any frame of the video. When: in those of the span.
    timed = name == "when"
    others = list_others(answer.targets, answer.track)
    draw_frames(
        part.subplots(),
        answer.video,
        look.heatmap,
        answer.tube if timed else answer.track,
        answer.candidates,
        others=[other.tube if timed else other.track for other in others],
        truth=truth,
        title=f"{name}: {look.question} {_name_source(answer, look)}",
    )


def _name_source(answer: "Answer", look: Look) -> str:
    """Name the tokens that a map was read through, or the rule that made it."""
    if (rule := answer.config.maps) is not None:
        return f"(no attention: {getattr(rule, '__name__', type(rule).__name__)})"
    if len(look.tokens) > MOST_NAMED:
        return f"(the mean look of {len(look.tokens)} tokens)"
    names = " and ".join(repr(look.token_texts[token].strip()) for token in look.tokens)
    return f"(the look of {names})"


def _list_lines(answer: "Answer", truth: Tube | None) -> list[KeyLine]:
    """List the kinds of box that are drawn."""
    lines = [("answer", CHOSEN_COLOUR, False)]
    if list_others(answer.targets, answer.track):
        lines.append(("also meant", ALSO_COLOUR, False))
    if len(answer.candidates) > 1:
        lines.append(("other candidates", "white", False))
    return lines if truth is None else [*lines, ("truth", "white", True)]
