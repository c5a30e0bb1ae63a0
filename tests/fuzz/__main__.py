"""Read damaged files of every kind, and count what happens.

    python -m tests.fuzz --seed 1 --count 20000        shared among all kinds
    python -m tests.fuzz --seed 1 --kinds videos tracks --count 500
    python -m tests.fuzz --seed 1 --kinds videos --first 123 --count 1     a single case again

A damaged file is read, or it is refused in one line by an error of ours. Anything else is WRONG,
and printed with the number of the case: another error, a message of several lines, a crash, more
than ten seconds, a partial file. The exit code is 1 if there is any.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # where the tests keep what they share

import beartype  # noqa: F401  before nnsight, as in `conftest.py`

import probe  # noqa: F401
from tests.fuzz.kinds import KINDS
from tests.fuzz.seeds import make_seeds
from tests.fuzz.target import run, run_here, work


def main():
    if sys.argv[1:2] == ["--work"]:
        kind, seed, first, count, seeds = sys.argv[2:]
        work(kind, int(seed), int(first), int(count), seeds)
        return 0
    options = argparse.ArgumentParser(prog="python -m tests.fuzz")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--first", type=int, default=0, help="number of the first case")
    options.add_argument("--count", type=int, default=900, help="cases of all kinds together")
    options.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    options.add_argument("--here", action="store_true", help="in one process, which a crash ends")
    options.add_argument("--seeds", type=Path, help="folder of good files; made if not given")
    given = options.parse_args()
    start = run_here if given.here else run
    wrong = 0
    with tempfile.TemporaryDirectory() as made:
        if given.seeds is None:
            make_seeds(Path(made))
        seeds = given.seeds or made
        for place, kind in enumerate(given.kinds):
            # Those that are left over go to the first kinds.
            count = (given.count + len(given.kinds) - 1 - place) // len(given.kinds)
            numbers = range(given.first, given.first + count)
            wrong += report(start, kind, given.seed, numbers, seeds)
    return min(wrong, 1)


def report(start, kind, seed, numbers, seeds):
    began = time.perf_counter()
    tally = start(kind, seed, numbers, seeds)
    counts = ", ".join(f"{tally.outcomes[one]} {one}" for one in ("read", "refused", "WRONG"))
    memory = f"peak {tally.peak:.0f} MB ({tally.start:.0f} at the start)"
    seconds = f"slowest {tally.slowest:.1f} s, {time.perf_counter() - began:.0f} s in all"
    print(
        f"{kind}: {counts}; {memory}, {seconds}",
        flush=True,
    )
    for number, outcome in tally.wrong:
        print(f"  {kind} seed {seed} case {number}: {outcome}", flush=True)
    return len(tally.wrong)


if __name__ == "__main__":
    sys.exit(main())
