"""One query of a benchmark with its truth, and a data set of them.

Everything is counted in 0-based source frames and measured in pixels of the source video,
whatever an annotation file counts in.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from types import MappingProxyType
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from probe.datasets.footage import Footage, Recording
from probe.metrics import PROTOCOLS, Known
from probe.video import Span, Tube

QueryKind: TypeAlias = Literal["declarative", "interrogative"]
"""A query either states what happens, or asks which thing does it."""

FRAME_TOLERANCE = 2
"""Frames by which a video may be longer or shorter than annotated: encoding loses some."""

SIDE_TOLERANCE = 1
"""Pixels by which a picture may be larger than annotated: encoders make odd sides even."""


@dataclass(frozen=True)
class SettledTruth:
    """A truth in source frames and pixels of one video, as far as it is known."""

    truth: Tube | None = None
    time: Span | None = None
    place: Tube | None = None
    tracks: tuple[Tube, ...] = ()
    notes: tuple[str, ...] = ()


@runtime_checkable
class Annotation(Protocol):
    """A truth in another form, such as seconds or shares of the picture."""

    @property
    def known(self) -> Known:
        """The parts of the truth that it holds, which are known before the video is read."""
        ...

    def settle(self, footage: Footage) -> SettledTruth:
        """Convert it to source frames and pixels of the video.

        Raises:
            ValueError: if it is about another video.
        """
        ...


@dataclass(frozen=True, eq=False)
class Sample:
    """One query, and the truth that its answer is compared with.

    A sample of your own needs the first four fields only; only the first three, if it is not known
    when or where the answer is. What is not known is not scored.

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
    truth: Tube | None = None
    """The tube that the query describes; None if its time or its place is not known."""

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

    time: Span | None = None
    """The time in which the query holds, of a sample whose boxes are not known."""

    place: Tube | None = None
    """Boxes of the queried thing, of a sample of which it is not known when the query holds."""

    annotation: Annotation | None = None
    """The truth in a form that needs the video; `settle` puts it into the fields above."""

    notes: tuple[str, ...] = ()
    """Sentences about the annotation that a user should know of."""

    def __post_init__(self) -> None:
        # A copy that cannot be changed, since the caller may go on with the one that was given.
        object.__setattr__(self, "absent", MappingProxyType(dict(self.absent)))
        # The one way to derive a field of a frozen dataclass from another.
        if not self.video_name:
            object.__setattr__(self, "video_name", PurePath(self.recording.name).stem)
        if self.truth is not None and (self.time is not None or self.place is not None):
            raise ValueError(
                f"{self.id}: a truth, and a time or place alone; give the truth if both are known"
            )

    @property
    def span(self) -> Span | None:
        """Time in which the query holds; None if it is not known."""
        return self.time if self.truth is None else self.truth.span

    @property
    def boxes(self) -> Tube | None:
        """True boxes, whether or not it is known when the query holds; None if there are none."""
        return self.place if self.truth is None else self.truth

    @property
    def known(self) -> Known:
        """The parts of the truth that are known, which alone are scored."""
        if self.annotation is not None:
            return self.annotation.known
        return Known(time=self.span is not None, place=self.boxes is not None)

    def settle(self, footage: Footage) -> "Sample":
        """Return the sample with its truth in source frames and pixels of the video that was read.

        Raises:
            ValueError: if the truth is about another video.
        """
        if self.annotation is None:
            return self
        found = self.annotation.settle(footage)
        return replace(
            self,
            annotation=None,
            truth=found.truth,
            time=found.time,
            place=found.place,
            tracks=found.tracks,
            notes=(*self.notes, *found.notes),
        )

    def find_tracks(self, footage: Footage) -> tuple[Tube, ...]:
        """Return the true tracks that the footage shows, in its frames: an oracle's candidates.

        Without annotated tracks, there is that of the true boxes alone, if they are known.
        """
        held = () if self.boxes is None else (_hold(self.boxes, footage),)
        shown = (footage.from_source(track) for track in self.tracks or held)
        return tuple(track for track in shown if len(track))

    def list_remarks(self, footage: Footage) -> tuple[str, ...]:
        """List what differs from the annotation, though an answer is possible."""
        found = [*([self.recording.remark] if self.recording.remark else []), *self.notes]
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


def _hold(boxes: Tube, footage: Footage) -> Tube:
    """Extend true boxes over the whole source, with the first and the last one held."""
    # Boxes in the true span alone would tell an oracle's user when the query holds.
    return boxes.interpolated(range(max(footage.source_length, boxes.span.stop)))


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

    pictures: Callable[[int], Hashable] | None = None
    """Gives a value that is equal for queries about the same pictures, where it is known without
    making samples; None if their recordings say it."""

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
        known = sample.boxes
        record = [sample.id, sample.query]
        record += [[], []] if known is None else [known.frames.tolist(), known.boxes.tolist()]
        # Last, and only where it is needed: full truths keep the hash that runs of them name.
        if sample.truth is None:
            record += ["partial", sample.time and [sample.time.start, sample.time.stop]]
        digest.update(json.dumps(record).encode())
    return digest.hexdigest()


def _hash_absent(samples: Iterable[Sample]) -> str:
    """Hash all absent queries; empty if there are none."""
    # Apart from the truth: figures about tubes compare whatever else is asked.
    found = [[sample.id, dict(sample.absent)] for sample in samples if sample.absent]
    return hashlib.sha256(json.dumps(found).encode()).hexdigest() if found else ""
