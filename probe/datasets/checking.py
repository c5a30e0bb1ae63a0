"""A check of a data set before a run: which samples are missing, or not as annotated."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from probe.datasets.footage import read_recording
from probe.datasets.samples import DataSet


@dataclass(frozen=True)
class Finding:
    """A problem with one sample."""

    sample: str
    text: str
    fatal: bool
    """True if its query cannot be answered and will count as zero."""


def check_samples(dataset: DataSet, limit: int | None = None) -> Iterator[Finding | None]:
    """Check the samples in their order: the problem with each, or None.

    Every video is opened: its length is read, and its first picture decoded.
    """
    # Queries about one video follow each other, so keeping one spares most of the reading.
    read = lru_cache(maxsize=1)(read_recording)
    for index, name in enumerate(dataset.ids[:limit]):
        try:
            sample = dataset[index]
            footage = read(sample.recording, 1)
            sample.check_size(footage)
            sample = sample.settle(footage)
        except (ValueError, OSError) as failure:
            yield Finding(name, str(failure), fatal=True)
        else:
            remarks = sample.list_remarks(footage)
            yield Finding(name, "; ".join(remarks), fatal=False) if remarks else None
