"""The data sets people compare on, by name; and whether what lies in a user's folder is whole."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from probe.datasets.footage import Footage, Root, read_recording
from probe.datasets.hcstvg import read_hcstvg1, read_hcstvg2
from probe.datasets.samples import DataSet, Sample
from probe.datasets.vidstg import read_vidstg
from probe.organism.benchmark import SHAPES_TEST, SHAPES_VAL, VERSION, Benchmark
from probe.organism.world import LENGTH, RATE, SIDE, Clip

Reader = Callable[[Root, Path | None], DataSet]

STORED: Mapping[str, Reader] = MappingProxyType(
    {
        "hcstvg1": read_hcstvg1,
        "hcstvg2": read_hcstvg2,
        "vidstg": read_vidstg,
        "vidstg-declarative": lambda root, path: read_vidstg(root, path, ("declarative",)),
        "vidstg-interrogative": lambda root, path: read_vidstg(root, path, ("interrogative",)),
    }
)
"""Data sets that nobody may pass on: the user gives the folder."""

DRAWN: Mapping[str, Benchmark] = MappingProxyType(
    {benchmark.name: benchmark for benchmark in (SHAPES_VAL, SHAPES_TEST)}
)
"""Data sets that follow from a seed."""

NAMES = (*DRAWN, *STORED)

SHAPES_PROTOCOL = "hcstvg-official"


@dataclass(frozen=True)
class DrawnVideo:
    """A clip of the organism's world, drawn when it is read."""

    name: str
    clip: Clip
    remark: str = ""

    def read(self, frames: int) -> Footage:
        """The clip, sampled evenly."""
        return Footage(self.clip.video(frames), 0, LENGTH)


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be with one sample."""

    sample: str
    text: str
    fatal: bool
    """Whether its query cannot be answered and will count as zero."""


def load_dataset(
    name: str, root: str | Path | None = None, annotations: str | Path | None = None
) -> DataSet:
    """A data set by its name.

    Args:
        name: One of `NAMES`.
        root: The folder with its videos and annotations, for those that are not drawn from a seed.
        annotations: The annotation file, where it is not found under its published name.

    Raises:
        ValueError: if there is no such data set, a folder is missing or superfluous, or there are
            no annotations in it.
    """
    if name in DRAWN:
        if root is not None or annotations is not None:
            raise ValueError(f"{name} is drawn from a seed; leave out --root and --annotations")
        return _shapes(DRAWN[name])
    if name not in STORED:
        raise ValueError(f"no data set is called {name!r}; there are {', '.join(NAMES)}")
    if root is None:
        raise ValueError(f"{name} cannot be shipped; give --root the folder you keep it in")
    path = None if annotations is None else Path(annotations).expanduser()
    if path is not None and not path.is_file():
        raise ValueError(f"{path}: no such file; give --annotations the data set's JSON file")
    return STORED[name](Root.open(root), path)


def check(dataset: DataSet, limit: int | None = None) -> Iterator[Finding | None]:
    """Look at each sample before a run: what is wrong with it, or None, in their order.

    The length of each video is read, and its first picture decoded.
    """
    read = lru_cache(maxsize=1)(read_recording)
    for index, name in enumerate(dataset.ids[:limit]):
        try:
            sample = dataset[index]
            footage = read(sample.recording, 1)
            sample.check_size(footage)
        except (ValueError, OSError) as failure:
            yield Finding(name, str(failure), fatal=True)
        else:
            remarks = sample.remarks(footage)
            yield Finding(name, "; ".join(remarks), fatal=False) if remarks else None


def _shapes(benchmark: Benchmark) -> DataSet:
    def make(index: int) -> Sample:
        case = benchmark.case(index)
        return Sample(
            id=case.name,
            video_name=f"{index:04d}",
            recording=DrawnVideo(case.name, case.clip),
            query=case.query,
            kind="declarative",
            truth=case.truth,
            fps=RATE,
            size=(SIDE, SIDE),
            length=LENGTH,
            tracks=case.tracks,
        )

    return DataSet(
        name=benchmark.name,
        version=f"{benchmark.name}-v{VERSION}",
        protocol=SHAPES_PROTOCOL,
        ids=tuple(benchmark.case_name(index) for index in range(benchmark.size)),
        make=make,
    )
