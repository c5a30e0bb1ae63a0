"""One line and an exit code at every end of the program."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from waiting import wait_for

import probe.cli.commands
from probe.cli.console import LONGEST_MESSAGE, ExitCode, NotePrinter, show, summarise
from probe.cli.program import wait_briefly
from probe.video.encoding import write_video


class Failing:
    """A command that fails with an error."""

    def __init__(self, failure):
        self.failure = failure

    def run(self):
        raise self.failure


@pytest.fixture
def end_with(command, monkeypatch):
    """Run a command that fails: exit code, output, errors."""

    def run(failure, *words):
        monkeypatch.setattr(probe.cli.commands, "parse_command", lambda: Failing(failure))
        return command(*words)

    return run


class RustPanic(BaseException):
    """As those of tokenizers and safetensors, it is no `Exception`."""


@pytest.mark.parametrize(
    ("failure", "code", "said"),
    [
        (ValueError("clip.mp4: no such file"), 2, "clip.mp4: no such file"),
        (OSError("no such model\nsee the hub"), 2, "no such model"),
        (
            OSError(36, "File name too long", "clip.mp4"),
            2,
            "clip.mp4: File name too long; give another path",
        ),
        (RuntimeError("CUDA out of memory.\n(details)"), 2, "CUDA out of memory."),
        (ImportError("bitsandbytes is not installed"), 2, "bitsandbytes is not installed"),
        (
            MemoryError("Unable to allocate 9 GiB"),
            2,
            "not enough memory (Unable to allocate 9 GiB)",
        ),
        (MemoryError(), 2, "not enough memory;"),
        (KeyboardInterrupt(), 130, "stopped"),
        (KeyError("tracks"), 70, "unexpected KeyError ('tracks')"),
        (AssertionError(), 70, "unexpected AssertionError (no message)"),
        (RecursionError("maximum depth"), 70, "unexpected RecursionError (maximum depth)"),
        (ImportError("cannot import x", name="probe.engine"), 70, "unexpected ImportError"),
        (RustPanic("index out of bounds"), 70, "unexpected RustPanic (index out of bounds)"),
        (ValueError(""), 2, "ValueError"),
    ],
)
@pytest.mark.parametrize("debug", [(), ("--debug",)])
def test_every_error_is_one_line_and_has_its_exit_code(end_with, failure, code, said, debug):
    found, out, err = end_with(failure, *debug)
    assert (found, out) == (code, "")
    *trace, line = err.splitlines()
    assert line.startswith(f"probe: {said}")
    shown = "Traceback (most recent call last):" in trace
    assert shown == (bool(debug) and code != 130)
    assert trace == [] or debug


def test_what_a_message_holds_moves_no_cursor(end_with):
    _, _, err = end_with(ValueError("\x1b[31mred\x07\r\u202egpj.clip: \ud800"), "--debug")
    assert err.splitlines()[-1] == r"probe: \x1b[31mred\x07\r\u202egpj.clip: \ud800"
    assert not set(err) & set("\x1b\x07\r\u202e\ud800")


def test_a_message_of_any_length_is_cut():
    assert len(summarise("long " * 99_999)) == LONGEST_MESSAGE


def test_lines_are_printed_as_they_are_written(capsys):
    show("query   red\ncircle\x1b[2J", "男人 رجل $x$")
    assert capsys.readouterr().out == "query   red\\ncircle\\x1b[2J\n男人 رجل $x$\n"


def test_a_note_is_printed_once(capsys):
    printer = NotePrinter()
    for text in ("one\nmore", "two\x1b", "one"):
        printer(UserWarning(text))
    assert capsys.readouterr().err == "probe: note: one\nprobe: note: two\\x1b\n"


def test_exit_codes_are_numbers_that_differ_and_help_names_them(command):
    code, out, _ = command("--help")
    assert code == 0
    assert len({int(one) for one in ExitCode}) == len(ExitCode)
    for one in ExitCode:
        assert f"{int(one):5} {one.meaning}" in out


def test_texts_in_bytes_that_are_not_utf_8_are_refused_in_one_line(command):
    code, out, err = command("ground", "clip.mp4", os.fsdecode(b"caf\xe9"))
    assert (code, out) == (2, "")
    assert err == "probe: query caf\\udce9: holds bytes that are not UTF-8; write it in UTF-8\n"
    code, _, err = command("ground", "clip.mp4", "red", "--model", os.fsdecode(b"\xff"))
    assert (code, err.count("\n")) == (2, 1)


# Whole processes: the streams and signals of this one belong to pytest.


def start(*words, out: Any = subprocess.PIPE, environment: Any = None) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "probe", *map(str, words)],
        stdout=out,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
    )


def errors_of(process):
    """The end of a process: what it wrote to the standard error."""
    return process.communicate()[1].decode()


@pytest.mark.slow
def test_the_end_of_the_reader_ends_the_program_quietly():
    process = start("--help")
    assert process.stdout is not None
    process.stdout.close()  # as `head` does when it has enough
    assert process.wait() == ExitCode.UNREAD
    assert process.stderr is not None
    assert process.stderr.read() == b""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
def test_output_that_cannot_be_written_is_one_line():
    with Path("/dev/full").open("wb") as full:
        process = start("--help", out=full)
        err = errors_of(process)
    assert process.returncode == 2
    assert err == "probe: cannot print ([Errno 28] No space left on device)\n"


@pytest.mark.slow
def test_any_query_is_understood_whatever_the_locale():
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    process = start("evaluate", "男", environment=locale)
    err = errors_of(process)
    assert process.returncode == 2
    assert err.startswith(r"probe: no data set is called '\u7537'")
    assert err.count("\n") == 1


@pytest.mark.slow
def test_a_file_is_found_by_bytes_that_are_not_utf_8(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.mp4")
    pictures = np.random.default_rng(0).integers(0, 255, (8, 32, 32, 3), np.uint8)
    write_video(tmp_path / "clip.mp4", pictures, 4.0)
    try:
        (tmp_path / "clip.mp4").rename(path)
    except OSError:
        pytest.skip("this file system has only names in UTF-8")
    process = start("ground", path, "the red circle", "--out", tmp_path / "out")
    err = errors_of(process)
    assert process.returncode in (0, 2)
    assert "Traceback" not in err
    said = [line for line in err.replace("\r", "\n").splitlines() if line.startswith("probe: ")]
    assert sum(not line.startswith("probe: note") for line in said) == (process.returncode == 2)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["importing", "later"])
def test_control_c_is_one_line_also_while_torch_is_imported(tmp_path, moment):
    process = start("train-organism", "--out", tmp_path / "out")
    libraries = Path(f"/proc/{process.pid}/maps")
    if moment == "importing":
        wait_for(lambda: "libtorch" in libraries.read_text())
    else:
        wait_for((tmp_path / "out").exists)
    process.send_signal(signal.SIGINT)
    err = errors_of(process)
    assert process.returncode == ExitCode.STOPPED
    assert err.replace("\r", "\n").splitlines()[-1] == "probe: stopped"
    assert "Traceback" not in err
    assert "terminate" not in err


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        ({}, "10000"),
        ({"GOMP_SPINCOUNT": "7"}, "7"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, None),
    ],
)
def test_threads_wait_as_the_user_chose_or_else_briefly(monkeypatch, theirs, expected):
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in theirs.items():
        monkeypatch.setenv(name, value)
    environment = dict(os.environ)
    monkeypatch.setattr(os, "environ", environment)
    wait_briefly()
    assert environment.get("GOMP_SPINCOUNT") == expected


def test_the_program_sets_how_threads_wait_before_torch_is_imported():
    code = "import os, sys\nfrom probe.cli.program import main\nsys.argv = ['probe', '--version']\n"
    code += "try:\n    main()\nfinally:\n    print(os.environ.get('GOMP_SPINCOUNT'))"
    plain = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    run = subprocess.run(
        [sys.executable, "-c", code], env=plain, capture_output=True, text=True, check=True
    )
    assert run.stdout.splitlines()[-1] == "10000"
