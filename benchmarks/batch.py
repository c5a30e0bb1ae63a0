"""`probe ground --batch` over many clips, next to a command for each of them.

    python benchmarks/batch.py

Each command is a process of its own, as people start it. A single command writes a video and a
figure of its answer; the batch does so with `--pictures`, and is measured with and without.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TypeAlias

from comparison import BenchmarkOptions, Numbers, run, setting, table

from probe.organism.world import make_clip

CLIPS, QUICK_CLIPS = 50, 2

TimeLines: TypeAlias = Callable[[list[str], BenchmarkOptions], list[float]]
"""Runs `probe ground` with some words, and gives the seconds of `time_process`."""

SINGLES, QUICK_SINGLES = 5, 1
"""Commands of their own that are measured: each costs the same, as each starts anew."""


def measure(options: BenchmarkOptions, time_lines: TimeLines | None = None) -> Numbers:
    """Measure seconds a clip: of a batch after its first, and of a command for each.

    Args:
        options: The size of the run.
        time_lines: Another way to run `probe ground`; a process of its own, if none is given.
    """
    time_lines = time_lines or time_process
    count = QUICK_CLIPS if options.quick else CLIPS
    alone = QUICK_SINGLES if options.quick else SINGLES
    with TemporaryDirectory() as name:
        folder = Path(name)
        asked = write_batch(folder, count)
        batch = ("--batch", str(folder / "queries.jsonl"))
        runs = {
            "batch": time_lines([*batch, "--out", str(folder / "json")], options),
            "batch with pictures": time_lines(
                [*batch, "--pictures", "--out", str(folder / "pictures")], options
            ),
        }
        singles = [
            time_lines([str(path), query, "--out", str(folder / "single")], options)[-1]
            for path, query in asked[:alone]
        ]
    rows = [
        {
            "command": command,
            "first_s": round(lines[0], 3),
            "next_s": round((lines[count - 1] - lines[0]) / (count - 1), 4),
            "all_s": round(lines[-1], 3),
        }
        for command, lines in runs.items()
    ]
    single = {"first_s": round(singles[0], 3), "next_s": round(median(singles), 4)}
    # The sum of all by their median.
    rows.append(
        {"command": "single commands", **single, "all_s": round(count * median(singles), 3)}
    )
    return {**setting(options), "clips": count, "commands": rows}


def write_batch(folder: Path, count: int) -> list[tuple[Path, str]]:
    """Write clips and a file with a query about each."""
    asked = []
    for seed in range(count):
        clip, path = make_clip(seed), folder / f"{seed}.mp4"
        clip.write(path)
        asked.append((path, clip.things[0].query))
    lines = [json.dumps({"video": str(path), "query": query}) for path, query in asked]
    (folder / "queries.jsonl").write_text("\n".join(lines) + "\n")
    return asked


def time_process(words: list[str], options: BenchmarkOptions) -> list[float]:
    """Run `probe ground`, and return the second at which each line is printed, and that of its end.

    Raises:
        RuntimeError: if the command fails.
    """
    command = [sys.executable, "-u", "-m", "probe", "ground", *words, "--quiet"]
    command += ["--device", options.device]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        seconds = [time.perf_counter() - start for _ in process.stdout]
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: ended with {process.returncode}")
    return [*seconds, time.perf_counter() - start]


def show(numbers: Numbers) -> str:
    """Format a line for each kind of command."""
    return table(numbers["commands"])


if __name__ == "__main__":
    run("batch", measure, show)
