"""Alternatives compared in one run: timed in turn, their peak memory, medians and ratios.

Peak memory is torch's own count of the bytes of tensors, on CPUs as on GPUs. The resident size of
the process would depend on what its heap went through before: the same step differs by half.
"""

import gc
import json
import operator
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Literal, TypeAlias

import pandas as pd
import torch
import tyro
from torch.profiler import ProfilerActivity, profile

RESULTS = Path(__file__).parent / "results"
LIBRARIES = ("grounding-probe", "torch", "transformers", "nnsight", "numpy")

MIB = 2**20

Step: TypeAlias = Callable[[], Any]
Numbers: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """How a benchmark is run."""

    quick: bool = False
    """Tiny sizes and one repeat: shows that everything runs, measures nothing, stores nothing."""

    shape: Literal["small", "small-144", "wide", "7b"] = "small"
    """The random-weight model: small for CPUs; the same with 144 visual tokens a frame, as the
    paper's has; wide, with a 7B's proportions; or the true shape of LLaVA-NeXT-Video-7B."""

    device: str = "cpu"
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"

    threads: int = 2
    """CPU threads that torch may use."""

    repeats: int = 5
    """Timed runs of each alternative, after one that warms up and one that measures memory."""

    out: Path | None = None
    """Where numbers are stored; by default in `benchmarks/results`."""

    def stored(self, name: str) -> Path | None:
        """The file for a benchmark's numbers; None for a quick run that was not given one."""
        if self.out is not None or self.quick:
            return self.out
        return RESULTS / f"{name}-{self.shape}-{torch.device(self.device).type}.json"


@dataclass(frozen=True, eq=False)
class Measured:
    """What one alternative gave, and what it cost."""

    value: Any
    runs: tuple[float, ...]
    """Seconds of each timed run."""
    peak: int
    """The most bytes of tensors held at once, above those held before."""

    @property
    def seconds(self) -> float:
        """The median of the timed runs."""
        return median(self.runs)

    def to_dict(self) -> Numbers:
        """The costs, for storing."""
        return {
            "seconds": round(self.seconds, 5),
            "runs": [round(run, 5) for run in self.runs],
            "peak_mib": round(self.peak / MIB, 3),
        }


def compare(steps: Mapping[str, Step], options: Options) -> dict[str, Measured]:
    """Run each alternative once to warm up, once for its memory, then all in turn for time."""
    device = torch.device(options.device)
    gc.collect()
    gc.freeze()  # what is there now stays, so that collecting between runs takes no time
    values = {name: step() for name, step in steps.items()}
    peaks = {name: peak_memory(step, device) for name, step in steps.items()}
    runs: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(1 if options.quick else options.repeats):
        for name, step in steps.items():
            runs[name].append(_timed(step, device))
    gc.unfreeze()
    return {name: Measured(values[name], tuple(runs[name]), peaks[name]) for name in steps}


def _timed(step: Step, device: torch.device) -> float:
    """Seconds of one run; what earlier runs left behind is collected before."""
    gc.collect()
    _wait_for(device)
    start = time.perf_counter()
    step()
    _wait_for(device)
    return time.perf_counter() - start


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_memory(step: Step, device: torch.device) -> int:
    """The most bytes of tensors held at once during a step, above those held before it."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        step()
        return torch.cuda.max_memory_allocated(device) - before
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # or it says when it starts and stops
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        step()
    with TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        seen.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text())["traceEvents"]
    made = [event for event in events if event["name"] == "[memory]"]
    changes = [event["args"] for event in sorted(made, key=operator.itemgetter("ts"))]
    before = changes[0]["Total Allocated"] - changes[0]["Bytes"]
    return max(change["Total Allocated"] for change in changes) - before


def largest_difference(value: torch.Tensor, reference: torch.Tensor) -> float:
    """The largest difference of two tensors over the largest number of the reference."""
    value, reference = value.detach().float().cpu(), reference.detach().float().cpu()
    return float((value - reference).abs().max() / reference.abs().max())


def setting(options: Options) -> Numbers:
    """What a stored number needs to be understood: machine, threads, number type and versions."""
    return {
        "machine": _machine(torch.device(options.device)),
        "threads": torch.get_num_threads(),
        "shape": "tiny" if options.quick else options.shape,
        "dtype": options.dtype,
        "versions": {name: version(name) for name in LIBRARIES},
    }


def _machine(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {len(names)} cores"


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of named values as aligned text; a missing value is a dash."""
    return pd.DataFrame(rows).to_string(index=False, na_rep="-", float_format=_short)


def _short(number: float) -> str:
    """Three digits, or all that stand before the point."""
    return f"{number:.0f}" if number >= 100 else f"{number:.3g}"


def run(name: str, measure: Callable[[Options], Numbers], show: Callable[[Numbers], str]) -> None:
    """Run a benchmark from the command line: measure, store, print."""
    options = tyro.cli(Options)
    torch.set_num_threads(options.threads)
    numbers = measure(options)
    if (path := options.stored(name)) is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(numbers, indent=1) + "\n")
    print(f"{name}: {numbers['machine']}, {numbers['threads']} threads, {options.dtype}")
    print(show(numbers))


def costs(measured: Mapping[str, Measured]) -> Numbers:
    """The costs of every alternative, for storing."""
    return {name: one.to_dict() for name, one in measured.items()}
