"""Targets: the tracks that a query means, where it may mean several things.

A rule is any callable of the stated form; the one here is the shipped one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from probe.grounding.track_rules import CHOSEN_BY_ATTENTION, TrackScores
from probe.video import Span, Tube

TargetRule: TypeAlias = Callable[[Sequence[Tube], TrackScores], Sequence[int]]
"""Chooses the places of the candidates that are meant, surest first, given the candidates and their
scores."""


@dataclass(frozen=True, eq=False)
class Target:
    """One of the things that a query means: a track, and when it acts."""

    candidate: int
    """Its place among the candidates."""

    track: Tube
    span: Span
    """When: source frames."""

    score: float
    """The score that the track rule gave it."""

    @property
    def tube(self) -> Tube:
        """One box for each source frame of the span, interpolated between sampled frames."""
        return self.track.interpolated(np.arange(self.span.start, self.span.stop))

    def to_dict(self) -> dict[str, Any]:
        """Return the target in plain values."""
        return {
            "candidate": self.candidate,
            "score": self.score,
            "span": {"start_frame": self.span.start, "stop_frame": self.span.stop},
            "tube": self.tube.to_dict(),
        }

    @classmethod
    def from_dict(cls, record: dict[str, Any], candidates: Sequence[Tube]) -> "Target":
        """Make the target that `to_dict` wrote, of an answer with these candidates."""
        tube = Tube.from_dict(record["tube"])
        # A picture has no time; its target has a box and no span.
        timed = record.get("span")
        span = tube.span if timed is None else Span(timed["start_frame"], timed["stop_frame"])
        place = int(record["candidate"])
        return cls(place, candidates[place], span, float(record["score"]))


@dataclass(frozen=True)
class NearBest:
    """The candidates whose causal score is a good part of the best one's.

    A score of `CausalEffect` says what a candidate is worth to the model's answer, and 0 is worth
    nothing, so that shares of the best score mean something. Candidates that lie on each other are
    one thing, of which the one with the higher score is kept: whatever contains a target has its
    effect too. Where the attention chose, scores are no effects, and only the best is given.
    """

    share: float = 0.5
    """Least score, as a share (0 to 1) of the best. On clips of shapes, 95 % of what is given was
    meant (`tests/grounding/test_targets.py`); with less, more of what is meant is found, and more
    besides."""

    same: float = 0.5
    """Share of the smaller of two boxes that lies in the larger, on average over the frames that
    both have, from which they are one thing."""

    def __post_init__(self) -> None:
        for name in ("share", "same"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; a share is above 0, at most 1")

    def __call__(self, candidates: Sequence[Tube], scores: TrackScores) -> tuple[int, ...]:
        """Choose the candidates of high scores, best first; the best is always one of them."""
        order = np.argsort(-np.array(scores.values), kind="stable").tolist()
        best = scores.values[order[0]]
        if best <= 0 or CHOSEN_BY_ATTENTION in scores.doubts:
            return (order[0],)
        kept: list[int] = []
        for place in order:
            if scores.values[place] < self.share * best:
                break
            if all(measure_cover(candidates[place], candidates[one]) < self.same for one in kept):
                kept.append(place)
        return tuple(kept)


def describe_targets(
    rule: TargetRule | None, targets: Sequence[Target], *, timed: bool = True
) -> dict[str, Any]:
    """Return the entry of all that is meant, in plain values; none if only the best was wanted.

    Args:
        rule: The rule that chose the targets; None if only the best was wanted.
        targets: All that is meant.
        timed: False for a picture, whose targets have no span.
    """
    if rule is None:
        return {}
    records = [target.to_dict() for target in targets]
    left_out = () if timed else ("span",)
    kept = [{name: one[name] for name in one if name not in left_out} for one in records]
    return {"targets": kept}


def list_others(targets: Sequence[Target], track: Tube) -> list[Target]:
    """List the targets besides the chosen track."""
    return [target for target in targets if target.track is not track]


def measure_cover(one: Tube, other: Tube) -> float:
    """Compute the share of the smaller box that lies in the larger, on average over shared frames.

    Returns:
        From 0 to 1; 0 if there is no frame in which both are. A box between two known frames is
        interpolated.
    """
    both = one.span & other.span
    if not len(both):
        return 0.0
    frames = np.union1d(one.frames, other.frames)
    shared = frames[(frames >= both.start) & (frames < both.stop)]
    a, b = (track.interpolated(shared).boxes for track in (one, other))
    sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    common = sides.clip(min=0).prod(axis=1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (a, b)]
    smaller = np.minimum(*areas)
    return float(np.divide(common, smaller, out=np.zeros_like(common), where=smaller > 0).mean())
