"""What is misspelt is answered with the right name, and `--version` with versions: no network."""

import socket
from importlib.metadata import version

import pytest

from probe.cli.commands import NAMES


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a misspelt name was looked for in the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("grond", "clip.mp4", "x"), "no command is called 'grond'; did you mean ground? "),
        (("demos",), "no command is called 'demos'; did you mean demo? "),
        (("ground", "clip.mp4", "x", "--preset", "causl"), "did you mean causal? "),
        (("ground", "clip.mp4", "x", "--dtype", "bfloat-16"), "did you mean bfloat16? "),
        (("evaluate", "shapes-vla"), "did you mean shapes-val? "),
        (("evaluate", "shapes-val", "--method", "causl"), "did you mean causal? "),
        (("evaluate", "shapes-val", "--protocol", "stcta"), "did you mean stcat? "),
        (("evaluate", "shapes-val", "--track", "attentionpeek"), "did you mean AttentionPeak? "),
        (("evaluate", "shapes-val", "--token-when", "Nuon"), "did you mean Noun? "),
        (("check-model", "organisn"), "no model is called 'organisn'; did you mean organism? "),
        (("check-model", "Organism"), "no model is called 'Organism'; did you mean organism? "),
    ],
)
def test_a_misspelt_name_is_answered_with_the_right_one(command, words, said):
    code, out, err = command(*words)
    assert (code, out) == (2, "")
    line = err.replace("\r", "\n").splitlines()[-1]
    assert line.startswith("probe: ")
    assert said in line


def test_a_misspelt_folder_is_answered_with_the_one_next_to_it(command, tmp_path):
    (tmp_path / "checkpoint").mkdir()
    for wrong in (tmp_path / "chekpoint", f"{tmp_path}/checkpoint-/"):
        code, _, err = command("check-model", wrong)
        assert code == 2
        assert f"no such folder; did you mean {tmp_path / 'checkpoint'}? " in err
    _, _, err = command("check-model", tmp_path / "weights")
    assert "did you mean" not in err


def test_every_command_is_known_by_its_name(command):
    _, _, err = command("fly")
    assert err == f"probe: no command is called 'fly'; there are {', '.join(NAMES)}\n"
    for name in NAMES:
        code, out, _ = command(name, "--help")
        assert code == 0
        assert out.startswith(f"usage: probe {name} ")


def test_versions_are_one_line(command):
    code, out, err = command("--version")
    assert (code, err) == (0, "")
    assert out.count("\n") == 1
    for name in ("grounding-probe", "torch", "transformers", "nnsight"):
        assert f"{name} {version(name)}" in out
