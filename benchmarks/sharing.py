"""Queries about the same videos, read once for all of them, next to one query about each video.

    python benchmarks/sharing.py
    python benchmarks/sharing.py --shape small --device cuda

`evaluate` answers the same queries twice. In the one data set four of them are about one file; in
the other each of them is about a file of its own, a copy of the same. Results must be the same, bit
for bit. Then it answers many queries in a row, to see that its memory does not grow.
"""

import gc
import resource
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from comparison import LONG_RUN_REPEATS, MIB, BenchmarkOptions, Numbers, run, setting, table
from models import frames_of, open_video_lm, shape_of

from probe.candidates.proposals import propose_tracks
from probe.datasets import DataSet, Footage, Sample, StoredVideo
from probe.engine.model import VideoLM, load
from probe.evaluation import EvaluationConfig, Evaluator, QueryResult
from probe.evaluation.candidates import ByVideo
from probe.grounding.queries import Queries
from probe.grounding.track_rules import CHOSEN_BY_ATTENTION
from probe.organism.world import make_clip
from probe.video import Tube

METHODS = ("best", "causal")
CLIPS, QUERIES_A_CLIP = 4, 4
SCALE = 10
"""Enlargement of clips of 56 pixels: decoding and searching take as long as for a small video."""

MANY, STEPS = 500, 5
"""Queries after which memory is measured last, and how often it is measured until then."""

QUICK_MANY = STEPS

KIB = 2**10


@dataclass(frozen=True)
class Proposing(ByVideo):
    """The proposer without its cache on the disk, by which copies of a video would know another."""

    closed: bool = False
    oracle: bool = False

    def find(self, sample: Sample, footage: Footage, queries: Queries) -> tuple[Tube, ...]:  # noqa: ARG002
        """Propose tracks for the footage."""
        return propose_tracks(footage.video)

    def describe(self) -> dict[str, Any]:
        """Return the name of the source."""
        return {"from": "the proposer, without a cache"}


def measure(options: BenchmarkOptions) -> Numbers:
    """Measure queries a second and memory, on the organism and on a model of random weights."""
    models = {
        "organism": (load(device=options.device), None),
        "random": (open_video_lm(shape_of(options), options), frames_of(options)),
    }
    with TemporaryDirectory() as name:
        folder = Path(name)
        shared = write_samples(folder, 1 if options.quick else CLIPS, 1 if options.quick else SCALE)
        speeds = {
            model: {
                method: compare_sharing(opened, frames, method, shared, folder, options)
                for method in METHODS
            }
            for model, (opened, frames) in models.items()
        }
        opened, frames = models["organism"]
        memory = measure_memory(opened, frames, shared, QUICK_MANY if options.quick else MANY)
    return {
        **setting(options),
        "queries": len(shared),
        "queries_a_clip": QUERIES_A_CLIP,
        "speeds": speeds,
        "memory": memory,
    }


def write_samples(folder: Path, clips: int, scale: int) -> list[Sample]:
    """Write clips, and ask several queries about each; their order mixes the clips."""
    drawn = [make_clip(seed) for seed in range(clips)]
    for seed, clip in enumerate(drawn):
        clip.write(folder / f"{seed}.mp4", scale=scale)
    return [
        Sample(
            f"{seed}/{number}",
            clip.things[number % len(clip.things)].query,
            StoredVideo.from_path(folder / f"{seed}.mp4"),
        )
        for number in range(QUERIES_A_CLIP)
        for seed, clip in enumerate(drawn)
    ]


def copy_videos(samples: Sequence[Sample], folder: Path) -> list[Sample]:
    """Give each query a copy of its video."""
    copies = []
    for number, sample in enumerate(samples):
        assert isinstance(sample.recording, StoredVideo)
        assert sample.recording.path is not None
        path = Path(shutil.copy(sample.recording.path, folder / f"copy {number}.mp4"))
        copies.append(replace(sample, recording=StoredVideo.from_path(path), video_name=""))
    return copies


def compare_sharing(
    model: VideoLM,
    frames: int | None,
    method: str,
    shared: Sequence[Sample],
    folder: Path,
    options: BenchmarkOptions,
) -> Numbers:
    """Measure queries a second with shared videos and with one of its own for each query."""
    alone = copy_videos(shared, folder)
    # The first round warms up, which a quick run has no need of.
    warm, timed = (0, 1) if options.quick else (1, min(options.repeats, LONG_RUN_REPEATS))
    seconds: dict[str, list[float]] = {"shared": [], "alone": []}
    used: dict[str, list[float]] = {"shared": [], "alone": []}
    found: dict[str, list[QueryResult]] = {}
    # Taking turns spreads slow moments of the machine over both.
    for _ in range(warm + timed):
        for name, samples in (("shared", shared), ("alone", alone)):
            evaluator = open_evaluator(model, frames, method, samples)
            gc.collect()
            start, worked = time.perf_counter(), time.process_time()
            found[name] = list(evaluator.answer_all(range(len(samples))))
            seconds[name].append(time.perf_counter() - start)
            used[name].append(time.process_time() - worked)
    speed = {name: len(shared) / median(runs[warm:]) for name, runs in seconds.items()}
    return {
        **{f"{name}_per_second": round(value, 3) for name, value in speed.items()},
        "ratio": round(speed["shared"] / speed["alone"], 3),
        # Of seconds of the CPU, which do not grow when others use the machine, too.
        "cpu_ratio": round(median(used["alone"][warm:]) / median(used["shared"][warm:]), 3),
        "same_results": describe(found["shared"]) == describe(found["alone"]),
        "failed": sum(one.error is not None for one in found["shared"]),
        # A model of random weights may say no to a query, of which then no candidate is asked.
        "chosen_by_attention": sum(
            CHOSEN_BY_ATTENTION in one.details.get("doubts", ()) for one in found["shared"]
        ),
    }


def open_evaluator(
    model: VideoLM, frames: int | None, method: str, samples: Sequence[Sample]
) -> Evaluator:
    """Open a data set of samples for a method."""
    config = EvaluationConfig("shapes-val", method=method, candidates=Proposing(), frames=frames)
    return Evaluator(config, DataSet.from_samples("sharing", samples, version="1"), model)


def describe(results: Sequence[QueryResult]) -> dict[str, bytes]:
    """Return the line of each result, without the name of its video."""
    return {one.id: replace(one, video="").to_line() for one in results}


def measure_memory(
    model: VideoLM, frames: int | None, samples: Sequence[Sample], count: int
) -> Numbers:
    """Measure the memory of the process while so many queries are answered."""
    device = model.checkpoint.device
    many = [rename_video(samples[number % len(samples)], number) for number in range(count)]
    evaluator = open_evaluator(model, frames, "causal", many)
    rows = []
    for number, _ in enumerate(evaluator.answer_all(range(count)), start=1):
        if number % (count // STEPS) == 0:
            rows.append({"queries": number, "mib": round(read_memory(device) / MIB, 1)})
    return {"growth": rows}


def rename_video(sample: Sample, number: int) -> Sample:
    """Return a sample as the query of a number, with another name of its video in each round."""
    assert isinstance(sample.recording, StoredVideo)
    # Another name makes another recording, so that views come and go.
    recording = replace(sample.recording, name=f"round {number // (CLIPS * QUERIES_A_CLIP)}")
    return replace(sample, id=str(number), recording=recording)


def read_memory(device: torch.device) -> int:
    """Return the most bytes that were held so far: of a GPU's tensors, or by this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB


def show(numbers: Numbers) -> str:
    """Format a line for each model and method, and the memory."""
    rows = [
        {"model": model, "method": method, **speed}
        for model, methods in numbers["speeds"].items()
        for method, speed in methods.items()
    ]
    return f"{table(rows)}\n\n{table(numbers['memory']['growth'])}"


if __name__ == "__main__":
    run("sharing", measure, show)
