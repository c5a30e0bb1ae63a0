"""Asking by cause costs less than half of `PAPER`; time is linear in candidates, memory is flat.

    python analyses/causal_costs.py              draw from the stored numbers (seconds)
    python analyses/causal_costs.py --measure    measure them again (one CPU core, two minutes)

Each preset answers the same queries in turn, so that slow moments of the machine meet all of them;
a ratio is that of one query's two times, and its median over queries is shown. Time is that of the
CPU, summed over threads; set OMP_NUM_THREADS=1 to compare presets rather than their parallel parts.
Then `CAUSAL` chooses among more and more boxes at random. Memory is torch's own count of the bytes
of tensors. A clip that fails is listed and left out.
"""

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from common import (
    BLUE,
    ORANGE,
    Claim,
    Numbers,
    create_figure,
    draw_dots,
    draw_level,
    draw_line,
    finish_figure,
)
from matplotlib.figure import Figure
from measurement import Case, Measurement, MeasurementConfig
from scipy import stats
from torch.profiler import ProfilerActivity, profile

from probe.engine.model import VideoLM
from probe.evaluation.methods import seed_by_name
from probe.grounder import ground
from probe.grounding.presets import PRESETS
from probe.video import Tube, Video

COUNTS = {str(count): count for count in (4, 16, 64, 256)}
"""Numbers of candidates."""

BASES = ("best", "paper")

MIB = 2**20


def measure(measurement: Measurement) -> Numbers:
    """Measure CPU time by preset and by number of candidates on all clips, memory on the first."""
    records = measurement.measure_cases(_measure_times, share=False)
    times = {name: [one["presets"][name] for one in records] for name in PRESETS}
    growth = {name: [one["candidates"][name] for one in records] for name in COUNTS}
    first = replace(measurement, config=replace(measurement.config, clips=1))
    (memory,) = first.measure_cases(_measure_memory, share=False)
    counts = list(COUNTS.values())
    medians = [float(np.median(growth[name])) for name in COUNTS]
    return {
        **measurement.provenance(records),
        "threads": torch.get_num_threads(),
        "seconds": {name: _summarise_median(values) for name, values in times.items()},
        "ratios": {
            base: {
                name: _summarise_median(np.divide(values, times[base]).tolist())
                for name, values in times.items()
            }
            for base in BASES
            if base in times
        },
        "growth": {
            "candidates": counts,
            "seconds": [_summarise_median(growth[name]) for name in COUNTS],
            # Of the largest numbers, where a fixed part of the time counts least.
            "seconds_a_candidate": (medians[-1] - medians[-2]) / (counts[-1] - counts[-2]),
        },
        **memory,
    }


def _measure_times(model: VideoLM, case: Case) -> dict[str, dict[str, float]]:
    """Measure the CPU seconds of each preset, and of `CAUSAL` by number of candidates."""
    tracks = {name: _draw_boxes(case.name, case.video, count) for name, count in COUNTS.items()}
    return {
        "presets": {name: _time(_grounding(model, case, name)) for name in PRESETS},
        "candidates": {
            name: _time(_grounding(model, case, "causal", boxes)) for name, boxes in tracks.items()
        },
    }


def _measure_memory(model: VideoLM, case: Case) -> Numbers:
    """Measure the peak of tensors in MiB by preset, and of `CAUSAL` by number of candidates."""
    tracks = [_draw_boxes(case.name, case.video, count) for count in COUNTS.values()]
    return {
        "peak_mib": {name: _measure_peak(_grounding(model, case, name)) for name in PRESETS},
        "peak_mib_by_candidates": [
            _measure_peak(_grounding(model, case, "causal", boxes)) for boxes in tracks
        ],
    }


def _grounding(
    model: VideoLM, case: Case, preset: str, candidates: Sequence[Tube] | None = None
) -> Callable[[], Any]:
    """Make a call of the grounder without arguments."""
    given = case.candidates if candidates is None else candidates
    return partial(ground, model, case.video, case.query, given, config=preset)


def _draw_boxes(name: str, video: Video, count: int) -> list[Tube]:
    """Draw boxes of a quarter of the frame's sides, which keep their place in the video."""
    height, width = video.size
    starts = seed_by_name(name, 1).uniform(0, 0.75, (count, 2)) * [width, height]
    sides = np.array([width, height]) / 4
    boxes = np.concatenate([starts, starts + sides], axis=1)
    frames = np.arange(video.source_length)
    return [Tube(frames, np.tile(box, (len(frames), 1))) for box in boxes]


def _time(call: Callable[[], Any]) -> float:
    """Return the CPU seconds of a call, of all threads together."""
    # Not by the clock on the wall: other programs on the machine would be measured with it.
    start = time.process_time()
    call()
    return time.process_time() - start


def _measure_peak(call: Callable[[], Any]) -> float:
    """Return the most MiB of tensors held at once during a call, above those held before.

    Torch's own count, as in `benchmarks/comparison.py`: the resident size of the process depends on
    what its heap held before.
    """
    # The profiler would print a line when it starts and when it stops.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        call()
    with TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        seen.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    allocations = [event for event in events if event["name"] == "[memory]"]
    # The running total needs events in order of time, which the trace does not promise.
    changes = [event["args"] for event in sorted(allocations, key=itemgetter("ts"))]
    before = changes[0]["Total Allocated"] - changes[0]["Bytes"]
    return (max(change["Total Allocated"] for change in changes) - before) / MIB


def _summarise_median(values: Sequence[float]) -> Numbers:
    """Compute the median of one value a query, and its interval from order statistics.

    The k-th smallest and k-th largest value enclose the median unless fewer than k of all lie on
    one side of it, which is a binomial probability (David and Nagaraja 2003, section 7.1).
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    place = max(0, int(stats.binom.ppf(0.025, len(ordered), 0.5)) - 1)
    interval = [float(ordered[place]), float(ordered[-1 - place])]
    return {"mean": float(np.median(ordered)), "interval": interval}


def draw(numbers: Numbers) -> Figure:
    """Draw ratios of times by preset, and time and memory by number of candidates."""
    figure = create_figure(9.6, 2.9)
    left, middle, right = figure.subplots(1, 3)
    for (base, ratios), colour, lower in zip(
        numbers["ratios"].items(), (BLUE, ORANGE), (-0.12, 0.12), strict=False
    ):
        draw_dots(left, ratios, colour, label=f"over {base}", lower=lower)
    draw_level(left, 1.0)
    left.set(xlim=(0, None), xlabel=f"CPU time over that of a base ({numbers['threads']} thread)")
    left.legend(fontsize=6, frameon=False, loc="upper right")
    growth = numbers["growth"]
    draw_line(middle, growth["candidates"], growth["seconds"], color=BLUE)
    middle.set(xlim=(0, None), ylim=(0, None), xlabel="candidates", ylabel="CPU seconds, CAUSAL")
    each = 1000 * growth["seconds_a_candidate"]
    middle.set_title(f"{each:.1f} ms a candidate", loc="left")
    right.plot(growth["candidates"], numbers["peak_mib_by_candidates"], "o-", ms=3, color=BLUE)
    for name, style in (("paper", "--"), ("best", ":")):
        if name in numbers["peak_mib"]:
            level = numbers["peak_mib"][name]
            right.axhline(level, color=ORANGE, lw=1, ls=style, label=f"{name}, {level:.0f}")
    right.set(xlim=(0, None), ylim=(0, None), xlabel="candidates", ylabel="peak of tensors (MiB)")
    right.legend(fontsize=6, frameon=False)
    return finish_figure(figure, numbers)


CLAIM = Claim(__file__, draw, measure, MeasurementConfig(data="shapes-report-2", clips=20))

if __name__ == "__main__":
    CLAIM.run()
