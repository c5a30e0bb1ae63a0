"""The help of each command: words a person reads, and an example that runs."""

import re
import shlex
import sys

import pytest

from probe.cli.commands import NAMES, parse_command
from probe.cli.examples import EXAMPLES

QUICK = [name for name in NAMES if name not in ("train-organism", "serve", "pretrain")]
"""Commands whose examples take seconds; of the others, one takes a minute, one never ends, and one
needs pictures of the user's."""


@pytest.mark.parametrize("name", NAMES)
def test_help_names_values_for_people_and_ends_with_an_example(command, name):
    code, out, err = command(name, "--help")
    assert (code, err) == (0, "")
    assert not re.search(r"\b(INT|FLOAT|STR|BOOL)\b|\{None\}", out)
    assert out.splitlines()[-1] == f"example: {EXAMPLES[name]}"
    assert "--quiet" in out
    assert "--debug" in out


def test_the_help_of_the_program_has_no_example_of_a_command(command):
    code, out, _ = command("--help")
    assert code == 0
    assert "example: " not in out
    assert "--version" in out


@pytest.mark.parametrize("name", NAMES)
def test_every_example_is_understood(monkeypatch, name):
    monkeypatch.setattr(sys, "argv", shlex.split(EXAMPLES[name]))
    assert sys.argv[:2] == ["probe", name]
    assert callable(parse_command().run)


@pytest.mark.slow
def test_examples_run_one_after_the_other(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in QUICK:
        code, out, err = command(*shlex.split(EXAMPLES[name])[1:])
        assert code == 0, (name, err)
        assert out
    for written in ("probe-demo/answer.json", "probe-ground/answer.png", "probe-tokens/tokens.csv"):
        assert (tmp_path / written).exists()
    for page in ("report.html", "probe-view.html"):
        assert (tmp_path / page).stat().st_size > 1000


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "which command? Give one of demo, "),
        ("--quiet demo", "--quiet has its place after the command, as in: probe demo --quiet"),
        ("demo --quite", "no option is called --quite; did you mean --quiet?"),
        ("ground a.mp4 b --presset best", "no option is called --presset; did you mean --preset?"),
        (
            "ground a.mp4 the red circle",
            "'red' is one word too many; put quotes around what ",
        ),
        ("tokens", "tokens: give PATH"),
        ("convert a.json", "convert: give --out FILE"),
        ("demo --clip", "--clip: a value is missing"),
        ("train-organism --shift 0.1", "--shift: give 2 values"),
        ("demo --clip 1.5", "--clip: '1.5' is no whole number"),
        ("evaluate shapes-val --limit few", "--limit: 'few' is no whole number"),
        ("train-organism --without red cross blue", "--without: 'red cross blue' are not all"),
        ("train-organism --rate fast", "--rate: 'fast' is no number"),
        ("ground a.mp4 b --fps x", "--fps: 'x' is no number"),
        ("demo --preset causl", "no --preset is called 'causl'; did you mean causal?"),
    ],
)
def test_wrong_use_is_told_in_one_line_with_the_remedy(command, words, said):
    code, out, err = command(*words.split())
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"probe: {said}")
    assert err.endswith("(see --help)\n")


def test_help_has_paragraphs_and_only_defaults_that_say_something(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    _, out, _ = command("evaluate", "--help")
    assert "(default: None)" not in out
    assert "(default: False)" not in out
    assert "(default: probe-run)" in out
    # Frames are drawn with other signs, or none, where the terminal lacks these.
    lines = [line.strip("│| ") for line in out.splitlines()]
    texts = [line for line in lines if re.match(r"--\S+ .* .* ", line)]
    assert len(texts) > 10
    assert all(line.endswith((".", ")")) for line in texts)
