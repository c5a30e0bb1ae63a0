"""The drawn worlds' benchmarks as data sets: clips drawn from seeds, so that nothing is stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

from probe.datasets.entries import DatasetEntry
from probe.datasets.footage import Footage
from probe.datasets.samples import DataSet, Sample
from probe.organism.benchmark import SHAPES_REPORT_2, SHAPES_TEST, SHAPES_VAL, Benchmark
from probe.organism.things.benchmarks import THINGS_REPORT, THINGS_VAL
from probe.organism.worlds import Clip, World
from probe.video import Sampling, count_frames

DRAWN_PROTOCOL = "hcstvg-official"

BENCHMARKS: Mapping[str, Benchmark] = MappingProxyType(
    {
        benchmark.name: benchmark
        for benchmark in (SHAPES_VAL, SHAPES_TEST, SHAPES_REPORT_2, THINGS_VAL, THINGS_REPORT)
    }
)
"""The benchmarks by name."""


@dataclass(frozen=True)
class DrawnVideo:
    """A clip of the organism's world, drawn when it is read."""

    name: str
    clip: Clip
    world: World
    remark: str = ""

    def read(self, frames: Sampling) -> Footage:
        """Draw this many frames of the clip, evenly in time."""
        length = self.world.length
        count = count_frames(frames, length / self.world.rate, length)
        return Footage(self.clip.video(count), 0, length)


def read_benchmark(
    benchmark: Benchmark,
    root: Path | None = None,  # noqa: ARG001  every reader takes the same arguments
    annotations: Path | None = None,  # noqa: ARG001
) -> DataSet:
    """Give the cases of a benchmark as a data set; they need no folder."""
    world = benchmark.world

    def make(index: int) -> Sample:
        case = benchmark.case(index)
        return Sample(
            id=case.name,
            query=case.query,
            recording=DrawnVideo(case.name, case.clip, world),
            truth=case.truth,
            video_name=f"{index:04d}",
            size=(world.side, world.side),
            length=world.length,
            fps=world.rate,
            tracks=case.tracks,
            absent=case.absent,
        )

    return DataSet(
        name=benchmark.name,
        version=benchmark.version,
        protocol=DRAWN_PROTOCOL,
        ids=tuple(benchmark.case_name(index) for index in range(benchmark.size)),
        make=make,
        absent_version=f"{benchmark.version}-absent-v{world.absent_version}",
        pictures=benchmark.case_name,  # each has a clip of its own, which takes time to draw
    )


DATASETS = tuple(
    DatasetEntry(name, partial(read_benchmark, benchmark), needs_root=False)
    for name, benchmark in BENCHMARKS.items()
)
