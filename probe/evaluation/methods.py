"""Methods that answer a query: the grounder, and the rivals that it has to be better than.

A rival says what it reads. Those that read neither the model nor the query have no presence: they
cannot tell what is there from what is not.

A method is given the video, the query and the candidates, never the truth. A method of your own is
any callable `(model, task) -> Prediction`; `probe evaluate --method my_module:my_method` runs it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
from jaxtyping import Float
from torch import Tensor

from probe.candidates.proposals import propose_tracks, with_heatmap_tracks
from probe.datasets.user_code import find_user_object, make_instance
from probe.engine.attention import Heatmap
from probe.engine.model import VideoLM
from probe.engine.readings import shorten
from probe.engine.view import View
from probe.evaluation.direct import DirectAnswer, ask_directly
from probe.grounder import ground
from probe.grounding.again import ReadAgain
from probe.grounding.answers import Answer
from probe.grounding.config import GrounderConfig
from probe.grounding.lexicon import ADVERBS, EDGES, SMALL, SUBORDINATORS
from probe.grounding.presence import measure_presence
from probe.grounding.presets import CAUSAL, NOUN, PLAIN, PRESETS, RELEASED_CODE
from probe.grounding.queries import Queries
from probe.grounding.relevance import OverGeneric
from probe.grounding.span_rules import TopHull, best_span
from probe.interpret.head_rules import GatheredInTime
from probe.interpret.token_rules import AllOf
from probe.interpret.word_lens import knows_word, word_lens
from probe.spelling import explain_unknown
from probe.trained.responses.shipped import shipped_responses
from probe.video import Span, Tube, Video


@dataclass(frozen=True, eq=False)
class Task:
    """All that a method may know of a sample."""

    id: str
    video: Video
    queries: Queries
    """The query and its parts."""

    candidates: tuple[Tube, ...]
    closed: bool
    """True if one of the candidates must be the answer."""

    @property
    def query(self) -> str:
        """The query as it is annotated."""
        return self.queries.whole


@dataclass(frozen=True, eq=False)
class Prediction:
    """The predicted time, and the object with its place at any time."""

    span: Span
    track: Tube
    """The answered object over the whole video; a box between two others is interpolated."""

    details: Mapping[str, Any] = field(default_factory=dict)
    """The evidence for the answer, in plain values; kept with the result."""

    presence: float | None = None
    """Certainty that the thing is there, on any scale; greater is surer. For the grounder it is the
    whole query's margin in logits. None if the method does not say."""


@runtime_checkable
class Method(Protocol):
    """A callable that answers a query; it raises ValueError or RuntimeError if it cannot."""

    def __call__(self, model: VideoLM, task: Task) -> Prediction:
        """Answer a task."""
        ...


@runtime_checkable
class PresenceMethod(Protocol):
    """A method that can also say how sure it is that things are there, without finding them."""

    def measure_presence(
        self, model: VideoLM, video: Video, queries: Sequence[str]
    ) -> Sequence[float]:
        """Return for each query what `Prediction.presence` would be."""
        ...


@dataclass(frozen=True)
class Grounding:
    """The grounder with one configuration."""

    config: GrounderConfig

    def __call__(self, model: VideoLM, task: Task) -> Prediction:
        """Ground the query; with open candidates, answer as `ground` does without any."""
        candidates = task.candidates
        answer = self._ground(model, task, candidates)
        if not task.closed:
            # The map that adds candidates comes from the model, so it is known only after asking.
            # To ask again costs a second pass, and is needed only if its peak is in none of them.
            wider = with_heatmap_tracks(candidates, answer.where.heatmap)
            if len(wider) > len(candidates):
                answer = self._ground(model, task, wider)
        details = {
            "attribute": answer.queries.attribute,
            "action": answer.queries.action,
            "fallbacks": list(answer.queries.fallbacks),
            "doubts": list(answer.doubts),
            "where_tokens": [answer.where.token_texts[token] for token in answer.where.tokens],
            "when_tokens": [answer.when.token_texts[token] for token in answer.when.tokens],
        }
        return Prediction(answer.span, answer.track, details, answer.presence)

    def measure_presence(
        self, model: VideoLM, video: Video, queries: Sequence[str]
    ) -> Sequence[float]:
        """Return the margin of each whole query, in logits."""
        view = model.watch(video).under(*self.config.interventions)
        return measure_presence(view, *queries)

    def _ground(self, model: VideoLM, task: Task, candidates: Sequence[Tube]) -> Answer:
        return ground(
            model, task.video, task.query, candidates, queries=task.queries, config=self.config
        )


@dataclass(frozen=True)
class Lens:
    """The word lens: it reads visual tokens and embeddings of words, no attention and no answer.

    The words of the query's attribute part choose the track, those of its action part the frames,
    each by the strongest cell on a track; the span is the presets' `TopHull`. Function words are
    left out, and so are words that the tokenizer does not know, which the details tell.
    """

    layers: tuple[int, ...] | None = None
    """Layers at which visual tokens are read; None for all, so that none has to be chosen."""

    def __call__(self, model: VideoLM, task: Task) -> Prediction:
        """Find the track and the frames that are most like the words.

        Raises:
            ValueError: if a part of the query has no word that the tokenizer knows.
        """
        view, parts = model.watch(task.video), task.queries
        where, when = self._read(view, parts.attribute), self._read(view, parts.action)
        candidates = task.candidates
        if not task.closed:
            # The bright parts of a map are meant, and a lens may be negative everywhere.
            above_least = Heatmap(where.values - where.values.min(), where.cells)
            candidates = with_heatmap_tracks(candidates, above_least)
        track = max(candidates, key=lambda one: float(find_peaks(where, one).max()))
        scores = find_peaks(when, track)
        span = best_span(scores, when.cells, task.video.source_length, TopHull())
        details = {
            "attribute": parts.attribute,
            "action": parts.action,
            "where_words": self._choose_words(view, parts.attribute),
            "when_words": self._choose_words(view, parts.action),
            "unknown_words": [
                word for word in find_content_words(parts.whole) if not knows_word(view, word)
            ],
        }
        (presence,) = self._measure_presence(view, [parts.whole])
        return Prediction(span, track, details, presence)

    def measure_presence(
        self, model: VideoLM, video: Video, queries: Sequence[str]
    ) -> Sequence[float]:
        """Return for each query the strongest cell of its lens, over its number of words."""
        return self._measure_presence(model.watch(video), queries)

    def _measure_presence(self, view: View, queries: Sequence[str]) -> list[float]:
        # The lens is a sum over words: without the division, longer queries would be surer.
        return [
            float(self._read(view, query).values.max()) / len(self._choose_words(view, query))
            for query in queries
        ]

    def _read(self, view: View, text: str) -> Heatmap:
        return word_lens(view, self._choose_words(view, text), self.layers)

    def _choose_words(self, view: View, text: str) -> list[str]:
        """Choose the content words of a text that the tokenizer knows."""
        words = [word for word in find_content_words(text) if knows_word(view, word)]
        if not words:
            raise ValueError(f"no word of {shorten(text)!r} tells anything that this model knows")
        return words


@dataclass(frozen=True)
class LargestTrack:
    """The largest track in the middle of the video: a guess that reads neither model nor query."""

    share: float = 0.5
    """Length of the window over that of the video; 1 for the whole of it."""

    def __call__(self, model: VideoLM, task: Task) -> Prediction:  # noqa: ARG002
        """Choose the track with the greatest area over all its boxes; of equals, the first."""
        return Prediction(centred_span(task.video, self.share), find_largest(task.candidates))


@dataclass(frozen=True)
class RandomTrack:
    """A random track in the middle of the video: chance in space; reads no model and no query."""

    share: float = 0.5
    """Length of the window over that of the video."""

    seed: int = 0

    def __call__(self, model: VideoLM, task: Task) -> Prediction:  # noqa: ARG002
        """Draw a track by the name of the query."""
        track, _ = draw_track(task, self.seed)
        return Prediction(centred_span(task.video, self.share), track)


@dataclass(frozen=True)
class RandomTube:
    """A random track in a random window: chance in space and time; reads no model and no query."""

    share: float = 0.5
    """Length of the window over that of the video."""

    seed: int = 0

    def __call__(self, model: VideoLM, task: Task) -> Prediction:  # noqa: ARG002
        """Draw a track, the same as `RandomTrack` does, and a window by the name of the query."""
        track, rng = draw_track(task, self.seed)
        length = len(centred_span(task.video, self.share))
        start = int(rng.integers(task.video.source_length - length + 1))
        return Prediction(Span(start, start + length), track)


@dataclass(frozen=True)
class DirectPrompting:
    """The model itself, asked in words for times and boxes."""

    max_new_tokens: int = 256
    """Limit on the tokens of its answer."""

    def __call__(self, model: VideoLM, task: Task) -> Prediction:
        """Ask the model and parse its text.

        Raises:
            ValueError: if no time or no box can be read from it.
        """
        answer: DirectAnswer = ask_directly(
            model, task.video, task.query, max_new_tokens=self.max_new_tokens
        )
        return Prediction(answer.span, answer.track, {"written": answer.text})


def centred_span(video: Video, share: float) -> Span:
    """Return the middle part of a video, of this share of its length."""
    length = max(1, round(share * video.source_length))
    start = (video.source_length - length) // 2
    return Span(start, start + length)


def find_largest(tracks: Sequence[Tube]) -> Tube:
    """Return the track with the greatest area, summed over its boxes; of equals, the first."""
    # Summed and not averaged: what is seen longer is the likelier answer of a guess.
    return max(tracks, key=lambda one: float((one.boxes[:, 2:] - one.boxes[:, :2]).prod(1).sum()))


def seed_by_name(name: str, seed: int) -> np.random.Generator:
    """Make a source of random numbers that follow from the name of a query and a seed alone."""
    # A query has the same numbers whatever was asked before: a run that was stopped, or is shared
    # by workers, gives the same results.
    return np.random.default_rng([seed, *hashlib.sha256(name.encode()).digest()])


def draw_track(task: Task, seed: int) -> tuple[Tube, np.random.Generator]:
    """Draw a candidate, by the name of the query and a seed alone.

    Returns:
        The track, and the source of random numbers for whatever else is drawn.
    """
    rng = seed_by_name(task.id, seed)
    return task.candidates[int(rng.integers(len(task.candidates)))], rng


def find_peaks(heatmap: Heatmap, track: Tube) -> Float[Tensor, " frame"]:
    """Return the strongest cell on a track, frame by frame; the map's least value off the track."""
    # Attention is weighted by the share of a cell that is covered. A sum of cosines is not: it may
    # be negative, and has no zero of which half would be less.
    least = float(heatmap.values.min())
    return heatmap.values.masked_fill(~heatmap.cells.inside(track), least).amax(dim=(1, 2))


def find_content_words(text: str) -> tuple[str, ...]:
    """Return the words of a text that are no function words, each once, without marks.

    >>> find_content_words("The man next to the red car, who sits on it.")
    ('man', 'red', 'car', 'sits')
    """
    words = [word.strip(EDGES) for word in text.split()]
    return tuple(dict.fromkeys(word for word in words if word and word.lower() not in FUNCTION))


FUNCTION = SMALL | SUBORDINATORS | ADVERBS
"""Function words, which no part of a picture is like."""

RESPONSES = replace(PLAIN, relative=False, ask_whole=True, maps=shipped_responses)
"""The choices of the paper of grounding tokens, with response maps of the whole query in place of
attention: strongest cell on a track, and in each frame of it."""

METHODS: Mapping[str, Method] = MappingProxyType(
    {
        # A new preset is a method by itself: no line here can be forgotten.
        **{name: Grounding(config) for name, config in PRESETS.items()},
        "mean-of-roles": Grounding(replace(PLAIN, token=AllOf())),
        "fixed-token": Grounding(replace(PLAIN, token=RELEASED_CODE.token)),
        "noun-token": Grounding(NOUN),
        "time-heads": Grounding(replace(CAUSAL, heads_when=GatheredInTime())),
        "over-generic": Grounding(replace(CAUSAL, relevance_when=OverGeneric())),
        "read-again": Grounding(replace(CAUSAL, again=ReadAgain())),
        "read-again-boxes": Grounding(replace(CAUSAL, again=ReadAgain(find_tracks=propose_tracks))),
        "lens": Lens(),
        "responses": Grounding(RESPONSES),
        "largest-track-middle-half": LargestTrack(),
        "whole-clip": LargestTrack(share=1.0),
        "random-track": RandomTrack(),
        "random-tube": RandomTube(),
        "direct": DirectPrompting(),
    }
)
"""The grounder's presets and their rivals, by name.

`mean-of-roles` and `fixed-token` differ from `plain` in the token alone: the first averages all
role tokens, the second always reads the one of the released code. `noun-token` is the preset
`noun`. `time-heads`, `over-generic` and `read-again` are `causal` with another choice of the time:
by the heads whose attention gathers in one interval, by attention over that of the generic prompt,
and by a second reading of more frames around the span; `read-again-boxes` proposes tracks in these
frames, too, to refine the boxes. `largest-track-middle-half`, `whole-clip`, `random-track` and
`random-tube` read neither the model nor the query. `responses` reads trained response maps: those
of the shipped model, unless others are given as the rule `maps`.
"""

EARLIER_NAMES: Mapping[str, str] = MappingProxyType({"centre": "largest-track-middle-half"})
"""Names that methods had in earlier versions, which are still taken."""


def find_method(name: str) -> Method:
    """Return the method of a name.

    Args:
        name: A name in `METHODS`, or `module:qualname` of a method of yours: a callable
            `(model, task) -> Prediction`, a class of such callables that needs no arguments, or a
            `GrounderConfig`.

    Raises:
        ValueError: if there is no such method, or it is none.
    """
    if (found := METHODS.get(EARLIER_NAMES.get(name, name))) is not None:
        return found
    if ":" not in name:
        also = "methods of yours as module:name"
        raise ValueError(explain_unknown("method", name, METHODS, also))
    # To find it is to run the user's code, so names that cannot be one are refused before.
    made = make_instance(name, find_user_object(name))
    if isinstance(made, GrounderConfig):
        return Grounding(made)
    if not callable(made):
        raise ValueError(
            f"{name}: a {type(made).__name__} answers no query; give a callable (model, task) -> "
            "Prediction, or a GrounderConfig"
        )
    return cast(Method, made)
