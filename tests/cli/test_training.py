"""The options of `probe train-organism`."""

import sys
from dataclasses import asdict

import pytest

from probe.cli.commands import parse_command
from probe.cli.training import TrainOrganism
from probe.organism.catalogue import WORLDS
from probe.organism.recipe import Recipe


@pytest.mark.parametrize("world", WORLDS)
def test_what_is_not_given_is_the_default_of_the_world(monkeypatch, world):
    usual = WORLDS[world].recipe
    # A default of the other world is kept where it is typed.
    typed = ["--frame-steps", str(Recipe().frame_steps), "--quiet"]
    monkeypatch.setattr(sys, "argv", ["probe", "train-organism", "--world", world, *typed])
    command = parse_command()
    assert isinstance(command, TrainOrganism)
    assert (command.world, command.quiet) == (world, True)
    assert command.recipe.frame_steps == Recipe().frame_steps
    assert command.recipe.frame_clips == usual.frame_clips
    assert WORLDS["shapes"].recipe == Recipe()


def test_the_help_tells_the_defaults_of_each_world(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    shown = " ".join(command("train-organism", "--help")[1].split())
    shapes, things = (asdict(WORLDS[world].recipe) for world in ("shapes", "things"))
    differing = [name for name in shapes if shapes[name] != things[name]]
    assert {"frame_steps", "clip_steps"} <= set(differing)
    for name in differing:
        usual, others = (write_default(recipe[name]) for recipe in (shapes, things))
        told = f"(default: {usual}; of things: {others})"
        assert told in shown.partition(f"--{name.replace('_', '-')} ")[2].partition(" --")[0]
    # All that is the same in both is told once.
    assert shown.count("of things: ") == len(differing)


def write_default(value):
    """Write a default as the help does, whose several numbers are typed one after another."""
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--device", "cuda:99"), "cannot use device 'cuda:99'"),
        (("--threads", "0"), "--threads 0: give 1 to 1024"),
        (("--threads", "99999"), "--threads 99999: give 1 to 1024"),
        (("--steps", "-1"), "steps is -1; give 0, which leaves the stage out, or more"),
        (("--frame-steps", "0"), "frame_steps is 0; give 1 or more"),
        (("--slow", "nan"), "slow is nan; give 0 or more"),
        (("--rate", "0"), "rate is 0.0; give a number above 0"),
        (("--cut-last.role", "2"), "cut_last.role is 2.0; give a share from 0 to 1"),
        (("--shift", "0.8", "0.2"), "shift is 0.8 0.2; give two shares of the steps that increase"),
    ],
)
def test_what_cannot_train_is_one_line_and_leaves_no_folder(command, tmp_path, words, said):
    code, _, err = command("train-organism", "--out", tmp_path / "run", *words)
    assert (code, err.count("\n")) == (2, 1)
    assert said in err
    assert not (tmp_path / "run").exists()
