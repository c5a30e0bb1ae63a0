"""What the grounder found, and everything it was read from; as JSON, as a video, as a figure."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, is_dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from probe.candidates.tracks import track_scores
from probe.drawing.figures import (
    choose_frames,
    draw_frame_scores,
    draw_frames,
    draw_tokens,
    save_figure,
    stack_rows,
)
from probe.drawing.overlays import overlay
from probe.engine.attention import Assembly, Heatmap, assemble
from probe.engine.view import Reading
from probe.files import write_json
from probe.grounding.queries import Queries
from probe.interpret.grounding_tokens import rank_tokens
from probe.video import Span, Tube, Video

LIBRARIES = ("grounding-probe", "torch", "transformers", "nnsight", "numpy", "scipy", "av")


@dataclass(frozen=True, eq=False)
class Look:
    """Where the model looked for one question, and through which tokens."""

    reading: Reading
    tokens: tuple[int, ...]
    """The grounding token, or those whose maps were averaged, as places in the question."""
    heatmap: Heatmap
    consistency: float | None = None
    """How alike the maps of both frame orders were, where they were assembled (-1 to 1)."""

    def assembled_with(self, reverse: "Look", how: Assembly) -> "Look":
        """This look with the map of the reversed frame order, turned back, worked in."""
        turned = reverse.heatmap.reversed()
        joined = assemble([self.heatmap, turned], how)
        return replace(self, heatmap=joined, consistency=self.heatmap.consistency(turned))

    def to_dict(self) -> dict[str, Any]:
        """The question, what it was read through, and all its tokens with their statistics."""
        peak = self.heatmap.peak
        return {
            "question": self.reading.prompt.question,
            "yes_minus_no": round(self.reading.margin, 4),
            "grounding_tokens": [
                {"index": index, "token": self.reading.tokens[index]} for index in self.tokens
            ],
            "consistency": None if self.consistency is None else round(self.consistency, 4),
            "peak": {
                "frame": self.heatmap.cells.frames[peak[0]][0],
                "row": peak[1],
                "column": peak[2],
            },
            "tokens": rank_tokens(self.reading).round(6).to_dict("records"),
        }


@dataclass
class Laps:
    """A stopwatch: seconds between one mark and the next."""

    seconds: dict[str, float] = field(default_factory=dict)
    _last: float = field(default_factory=time.perf_counter)

    def mark(self, name: str) -> None:
        """End the lap of this name."""
        now = time.perf_counter()
        self.seconds[name] = now - self._last
        self._last = now


@dataclass(frozen=True, eq=False)
class Answer:
    """When and where the queried thing is, and what that was read from."""

    video: Video
    queries: Queries
    span: Span
    """When: source frames."""
    track: Tube
    """The chosen candidate, over the whole video."""
    candidates: tuple[Tube, ...]
    where: Look
    """The attribute branch, which chose the track."""
    when: Look
    """The action branch, which chose the span."""
    frame_scores: Float[Tensor, " frame"]
    """The action map's peak within the track, map frame by map frame."""
    model: Mapping[str, Any]
    """Which model, in which revision and number type."""
    config: Any
    timings: Mapping[str, float]
    """Seconds spent on each part."""

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
        """The chosen track's score: the strongest cell of the attribute map within it."""
        return float(track_scores([self.track], self.where.heatmap)[0])

    @property
    def seconds(self) -> tuple[float, float]:
        """When the span starts and ends, in seconds of the video."""
        return self.video.time_at(self.span.start), self.video.time_at(self.span.stop)

    def to_dict(self) -> dict[str, Any]:
        """The whole answer in plain values, as `answer.json` holds it."""
        start, stop = self.seconds
        return {
            "query": self.queries.whole,
            "queries": self.queries.to_dict(),
            "video": self._video(),
            "model": dict(self.model),
            "config": described(self.config),
            "span": {
                "start_frame": self.span.start,
                "stop_frame": self.span.stop,
                "start_seconds": round(start, 4),
                "stop_seconds": round(stop, 4),
            },
            "tube": self.tube.to_dict(),
            "score": self.score,
            "track": self.track.to_dict(),
            "candidates": self._candidates(),
            "where": self.where.to_dict(),
            "when": self.when.to_dict(),
            "frame_scores": [round(score, 6) for score in self.frame_scores.tolist()],
            "timings": {name: round(value, 4) for name, value in self.timings.items()},
            "versions": {name: version(name) for name in LIBRARIES},
        }

    def save(self, path: str | Path) -> None:
        """Write `to_dict` as JSON; nothing is left half-written."""
        write_json(Path(path), self.to_dict())

    def overlay(self, path: str | Path) -> None:
        """Write the source video with the action map, the tube and a time bar drawn in."""
        overlay(path, self.video, self.when.heatmap, self.tube, self.span, title=self.queries.whole)

    def figure(self, path: str | Path) -> None:
        """Draw the answer for paper or screen: frames and boxes, tokens, frame scores."""
        places = choose_frames(self.video)
        figure = Figure(figsize=(max(7.0, 1.25 * len(places)), 6.4), layout="constrained")
        figure.suptitle(self.queries.whole, fontsize=11)
        seen, acted, words, times = stack_rows(figure, (1.0, 1.0, 1.5, 1.1))
        looks = (
            (seen, self.where, "where", self.track),
            (acted, self.when, "when", self.tube),
        )
        for part, look, name, box in looks:
            part.suptitle(f"{name}: {look.reading.prompt.question}", fontsize=8, x=0.01, ha="left")
            axes = list(part.subplots(1, len(places), squeeze=False)[0])
            draw_frames(axes, self.video, look.heatmap, box, self.candidates)
        for ax, (_, look, name, _) in zip(words.subplots(1, 2, sharey=True), looks, strict=True):
            draw_tokens(ax, look.reading, look.tokens)
            ax.set_title(name, fontsize=8, loc="left")
        draw_frame_scores(
            times.subplots(), self.video, self.when.heatmap, self.frame_scores, self.span
        )
        save_figure(figure, Path(path))

    def _video(self) -> dict[str, Any]:
        height, width = self.video.size
        # Read again from its path, a part would be the whole.
        readable = self.video.path is not None and self.video.part is None
        return {
            "path": str(self.video.path) if readable else None,
            "size": [height, width],
            "frames": self.video.source_length,
            "fps": round(self.video.fps, 4),
            "sampled_frames": list(self.video.indices),
        }

    def _candidates(self) -> list[dict[str, Any]]:
        scores = track_scores(self.candidates, self.where.heatmap).tolist()
        return [
            {"score": round(score, 6), "chosen": track is self.track, **track.to_dict()}
            for score, track in zip(scores, self.candidates, strict=True)
        ]


def described(config: Any) -> Any:
    """A configuration in plain values; rules carry their class's or function's name."""
    if isinstance(config, Tensor):
        return config.tolist()
    if isinstance(config, tuple | list):
        return [described(one) for one in config]
    if callable(config) and not is_dataclass(config):
        return config.__name__
    if not is_dataclass(config) or isinstance(config, type):
        return config
    return {
        "rule": type(config).__name__,
        **{name: described(value) for name, value in vars(config).items()},
    }
