"""Data that response maps are trained on: videos, and sentences about things in them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from probe.engine.grids import Cells
from probe.video import Span, Tube, Video


@dataclass(frozen=True, eq=False)
class Material:
    """A video that was read, and what is known of it in its own frames."""

    video: Video

    spans: tuple[Span | None, ...] = ()
    """The time in which each sentence holds; None where it is not known. None at all for none."""

    proposals: Sequence[Tube] = ()
    """Things that may be meant; two of the losses compare maps with them. Nothing says which of
    them a sentence means."""


@dataclass(frozen=True, eq=False)
class Described:
    """A video with sentences about it. It has no box and no mask of what the sentences mean."""

    name: str
    """A name that no other video of the set has."""

    sentences: tuple[str, ...]
    """Sentences about things in the video, each about another one."""

    read: Callable[[], Material]
    """Reads the video; called only if its states are not kept yet."""

    frames: str = ""
    """The frames that `read` samples, in words; states of other frames are kept apart. Empty where
    a video has no others."""

    def __post_init__(self) -> None:
        if not self.sentences:
            raise ValueError(f"{self.name}: no sentence says anything about it; give at least one")

    def read_checked(self) -> Material:
        """Read the video.

        Raises:
            ValueError: if there are spans, but not one for each sentence.
        """
        found = self.read()
        if found.spans and len(found.spans) != len(self.sentences):
            raise ValueError(
                f"{self.name}: {len(found.spans)} spans for {len(self.sentences)} sentences; give "
                f"one for each, or none"
            )
        return found


FrameRule: TypeAlias = Callable[[Cells, Span | None], Sequence[int]]
"""Chooses the frames of a grid that are trained on, given the time in which a sentence holds."""


def frames_of_span(cells: Cells, span: Span | None) -> Sequence[int]:
    """Choose the frames in which the sentence holds; all if that is not known, or none is shown.

    The time is then a label, though the place is none.
    """
    inside = [
        place
        for place, sources in enumerate(cells.frames)
        if span is not None and any(source in span for source in sources)
    ]
    return inside or range(len(cells.frames))


def any_frame(cells: Cells, span: Span | None) -> Sequence[int]:  # noqa: ARG001
    """Choose all frames, so that sentences are the only label."""
    return range(len(cells.frames))
