"""`--json` and `--quiet`; progress bars on a terminal only, and notes on lines of their own."""

import json
import os
import pty
import subprocess
import sys
import termios
import warnings

import pytest

from probe.cli.console import ExitCode, show_progress
from probe.organism.world import make_clip
from probe.progress import hide_bars, make_bar

ABSENT = "the green triangle that winks"

NOTE = "the shipped model knows nothing but coloured shapes"


@pytest.fixture(scope="module")
def clip_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    make_clip(7).write(path, scale=1)
    return path


def read_screen(written):
    """The lines that a terminal shows of what is written to it: a return starts a line again."""
    lines = []
    for line in written.split("\n"):
        shown = []
        for part in line.split("\r"):
            shown[: len(part)] = part
        lines.append("".join(shown).rstrip())
    return lines


def run_on_terminal(code):
    """Run Python with a terminal for its standard error: what is written to that."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))  # a new one has no columns, and no bar would fit
    process = subprocess.Popen([sys.executable, "-c", code], stderr=theirs, env=os.environ)
    os.close(theirs)
    written = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # how the end of a terminal is told
            break
        if not part:
            break
        written += part
    os.close(ours)
    assert process.wait() == 0
    return written.decode()


STEPS = """
import warnings
from contextlib import nullcontext
from probe.cli.console import NotePrinter, be_quiet, show_progress
warnings.showwarning = NotePrinter()
with {mode}(), show_progress("load", "read") as step:
    warnings.warn("short")
    step()
    warnings.warn("a note that is longer than a bar " * 3)
    step()
"""


@pytest.mark.slow
def test_on_a_terminal_there_is_a_bar_and_notes_have_their_own_lines():
    written = run_on_terminal(STEPS.format(mode="nullcontext"))
    assert "load" in written
    assert "█" in written
    long = ("a note that is longer than a bar " * 3).strip()
    shown = [line for line in read_screen(written) if line]
    assert shown == ["probe: note: short", f"probe: note: {long}"]


@pytest.mark.slow
def test_a_quiet_program_writes_nothing_to_a_terminal():
    assert run_on_terminal(STEPS.format(mode="be_quiet")) == ""


def test_there_is_no_bar_where_there_is_no_terminal(capsys):
    with show_progress("load", "read") as step:
        step()
        step()
    assert list(make_bar(range(3), desc="clips")) == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_bars_are_hidden_in_the_block_alone():
    with hide_bars():
        assert make_bar(total=1).disable
        with hide_bars():
            assert make_bar(total=1).disable
        assert make_bar(total=1).disable
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123
        nowhere.isatty = lambda: True
        assert not make_bar(total=1, file=nowhere).disable


@pytest.mark.slow
@pytest.mark.parametrize("quiet", [(), ("--quiet",)])
def test_json_of_ground_is_that_of_its_file(command, clip_file, tmp_path, quiet):
    words = ("ground", clip_file, "the red circle", "--json", "--out", tmp_path, *quiet)
    code, out, err = command(*words)
    assert code == 0
    assert out.count("\n") == 1
    assert json.loads(out) == json.loads((tmp_path / "answer.json").read_text())
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".mp4", ".png"]
    assert (NOTE in err) == (not quiet)
    assert err == "" or not quiet


@pytest.mark.slow
def test_json_of_an_absence_is_that_of_its_file(command, clip_file, tmp_path):
    words = ("ground", clip_file, ABSENT, "--require-presence", 0, "--json", "--out", tmp_path)
    code, out, _ = command(*words)
    assert code == ExitCode.ABSENT
    record = json.loads(out)
    assert record == json.loads((tmp_path / "answer.json").read_text())
    assert record["tube"] is None


@pytest.mark.slow
def test_json_of_tokens_is_the_table(command, clip_file, tmp_path):
    words = ("tokens", clip_file, "Is there a red circle?", "--json", "--out", tmp_path)
    code, out, _ = command(*words)
    record = json.loads(out)
    assert code == 0
    rows = (tmp_path / "tokens.csv").read_text().splitlines()
    assert len(record["tokens"]) == len(rows) - 1
    assert rows[0].split(",") == list(record["tokens"][0])
    chosen = record["grounding_token"]
    assert chosen in [{"index": row["index"], "token": row["token"]} for row in record["tokens"]]


@pytest.mark.slow
def test_json_of_check_model_tells_the_proofs(command):
    code, out, _ = command("check-model", "organism", "--json")
    record = json.loads(out)
    assert code == 0
    assert record["passed"]
    assert len(record["proofs"]) == 5
    assert all(proof["passed"] and proof["numbers"] for proof in record["proofs"])


OWN = """
def chatty(model, task):
    print("a method of the user's may print")
    raise ValueError("and fail")
"""


@pytest.mark.slow
def test_json_of_evaluate_is_its_summary_whatever_a_method_prints(command, tmp_path, monkeypatch):
    (tmp_path / "chatty_method.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    run = ("evaluate", "shapes-test", "--limit", 2, "--out", tmp_path / "run", "--json")
    code, out, err = command(*run, "--method", "chatty_method:chatty")
    assert code == ExitCode.FAILED_QUERIES
    record = json.loads(out)
    assert record == json.loads((tmp_path / "run" / "summary.json").read_text())
    assert len(record["failed"]) == 2
    assert "may print" in err
    assert "2 of 2 queries failed" in err


@pytest.mark.slow
def test_json_of_chance_and_of_a_check_are_objects(command):
    code, out, _ = command("evaluate", "shapes-val", "--limit", 2, "--chance", "--oracle", "--json")
    assert (code, json.loads(out)["queries"]) == (0, 2)
    code, out, _ = command("evaluate", "shapes-val", "--limit", 2, "--check", "--json")
    assert code == 0
    assert json.loads(out) == {"dataset": "shapes-val", "queries": 2, "findings": []}


def test_errors_are_told_though_the_program_is_quiet(command, tmp_path):
    words = ("ground", tmp_path / "absent.mp4", "x", "--quiet", "--json")
    code, out, err = command(*words)
    assert (code, out) == (2, "")
    assert err.startswith("probe: ")
    assert err.count("\n") == 1


def test_what_shows_warnings_is_put_back(command, tmp_path):
    before = warnings.showwarning
    try:
        command("ground", tmp_path / "absent.mp4", "x")
        loud = warnings.showwarning
        command("ground", tmp_path / "absent.mp4", "x", "--quiet")
        assert type(warnings.showwarning) is type(loud)
    finally:
        warnings.showwarning = before
