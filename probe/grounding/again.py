"""Reading again inside the found interval: more frames of it, by which span and boxes are refined.

After Du et al. ("MLLMs Know When Before Speaking", arXiv 2605.21954, 2026), who let a model answer
again from the frames inside an interval that its attention shows. Here the attention itself is read
again, at times between those read first, and both readings choose the span together.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from probe.candidates.proposers import TrackFinder
from probe.engine.grids import Cells
from probe.grounding.span_rules import SpanRule, choose_frames
from probe.video import Span, Tube, Video, box_iou, has_source, sample_stretch

MOST_POINTS = 256
"""Points in time, at most, that a span is chosen among: rules may compare every pair of them."""

SAME_OBJECT = 0.5
"""Mean overlap of boxes from which a track that is found again is the chosen one."""

NO_MORE_FRAMES = (
    "the video was not read again: nothing is kept of it but the frames that were read; give a file"
)
ALL_READ = "the video was not read again: all its frames around the found span were read at first"


@dataclass(frozen=True, eq=False)
class TimedScores:
    """Scores of some frames of a track, and the source frames that they are about."""

    cells: Cells
    scores: Float[Tensor, " frame"]

    def at(self, points: Float[np.ndarray, " point"]) -> Float[np.ndarray, " point"]:
        """Interpolate the scores at points in time, in source frames; flat before and after."""
        middles = [sum(frames) / len(frames) for frames in self.cells.frames]
        return np.interp(points, middles, self.scores.detach().double().cpu().numpy())


@dataclass(frozen=True, eq=False)
class FirstReading:
    """All that is known of a span before more frames are read."""

    video: Video
    track: Tube
    """The chosen track."""

    span: Span
    """The span that was found."""

    timed: TimedScores
    """The scores that chose it."""

    within: Span
    """The source frames among which it was chosen: all, or those of a track in a long video."""

    frames: int
    """Number of frames that the model read at once."""

    rule: SpanRule
    """The rule that chose the span."""


@dataclass(frozen=True, repr=False)
class SecondReading:
    """The span and the track after a second reading, and what they were chosen from."""

    span: Span
    track: Tube
    first_span: Span
    """The span before it."""

    frames: tuple[int, ...] = ()
    """The source frames that were read; none if there were no others."""

    scores: tuple[float, ...] = ()
    """The scores of these frames, or of the frames of their map."""

    doubts: tuple[str, ...] = ()
    """Sentences for people."""

    def __repr__(self) -> str:
        return f"SecondReading({len(self.frames)} frames; {self.first_span} became {self.span})"

    def to_dict(self) -> dict[str, Any]:
        """Return what was read, in plain values; span, track and doubts are the answer's."""
        return {
            "sampled_frames": list(self.frames),
            "frame_scores": [round(score, 6) for score in self.scores],
            "first_span": [self.first_span.start, self.first_span.stop],
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any], span: Span, track: Tube) -> "SecondReading":
        """Make the second reading that `to_dict` wrote, of an answer with this span and track."""
        return cls(
            span,
            track,
            Span(*record["first_span"]),
            tuple(int(frame) for frame in record["sampled_frames"]),
            tuple(float(score) for score in record["frame_scores"]),
        )


Reread: TypeAlias = Callable[[Video, Tube], TimedScores]
"""Looks at frames of a video as at those of the first reading, and scores them inside a track."""

AgainRule: TypeAlias = Callable[[FirstReading, Reread], SecondReading]
"""Corrects the span and the track, given what was found, and a way to read further frames."""


@dataclass(frozen=True)
class ReadAgain:
    """A second reading, evenly sampled inside the found span and a margin.

    The scores of both readings are put on the clock of the video, interpolated between frames.
    Inside the stretch that was read twice, the second ones get the mean and the spread of the first
    ones, since a row of attention has another scale over other frames, and both are added; the span
    rule then chooses among points in time. Where no other frame can be read, the first span stays,
    which is told as a doubt.
    """

    margin: float = 1.0
    """Stretch on either side of the span that is read, too, in steps from one frame to the next of
    the first reading: so far may its ends be off."""

    frames: int | None = None
    """Number of frames to read; None for as many as the first time."""

    find_tracks: TrackFinder | None = None
    """Finds the thing again in these frames, for boxes between those of the first; the track that
    overlaps the chosen one most is taken, if they overlap by half. None to keep the boxes of the
    candidate, as where they come from a tracker."""

    def __post_init__(self) -> None:
        if not 0 <= self.margin < float("inf"):
            raise ValueError(f"margin is {self.margin}; give a number of steps from 0")
        if self.frames is not None and self.frames < 2:
            raise ValueError(f"frames is {self.frames}; read at least 2, or None for the usual")

    def __call__(self, first: FirstReading, read: Reread) -> SecondReading:
        """Read the span and its margin again.

        Raises:
            ValueError: if the file has changed, or a frame of it cannot be decoded.
        """
        unchanged = SecondReading(first.span, first.track, first.span)
        if not has_source(first.video):
            return replace(unchanged, doubts=(NO_MORE_FRAMES,))
        stretch = self.widen(first)
        again = sample_stretch(first.video, stretch, self.frames or first.frames)
        if set(again.indices) <= set(first.video.indices):
            return replace(unchanged, doubts=(ALL_READ,))
        track = first.track
        if self.find_tracks is not None:
            track = refine_track(track, self.find_tracks(again))
        timed = read(again, track)
        return SecondReading(
            span=choose_jointly(first, timed, stretch),
            track=track,
            first_span=first.span,
            frames=again.indices,
            scores=tuple(timed.scores.tolist()),
        )

    def widen(self, first: FirstReading) -> Span:
        """Return the span with its margin, inside the frames that it was chosen among."""
        steps = np.diff([frames[0] for frames in first.timed.cells.frames])
        step = float(np.median(steps)) if len(steps) else len(first.within)
        margin = round(self.margin * step)
        return Span(max(0, first.span.start - margin), first.span.stop + margin) & first.within


def choose_jointly(first: FirstReading, second: TimedScores, stretch: Span) -> Span:
    """Choose the span by the scores of two readings, of which the second is of a stretch.

    Args:
        first: The first reading.
        second: The scores of the second.
        stretch: The source frames that were read a second time.
    """
    count = min(MOST_POINTS, len(first.within))
    edges = first.within.start + np.arange(count + 1) * len(first.within) / count
    # Whole frames are the points of a short video: each is at its own number.
    points = (edges[:-1] + edges[1:] - 1) / 2
    inside = (points >= stretch.start) & (points < stretch.stop)
    early, late = first.timed.at(points), second.at(points)
    total = early + np.where(inside, match_scale(late, early, inside), early)
    chosen = choose_frames(torch.from_numpy(total), first.rule)
    return Span(round(edges[chosen.start]), round(edges[chosen.stop]))


def match_scale(
    values: Float[np.ndarray, " point"],
    like: Float[np.ndarray, " point"],
    inside: Bool[np.ndarray, " point"],
) -> Float[np.ndarray, " point"]:
    """Shift and stretch values so that, inside, they have the mean and the spread of others."""
    if not inside.any():
        return values
    own, other = values[inside], like[inside]
    spread = own.std()
    # Values without any spread say nothing of which frame is better.
    factor = other.std() / spread if spread > 0 else 0.0
    return (values - own.mean()) * factor + other.mean()


def refine_track(track: Tube, found: Sequence[Tube]) -> Tube:
    """Add the boxes of the track that is the same object to those of a track.

    Args:
        track: The chosen track. One with masks stays as it is: boxes have none to add.
        found: Tracks in other frames of the video.
    """
    if track.masks:
        return track
    pairs = [(measure_overlap(track, one), one) for one in found]
    best, same = max(pairs, key=lambda pair: pair[0], default=(0.0, track))
    if best < SAME_OBJECT:
        return track
    kept = ~np.isin(track.frames, same.frames)
    frames = np.concatenate([track.frames[kept], same.frames])
    boxes = np.concatenate([track.boxes[kept], same.boxes])
    order = np.argsort(frames)
    return Tube(frames[order], boxes[order], track.label)


def measure_overlap(track: Tube, other: Tube) -> float:
    """Compute the mean overlap of boxes in the frames of another track; 0 outside the track."""
    shared = other.within(track.span)
    if not len(shared):
        return 0.0
    return float(box_iou(track.interpolated(shared.frames).boxes, shared.boxes).mean())
