"""Questions in one pass: the cost of 128 of them on the shipped organism, by how many go together.

    python benchmarks/passes.py

All questions of a pass lie in one row after the video, none seeing another. A row costs its length
squared, and each pass its start, so that neither one pass nor 128 of them are best.
"""

from collections.abc import Callable
from functools import partial
from itertools import islice, product

import numpy as np
from comparison import BenchmarkOptions, Numbers, compare, costs, run, setting, table

from probe.engine.model import load
from probe.engine.reader import A_PASS
from probe.engine.readings import Reading
from probe.engine.view import View
from probe.organism.world import ACTIONS, COLOURS, SHAPES
from probe.video import Video

QUESTIONS = 128
TOGETHER = (1, 2, 4, 8, 16, 32, 64, 128)


def measure(options: BenchmarkOptions) -> Numbers:
    """Measure the cost of all questions, by the number of them in a pass."""
    count, together = (4, (1, 4)) if options.quick else (QUESTIONS, TOGETHER)
    noise = np.random.default_rng(0).integers(0, 256, (8, 56, 56, 3), dtype=np.uint8)
    view = load(device=options.device, dtype=options.dtype).watch(
        Video(noise, tuple(range(8)), np.arange(8) / 4)
    )
    asked = [
        f"Is there a {colour} {thing} that {action} in this video?"
        for colour, thing, action in islice(product(COLOURS, SHAPES, ACTIONS), count)
    ]
    steps: dict[str, Callable[[], list[Reading]]] = {
        str(number): partial(read, view, asked, number) for number in together
    }
    found = costs(compare(steps, options))
    passes = [{"together": int(number), **cost} for number, cost in found.items()]
    return {**setting(options), "chosen": A_PASS, "passes": passes}


def read(view: View, questions: list[str], together: int) -> list[Reading]:
    """Read questions, so many in each pass."""
    reader = view.reader
    return [
        reading
        for start in range(0, len(questions), together)
        for reading in reader.read(reader.request(questions[start : start + together]))
    ]


def show(numbers: Numbers) -> str:
    """Format the costs, and their ratio to those of the number that the engine takes."""
    passes = numbers["passes"]
    chosen = next((one for one in passes if one["together"] == numbers["chosen"]), passes[0])
    rows = [
        {
            "in a pass": one["together"],
            "seconds": one["seconds"],
            "MiB": one["peak_mib"],
            "time/chosen": one["seconds"] / chosen["seconds"],
        }
        for one in passes
    ]
    return table(rows)


if __name__ == "__main__":
    run("passes", measure, show)
