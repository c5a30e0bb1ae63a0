"""One query of a benchmark with its truth, and a data set of them.

Everything is counted in 0-based source frames and measured in pixels of the source video,
whatever an annotation file counts in.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from probe.datasets.footage import Footage, Recording
from probe.video import Span, Tube

Kind: TypeAlias = Literal["declarative", "interrogative"]
"""Whether a query states what happens or asks for what does it."""

FRAME_TOLERANCE = 2
"""Frames by which a video may be longer or shorter than annotated: encoding loses some."""

SIDE_TOLERANCE = 1
"""Pixels by which a picture may be larger than annotated: encoders make odd sides even."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One query, and the truth that its answer is compared with."""

    id: str
    video_name: str
    """What the video is called, without its suffix: the name of its file of tracks."""

    recording: Recording
    query: str
    kind: Kind
    truth: Tube
    """The tube that the query describes."""

    fps: float
    size: tuple[int, int]
    """Height and width, as annotated."""

    length: int
    """Frames of the whole source, as annotated."""

    tracks: tuple[Tube, ...]
    """The true tracks of the objects in the video, as far as they are annotated and whenever they
    are there: the candidates of an oracle."""

    @property
    def span(self) -> Span:
        """When the query holds."""
        return self.truth.span

    def remarks(self, footage: Footage) -> tuple[str, ...]:
        """What is not as annotated, though an answer is possible."""
        found = [self.recording.remark] if self.recording.remark else []
        if abs(footage.source_length - self.length) > FRAME_TOLERANCE:
            found.append(
                f"{self.recording.name}: has {footage.source_length} frames, annotated are "
                f"{self.length}"
            )
        return tuple(found)

    def check_size(self, footage: Footage) -> None:
        """Refuse pictures of another size than the true boxes were drawn on.

        Raises:
            ValueError: if the sizes differ.
        """
        sides = zip(footage.video.size, self.size, strict=True)
        if any(not 0 <= side - annotated <= SIDE_TOLERANCE for side, annotated in sides):
            height, width = footage.video.size
            raise ValueError(
                f"{self.recording.name}: pictures of {width} x {height}, but its boxes were drawn "
                f"on {self.size[1]} x {self.size[0]}; give the video at its original size"
            )


@dataclass(frozen=True, eq=False)
class DataSet:
    """The samples of a benchmark in their order; each is made when it is asked for.

    Raises:
        ValueError: if it has no sample, or two of one name.
    """

    name: str
    version: str
    """Changes whenever the truth does: scores compare within a version."""

    protocol: str
    """The protocol of `probe.metrics` that is usual for it."""

    ids: tuple[str, ...]
    make: Callable[[int], Sample]
    """The sample at a place; ValueError where its annotation is of no use."""

    def __post_init__(self) -> None:
        if not self.ids:
            raise ValueError(f"{self.name}: there is no query in the annotations; give others")
        (most, count), *_ = Counter(self.ids).most_common(1)
        if count > 1:
            raise ValueError(f"{self.name}: {most!r} is annotated {count} times; leave one")

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Sample:
        return self.make(index)

    def __iter__(self) -> Iterator[Sample]:
        return map(self.make, range(len(self)))
