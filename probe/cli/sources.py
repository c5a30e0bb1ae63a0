"""Options that say where sub-queries and candidate tracks come from."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import arg

if TYPE_CHECKING:
    from probe.grounding.sources import Search


@dataclass(frozen=True)
class Sources:
    """Options for splitting the query, and for finding the objects that it may mean."""

    tracks: Annotated[Path | None, arg(metavar="PATH")] = None
    """Candidate tracks (JSON; for a benchmark, a folder with a file for each video); by default,
    whatever differs from the background."""

    proposer: Literal["plain", "nested"] | None = None
    """The way to find what differs from the background: plain for things that lie apart on a plain
    ground; nested for more candidates, also of things that touch, on grounds with texture. By
    default nested with the model things, and plain with any other."""

    detector: Annotated[str | None, arg(metavar="ID")] = None
    """A checkpoint that finds the candidates, such as IDEA-Research/grounding-dino-base; it looks
    for the subject of the query. GroundingDINO, MM-GroundingDINO, OWLv2 and OmDet-Turbo read any
    words, RF-DETR and D-FINE know classes, and SAM 3 also follows what it finds."""

    tracker: Annotated[str | None, arg(metavar="ID")] = None
    """The checkpoint that follows what the detector finds: SAM 2, SAM 3 or EdgeTAM; by default
    facebook/sam2.1-hiera-small."""

    cache: Annotated[Path | None, arg(metavar="DIR")] = None
    """A folder that keeps the candidates found, for the next time; those of a benchmark are kept
    in the user's cache folder by default."""

    split: Annotated[str, arg(metavar="{rules,model,PATH}")] = "rules"
    """The way the query is split into who it is and what they do: by rules of grammar, by the model
    itself, or by a JSON file of sub-queries by video (write ./rules for a file of that name)."""

    def check(self) -> None:
        """Refuse options that contradict each other, before any work is done.

        Raises:
            ValueError: if they do.
        """
        if self.detector is not None and self.tracks is not None:
            raise ValueError("--tracks and --detector both give candidates; leave out one of them")
        if self.proposer is not None and (self.detector is not None or self.tracks is not None):
            other = "--tracks" if self.detector is None else "--detector"
            raise ValueError(f"--proposer and {other} both give candidates; leave out one of them")
        if self.detector is None and self.tracker is not None:
            raise ValueError("--tracker is of no use without a detector; give --detector too")

    def choose_proposer(self, model: str) -> str:
        """Return the proposer that is asked for, or the usual one of a model."""
        if self.proposer is not None:
            return self.proposer
        from probe.candidates.proposers import PLAIN
        from probe.engine.model_names import SHIPPED

        return SHIPPED[model].proposer if model in SHIPPED else PLAIN

    def describe_search(self, cache: Path | None) -> "Search | None":
        """Describe the search with the detector, which is not loaded yet; None without detector.

        Tracks that it finds are kept in the cache folder, if there is one.
        """
        if self.detector is None:
            return None
        from probe.grounding.sources import Search

        return Search(self.detector, self.tracker, cache)


DEFAULT_SOURCES = Sources()
"""Rules of grammar and the weight-free proposer: no model but the one that looks."""
