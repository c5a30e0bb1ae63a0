"""Comparison of alternatives in one process: timed in turn, with peak memory and medians.

Peak memory is torch's own count of the bytes of tensors, on CPUs as on GPUs. The resident size of
the process depends on what its heap held before: for the same step it varies by half.
"""

import gc
import os
import platform
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple, TypeAlias

import pandas as pd
import torch
import tyro
from torch.profiler import ProfilerActivity, profile

from probe.files import write_json

RESULTS = Path(__file__).parent / "results"
LIBRARIES = ("grounding-probe", "torch", "transformers", "nnsight", "numpy")

MIB = 2**20

MEMORY_EVENT = re.compile(r'"name": "\[memory\]",[^{]*"ts": ([\d.]+)\s*,[^{]*\{([^}]*)\}')
"""A change of memory in a trace of torch: when, and what is said of it."""

NUMBER = re.compile(r'"([\w ]+)": (-?\d+)')

LONG_RUN_REPEATS = 3
"""Timed runs of benchmarks that would take too long with the usual number."""

Step: TypeAlias = Callable[[], Any]
"""One alternative to compare: computes a result, from inputs that were prepared before."""

Numbers: TypeAlias = dict[str, Any]
"""Plain values that a benchmark measured."""


@dataclass(frozen=True)
class BenchmarkOptions:
    """Options of a benchmark run."""

    quick: bool = False
    """Tiny sizes and one repeat: shows that everything runs; its numbers mean nothing and are not
    stored."""

    shape: Literal["small", "small-144", "wide", "7b"] = "small"
    """Sizes of the model of random weights: small for CPUs; the same with 144 visual tokens a frame
    like the paper's model; wide, with the proportions of a 7B; or the true sizes of
    LLaVA-NeXT-Video-7B."""

    device: str = "cpu"
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"

    threads: int = 2
    """Number of CPU threads for torch."""

    repeats: int = 5
    """Number of timed runs of each alternative, after one to warm up and one for memory."""

    out: Path | None = None
    """File for the numbers; by default one in `benchmarks/results`."""

    def result_path(self, name: str) -> Path | None:
        """Return the file for the numbers; None for a quick run without --out."""
        if self.out is not None or self.quick:
            return self.out
        return RESULTS / f"{name}-{self.shape}-{torch.device(self.device).type}.json"


@dataclass(frozen=True, eq=False)
class StepResult:
    """Result of one alternative, and its cost."""

    value: Any
    runs: tuple[float, ...]
    """Seconds of each timed run."""

    peak: int
    """Most bytes of tensors held at once, above those held before."""

    @property
    def seconds(self) -> float:
        """Median of the timed runs."""
        return median(self.runs)

    def to_dict(self) -> Numbers:
        """Return the costs as plain values, without the result."""
        return {
            "seconds": round(self.seconds, 5),
            "runs": [round(run, 5) for run in self.runs],
            "peak_mib": round(self.peak / MIB, 3),
        }


def compare(steps: Mapping[str, Step], options: BenchmarkOptions) -> dict[str, StepResult]:
    """Run each alternative once to warm up, once for its memory, then all in turn for time.

    Taking turns spreads slow moments of the machine over all alternatives.
    """
    device = torch.device(options.device)
    gc.collect()
    # Models and inputs stay until the end: frozen, they cost the collections between runs no time.
    gc.freeze()
    # The first run of a step chooses kernels and fills pools of memory, so it is not timed.
    values = {name: step() for name, step in steps.items()}
    peaks = {name: peak_memory(step, device) for name, step in steps.items()}
    runs: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(1 if options.quick else options.repeats):
        for name, step in steps.items():
            runs[name].append(_time_step(step, device))
    gc.unfreeze()
    return {name: StepResult(values[name], tuple(runs[name]), peaks[name]) for name in steps}


def _time_step(step: Step, device: torch.device) -> float:
    """Return the seconds of one run."""
    # Garbage of an earlier run would be collected within this one, and be counted as its time.
    gc.collect()
    _wait_for(device)
    start = time.perf_counter()
    step()
    _wait_for(device)
    return time.perf_counter() - start


def _wait_for(device: torch.device) -> None:
    # Kernels of a GPU run on after the call that started them has returned.
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_memory(step: Step, device: torch.device) -> int:
    """Return the most bytes of tensors held at once during a step, above those held before."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        step()
        return torch.cuda.max_memory_allocated(device) - before
    # The profiler would print a line when it starts and when it stops.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        step()
    with TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        seen.export_chrome_trace(str(trace))
        events = read_allocations(trace.read_text(encoding="utf-8"))
    # The trace does not promise that its events are in order of time.
    first = min(events, key=lambda one: one.time)
    return max(one.total for one in events) - (first.total - first.change)


class Allocation(NamedTuple):
    """A change of the memory that tensors hold."""

    time: float
    total: int
    """Bytes held after it."""
    change: int
    """Bytes that were taken, or given back if negative."""


def read_allocations(trace: str) -> list[Allocation]:
    """Find the changes of memory in the text of a trace."""
    # To read all of its JSON, of which they are a small part, takes longer than the step.
    found = []
    for time_, about in MEMORY_EVENT.findall(trace):
        numbers = dict(NUMBER.findall(about))
        found.append(
            Allocation(float(time_), int(numbers["Total Allocated"]), int(numbers["Bytes"]))
        )
    return found


def largest_difference(value: torch.Tensor, reference: torch.Tensor) -> float:
    """Return the largest difference of two tensors over the largest number of the reference."""
    value, reference = value.detach().float().cpu(), reference.detach().float().cpu()
    return float((value - reference).abs().max() / reference.abs().max())


def setting(options: BenchmarkOptions) -> Numbers:
    """Describe the run: machine, threads, model, number type and versions of libraries."""
    return {
        "machine": _describe_machine(torch.device(options.device)),
        "threads": torch.get_num_threads(),
        "shape": "tiny" if options.quick else options.shape,
        "dtype": options.dtype,
        "versions": {name: version(name) for name in LIBRARIES},
    }


def _describe_machine(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    # Only Linux names its CPU in a file; other systems give at least the architecture.
    known = Path("/proc/cpuinfo")
    lines = known.read_text(encoding="utf-8").splitlines() if known.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cores = len(names) or os.cpu_count()
    return f"{names[0] if names else platform.machine()}, {cores} cores"


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Format rows of named values as aligned text; a missing value is a dash."""
    return pd.DataFrame(rows).to_string(index=False, na_rep="-", float_format=_format_number)


def _format_number(number: float) -> str:
    """Format a number with three digits, or with all its digits before the point."""
    return f"{number:.0f}" if number >= 100 else f"{number:.3g}"


def run(
    name: str, measure: Callable[[BenchmarkOptions], Numbers], show: Callable[[Numbers], str]
) -> None:
    """Run a benchmark from the command line: measure, store, print."""
    options = tyro.cli(BenchmarkOptions)
    torch.set_num_threads(options.threads)
    numbers = measure(options)
    if (path := options.result_path(name)) is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, numbers)
    print(f"{name}: {numbers['machine']}, {numbers['threads']} threads, {options.dtype}")
    print(show(numbers))


def costs(measured: Mapping[str, StepResult]) -> Numbers:
    """Return the costs of every alternative as plain values."""
    return {name: one.to_dict() for name, one in measured.items()}
