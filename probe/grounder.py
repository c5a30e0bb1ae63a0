"""Zero-shot spatio-temporal video grounding: when and where is what a sentence describes?

READ THIS FILE FIRST. The method (Yang, Liu, Hancke and Lau, NeurIPS 2025) is `ground` and `look`:
ask a video language model whether the thing is there, find the token through which it looks at
the video, and follow its eyes.
"""

from collections.abc import Sequence

from probe.candidates.proposals import propose_tracks, with_heatmap_tracks
from probe.candidates.tracks import best_track
from probe.engine.model import VideoLM
from probe.engine.readings import Reading
from probe.engine.view import View
from probe.grounding.answers import Answer, Laps, Look
from probe.grounding.config import PLAIN, GrounderConfig
from probe.grounding.queries import Queries, as_question, decompose
from probe.grounding.reattention import Learning, prompted_each
from probe.grounding.span_rules import best_span
from probe.video import Tube, Video


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
