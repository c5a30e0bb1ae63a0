"""Zero-shot spatio-temporal video grounding: when and where is what a sentence describes?

READ THIS FILE FIRST. The method (Yang, Liu, Hancke and Lau, NeurIPS 2025) is `ground` and `look`:
ask a video language model whether the thing is there, find the token through which it looks at
the video, and follow its eyes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from probe.answers import Answer, Laps, Look
from probe.attention import Assembly
from probe.grounding_tokens import AllOf, Fixed, MostActive, TokenRule
from probe.interventions import Intervention
from probe.model import VideoLM
from probe.prompts import GENERIC, GENERIC_RELEASED
from probe.proposals import propose_tracks, with_heatmap_tracks
from probe.queries import Queries, as_question, decompose
from probe.readings import Reading
from probe.reattention import Absolute, Learning, contrast, exponential, prompted_each
from probe.spans import GrowFromPeak, SpanRule, TopHull, best_span
from probe.tracks import best_track
from probe.tubes import Tube
from probe.video import Video
from probe.view import View


@dataclass(frozen=True)
class GrounderConfig:
    """The choices that the method leaves open."""

    layers: tuple[int, ...] | None = None
    """Decoder layers whose attention is averaged, numbered from 0; negative numbers count from
    the last. None for all of them."""

    layers_heads: tuple[tuple[int, int], ...] | None = None
    """Pairs of layer and head to average instead, such as those of a `HeadList`, from `layers`;
    None for all heads of all of them."""

    generic: str = GENERIC
    """The prompt that shows where the model looks whatever it is asked."""

    relative: bool = True
    """Whether maps are taken over the generic prompt's."""

    token: TokenRule = field(default_factory=MostActive)
    """Which token's map is read."""

    span: SpanRule = field(default_factory=TopHull)
    """How consecutive frames are chosen from their scores."""

    learn_where: Learning | None = None
    """How the latent prompt of the attribute branch is learned; None for none."""

    learn_when: Learning | None = None
    """How the latent prompt of the action branch is learned; None for none."""

    assembly: Assembly | None = None
    """How the attribute maps of both frame orders become one; None to read one order only."""

    ask_whole: bool = False
    """Whether the final maps are read with the whole query; a latent prompt is always learned
    for the branch's own part of it."""

    prompt_generic: bool = False
    """Whether the generic prompt's map, too, is read on the prompted visual tokens."""

    interventions: tuple[Intervention, ...] = ()
    """What is done to the model while it reads any question: to test what an answer rests on."""

    def branches(self, asked: Queries) -> list[tuple[str, Learning | None]]:
        """What is asked where, and when; and how the latent prompt is learned for it."""
        return [
            (as_question(asked.attribute), self.learn_where),
            (as_question(asked.action), self.learn_when),
        ]


_PAPER_LEARNING = Learning(layer=0, steps=1, rate=Absolute(8.0), loss=exponential)
_RELEASED_LEARNING = Learning(steps=2, rate=Absolute(8.0), loss=contrast, two_taps=True)

PAPER = GrounderConfig(
    learn_where=_PAPER_LEARNING,
    learn_when=_PAPER_LEARNING,
    assembly="mean",
    ask_whole=True,
)
"""As the paper describes it. Its rate of 8 belongs to the scale of a model of 7B."""

RELEASED_CODE = GrounderConfig(
    generic=GENERIC_RELEASED,
    token=Fixed(-5),
    span=GrowFromPeak(),
    learn_where=_RELEASED_LEARNING,
    learn_when=_RELEASED_LEARNING,
    assembly="mean",
    prompt_generic=True,
)
"""As the authors' released code would do it if it ran: a fixed token (that of LLaVA-NeXT-Video),
its own generic prompt, loss and span. Its layers [-26:-6] belong to a model of 32."""

PLAIN = GrounderConfig()
"""Probes alone: grounding token, relative attention and sub-queries, with nothing learned."""

BEST = GrounderConfig(layers=(2,), token=AllOf(), relative=False)
"""What does best on `shapes-val` with the shipped model (`analyses/choices.py`): layer 2 grounds,
and most of its role tokens do. Chosen for that model; on another, choose anew."""

PRESETS = {"plain": PLAIN, "best": BEST, "paper": PAPER, "released-code": RELEASED_CODE}
"""The presets by the names that the command line knows them under."""


def ground(
    model: VideoLM,
    video: Video,
    query: str,
    candidates: Sequence[Tube] | None = None,
    *,
    queries: Queries | None = None,
    config: GrounderConfig = PLAIN,
) -> Answer:
    """Find the tube of the video that a query describes.

    The attributes in the query choose among the candidate tracks; the action chooses when.

    Args:
        model: The model to look through.
        video: The video, with as many sampled frames as the model is to see.
        query: A phrase, sentence or question that describes one thing and what it does.
        candidates: Object tracks to choose from; by default those of the weight-free proposer.
        queries: The query's attribute and action parts; by default split by rules.
        config: What the method leaves open.

    Raises:
        ValueError: if the query is empty, too long or holds control tokens, or an empty list of
            candidates is given; or a word stands further from the end than the generic prompt is
            long, where maps are taken over that prompt's.
    """
    laps = Laps()
    asked = queries or decompose(query)
    view = model.watch(video).under(*config.interventions)
    laps.mark("watch")

    branches = config.branches(asked)
    where, when = look_each(view, asked, branches, config)
    if config.assembly is not None:
        view = view.reversed()  # which lets go of all that was remembered of the other order
        (back,) = look_each(view, asked, branches[:1], config)
        where = where.assembled_with(back, config.assembly)
    laps.mark("look")

    if candidates is None:
        candidates = with_heatmap_tracks(propose_tracks(video), where.heatmap)
    laps.mark("propose")

    track = best_track(candidates, where.heatmap)
    scores = when.heatmap.peak_within(track)
    span = best_span(scores, when.heatmap.cells, video.source_length, config.span)
    laps.mark("choose")
    return Answer(
        video=video,
        queries=asked,
        span=span,
        track=track,
        candidates=tuple(candidates),
        where=where,
        when=when,
        frame_scores=scores,
        model=model.identity,
        config=config,
        timings=laps.seconds,
    )


def look_each(
    view: View,
    asked: Queries,
    branches: Sequence[tuple[str, Learning | None]],
    config: GrounderConfig,
) -> list[Look]:
    """Where the model looks for some parts of a query, each with a latent prompt of its own."""
    views = prompted_each(view, branches, config.generic)
    whole = as_question(asked.whole) if config.ask_whole else None
    pairs = zip(branches, views, strict=True)
    return [look(prompted, whole or part, config) for (part, _), prompted in pairs]


def look(view: View, question: str, config: GrounderConfig) -> Look:
    """Where the model looks for what a question asks about, beyond where it always looks."""
    (read,) = view.read(question, layers=config.layers)
    reading = read.through(config.layers_heads)
    tokens = config.token(reading)
    heatmap = reading.heatmap(tokens)
    if config.relative:
        shown = view if config.prompt_generic else view.plain or view
        (generic,) = shown.read(config.generic, layers=config.layers)
        same = _counted_from_the_end(tokens, reading, generic)
        heatmap = heatmap.relative_to(generic.through(config.layers_heads).heatmap(same))
    return Look(reading, tokens, heatmap)


def _counted_from_the_end(
    tokens: Sequence[int], reading: Reading, generic: Reading
) -> tuple[int, ...]:
    """The same tokens in the generic prompt, which ends with the same role tokens."""
    same = tuple(token - len(reading.tokens) for token in tokens)
    if min(same) < -len(generic.tokens):
        raise ValueError(
            f"{reading.tokens[min(tokens)]!r} has no like in the generic prompt "
            f"{generic.prompt.question!r}, which is shorter; read role tokens, or raw maps "
            f"(relative=False)"
        )
    return same
