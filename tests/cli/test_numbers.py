"""Wrong numbers and names of files are told by the names of their options."""

from dataclasses import fields, is_dataclass
from typing import Annotated, get_args, get_origin, get_type_hints

import pytest

from probe.cli.commands import NAMES, Command

GIVEN = {
    "ground": ("clip.mp4", "the red circle"),
    "tokens": ("clip.mp4", "What jumps?"),
    "evaluate": ("shapes-val",),
    "view": ("clip.mp4", "What jumps?"),
    "serve": ("clip.mp4",),
    "check-model": ("organism",),
    "responses": ("train",),
    "pretrain": ("--pairs", "pairs.csv"),
}
"""The words that each command needs, but for its defaults."""

LAYERS = [("concepts", "--layer"), ("responses", "--layer"), ("view", "--reattend")]
"""Options that take a layer, which may be negative, to count from the last."""

ANY_NUMBER = {*LAYERS, ("ground", "--require-presence"), ("pretrain", "--temperature")}
"""Options that take any number."""


def list_numbers(kind, prefix=""):
    """Yield the options of a command that take one number."""
    hints = get_type_hints(kind, include_extras=True)
    for field in fields(kind):
        parts = [hints[field.name]]
        while any(get_origin(one) is Annotated for one in parts) or len(get_args(parts[0])) > 1:
            parts = [part for one in parts for part in (get_args(one) or (one,))]
        base, *about = parts
        if isinstance(base, type) and is_dataclass(base):
            plain = any(getattr(one, "name", None) == "" for one in about)
            yield from list_numbers(base, prefix if plain else f"{prefix}{field.name}.")
        elif base in (int, float):
            yield f"--{prefix}{field.name}".replace("_", "-")


KINDS = {name: get_args(one)[0] for name, one in zip(NAMES, get_args(Command), strict=True)}
CASES = [(name, option) for name, kind in KINDS.items() for option in list_numbers(kind)]


@pytest.fixture(autouse=True, scope="module")
def _in_a_folder(tmp_path_factory):
    from probe.organism.world import make_clip

    folder = tmp_path_factory.mktemp("numbers")
    make_clip(7).write(folder / "clip.mp4", scale=1)
    (folder / "pairs.csv").write_text("filepath\ttitle\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield


@pytest.mark.parametrize(("name", "option"), [one for one in CASES if one not in ANY_NUMBER])
def test_a_negative_number_is_told_by_its_option(command, name, option):
    code, out, err = command(name, *GIVEN.get(name, ()), option, -1)
    assert (code, out, err.count("\n")) == (2, "", 1)
    # Recipes call their numbers by the same words, as Python writes them.
    assert option in err or option.removeprefix("--").replace("-", "_") in err


def test_the_table_of_numbers_is_that_of_the_commands():
    assert set(CASES) >= ANY_NUMBER
    assert {name for name, _ in CASES} >= {*GIVEN, "concepts", "demo", "train-organism"}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "option"), LAYERS)
def test_a_layer_that_there_is_not_is_told_by_its_option(command, organism, name, option):
    code, out, err = command(name, *GIVEN.get(name, ()), option, 99, "--quiet")
    assert (code, out) == (2, "")
    last = organism.depth - 1
    assert err == f"probe: {option} 99: organism has layers 0 to {last}; give one of them\n"


@pytest.mark.parametrize(
    ("words", "suffix"),
    [
        (("concepts", "--out"), ".safetensors"),
        (("responses", "train", "--out"), ".safetensors"),
        (("responses", "train", "refcoco", "--out"), ".safetensors"),
        (("responses", "evaluate", "refcoco", "--out"), ".json"),
        (("tokens", "clip.mp4", "What jumps?", "--save"), ".safetensors"),
        (("view", "clip.mp4", "What jumps?", "--html"), ".html"),
        (("report", "run", "--out"), ".html"),
    ],
)
def test_a_file_is_known_by_the_end_of_its_name(command, words, suffix):
    code, out, err = command(*words, "x.txt")
    assert (code, out) == (2, "")
    assert err == f"probe: {words[-1]} x.txt: give a name that ends in {suffix}\n"
