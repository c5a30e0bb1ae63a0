"""Answers: what the grounder found, and all it was read from; as JSON, as a video, as a figure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from probe.drawing.figures import save_figure
from probe.drawing.overlays import overlay
from probe.engine.provenance import library_versions
from probe.files import FileFormat, read_json, write_json
from probe.grounding.again import SecondReading
from probe.grounding.answer_figure import draw_answer
from probe.grounding.config import GrounderConfig
from probe.grounding.looks import Look
from probe.grounding.queries import Queries
from probe.grounding.span_rules import only_frame
from probe.grounding.targets import Target, describe_targets, list_others
from probe.pictures.escapes import escape
from probe.pictures.fonts import note_missing_once
from probe.pictures.found import Found, draw_found
from probe.pictures.html import plot_as_html
from probe.video import Span, Tube, Video
from probe.video.coercion import describe_given
from probe.video.descriptions import describe_video, find_video

OVERLAYS = ("answer.mp4", "overlay.png")
"""Usual names of the overlay of a video, and of a picture."""

ANSWER_FORMAT = FileFormat("grounding-probe/answer", 2, "an answer", "Answer.save")


@dataclass(frozen=True, eq=False)
class Answer:
    """When and where the queried thing is, and what that was read from.

    Two answers are equal if their files would be: `Answer.load(path) == answer` after
    `answer.save(path)`.
    """

    video: Video
    queries: Queries
    span: Span
    """When: source frames; of a picture, its one frame, which is told nobody as a time."""

    track: Tube
    """The chosen candidate, over the whole video; after a second reading, with its boxes, too."""

    candidates: tuple[Tube, ...]

    scores: tuple[float, ...]
    """The score that the track rule gave each candidate."""

    where: Look
    """The look for the attribute part, which chose the track; of a picture, for the whole query."""

    when: Look
    """The look for the action part, which chose the span; that of `where` for a picture."""

    frame_scores: Float[Tensor, " frame"]
    """The score that the frame rule gave each frame of the map; none for a picture."""

    model: Mapping[str, Any]
    """Name, revision and number type of the model."""

    config: GrounderConfig

    timings: Mapping[str, float]
    """Seconds spent on each part."""

    versions: Mapping[str, str] = field(default_factory=library_versions)

    presence: float | None = None
    """The whole query's margin, yes minus no in logits: how clearly the model says that the thing
    is there. None in answers of versions that did not measure it."""

    doubts: tuple[str, ...] = ()
    """Sentences that say why a reader should doubt the answer; none where nothing was noticed."""

    targets: tuple[Target, ...] = ()
    """All that the query may mean, surest first, each with its own track and span, if several
    were asked for (`GrounderConfig.targets`); the first is the answer itself, mostly."""

    again: SecondReading | None = None
    """The second reading, if there was one (`GrounderConfig.again`); `when` and `frame_scores` are
    those of the first."""

    def __repr__(self) -> str:
        return escape(
            f"Answer({self.queries.whole!r}: {self._describe_place()}, {self._describe_choice()})"
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Answer) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self.queries.whole, self.span))

    @cached_property
    def tube(self) -> Tube:
        """One box for each source frame of the span, interpolated between sampled frames."""
        return self.track.interpolated(np.arange(self.span.start, self.span.stop))

    @property
    def whole_track(self) -> Tube:
        """One box of the chosen track for each source frame, whenever it acts: only "where"."""
        return self.track.interpolated(np.arange(self.video.source_length))

    @property
    def score(self) -> float:
        """The chosen track's score."""
        return max(self.scores)

    @property
    def seconds(self) -> tuple[float, float]:
        """Start and end of the span, in seconds of the video."""
        return self.video.time_at(self.span.start), self.video.time_at(self.span.stop)

    def to_dict(self) -> dict[str, Any]:
        """Return the whole answer in plain values, as `answer.json` holds it."""
        # A picture has no time; a span of it would look like a claim.
        timed = {} if self.video.is_still else self._describe_time()
        again = {} if self.again is None else {"again": self.again.to_dict()}
        return {
            **ANSWER_FORMAT.header,
            "query": self.queries.whole,
            "queries": self.queries.to_dict(),
            "video": describe_video(self.video),
            "model": dict(self.model),
            "config": self.config.to_dict(),
            **timed,
            "tube": self.tube.to_dict(),
            "score": self.score,
            "track": _exact(self.track),
            "candidates": [
                {"score": _finite(score), "chosen": track is self.track, **_exact(track)}
                for score, track in zip(self.scores, self.candidates, strict=True)
            ],
            "where": self.where.to_dict(),
            "presence": None if self.presence is None else round(self.presence, 4),
            "doubts": list(self.doubts),
            **again,
            **describe_targets(self.config.targets, self.targets, timed=not self.video.is_still),
            "timings": {name: round(value, 4) for name, value in self.timings.items()},
            "versions": dict(self.versions),
        }

    def _describe_time(self) -> dict[str, Any]:
        """Return the span and what it was chosen from, in plain values."""
        start, stop = self.seconds
        return {
            "span": {
                "start_frame": self.span.start,
                "stop_frame": self.span.stop,
                "start_seconds": round(start, 4),
                "stop_seconds": round(stop, 4),
            },
            "when": self.when.to_dict(),
            "frame_scores": [round(score, 6) for score in self.frame_scores.tolist()],
        }

    def save(self, path: str | Path) -> None:
        """Write `to_dict` as JSON."""
        write_json(path, self.to_dict())

    @classmethod
    def load(cls, path: str | Path, video: Video | None = None) -> "Answer":
        """Read the answer that `save` wrote.

        The attention of all tokens is not in the file: `where` and `when` have their maps and the
        statistics of their tokens, and no reading. Rules of modules that are not imported are
        refused, since a file must not choose code to run: import them first.

        Args:
            path: The file.
            video: The video, where the file does not say where it is, or it is elsewhere now.

        Raises:
            ValueError: if the file is not an answer, the video is not there or another, or a rule
                cannot be found.
        """
        record = ANSWER_FORMAT.check(path, read_json(path))
        with ANSWER_FORMAT.reading(path):
            about = record["video"]
            if video is None:
                video = find_video(path, about)
            if list(video.indices) != about["sampled_frames"]:
                raise ValueError(f"{path}: answers another video, or other frames of this one")
            candidates = tuple(Tube.from_dict(one) for one in record["candidates"])
            chosen = [bool(one["chosen"]) for one in record["candidates"]]
            track = candidates[chosen.index(True)] if True in chosen else None
            where = Look.from_dict(record["where"])
            timed = "span" in record or not video.is_still
            span = _read_span(record["span"], video) if timed else only_frame(video)
            track = Tube.from_dict(record["track"]) if track is None else track
            again = record.get("again")
            targets = tuple(Target.from_dict(one, candidates) for one in record.get("targets", ()))
            for one in targets:
                _check_span(one.span, video)
            return cls(
                video=video,
                queries=Queries.from_dict(record["queries"]),
                span=span,
                track=track,
                candidates=candidates,
                scores=tuple(_read_score(one["score"]) for one in record["candidates"]),
                where=where,
                when=Look.from_dict(record["when"]) if timed else where,
                frame_scores=torch.tensor(_read_scores(record["frame_scores"]) if timed else []),
                model=_read_model(record["model"]),
                config=GrounderConfig.from_dict(record["config"]),
                timings=record["timings"],
                versions=record["versions"],
                presence=record.get("presence"),
                doubts=tuple(record["doubts"]),
                targets=targets,
                again=None if again is None else SecondReading.from_dict(again, span, track),
            )

    @property
    def overlay_name(self) -> str:
        """The usual name of the file that `overlay` writes, by its kind; one of `OVERLAYS`."""
        return OVERLAYS[self.video.is_still]

    def overlay(self, path: str | Path, *, truth: Tube | None = None, agreement: str = "") -> None:
        """Write the source video with the attribute map, the tube and a time bar drawn in.

        Of a picture, write the picture with the map and the box (PNG).

        Args:
            path: The file to write.
            truth: The true boxes in the true time, drawn dashed.
            agreement: A line below the query about answer and truth, such as their overlap.
        """
        others = [(one.tube, one.span) for one in list_others(self.targets, self.track)]
        overlay(
            path,
            self.video,
            self.where.heatmap,
            self.tube,
            self.span,
            truth=truth,
            others=others,
            title=self._title,
            note=agreement,
            doubts=self.doubts,
        )

    @note_missing_once()
    def plot(self, *, truth: Tube | None = None, agreement: str = "") -> Figure:
        """Draw the answer for paper or screen: tokens, frames with heat and boxes, frame scores.

        Args:
            truth: The true boxes in the true time, drawn dashed.
            agreement: A line below the query about answer and truth, such as their overlap.
        """
        return draw_answer(self, self._title, truth, agreement)

    def _repr_html_(self) -> str:
        """Draw the answer small for Jupyter: frames, box, span, and the query in words."""
        return plot_as_html(self, self._draw)

    @property
    def _title(self) -> str:
        """The query, and how clearly the model says that its object is there."""
        known = "" if self.presence is None else f" (presence {self.presence:+.1f})"
        return f"{self.queries.whole}{known}"

    def _describe_place(self) -> str:
        """Write the times of the span; of a picture, the edges of the box."""
        if self.video.is_still:
            return "box " + " ".join(f"{edge:.0f}" for edge in self.tube.boxes[0])
        start, stop = self.seconds
        return f"{start:.2f} to {stop:.2f} s"

    def _describe_choice(self) -> str:
        """Write of how many candidates one was chosen, and by which model."""
        label = f" ({self.track.label})" if self.track.label else ""
        kind = "boxes" if self.video.is_still else "tracks"
        return f"one of {len(self.candidates)} {kind}{label}; {self.model['name']}"

    def _draw(self, figure: Figure) -> None:
        span = None if self.video.is_still else self.span
        region = self.where.heatmap.cells.region
        found = Found(self.tube, span, self._title, self._describe_choice(), self.doubts, region)
        draw_found(figure, self.video, found)

    def figure(self, path: str | Path, *, truth: Tube | None = None, agreement: str = "") -> None:
        """Write the picture that `plot` draws."""
        save_figure(self.plot(truth=truth, agreement=agreement), Path(path))


def refine_answer(answer: Answer, again: SecondReading, seconds: Mapping[str, float]) -> Answer:
    """Return an answer with the span and the track of a second reading.

    Args:
        answer: The answer of the first reading.
        again: What was read again.
        seconds: The time that it took, by part.
    """
    # Pictures and pages know the chosen candidate, and the first target, by their identity.
    candidates = [again.track if one is answer.track else one for one in answer.candidates]
    targets = [
        replace(one, track=again.track, span=again.span) if one.track is answer.track else one
        for one in answer.targets
    ]
    return replace(
        answer,
        span=again.span,
        track=again.track,
        candidates=tuple(candidates),
        targets=tuple(targets),
        timings={**answer.timings, **seconds},
        doubts=(*answer.doubts, *again.doubts),
        again=again,
    )


def _exact(track: Tube) -> dict[str, Any]:
    """Convert a track to plain values without rounding, so that it is the same when loaded."""
    boxes = track.boxes.astype(np.float64)
    return track.to_dict() | {"boxes": boxes.tolist()}


def _finite(score: float) -> float | None:
    """Write minus infinity, the score of a candidate that was not asked about, as null."""
    return None if score == -math.inf else score


def _read_span(record: Mapping[str, Any], video: Video) -> Span:
    span = Span(record["start_frame"], record["stop_frame"])
    _check_span(span, video)
    return span


def _check_span(span: Span, video: Video) -> None:
    if not 0 <= span.start < span.stop <= video.source_length:
        raise ValueError(
            f"a span from frame {span.start} to {span.stop} of a video of {video.source_length} "
            "frames"
        )


def _read_scores(scores: Any) -> list[float]:
    numbers = isinstance(scores, list) and all(type(one) in (int, float) for one in scores)
    if not numbers:
        raise ValueError(f"frame_scores are {describe_given(scores)}, not a list of numbers")
    return [float(score) for score in scores]


def _read_model(model: Any) -> Mapping[str, Any]:
    if not isinstance(model, dict) or "name" not in model:
        raise ValueError(f"model is {describe_given(model)}, not an object with a name")
    if not isinstance(model["name"], str):
        raise ValueError(f"the name of the model is {describe_given(model['name'])}, not a text")
    return model


def _read_score(score: float | None) -> float:
    return -math.inf if score is None else float(score)
