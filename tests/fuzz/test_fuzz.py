"""Damaged files of every kind are read, or refused in one line: a few here, more by hand.

`python -m tests.fuzz` reads as many as wanted, and each kind in a process of its own.
"""

import shutil
import subprocess
import sys
import time

import pytest

from tests.fuzz.kinds import KINDS, read_quietly
from tests.fuzz.seeds import make_seeds
from tests.fuzz.target import ROOT, run, try_case

COUNT = 270
"""Damaged files of all kinds together."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz") / "seeds"
    make_seeds(folder)
    return folder


GOOD = dict.fromkeys(KINDS, "*") | {"answers": "*.json", "runs": ""}
"""Patterns of what is read of each kind; nothing for the folder itself."""


@pytest.mark.parametrize("kind", KINDS)
def test_the_good_files_are_read(kind, seeds, tmp_path):
    # Else all that is made of them would be refused, and nothing tested.
    shutil.copytree(seeds / kind, tmp_path / kind)
    paths = sorted((tmp_path / kind).glob(GOOD[kind])) if GOOD[kind] else [tmp_path / kind]
    for path in paths:
        if kind == "pictures":
            folder = tmp_path / path.name
            folder.mkdir()
            path = path.rename(folder / path.name).parent
        read_quietly(kind, path)


def test_a_crash_and_a_hang_of_the_target_would_be_counted(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.fuzz.target.LIMIT", 1)
    monkeypatch.setattr("tests.fuzz.target.PATIENCE", 3)
    for read, said in (
        (lambda _: 1 / 0, "ZeroDivisionError"),
        (lambda _: work_for_ever(), "still reading"),
        (lambda _: time.sleep(1000), "still reading"),
        (lambda path: path.with_name(".partial-1").touch(), "was left"),
        (lambda _: int("x"), "not by us"),
    ):
        (tmp_path / "seeds" / "splits").mkdir(parents=True, exist_ok=True)
        (tmp_path / "seeds" / "splits" / "a.json").write_text('{"a": 1}')
        kind = type(KINDS["splits"])(KINDS["splits"].damage, read)
        monkeypatch.setitem(KINDS, "splits", kind)
        outcome = try_case("splits", 0, 0, tmp_path / "seeds", tmp_path / "case")
        assert outcome.startswith("WRONG: ")
        assert said in outcome


def work_for_ever():
    while True:
        pass


def run_fuzz(*words):
    """Run the target in processes without the checks of types of these tests; what it prints."""
    command = [sys.executable, "-m", "tests.fuzz", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_damaged_files_are_read_or_refused_in_one_line(seeds):
    lines = run_fuzz("--here", "--seed", 16, "--count", COUNT, "--seeds", seeds)
    assert [line.partition(":")[0] for line in lines] == list(KINDS)
    for line in lines:
        assert " 0 WRONG; peak " in line
        assert " 0 refused" not in line, "some were damaged"


def test_each_kind_is_read_in_a_process_of_its_own(seeds):
    tally = run("splits", 3, range(5), seeds)
    assert sum(tally.outcomes.values()) == 5
    assert not tally.wrong
    assert tally.peak >= tally.start > 0
