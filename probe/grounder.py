"""Zero-shot spatio-temporal video grounding: when and where is what a sentence describes?

READ THIS FILE FIRST. The method (Yang, Liu, Hancke and Lau, NeurIPS 2025) is `ground` and `look`:
ask a video language model whether the thing is there, find the token through which it looks at
the video, and follow its eyes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from probe.answers import Answer, Laps, Look
from probe.grounding_tokens import grounding_token
from probe.model import VideoLM
from probe.prompts import GENERIC, GENERIC_RELEASED
from probe.proposals import propose_tracks, with_heatmap_tracks
from probe.queries import as_question, decompose
from probe.spans import GrowFromPeak, SpanRule, TopHull, best_span
from probe.tracks import best_track
from probe.tubes import Tube
from probe.video import Video
from probe.view import Reading


@dataclass(frozen=True)
class GrounderConfig:
    """The choices that the method leaves open."""

    layers: tuple[int, ...] | None = None
    """Decoder layers whose attention is averaged, numbered from 0; negative numbers count from
    the last. None for all of them."""

    generic: str = GENERIC
    """The prompt that shows where the model looks whatever it is asked."""

    relative: bool = True
    """Whether maps are taken over the generic prompt's."""

    token: int | None = None
    """The token to read, counted from the end (-1 is the last); None to choose it by its visual
    activation, sample by sample."""

    span: SpanRule = field(default_factory=TopHull)
    """How consecutive frames are chosen from their scores."""


PAPER = GrounderConfig()
"""As the paper describes it. Its decomposition and latent prompts are not part of `ground` yet."""

RELEASED_CODE = GrounderConfig(generic=GENERIC_RELEASED, token=-5, span=GrowFromPeak())
"""As the authors' released code does it: a fixed token (that of LLaVA-NeXT-Video) and its own
generic prompt and span. Its layers [-26:-6] belong to a model of 32."""

PRESETS = {"paper": PAPER, "released-code": RELEASED_CODE}
"""The presets by the names that the command line knows them under."""


def ground(
    model: VideoLM,
    video: Video,
    query: str,
    candidates: Sequence[Tube] | None = None,
    *,
    config: GrounderConfig = PAPER,
) -> Answer:
    """Find the tube of the video that a query describes.

    The attributes in the query choose among the candidate tracks; the action chooses when.

    Args:
        model: The model to look through.
        video: The video, with as many sampled frames as the model is to see.
        query: A phrase, sentence or question that describes one thing and what it does.
        candidates: Object tracks to choose from; by default those of the weight-free proposer.
        config: What the method leaves open.

    Raises:
        ValueError: if the query is empty, too long or holds control tokens.
    """
    laps = Laps()
    asked = decompose(query)
    view = model.watch(video)
    laps.mark("watch")

    questions = as_question(asked.attribute), as_question(asked.action), config.generic
    who, does, generic = view.read(*questions, layers=config.layers)
    where, when = (look(reading, generic, config) for reading in (who, does))
    laps.mark("read")

    tracks = candidates or with_heatmap_tracks(propose_tracks(video), where.heatmap)
    laps.mark("propose")

    track = best_track(tracks, where.heatmap)
    scores = when.heatmap.peak_within(track)
    span = best_span(scores, when.heatmap.cells, video.source_length, config.span)
    laps.mark("choose")
    return Answer(
        video=video,
        queries=asked,
        span=span,
        track=track,
        candidates=tuple(tracks),
        where=where,
        when=when,
        frame_scores=scores,
        model=model.identity,
        config=config,
        timings=laps.seconds,
    )


def look(asked: Reading, generic: Reading, config: GrounderConfig) -> Look:
    """Where the model looks to answer a question, beyond where it always looks."""
    last = len(asked.tokens)
    token = grounding_token(asked) if config.token is None else last + config.token
    heatmap = asked.heatmap(token)
    if config.relative:
        same_role = token - last + len(generic.tokens)
        heatmap = heatmap.relative_to(generic.heatmap(same_role))
    return Look(asked, token, heatmap)
