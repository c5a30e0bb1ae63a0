"""Zero-shot spatio-temporal video grounding: when and where is what a sentence describes?

READ THIS FILE FIRST. The method (Yang, Liu, Hancke and Lau, NeurIPS 2025) is `ground` and `look`:
ask a video language model whether the thing is there, find the token through which it attends to
the video, and read where that token attends.
"""

from collections.abc import Sequence
from pathlib import Path

from probe.candidates.proposals import propose_tracks, with_heatmap_tracks
from probe.candidates.tracks import load_tracks
from probe.engine.model import VideoLM
from probe.engine.view import View
from probe.grounding.answers import Answer
from probe.grounding.config import PLAIN, GrounderConfig, as_config
from probe.grounding.looks import Look
from probe.grounding.presence import measure_presence
from probe.grounding.queries import Queries, as_question, decompose
from probe.grounding.reattention import Learning, prompt_views
from probe.grounding.span_rules import best_span
from probe.grounding.stopwatch import Stopwatch
from probe.grounding.track_rules import choose_track, score_tracks
from probe.video import Tube, Video


def ground(
    model: VideoLM,
    video: Video | str | Path,
    query: str,
    candidates: Sequence[Tube] | Tube | str | Path | None = None,
    *,
    queries: Queries | None = None,
    config: GrounderConfig | str = PLAIN,
) -> Answer:
    """Find the tube of the video that a query describes.

    The attributes in the query choose among the candidate tracks; the action chooses when.

    Args:
        model: The model to look through.
        video: The video, with as many sampled frames as the model is to see; or its file, which
            is sampled as the model prefers.
        query: A phrase, sentence or question that describes one thing and what it does.
        candidates: Object tracks to choose from, or a file of them; by default those of the
            weight-free proposer.
        queries: The query's attribute and action parts; by default split by rules.
        config: What the method leaves open: a configuration, or the name of a preset.

    Raises:
        ValueError: if the query is empty, too long or holds control tokens, or an empty list of
            candidates is given; or a token is further from the end than the generic prompt is
            long, where maps are divided by that prompt's.
    """
    config, watch = as_config(config), Stopwatch()
    asked = queries or decompose(query)
    view = model.watch(video).under(*config.interventions)
    (presence,) = measure_presence(view, asked.whole)
    watch.mark("watch")

    branches = config.branches(asked)
    where, when = look_each(view, asked, branches, config)
    if config.assembly is not None:
        view.cache.clear()  # two frame orders need not be held in memory at once
        (back,) = look_each(view.reversed(), asked, branches[:1], config)
        where = where.assemble_with(back, config.assembly)
    watch.mark("look")

    if candidates is None:
        candidates = with_heatmap_tracks(propose_tracks(view.video), where.heatmap)
    elif isinstance(candidates, str | Path):
        candidates = load_tracks(candidates, view.video)
    elif isinstance(candidates, Tube):
        candidates = (candidates,)
    watch.mark("propose")

    scores = score_tracks(config.track, view, asked, where, candidates)
    track = choose_track(candidates, scores.values)
    if config.assembly_when is not None:
        view.cache.clear()
        (back,) = look_each(view.reversed(), asked, branches[1:], config)
        when = when.assemble_with(back, config.assembly_when)
    frame_scores = config.frames(view, asked, when, track)
    span = best_span(frame_scores, when.heatmap.cells, view.video.source_length, config.span)
    watch.mark("choose")
    return Answer(
        video=view.video,
        queries=asked,
        span=span,
        track=track,
        candidates=tuple(candidates),
        scores=scores.values,
        where=where,
        when=when,
        frame_scores=frame_scores,
        model=model.identity,
        config=config,
        timings=watch.seconds,
        presence=presence,
        doubts=scores.doubts,
    )


def look_each(
    view: View,
    asked: Queries,
    branches: Sequence[tuple[str, Learning | None]],
    config: GrounderConfig,
) -> list[Look]:
    """Look for some parts of a query, each with a latent prompt of its own."""
    views = prompt_views(view, branches, config.generic)
    whole = as_question(asked.whole) if config.ask_whole else None
    pairs = zip(branches, views, strict=True)
    return [look(prompted, whole or part, config) for (part, _), prompted in pairs]


def look(view: View, question: str, config: GrounderConfig) -> Look:
    """Read where the model attends for a question, beyond where it always attends."""
    (read,) = view.read(question, layers=config.layers)
    reading = read.through(config.layers_heads)
    tokens = tuple(reading.find(config.token(reading)))
    if not config.relative:
        return Look(reading, tokens, reading.heatmap(tokens))
    shown = view if config.prompt_generic else view.plain or view
    (base,) = shown.read(config.generic, layers=config.layers)
    generic = base.through(config.layers_heads)
    return Look(reading, tokens, reading.relative_heatmap(tokens, generic))
