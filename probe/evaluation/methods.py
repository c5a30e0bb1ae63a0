"""Methods that answer a query: the grounder, and the baselines that it has to be better than.

A method is given the video, the query and the candidates, never the truth. A method of your own is
any callable `(model, task) -> Prediction`; `probe evaluate --method my_module:my_method` runs it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np

from probe.candidates.proposals import with_heatmap_tracks
from probe.datasets.user_code import find_user_object, make_instance
from probe.engine.model import VideoLM
from probe.evaluation.direct import DirectAnswer, ask_directly
from probe.grounder import ground
from probe.grounding.answers import Answer
from probe.grounding.config import GrounderConfig
from probe.grounding.presets import BEST, CAUSAL, PAPER, PLAIN, RELEASED_CODE
from probe.grounding.presence import measure_presence
from probe.grounding.queries import Queries
from probe.interpret.token_rules import AllOf
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
    """How sure the method is that the thing is there; greater is surer, of any scale. For the
    grounder it is the whole query's margin in logits. None if the method does not say."""


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
class CentredWindow:
    """The largest track in the middle of the video: a guess that reads neither model nor query."""

    share: float = 0.5
    """Length of the window over that of the video."""

    def __call__(self, model: VideoLM, task: Task) -> Prediction:  # noqa: ARG002
        """Choose the track with the greatest area over all its boxes; of equals, the first."""
        areas = [
            float((track.boxes[:, 2:] - track.boxes[:, :2]).prod(axis=1).sum())
            for track in task.candidates
        ]
        largest = task.candidates[areas.index(max(areas))]
        return Prediction(centred_span(task.video, self.share), largest)


@dataclass(frozen=True)
class RandomTrack:
    """A random track in the middle of the video: chance in space."""

    share: float = 0.5
    """Length of the window over that of the video."""

    seed: int = 0

    def __call__(self, model: VideoLM, task: Task) -> Prediction:  # noqa: ARG002
        """Draw a track by the name of the query."""
        # Seeded by the name, a query has the same track whatever was asked before: a run that was
        # stopped, or is shared by workers, gives the same results.
        name = hashlib.sha256(task.id.encode()).digest()
        rng = np.random.default_rng([self.seed, *name])
        track = task.candidates[int(rng.integers(len(task.candidates)))]
        return Prediction(centred_span(task.video, self.share), track)


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


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "plain": Grounding(PLAIN),
        "best": Grounding(BEST),
        "paper": Grounding(PAPER),
        "released-code": Grounding(RELEASED_CODE),
        "causal": Grounding(CAUSAL),
        "centre": CentredWindow(),
        "random-track": RandomTrack(),
        "mean-of-roles": Grounding(replace(PLAIN, token=AllOf())),
        "fixed-token": Grounding(replace(PLAIN, token=RELEASED_CODE.token)),
        "direct": DirectPrompting(),
    }
)
"""The grounder's presets and the baselines, by name.

`mean-of-roles` and `fixed-token` differ from `plain` in the token alone: the first averages all
role tokens, the second always reads the one of the released code.
"""


def find_method(name: str) -> Method:
    """Return the method of a name.

    Args:
        name: A name in `METHODS`, or `module:qualname` of a method of yours: a callable
            `(model, task) -> Prediction`, a class of such callables that needs no arguments, or a
            `GrounderConfig`.

    Raises:
        ValueError: if there is no such method, or it is none.
    """
    if name in METHODS:
        return METHODS[name]
    if ":" not in name:
        raise ValueError(
            f"no method is called {name!r}; there are {', '.join(METHODS)}, and methods of yours "
            "as module:name"
        )
    found = make_instance(name, find_user_object(name))
    if isinstance(found, GrounderConfig):
        return Grounding(found)
    if not callable(found):
        raise ValueError(
            f"{name}: a {type(found).__name__} answers no query; give a callable (model, task) -> "
            "Prediction, or a GrounderConfig"
        )
    return cast(Method, found)
