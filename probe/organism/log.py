"""The record of a training run: a progress bar, and lines of JSON in `log.jsonl`."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from probe.progress import make_bar


def enumerate_with_progress(
    batches: Iterator[Any], steps: int, name: str, done: int = 0
) -> Iterator[tuple[int, Any]]:
    """Number the batches of a stage, and show a progress bar.

    Args:
        batches: The batches that are left to learn from.
        steps: Number of steps of the whole stage.
        name: Name of the stage, shown next to the bar.
        done: Steps that an earlier run has done; numbers start here.
    """
    return enumerate(make_bar(batches, desc=name, total=steps, initial=done), start=done)


def append_log_entry(folder: Path, **entry: Any) -> None:
    """Append a line to the run's `log.jsonl`, with the time in seconds since 1970."""
    rounded = {k: round(v, 4) if isinstance(v, float) else v for k, v in entry.items()}
    # The log is the one file that is appended to: a continued run adds to the lines of the run
    # that was stopped. A step may then have two lines, of which the later one counts.
    with (folder / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({**rounded, "time": round(time.time(), 1)}) + "\n")
        file.flush()
        os.fsync(file.fileno())
