"""The help of each command: words a person reads, and an example that runs."""

import re
import shlex
import sys

import pytest

from probe.cli.commands import NAMES, parse_command
from probe.cli.examples import EXAMPLES

QUICK = [name for name in NAMES if name != "train-organism"]
"""Commands whose examples take seconds; that one takes a minute."""


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
    ("words", "option"),
    [
        (("evaluate", "shapes-val", "--limit", "few"), "--limit"),
        (("demo", "--clip", "1.5"), "--clip"),
        (("train-organism", "--rate", "fast"), "--rate"),
    ],
)
def test_what_is_no_number_is_refused_in_one_line(command, words, option):
    code, out, err = command(*words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert option in err
