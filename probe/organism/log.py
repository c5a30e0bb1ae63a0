"""What a run shows while it learns: a progress bar, and one JSON line now and then."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm


def progress(
    batches: Iterator[Any], steps: int, name: str, done: int = 0
) -> Iterator[tuple[int, Any]]:
    """Numbered batches behind a progress bar."""
    return enumerate(tqdm(batches, desc=name, total=steps, initial=done), start=done)


def log(folder: Path, **entry: Any) -> None:
    """Append a line to the run's `log.jsonl`, with the time."""
    rounded = {k: round(v, 4) if isinstance(v, float) else v for k, v in entry.items()}
    with (folder / "log.jsonl").open("a") as file:
        file.write(json.dumps({**rounded, "time": round(time.time(), 1)}) + "\n")
