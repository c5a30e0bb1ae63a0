"""Zero-shot spatio-temporal video grounding: when and where is what a sentence describes?

READ THIS FILE FIRST. The method is `ground` and `look`: ask a video language model whether the
thing is there, read where the tokens of the question attend, choose among candidate tracks by that
attention (Yang, Liu, Hancke and Lau, NeurIPS 2025) or by what the model's own answer depends on,
and choose the time by the attention inside the track.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from probe.candidates.given import Given, as_candidates, find_proposer, list_candidates
from probe.engine.kept_views import make_room
from probe.engine.model import VideoLM
from probe.engine.view import View
from probe.grounding.absence import require_presence
from probe.grounding.again import FirstReading, TimedScores
from probe.grounding.answers import Answer, refine_answer
from probe.grounding.chunks import (
    Chunk,
    find_shown,
    join_frames,
    join_looks,
    join_scores,
    tell_chunks,
)
from probe.grounding.config import GrounderConfig, Part
from probe.grounding.doubts import ask_parts, list_doubts
from probe.grounding.looks import Look, make_map
from probe.grounding.presets import CAUSAL, as_config
from probe.grounding.queries import Queries, decompose
from probe.grounding.reattention import prompt_views
from probe.grounding.relevance import read_generic
from probe.grounding.span_rules import best_span, only_frame
from probe.grounding.stopwatch import Stopwatch
from probe.grounding.targets import Target
from probe.grounding.track_rules import TrackScores, choose_track, score_tracks
from probe.video import Span, Tube, Video
from probe.video.coercion import expect


def ground(
    model: VideoLM,
    video: Video | str | Path,
    query: str,
    candidates: Given = None,
    *,
    queries: Queries | None = None,
    config: GrounderConfig | str = CAUSAL,
) -> Answer:
    """Find the tube of the video that a query describes.

    The attributes in the query choose among the candidate tracks; the action chooses when. In a
    picture, which has no time, the whole query chooses, and the tube is a box.

    Args:
        model: The model to look through.
        video: The video, with as many sampled frames as the model is to see, or a picture
            (`probe.read_image`); or its file, which is sampled as the model prefers.
        query: A phrase, sentence or question that describes one thing and what it does.
        candidates: Object tracks to choose from, a file of them, or what proposes them, such as
            `probe.propose_nested_tracks`; by default `probe.propose_tracks`.
        queries: The query's attribute and action parts; by default split by rules.
        config: What the method leaves open: a configuration, or the name of a preset.

    Raises:
        AbsenceError: if the model does not say clearly enough that the thing is there, where the
            configuration requires that.
        ValueError: if the query is empty, too long or holds control tokens, or an empty list of
            candidates is given; or a token is further from the end than the generic prompt is
            long, where maps are divided by that prompt's.
    """
    config, watch = as_config(config), Stopwatch()
    expect(model, VideoLM, "the model", "one that probe.load returned")
    expect(query, str, "the query", "it as text")
    asked = queries or decompose(query)
    if isinstance(video, Video) and len(parts := model.divide(video)) > 1:
        return ground_chunks(model, video, parts, asked, candidates, config)
    view = model.watch(video).under(*config.interventions)
    config = config.worded_for(view)
    evidence = ask_parts(view, asked)
    about = model.identify_for(view)
    require_presence(evidence, config.require_presence, about)
    watch.mark("watch")

    turned = view.reversed()  # no pass runs before it is read
    parts = config.parts(asked, view.video, view.checkpoint.medium)
    where, *timed = look_each(view, parts, config)
    where = join_orders(where, parts[0], view, turned, config)
    if config.fuse is not None:
        where = where.fuse_with(config.fuse(view, where.question))
    watch.mark("look")

    found = as_candidates(candidates, view, where.heatmap)
    watch.mark("propose")

    scores = score_tracks(config.track, view, asked, where, found)
    track = choose_track(found, scores.values)
    looks = {"the track": where}
    if timed:
        when = join_orders(timed[0], parts[1], view, turned, config)
        looks["the time"] = when
    else:  # a picture: there is no time to choose
        when = where
    frame_scores, span = choose_time(view, asked, when, track, config)
    targets = list_targets(
        config, found, scores, lambda one: choose_time(view, asked, when, one, config)[1]
    )
    watch.mark("choose")
    evidence = replace(
        evidence,
        proposed=find_proposer(candidates) is not None,
        candidates=found,
        track=track,
        looks=looks,
    )
    answer = Answer(
        video=view.video,
        queries=asked,
        span=span,
        track=track,
        candidates=tuple(found),
        scores=scores.values,
        where=where,
        when=when,
        frame_scores=frame_scores,
        model=about,
        config=config,
        timings=watch.seconds,
        presence=evidence.margins["whole"],
        doubts=(*list_doubts(evidence), *scores.doubts),
        targets=targets,
    )
    return read_again(model, answer, Span(0, view.video.source_length), len(view.video))


def ground_chunks(
    model: VideoLM,
    video: Video,
    parts: Sequence[Video],
    asked: Queries,
    candidates: Given,
    config: GrounderConfig,
) -> Answer:
    """Find the tube in a video of more frames than fit in the model's context, part by part.

    Candidates are those of the whole video. In each part the model is asked and looked through as
    in `ground`; maps, scores of tracks and scores of frames are then joined.

    Args:
        model: The model to look through.
        video: The video.
        parts: Parts of its frames that fit.
        asked: The query's parts.
        candidates: As in `ground`.
        config: What the method leaves open.

    Raises:
        AbsenceError: as in `ground`, if the model sees the thing clearly enough in no part.
        ValueError: as in `ground`.
    """
    watch = Stopwatch()
    found = list_candidates(candidates, video)
    chunks = [look_through(model, part, asked, found, config) for part in parts]
    surest = max(chunks, key=lambda chunk: chunk.presence)
    about = model.identify_for(surest.view)
    require_presence(surest.evidence, config.require_presence, about)
    watch.mark("look")

    where, when = (join_looks([getattr(one, name) for one in chunks]) for name in ("where", "when"))
    scores = join_scores(chunks)
    track = choose_track(found, scores.values)

    def score(track: Tube) -> Float[Tensor, " frame"]:
        found = [config.frames(one.view, asked, one.when, track) for one in chunks]
        return join_frames(found, chunks)

    def choose_span(track: Tube) -> Span:
        # Among the frames that show the track: of a long video that may be few.
        cells, shown = when.heatmap.cells, find_shown(when.heatmap.cells, track)
        part = replace(cells, frames=cells.frames[shown.start : shown.stop])
        scores = score(track)[shown.start : shown.stop]
        return best_span(scores, part, video.source_length, config.span) & track.span

    watch.mark("choose")
    evidence = replace(
        surest.evidence,
        video=video,
        proposed=find_proposer(candidates) is not None,
        candidates=found,
        track=track,
        looks={"the track": where, "the time": when},
    )
    answer = Answer(
        video=video,
        queries=asked,
        span=choose_span(track),
        track=track,
        candidates=tuple(found),
        scores=scores.values,
        where=where,
        when=when,
        frame_scores=score(track),
        model=about,
        config=config,
        timings=watch.seconds,
        presence=surest.presence,
        targets=list_targets(config, found, scores, choose_span),
        doubts=(tell_chunks(chunks), *list_doubts(evidence), *scores.doubts),
    )
    return read_again(model, answer, track.span, min(map(len, parts)))


def look_through(
    model: VideoLM,
    part: Video,
    asked: Queries,
    candidates: Sequence[Tube],
    config: GrounderConfig,
) -> Chunk:
    """Ask about one part of a long video, and score the candidates by it."""
    view = model.watch(part).under(*config.interventions)
    worded = config.worded_for(view)
    evidence, turned = ask_parts(view, asked), view.reversed()
    asking = worded.parts(asked, part, view.checkpoint.medium)
    looks = look_each(view, asking, worded)
    where, when = (
        join_orders(one, each, view, turned, worded)
        for one, each in zip(looks, asking, strict=True)
    )
    if worded.fuse is not None:
        where = where.fuse_with(worded.fuse(view, where.question))
    scores = score_tracks(worded.track, view, asked, where, candidates)
    # Of all parts, what was read would not fit in memory; the visual tokens do.
    view.cache.clear()
    return Chunk(view, evidence, where, when, scores)


def choose_time(
    view: View, asked: Queries, when: Look, track: Tube, config: GrounderConfig
) -> tuple[Float[Tensor, " frame"], Span]:
    """Score the frames of a track, and choose its span by them; a picture has one frame, no score.

    Args:
        view: The video as the model sees it.
        asked: The query's parts.
        when: The look for the action part.
        track: The track.
        config: The rules for frames and span.
    """
    if view.video.is_still:
        return when.heatmap.values.new_zeros(0), only_frame(view.video)
    frame_scores = config.frames(view, asked, when, track)
    length = view.video.source_length
    return frame_scores, best_span(frame_scores, when.heatmap.cells, length, config.span)


def list_targets(
    config: GrounderConfig,
    candidates: Sequence[Tube],
    scores: TrackScores,
    choose_span: Callable[[Tube], Span],
) -> tuple[Target, ...]:
    """List all tracks that the query may mean, each with its span; none unless that is asked."""
    meant = () if config.targets is None else config.targets(candidates, scores)
    return tuple(
        Target(place, candidates[place], choose_span(candidates[place]), scores.values[place])
        for place in meant
    )


def read_again(model: VideoLM, answer: Answer, within: Span, frames: int) -> Answer:
    """Read more of the video inside the found span, if the configuration has a rule for that.

    Args:
        model: The model to look through.
        answer: The answer of the first reading.
        within: The source frames among which its span was chosen.
        frames: Number of frames that the model read at once.
    """
    asked, config = answer.queries, answer.config
    if config.again is None or answer.video.is_still:
        return answer
    watch = Stopwatch()

    def read(video: Video, track: Tube) -> TimedScores:
        # Not from the views that are kept: this one is of a single query, and would push out that
        # of the whole video, which many share.
        view = VideoLM.watch(model, video).under(*config.interventions)
        worded = config.worded_for(view)
        _, part = worded.parts(asked, None, view.checkpoint.medium)
        (when,) = look_each(view, [part], worded)
        when = join_orders(when, part, view, view.reversed(), worded)
        return TimedScores(when.heatmap.cells, worded.frames(view, asked, when, track))

    timed = TimedScores(answer.when.heatmap.cells, answer.frame_scores)
    first = FirstReading(
        answer.video, answer.track, answer.span, timed, within, frames, config.span
    )
    again = config.again(first, read)
    watch.mark("read again")
    return refine_answer(answer, again, watch.seconds)


def look_each(view: View, parts: Sequence[Part], config: GrounderConfig) -> list[Look]:
    """Look for some parts of a query, each with a latent prompt of its own."""
    learned = [(part.learned_for, part.learning) for part in parts]
    views = prompt_views(view, learned, config.generic)
    return [look(prompted, part, config) for part, prompted in zip(parts, views, strict=True)]


def look(view: View, part: Part, config: GrounderConfig) -> Look:
    """Read where the model attends for a question, beyond where it always attends."""
    (read,) = view.read(part.question, layers=config.layers)
    reading = read.through(config.layers_heads if part.heads is None else part.heads(read))
    if config.maps is not None:
        # The question is read all the same: its margin and its tokens are evidence of the answer.
        return Look(reading, (), make_map(config.maps, view.plain or view, part.text))
    tokens = tuple(reading.find(part.token(reading)))
    shown = view if config.prompt_generic else view.plain or view
    if part.relevance is not None:
        found = Look(reading, tokens, reading.heatmap(tokens))
        return replace(found, heatmap=part.relevance(shown, found))
    if not config.relative:
        return Look(reading, tokens, reading.heatmap(tokens))
    generic = read_generic(shown, config.generic, config.layers).through(reading.layers_heads)
    return Look(reading, tokens, reading.relative_heatmap(tokens, generic))


def join_orders(
    forward: Look, part: Part, view: View, turned: View, config: GrounderConfig
) -> Look:
    """Join the map of a part with that of the reversed frame order, if the part asks for it."""
    if part.assembly is None:
        return forward
    make_room(view)
    (back,) = look_each(turned, [part], config)
    return forward.assemble_with(back, part.assembly)
