"""The shapes benchmark as data sets: clips drawn from a seed, so that nothing is stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

from probe.datasets.entries import DatasetEntry
from probe.datasets.footage import Footage
from probe.datasets.samples import DataSet, Sample
from probe.organism.absent import ABSENT_VERSION
from probe.organism.benchmark import (
    SHAPES_REPORT_2,
    SHAPES_TEST,
    SHAPES_VAL,
    SHAPES_VERSION,
    Benchmark,
)
from probe.organism.world import LENGTH, RATE, SIDE, Clip
from probe.video import Sampling, count_frames

SHAPES_PROTOCOL = "hcstvg-official"

SHAPES_BENCHMARKS: Mapping[str, Benchmark] = MappingProxyType(
    {benchmark.name: benchmark for benchmark in (SHAPES_VAL, SHAPES_TEST, SHAPES_REPORT_2)}
)
"""The benchmarks by name."""


@dataclass(frozen=True)
class DrawnVideo:
    """A clip of the organism's world, drawn when it is read."""

    name: str
    clip: Clip
    remark: str = ""

    def read(self, frames: Sampling) -> Footage:
        """Draw this many frames of the clip, evenly in time."""
        count = count_frames(frames, LENGTH / RATE, LENGTH)
        return Footage(self.clip.video(count), 0, LENGTH)


def read_shapes(
    benchmark: Benchmark,
    root: Path | None = None,  # noqa: ARG001  every reader takes the same arguments
    annotations: Path | None = None,  # noqa: ARG001
) -> DataSet:
    """Give the cases of a benchmark as a data set; they need no folder."""

    def make(index: int) -> Sample:
        case = benchmark.case(index)
        return Sample(
            id=case.name,
            query=case.query,
            recording=DrawnVideo(case.name, case.clip),
            truth=case.truth,
            video_name=f"{index:04d}",
            size=(SIDE, SIDE),
            length=LENGTH,
            fps=RATE,
            tracks=case.tracks,
            absent=case.absent,
        )

    return DataSet(
        name=benchmark.name,
        version=f"{benchmark.name}-v{SHAPES_VERSION}",
        protocol=SHAPES_PROTOCOL,
        ids=tuple(benchmark.case_name(index) for index in range(benchmark.size)),
        make=make,
        absent_version=f"{benchmark.name}-v{SHAPES_VERSION}-absent-v{ABSENT_VERSION}",
        pictures=benchmark.case_name,  # each has a clip of its own, which takes time to draw
    )


DATASETS = tuple(
    DatasetEntry(name, partial(read_shapes, benchmark), needs_root=False)
    for name, benchmark in SHAPES_BENCHMARKS.items()
)
