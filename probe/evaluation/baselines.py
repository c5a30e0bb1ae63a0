"""Ways to answer a query, as values: the grounder and what it has to be better than.

A method is given the video, the query and the candidates, never the truth.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

import numpy as np

from probe.candidates.proposals import with_heatmap_tracks
from probe.engine.model import VideoLM
from probe.evaluation.direct import DirectAnswer, ask_directly
from probe.grounder import ground
from probe.grounding.answers import Answer
from probe.grounding.config import BEST, PAPER, PLAIN, RELEASED_CODE, GrounderConfig
from probe.grounding.queries import Queries
from probe.interpret.token_rules import AllOf
from probe.video import Span, Tube, Video


@dataclass(frozen=True, eq=False)
class Task:
    """All that a method may know."""

    id: str
    video: Video
    queries: Queries
    """The query and its parts."""

    candidates: tuple[Tube, ...]
    closed: bool
    """Whether one of the candidates must be the answer."""

    @property
    def query(self) -> str:
        """The query as it is annotated."""
        return self.queries.whole


@dataclass(frozen=True, eq=False)
class Prediction:
    """When, and where at any time."""

    span: Span
    track: Tube
    """The answered object over the whole video; a box between two others is interpolated."""

    details: Mapping[str, Any] = field(default_factory=dict)
    """What the answer was read from, in plain values."""


@runtime_checkable
class Method(Protocol):
    """Answers a query; ValueError or RuntimeError where it cannot."""

    def __call__(self, model: VideoLM, task: Task) -> Prediction:
        """The answer to a task."""
        ...


@dataclass(frozen=True)
class Grounding:
    """The grounder with one configuration."""

    config: GrounderConfig

    def __call__(self, model: VideoLM, task: Task) -> Prediction:
        """The grounder's answer, the same that `ground` gives without candidates if they are open.

        Only then is the query asked again, and only where the map peaks beside all candidates.
        """
        candidates = task.candidates
        answer = self._answer(model, task, candidates)
        if not task.closed:
            wider = with_heatmap_tracks(candidates, answer.where.heatmap)
            if len(wider) > len(candidates):
                answer = self._answer(model, task, wider)
        details = {
            "attribute": answer.queries.attribute,
            "action": answer.queries.action,
            "fallbacks": list(answer.queries.fallbacks),
            "where_tokens": [answer.where.reading.tokens[token] for token in answer.where.tokens],
            "when_tokens": [answer.when.reading.tokens[token] for token in answer.when.tokens],
        }
        return Prediction(answer.span, answer.track, details)

    def _answer(self, model: VideoLM, task: Task, candidates: Sequence[Tube]) -> Answer:
        return ground(
            model, task.video, task.query, candidates, queries=task.queries, config=self.config
        )


@dataclass(frozen=True)
class CentredWindow:
    """The largest track in the middle of the video: what knows neither model nor query."""

    share: float = 0.5
    """Length of the window over that of the video."""

    def __call__(self, model: VideoLM, task: Task) -> Prediction:  # noqa: ARG002
        """The track with the greatest area over all its boxes; of equals, the first."""
        areas = [
            float((track.boxes[:, 2:] - track.boxes[:, :2]).prod(axis=1).sum())
            for track in task.candidates
        ]
        largest = task.candidates[areas.index(max(areas))]
        return Prediction(centred(task.video, self.share), largest)


@dataclass(frozen=True)
class RandomTrack:
    """A track drawn by the query's name, in the middle of the video: chance in space."""

    share: float = 0.5
    """Length of the window over that of the video."""

    seed: int = 0

    def __call__(self, model: VideoLM, task: Task) -> Prediction:  # noqa: ARG002
        """The same track for the same query, whatever was asked before."""
        name = hashlib.sha256(task.id.encode()).digest()
        rng = np.random.default_rng([self.seed, *name])
        track = task.candidates[int(rng.integers(len(task.candidates)))]
        return Prediction(centred(task.video, self.share), track)


@dataclass(frozen=True)
class DirectPrompting:
    """The model itself, asked in words for times and boxes."""

    longest: int = 256
    """Most tokens of its answer."""

    def __call__(self, model: VideoLM, task: Task) -> Prediction:
        """What the model writes.

        Raises:
            ValueError: if no time or no box can be read from it.
        """
        answer: DirectAnswer = ask_directly(model, task.video, task.query, longest=self.longest)
        return Prediction(answer.span, answer.track, {"written": answer.text})


def centred(video: Video, share: float) -> Span:
    """The middle of a video."""
    length = max(1, round(share * video.source_length))
    start = (video.source_length - length) // 2
    return Span(start, start + length)


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "plain": Grounding(PLAIN),
        "best": Grounding(BEST),
        "paper": Grounding(PAPER),
        "released-code": Grounding(RELEASED_CODE),
        "centre": CentredWindow(),
        "random-track": RandomTrack(),
        "mean-of-roles": Grounding(replace(PLAIN, token=AllOf())),
        "fixed-token": Grounding(replace(PLAIN, token=RELEASED_CODE.token)),
        "direct": DirectPrompting(),
    }
)
"""The grounder's presets and the baselines, by the names that the command line knows them under.

`mean-of-roles` and `fixed-token` are `plain` but for the token: the first averages all role tokens,
the second always reads the one of the released code.
"""
