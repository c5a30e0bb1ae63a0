"""One query of a benchmark with its truth, and a data set of them.

Everything is counted in 0-based source frames and measured in pixels of the source video,
whatever an annotation file counts in.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from types import MappingProxyType
from typing import Literal, TypeAlias

from probe.datasets.footage import Footage, Recording
from probe.metrics import PROTOCOLS
from probe.video import Span, Tube

QueryKind: TypeAlias = Literal["declarative", "interrogative"]
"""A query either states what happens, or asks which thing does it."""

FRAME_TOLERANCE = 2
"""Frames by which a video may be longer or shorter than annotated: encoding loses some."""

SIDE_TOLERANCE = 1
"""Pixels by which a picture may be larger than annotated: encoders make odd sides even."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One query, and the truth that its answer is compared with.

    A sample of your own needs the first four fields only:

    >>> import numpy as np
    >>> from probe.datasets import Sample, StoredVideo
    >>> truth = Tube(np.array([3, 4]), np.array([[0.0, 0.0, 9.0, 9.0], [1.0, 0.0, 10.0, 9.0]]))
    >>> Sample("1", "the dog jumps", StoredVideo.from_path("clips/dog.mp4"), truth).video_name
    'dog'
    """

    id: str
    """Name of the query, different from all others in the data set."""

    query: str
    recording: Recording
    truth: Tube
    """The tube that the query describes."""

    video_name: str = ""
    """Name of the video without suffix, by which its file of tracks is found; by default that of
    the recording."""

    kind: QueryKind = "declarative"
    size: tuple[int, int] | None = None
    """Annotated height and width, which the pictures must have; None to accept any."""

    length: int | None = None
    """Annotated number of frames of the whole source; None to accept any."""

    fps: float | None = None
    """Annotated frames per second of the source."""

    tracks: tuple[Tube, ...] = ()
    """True tracks of the annotated objects, the queried one's first; see `find_tracks`."""

    absent: Mapping[str, str] = field(default_factory=dict)
    """Queries that are true of nothing in the video, each by a name of its kind. A method that can
    say that a thing is not there is tested with them; no figure about tubes follows from them."""

    def __post_init__(self) -> None:
        # A copy that cannot be changed, since the caller may go on with the one that was given.
        object.__setattr__(self, "absent", MappingProxyType(dict(self.absent)))
        # The one way to derive a field of a frozen dataclass from another.
        if not self.video_name:
            object.__setattr__(self, "video_name", PurePath(self.recording.name).stem)

    @property
    def span(self) -> Span:
        """Time in which the query holds."""
        return self.truth.span

    def find_tracks(self, footage: Footage) -> tuple[Tube, ...]:
        """Return the true tracks that the footage shows, in its frames: an oracle's candidates.

        Without annotated tracks, there is that of the truth alone.
        """
        shown = (
            footage.from_source(track) for track in self.tracks or (self._hold_truth(footage),)
        )
        return tuple(track for track in shown if len(track))

    def _hold_truth(self, footage: Footage) -> Tube:
        """Extend the truth over the whole source, with its first and last box held."""
        # Boxes in the true span alone would tell an oracle's user when the query holds.
        length = max(footage.source_length, self.truth.span.stop)
        return self.truth.interpolated(range(length))

    def list_remarks(self, footage: Footage) -> tuple[str, ...]:
        """List what differs from the annotation, though an answer is possible."""
        found = [self.recording.remark] if self.recording.remark else []
        if self.length is None:
            return tuple(found)
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
        if self.size is None:
            return
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
        ValueError: if it has no sample, two of one name, or a protocol that does not exist.
    """

    name: str
    version: str
    """Text that changes whenever the truth does: scores compare within a version."""

    protocol: str
    """The usual protocol for it: a name in `probe.metrics.PROTOCOLS`."""

    ids: tuple[str, ...]
    make: Callable[[int], Sample]
    """Makes the sample at a place; raises ValueError if its annotation is of no use."""

    absent_version: str = ""
    """Text that changes whenever the absent queries do; empty if there are none."""

    def __post_init__(self) -> None:
        if not self.ids:
            raise ValueError(f"{self.name}: there is no query in the annotations; give others")
        (most, count), *_ = Counter(self.ids).most_common(1)
        if count > 1:
            raise ValueError(f"{self.name}: {most!r} is annotated {count} times; leave one")
        if self.protocol not in PROTOCOLS:
            known = ", ".join(PROTOCOLS)
            raise ValueError(f"{self.name}: no protocol {self.protocol!r}; give one of {known}")

    @classmethod
    def from_samples(
        cls,
        name: str,
        samples: Iterable[Sample],
        *,
        protocol: str = "hcstvg-official",
        version: str | None = None,
    ) -> "DataSet":
        """Collect samples into a data set.

        >>> import numpy as np
        >>> from probe.datasets import Sample, StoredVideo
        >>> truth = Tube(np.array([3]), np.array([[0.0, 0.0, 9.0, 9.0]]))
        >>> video = StoredVideo.from_path("clips/dog.mp4")
        >>> mine = DataSet.from_samples("mine", [Sample("1", "the dog jumps", video, truth)])
        >>> len(mine), mine[0].query
        (1, 'the dog jumps')

        Args:
            name: Name of the data set.
            samples: The samples in their order.
            protocol: The usual protocol for it: a name in `probe.metrics.PROTOCOLS`.
            version: Text that changes whenever the truth does; by default a hash of all queries
                and true tubes.

        Raises:
            ValueError: if there is no sample, two have one name, or there is no such protocol.
        """
        kept = tuple(samples)
        ids = tuple(sample.id for sample in kept)
        truth = version or _hash_truth(kept)
        return cls(name, truth, protocol, ids, kept.__getitem__, _hash_absent(kept))

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Sample:
        return self.make(index)

    def __iter__(self) -> Iterator[Sample]:
        return map(self.make, range(len(self)))


def _hash_truth(samples: Iterable[Sample]) -> str:
    digest = hashlib.sha256()
    for sample in samples:
        boxes = sample.truth.boxes.tolist()
        record = [sample.id, sample.query, sample.truth.frames.tolist(), boxes]
        digest.update(json.dumps(record).encode())
    return digest.hexdigest()


def _hash_absent(samples: Iterable[Sample]) -> str:
    """Hash all absent queries; empty if there are none."""
    # Apart from the truth: figures about tubes compare whatever else is asked.
    found = [[sample.id, dict(sample.absent)] for sample in samples if sample.absent]
    return hashlib.sha256(json.dumps(found).encode()).hexdigest() if found else ""
