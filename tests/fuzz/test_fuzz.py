"""Damaged files of every kind are read, or refused in one line: a few here, more by hand.

`python -m tests.fuzz` reads as many as wanted, and each kind in a process of its own.
"""

import shutil
import signal
import subprocess
import sys

import pytest

from tests.fuzz.kinds import KINDS, read_quietly
from tests.fuzz.seeds import make_seeds
from tests.fuzz.target import ROOT, try_case

SEED = 16
"""Of the damage; another seed is other damage."""

COUNT = {"videos": 40, "pictures": 40, "annotations": 20}
"""Cases of the kinds that take longest."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz") / "seeds"
    make_seeds(folder)
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_read_or_refused_in_one_line(kind, seeds, tmp_path):
    outcomes = {
        number: try_case(kind, SEED, number, seeds, tmp_path / "case")
        for number in range(COUNT.get(kind, 60))
    }
    assert {n: outcome for n, outcome in outcomes.items() if outcome.startswith("WRONG")} == {}
    assert "refused" in outcomes.values(), "some were damaged"


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
        (lambda _: signal.sigwait([signal.SIGUSR1]), "still reading"),
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


def test_it_runs_from_the_command_line_and_prints_counts():
    words = ["--kinds", "splits", "--count", "5", "--seed", "3"]
    command = [sys.executable, "-m", "tests.fuzz", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "splits: " in done.stdout
    assert " 0 WRONG; peak " in done.stdout
