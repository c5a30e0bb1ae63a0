"""The result of one query, and the line that keeps it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from probe.datasets import QueryKind
from probe.metrics import QueryScore
from probe.video import Span, Tube

DIGITS = 6
"""Decimals to which scores and margins are written."""


@dataclass(frozen=True, eq=False)
class QueryResult:
    """The answer to one query and its score; a line of `results.jsonl`."""

    id: str
    query: str = ""
    kind: QueryKind = "declarative"
    video: str = ""
    """The name of the video in the annotation."""

    span: Span | None = None
    """The answered source frames; None if the query failed."""

    track: Tube | None = None
    """The answered object over the whole video, in the source frames in which its box is known."""

    sampled: tuple[int, ...] = ()
    """The source frames that the model was shown."""

    score: QueryScore = field(default_factory=lambda: QueryScore(0.0, 0.0, 0.0))
    error: str | None = None
    """The reason why it failed, in which case it counts as zero in every figure."""

    remarks: tuple[str, ...] = ()
    """Differences between the video and its annotation."""

    details: Mapping[str, Any] = field(default_factory=dict)
    """The evidence for the answer that the method gave."""

    presence: float | None = None
    """How sure the method is that the thing is there: `Prediction.presence`; None if it failed, or
    does not say."""

    absent: Mapping[str, float | None] = field(default_factory=dict)
    """The same for each absent query of the sample, by its kind; None if the query failed. Empty
    if there are none, or the method cannot say that a thing is not there."""

    @property
    def tube(self) -> Tube:
        """The answer: one box for each frame of the span; empty if the query failed."""
        if self.span is None or self.track is None:
            return Tube.from_dict({"frames": [], "boxes": []})
        return self.track.interpolated(range(self.span.start, self.span.stop))

    def to_line(self) -> bytes:
        """Write the result as one line, its end included."""
        record = {
            "id": self.id,
            "query": self.query,
            "kind": self.kind,
            "video": self.video,
            "span": None if self.span is None else [self.span.start, self.span.stop],
            "track": None if self.track is None else self.track.to_dict(),
            "sampled": self.sampled,
            **{name: round(value, DIGITS) for name, value in asdict(self.score).items()},
            "error": self.error,
            "remarks": self.remarks,
            "details": dict(self.details),
            "presence": _round_margin(self.presence),
            "absent": {kind: _round_margin(margin) for kind, margin in self.absent.items()},
        }
        return json.dumps(record, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "QueryResult":
        """Read the result that `to_line` wrote.

        Raises:
            ValueError: if it is not such a line.
        """
        try:
            record = json.loads(line)
            return cls(
                id=record["id"],
                query=record["query"],
                kind=record["kind"],
                video=record["video"],
                span=None if record["span"] is None else Span(*record["span"]),
                track=None if record["track"] is None else Tube.from_dict(record["track"]),
                sampled=tuple(record["sampled"]),
                score=QueryScore(record["tiou"], record["viou"], record["gt_viou"]),
                error=record["error"],
                remarks=tuple(record["remarks"]),
                details=record["details"],
                # Lines of earlier versions have neither.
                presence=record.get("presence"),
                absent=record.get("absent", {}),
            )
        except (KeyError, TypeError, ValueError) as problem:
            raise ValueError(f"not a result ({type(problem).__name__}: {problem})") from problem


def _round_margin(margin: float | None) -> float | None:
    return None if margin is None else round(margin, DIGITS)
