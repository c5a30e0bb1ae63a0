"""One damaged file after another, in this process; and in others, which may crash or hang."""

import faulthandler
import json
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import probe
from probe.files import PARTIAL
from tests.fuzz.kinds import KINDS, RefusedError, read_quietly

LIMIT = 10
"""Seconds of work after which a file that is still being read counts as a hang."""

PATIENCE = 60
"""Seconds after which it does so without work: it waits for something. Longer than the work would
take alone, since tests share a machine."""

DEAF = 300
"""Seconds of silence after which a process that does not even notice this is killed."""

LONGEST = 1000
"""Characters of the longest message: more is the file itself, and not what is wrong with it."""

ROOT = Path(__file__).parents[2]
PACKAGE = Path(probe.__file__).parent


class Hang(BaseException):
    """The end of a reading that takes too long; no handler of errors catches it."""


@dataclass
class Tally:
    """What became of the damaged files of one kind."""

    outcomes: Counter = field(default_factory=Counter)
    wrong: list[tuple[int, str]] = field(default_factory=list)
    """Numbers of cases, and what happened."""
    peak: float = 0.0
    """Most memory of a process, in MB."""
    start: float = 0.0
    """Memory of a process that has read nothing yet, which the libraries take."""
    slowest: float = 0.0
    """Seconds of the slowest case."""


def try_case(kind, seed, number, seeds, folder):
    """Damage a file, read it, and return the outcome in a few words: only "WRONG" is bad."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    rng = np.random.default_rng([seed, [*KINDS].index(kind), number])
    path = KINDS[kind].damage(rng, seeds / kind, folder)
    try:
        with limited():
            read_quietly(kind, path)
        outcome = "read"
    except RefusedError as finding:
        outcome = judge_message(str(finding)) or "refused"
    except (ValueError, RuntimeError) as failure:
        outcome = judge_refusal(failure)
    except Hang:
        outcome = f"WRONG: still reading after {LIMIT} s of work, or {PATIENCE} s"
    except Exception as failure:  # noqa: BLE001  any other error is what is looked for
        outcome = f"WRONG: {describe(failure)}"
    partial = next(folder.rglob(f"{PARTIAL}*"), None)
    return outcome if partial is None else f"WRONG: {partial.name} was left"


@contextmanager
def limited():
    """Raise `Hang` in a block that takes too long."""
    timers = {
        signal.SIGPROF: (signal.ITIMER_PROF, LIMIT),
        signal.SIGALRM: (signal.ITIMER_REAL, PATIENCE),
    }
    handlers = {kind: signal.signal(kind, stop_reading) for kind in timers}
    before = [signal.setitimer(*timer) for timer in timers.values()]
    try:
        yield
    finally:
        for (timer, _), (delay, _) in zip(timers.values(), before, strict=True):
            signal.setitimer(timer, delay)  # pytest's own limit, of whole tests, goes on
        for kind, handler in handlers.items():
            signal.signal(kind, handler)


def stop_reading(*_):
    raise Hang


def judge_refusal(failure):
    # What a library raises says nothing of the file; ours is raised in the package.
    place = traceback.extract_tb(failure.__traceback__)[-1].filename
    if not place.startswith(str(PACKAGE)):
        return f"WRONG: not by us: {describe(failure)}"
    problem = judge_message(str(failure))
    return f"{problem}: {describe(failure)}" if problem else "refused"


def judge_message(message):
    """Return what is wrong with a message; nothing if it is a line that can be read."""
    if "\n" in message:
        return "WRONG: more than one line"
    return f"WRONG: {len(message)} characters" if len(message) > LONGEST else ""


def describe(failure):
    places = [
        f"{Path(one.filename).name}:{one.lineno}"
        for one in traceback.extract_tb(failure.__traceback__)
        if one.filename.startswith(str(PACKAGE))
    ]
    return f"{type(failure).__name__}: {str(failure)[:160]!r} at {' '.join(places[-3:])}"


def work(kind, seed, first, count, seeds):
    """Try cases in this process, and print each outcome as a line of JSON."""
    faulthandler.enable()
    print(json.dumps({"start": measure_peak()}), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, first + count):
            print(json.dumps({"began": number}), flush=True)
            began = time.perf_counter()
            outcome = try_case(kind, seed, number, Path(seeds), Path(folder) / "case")
            seconds = time.perf_counter() - began
            print(json.dumps([number, outcome, seconds, measure_peak()]), flush=True)


def measure_peak():
    """Return the most memory that this process has had, in MB."""
    # Linux alone; `getrusage` would tell the peak of the process that started this one.
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024


def run_here(kind, seed, numbers, seeds):
    """Try cases in this process, which a crash would end; return their tally."""
    tally = Tally(start=measure_peak())
    with tempfile.TemporaryDirectory() as folder:
        for number in numbers:
            began = time.perf_counter()
            note(tally, number, try_case(kind, seed, number, Path(seeds), Path(folder) / "case"))
            tally.slowest = max(tally.slowest, time.perf_counter() - began)
    tally.peak = measure_peak()
    return tally


def run(kind, seed, numbers, seeds):
    """Try cases in processes of their own, a new one after each crash; return their tally."""
    tally, number, stop = Tally(), numbers.start, numbers.stop
    while number < stop:
        words = [kind, seed, number, stop - number, seeds]
        command = [sys.executable, "-m", "tests.fuzz", "--work", *map(str, words)]
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, text=True
        )
        number = follow(child, tally, number)
    return tally


def follow(child, tally, number):
    """Count the outcomes of a process; return the number of the case after its last."""
    with child:
        while True:
            ready, _, _ = select.select([child.stdout], [], [], DEAF)
            line = child.stdout.readline() if ready else ""
            if not line:
                break
            said = json.loads(line)
            if isinstance(said, dict):
                number, tally.start = said.get("began", number), said.get("start", tally.start)
                continue
            number, outcome, seconds, peak = said
            note(tally, number, outcome)
            tally.slowest = max(tally.slowest, seconds)
            tally.peak = max(tally.peak, peak)
            number += 1
        if ready and child.wait() == 0:
            return number
        child.kill()
        ended = "crashed" if ready else "hung, deaf to signals"
        said = (child.stderr.read() or "").strip().splitlines()
        note(tally, number, f"WRONG: {ended} ({child.wait()}): {' | '.join(said[-6:])}")
        return number + 1


def note(tally, number, outcome):
    tally.outcomes[outcome.partition(":")[0]] += 1
    if outcome.startswith("WRONG"):
        tally.wrong.append((number, outcome))
