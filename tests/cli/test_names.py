"""What is misspelt is answered with the right name, and `--version` with versions: no network."""

import socket
from functools import partial
from importlib.metadata import version

import pytest

from probe.cli import names
from probe.cli.commands import NAMES
from probe.datasets import load_dataset
from probe.evaluation.methods import EARLIER_NAMES, find_method
from probe.evaluation.rules import RULE_KINDS, find_rule


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


@pytest.mark.parametrize(
    ("check", "find", "name"),
    [
        (names.check_method, find_method, "causl"),
        (names.check_dataset, load_dataset, "shapes-vla"),
        *(
            (partial(names.check_rule, kind), partial(find_rule, kind), "nosuch")
            for kind in names.RULES
        ),
    ],
)
def test_a_command_says_of_an_unknown_name_what_its_table_says(check, find, name):
    with pytest.raises(ValueError, match="is called") as quick:
        check(name)
    with pytest.raises(ValueError, match="is called") as thorough:
        find(name)
    assert str(quick.value) == str(thorough.value)


def test_names_that_the_help_leaves_out_are_left_to_their_tables():
    unnamed = {rule.__name__ for kind in RULE_KINDS.values() for rule in kind.shipped} - {
        name for kind in RULE_KINDS.values() for name in kind.names
    }
    assert unnamed | set(EARLIER_NAMES) == names.UNLISTED


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_for_the_program_and_names_its_commands(command, shell):
    code, out, err = command("--completion", shell)
    assert not code
    assert err == ""
    assert "_tyro_probe" in out
    assert all(name in out for name in NAMES)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "which shell? Give --completion one of bash, zsh, fish"),
        (("bsh",), "no shell is called 'bsh'; did you mean bash? There are bash, zsh, fish"),
    ],
)
def test_a_shell_without_completion_is_refused_in_one_line(command, words, said):
    assert command("--completion", *words) == (2, "", f"probe: {said}\n")


LONG = "n" * 300


@pytest.mark.parametrize(
    "words",
    [
        ("ground", f"{LONG}.mp4", "the dog"),
        ("ground", "--batch", f"{LONG}.jsonl"),
        ("ground", "clip.mp4", "the dog", "--out", LONG),
        ("ground", "clip.mp4", "the dog", "--out", f"{LONG}/out"),
        ("check-model", LONG),
        ("check-model", f"./{LONG}"),
        ("evaluate", f"{LONG}.jsonl", "--check"),
        ("evaluate", "queries.jsonl", "--root", LONG, "--check"),
        ("convert", f"{LONG}.jsonl", "--out", "queries.jsonl"),
        ("convert", "queries.jsonl", "--out", f"{LONG}.jsonl"),
        ("report", LONG),
        ("view", f"{LONG}.json"),
    ],
)
def test_a_path_longer_than_the_system_has_is_refused_in_one_line_with_the_remedy(
    command, tmp_path, monkeypatch, words
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip.mp4").touch()
    (tmp_path / "queries.jsonl").write_text('{"video": "clip.mp4", "query": "the dog"}\n')
    code, out, err = command(*words)
    assert (code, out) == (2, "")
    (line,) = [line for line in err.splitlines() if line.startswith("probe: ")]
    assert "nnn" in line
    assert "give " in line
    assert "Errno" not in line
