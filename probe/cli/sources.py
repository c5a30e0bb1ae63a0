"""Options that say where sub-queries and candidate tracks come from."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

if TYPE_CHECKING:
    from probe.grounding.sources import Search


@dataclass(frozen=True)
class Sources:
    """What splits the query, and what finds the objects that it may mean."""

    tracks: Annotated[Path | None, arg(metavar="PATH")] = None
    """Candidate tracks (JSON; of a benchmark, a folder with a file for each video); by default,
    whatever stands out from the background."""

    detector: Annotated[str | None, arg(metavar="ID")] = None
    """A GroundingDINO checkpoint that finds the candidates, such as
    IDEA-Research/grounding-dino-base; it looks for the subject of the query."""

    tracker: Annotated[str | None, arg(metavar="ID")] = None
    """The SAM 2 checkpoint that follows what the detector finds; by default
    facebook/sam2.1-hiera-small."""

    cache: Annotated[Path | None, arg(metavar="PATH")] = None
    """A folder that keeps the candidates found, for the next time; those of a benchmark are kept
    in the user's cache folder by default."""

    split: Annotated[str, arg(metavar="{rules,model,PATH}")] = "rules"
    """What splits the query into who it is and what they do: rules of grammar, the model itself,
    or a JSON file of sub-queries by video (write ./rules for a file of that name)."""

    def check(self) -> None:
        """Refuse options that contradict each other, before any work is done.

        Raises:
            ValueError: if they do.
        """
        if self.detector is not None and self.tracks is not None:
            raise ValueError("--tracks and --detector both give candidates; leave out one of them")
        if self.detector is None and self.tracker is not None:
            raise ValueError("--tracker is of no use without a detector; give --detector too")

    def search(self, cache: Path | None) -> "Search | None":
        """What searches with the detector, if there is one, and keeps what it finds here."""
        if self.detector is None:
            return None
        from probe.candidates.detectors import TRACKING
        from probe.grounding.sources import Search

        return Search(self.detector, self.tracker or TRACKING, cache)


WEIGHTLESS = Sources()
"""Rules and the weight-free proposer: no other model than the one that looks."""
