"""Say in words how an answer used its maps, and what the scores of its candidates are."""

import re
from typing import Any

from probe.grounding.again import SecondReading
from probe.grounding.answers import Answer
from probe.grounding.track_rules import (
    CHOSEN_BY_ATTENTION,
    AttentionBySize,
    AttentionPeak,
    CausalEffect,
    PeakInTrack,
)
from probe.plain import identity_of

PEAK = "the strongest cell of the map inside the track"
EFFECT = "the effect of the track's cells on the model's own answer"


def describe_scores(answer: Answer) -> str:
    """Describe the scores of the candidates, with their unit."""
    return _call_boxes(answer, _describe_rule(answer))


def _call_boxes(answer: Answer, words: str) -> str:
    """Call the candidates of a picture boxes, which tracks are in a video."""
    return re.sub(r"\b([Tt]he) track\b", r"\1 box", words) if answer.video.is_still else words


def _describe_rule(answer: Answer) -> str:
    rule = answer.config.track
    if chose_by_attention(answer) and not isinstance(rule, AttentionBySize):
        return f"Score: {PEAK}."
    if isinstance(rule, AttentionBySize):
        return f"Score: {PEAK}, over the root of its number of cells."
    if isinstance(rule, CausalEffect):
        return f"Score: {EFFECT}, in logits over the root of their number."
    return f"Score: as {_name(rule)} gives it."


def describe_use(answer: Answer, name: str) -> str:
    """Describe how the map of a part of an answer was joined, and what was chosen by it.

    Args:
        answer: The answer.
        name: The part: "where" or "when".
    """
    config = answer.config
    where = name == "where"
    assembly = config.assembly if where else config.assembly_when
    assembly = None if answer.video.is_still else assembly  # a frame alone has no other order
    words = [] if assembly is None else [f"The maps of both frame orders are joined ({assembly})."]
    if config.maps is not None:
        words.insert(0, f"This map is no attention, but that of {_name(config.maps)}.")
    if where and config.fuse is not None:
        words.append(f"It is multiplied by the map of {_name(config.fuse)}.")
    words.append(_describe_track_choice(answer) if where else _describe_time_choice(answer))
    return _call_boxes(answer, " ".join(words))


def _describe_track_choice(answer: Answer) -> str:
    if chose_by_attention(answer):
        return "The track was chosen by this map."
    # The map is drawn over the chosen track all the same: nobody should take it for the reason.
    if isinstance(answer.config.track, CausalEffect):
        return f"The track was not chosen by this map, but by {EFFECT}."
    return f"The track was chosen by {_name(answer.config.track)}."


def _describe_time_choice(answer: Answer) -> str:
    config, words = answer.config, []
    if config.heads_when is not None:
        words.append(f"Its heads were chosen by {_name(config.heads_when)}.")
    if config.relevance_when is not None:
        words.append(f"It was freed of what any prompt looks at by {_name(config.relevance_when)}.")
    scored = isinstance(config.frames, PeakInTrack)
    by = "this map inside the track" if scored else _name(config.frames)
    also = "" if answer.again is None else _describe_again(answer.again)
    return " ".join([*words, f"The time was chosen by {by}{also}."])


def _describe_again(again: SecondReading) -> str:
    count = len(again.frames)
    return f" and by a second reading, of {count} more frames" if count else ""


def chose_by_attention(answer: Answer) -> bool:
    """Return whether the track is known to be chosen by the map of where."""
    if isinstance(answer.config.track, CausalEffect):
        return CHOSEN_BY_ATTENTION in answer.doubts
    return isinstance(answer.config.track, AttentionPeak | AttentionBySize)


def _name(rule: Any) -> str:
    return identity_of(rule if hasattr(rule, "__qualname__") else type(rule))
