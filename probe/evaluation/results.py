"""The result of one query, and the line that keeps it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite
from types import MappingProxyType
from typing import Any, get_args

from probe.datasets import QueryKind
from probe.evaluation.checksums import check_line, write_line
from probe.metrics import QueryScore
from probe.strict_json import parse_json
from probe.video import Span, Tube

DIGITS = 6
"""Decimals to which scores and margins are written."""

MOST_FRAMES = 10_000_000
"""Frames that an answer may last: four days of video. A damaged line may claim more than memory
holds boxes for."""

_NUMBER, _NOTHING = (int, float), type(None)
_TYPES: Mapping[str, tuple[type, ...]] = MappingProxyType(
    {
        "id": (str,),
        "query": (str,),
        "kind": (str,),
        "video": (str,),
        "span": (list, _NOTHING),
        "track": (dict, _NOTHING),
        "sampled": (list,),
        "tiou": (*_NUMBER, _NOTHING),
        "viou": (*_NUMBER, _NOTHING),
        "gt_viou": (*_NUMBER, _NOTHING),
        "error": (str, _NOTHING),
        "remarks": (list,),
        "details": (dict,),
        "presence": (*_NUMBER, _NOTHING),
        "absent": (dict,),
        "references": (dict,),
    }
)
"""The entries of a line and their types."""

_NEW = frozenset({"presence", "absent", "references"})
"""Entries that lines of earlier versions do not have."""


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
    """Its figures; None for those that the truth does not allow."""

    error: str | None = None
    """The reason why it failed, in which case it counts as zero in every figure."""

    remarks: tuple[str, ...] = ()
    """Differences between the video and its annotation."""

    details: Mapping[str, Any] = field(default_factory=dict)
    """The evidence for the answer that the method gave."""

    presence: float | None = None
    """Certainty that the thing is there: `Prediction.presence`; None if the query failed or
    the method does not say."""

    absent: Mapping[str, float | None] = field(default_factory=dict)
    """Certainty for each absent query of the sample, by its kind; None if the query failed. Empty
    if there are none, or the method cannot say that a thing is not there."""

    references: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Figures that its candidates alone give, by reference: guesses and the ceiling, as in
    `probe.evaluation.references`. Empty in results of earlier versions."""

    @property
    def tube(self) -> Tube:
        """The answer: one box for each frame of the span; empty if the query failed."""
        if self.span is None or self.track is None:
            return Tube.from_dict({"frames": [], "boxes": []})
        return self.track.interpolated(range(self.span.start, self.span.stop))

    def to_line(self) -> bytes:
        """Write the result as one line, with a checksum and its end."""
        record = {
            "id": self.id,
            "query": self.query,
            "kind": self.kind,
            "video": self.video,
            "span": None if self.span is None else [self.span.start, self.span.stop],
            "track": None if self.track is None else self.track.to_dict(),
            "sampled": self.sampled,
            **{name: _round(value) for name, value in asdict(self.score).items()},
            "error": self.error,
            "remarks": self.remarks,
            "details": dict(self.details),
            "presence": _round(self.presence),
            "absent": {kind: _round(margin) for kind, margin in self.absent.items()},
            "references": {
                name: {figure: _round(value) for figure, value in figures.items()}
                for name, figures in self.references.items()
            },
        }
        return write_line(record)

    @classmethod
    def from_line(cls, line: bytes) -> "QueryResult":
        """Read the result that `to_line`, or that of an earlier version, wrote.

        Raises:
            ValueError: if it is not such a line, or has been changed since.
        """
        try:
            return _read_record(parse_json(check_line(line)))
        except (KeyError, TypeError, OverflowError, AttributeError) as problem:
            raise ValueError(f"not a result ({type(problem).__name__}: {problem})") from problem
        except ValueError as problem:
            raise ValueError(f"not a result ({problem})") from problem


def _read_record(record: dict[str, Any]) -> QueryResult:
    """Make a result of an entry that may hold anything.

    Raises:
        ValueError, TypeError, KeyError, OverflowError, AttributeError: if it is no result.
    """
    if strange := sorted(record.keys() - _TYPES.keys()):
        raise ValueError(f"unknown entry {strange[0]!r}")
    for name, kinds in _TYPES.items():
        # Earlier versions wrote the last entries not at all.
        if name in record or name not in _NEW:
            require_type(name, record[name], kinds)
    given = [record[name] for name in ("tiou", "viou", "gt_viou")]
    scores = [None if value is None else float(value) for value in given]
    references = _read_references(record.get("references", {}))
    known = [*scores, *(value for figures in references.values() for value in figures.values())]
    if not all(value is None or 0 <= value <= 1 for value in known):
        raise ValueError("a score is not between 0 and 1")
    if record["kind"] not in get_args(QueryKind):
        raise ValueError(f"unknown kind of query {record['kind']!r}")
    for name in ("remarks", "sampled"):
        for value in record[name]:
            require_type(name, value, (str,) if name == "remarks" else (int,))
    return QueryResult(
        id=record["id"],
        query=record["query"],
        kind=record["kind"],
        video=record["video"],
        span=None if record["span"] is None else _read_span(*record["span"]),
        track=None if record["track"] is None else Tube.from_dict(record["track"]),
        sampled=tuple(record["sampled"]),
        score=QueryScore(*scores),
        error=record["error"],
        remarks=tuple(record["remarks"]),
        details=record["details"],
        presence=_read_margin(record.get("presence")),
        absent={kind: _read_margin(one) for kind, one in record.get("absent", {}).items()},
        references=references,
    )


def require_type(name: str, value: Any, kinds: tuple[type, ...]) -> None:
    """Refuse a value of an entry that has another type than one of these.

    Raises:
        ValueError: if it has.
    """
    # For Python True is an int, but no frame and no score is written like that.
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        found, wanted = type(value).__name__, " or ".join(kind.__name__ for kind in kinds)
        raise ValueError(f"{name} is of type {found}, not {wanted}")


def _read_span(start: Any, stop: Any) -> Span:
    for end in (start, stop):
        require_type("span", end, (int,))
    if not 0 <= start < stop <= start + MOST_FRAMES:
        raise ValueError(f"a span from frame {start} to {stop}")
    return Span(start, stop)


def _read_references(given: Any) -> dict[str, dict[str, float]]:
    for figures in given.values():
        require_type("a reference", figures, (dict,))
        for value in figures.values():
            require_type("a figure", value, _NUMBER)
    return {
        name: {figure: float(value) for figure, value in figures.items()}
        for name, figures in given.items()
    }


def _read_margin(margin: Any) -> float | None:
    if margin is None:
        return None
    require_type("a margin", margin, (int, float))
    if not isfinite(margin):
        raise ValueError("a margin is not finite")
    return float(margin)


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)
