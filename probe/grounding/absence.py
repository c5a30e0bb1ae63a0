"""The answer "no": the model does not say clearly enough that the queried thing is there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from probe.engine.provenance import library_versions
from probe.files import FileFormat, read_json, write_json
from probe.grounding.doubts import Evidence, list_doubts
from probe.grounding.queries import Queries
from probe.pictures.escapes import escape
from probe.video.descriptions import describe_video

ABSENCE_FORMAT = FileFormat("grounding-probe/absence", 1, "an absence", "Absence.save")


@dataclass(frozen=True)
class Absence:
    """A query of which the model did not say clearly enough that its object is there."""

    queries: Queries
    presence: float
    """The whole query's margin, yes minus no in logits."""

    required: float
    """The presence that was asked for."""

    video: Mapping[str, Any]
    """Path, size, frames and sampled frames of the video."""

    model: Mapping[str, Any]
    """Name, revision and number type of the model."""

    doubts: tuple[str, ...] = ()
    """Sentences that say what the model denies, and which words it does not know."""

    versions: Mapping[str, str] = field(default_factory=library_versions)

    def __repr__(self) -> str:
        return escape(
            f"Absence({self.queries.whole!r}: presence {self.presence:+.2f}, required "
            f"{self.required:+.2f}; {self.model['name']})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the absence in plain values; span and tube are null."""
        return {
            **ABSENCE_FORMAT.header,
            "query": self.queries.whole,
            "queries": self.queries.to_dict(),
            "presence": round(self.presence, 4),
            "required_presence": self.required,
            "span": None,
            "tube": None,
            "doubts": list(self.doubts),
            "video": dict(self.video),
            "model": dict(self.model),
            "versions": dict(self.versions),
        }

    def save(self, path: str | Path) -> None:
        """Write `to_dict` as JSON."""
        write_json(path, self.to_dict())

    @classmethod
    def load(cls, path: str | Path) -> "Absence":
        """Read the absence that `save` wrote.

        Raises:
            ValueError: if the file is missing or holds something else.
        """
        record = ABSENCE_FORMAT.check(path, read_json(path))
        with ABSENCE_FORMAT.reading(path):
            return cls(
                queries=Queries.from_dict(record["queries"]),
                presence=float(record["presence"]),
                required=float(record["required_presence"]),
                video=record["video"],
                model=record["model"],
                doubts=tuple(record["doubts"]),
                versions=record["versions"],
            )


class AbsenceError(ValueError):
    """Raised in place of a tube if the model does not say clearly enough that a thing is there."""

    def __init__(self, absence: Absence) -> None:
        super().__init__(
            f"the model does not say clearly enough that {absence.queries.whole!r} is in the "
            f"video: presence {absence.presence:+.2f}, required {absence.required:+.2f}; ask for "
            f"something else, or require less"
        )
        self.absence = absence
        """The answer."""


def require_presence(evidence: Evidence, required: float | None, model: Mapping[str, Any]) -> None:
    """Refuse to look for a thing that the model does not say clearly enough is there.

    Args:
        evidence: The margins of the query and its parts.
        required: The least presence, in logits; None to accept any.
        model: Name, revision and number type of the model.

    Raises:
        AbsenceError: if the presence is below it.
    """
    presence = evidence.margins["whole"]
    if required is None or presence >= required:
        return
    video, doubts = describe_video(evidence.video), list_doubts(evidence)
    raise AbsenceError(Absence(evidence.queries, presence, required, video, model, doubts))
