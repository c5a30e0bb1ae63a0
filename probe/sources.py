"""Where sub-queries and candidate tracks come from, as the command line names it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

if TYPE_CHECKING:
    from probe.model import VideoLM
    from probe.queries import Queries
    from probe.tubes import Tube
    from probe.video import Video


@dataclass(frozen=True)
class Sources:
    """What splits the query, and what finds the objects that it may mean."""

    tracks: Annotated[Path | None, arg(metavar="PATH")] = None
    """Candidate tracks (JSON); by default, whatever stands out from the background."""

    detector: Annotated[str | None, arg(metavar="ID")] = None
    """A GroundingDINO checkpoint that finds the candidates, such as
    IDEA-Research/grounding-dino-base; it looks for the subject of the query."""

    tracker: Annotated[str | None, arg(metavar="ID")] = None
    """The SAM 2 checkpoint that follows what the detector finds; by default
    facebook/sam2.1-hiera-small."""

    cache: Annotated[Path | None, arg(metavar="PATH")] = None
    """A folder that keeps what the detector finds, for the next time."""

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
        for name in ("tracker", "cache"):
            if self.detector is None and getattr(self, name) is not None:
                raise ValueError(f"--{name} is of no use without a detector; give --detector too")

    def queries(self, model: "VideoLM", video: "Video", query: str) -> "Queries":
        """The query in two parts; a part that is not found is marked in it.

        Raises:
            ValueError: if the query is empty or too long, or the file cannot be used.
        """
        from probe.asking import split_by_asking
        from probe.queries import Decompositions, decompose

        if self.split == "rules":
            return decompose(query)
        if self.split == "model":
            return split_by_asking(model, query)
        known = Decompositions.load(self.split)
        return known.of("" if video.path is None else video.path.name, query)

    def candidates(
        self, video: "Video", queries: "Queries", *, device: str, dtype: str
    ) -> "tuple[Tube, ...] | None":
        """The tracks to choose from; None leaves them to the proposer that needs no weights.

        Raises:
            ValueError: if a file or checkpoint cannot be used, or the detector finds nothing.
        """
        if self.detector is None:
            from probe.tracks import load_tracks

            return None if self.tracks is None else load_tracks(self.tracks, video)
        from probe.detectors import TRACKING, detect_tracks, load_detector

        detector = load_detector(
            self.detector, self.tracker or TRACKING, device=device, dtype=dtype
        )
        found = detect_tracks(detector, video, [queries.subject], cache=self.cache)
        if not found:
            raise ValueError(
                f"{video.path}: the detector finds no {queries.subject!r} in it; give --tracks, "
                "or neither for whatever stands out from the background"
            )
        return found


WEIGHTLESS = Sources()
"""Rules and the weight-free proposer: no other model than the one that looks."""
