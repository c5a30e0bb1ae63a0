"""The folder of a run and the state in it: who owns it, and what a run that fails leaves."""

import json
from contextlib import suppress
from dataclasses import dataclass, replace

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from probe.files import read_tensors, write_tensors
from probe.pretraining.moments import collect_moments
from probe.pretraining.run_folders import Claim, claim_folder
from probe.pretraining.run_states import STATE_FILE, load_state, save_state
from probe.pretraining.threads import SMALL_WEIGHTS, use_few_threads


@dataclass(frozen=True)
class Choices:
    steps: int = 3
    rates: tuple[float, float] = (0.1, 0.2)


FIRST, OTHER = Claim.of_recipe(Choices()), Claim.of_recipe(Choices(steps=4, rates=(0.1, 0.3)))
DATA = Claim({"rows": 7}, {"rows": "other rows"}, "rows.json")


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_run_that_fails_before_its_first_step_leaves_all_as_it_was(tmp_path, failure):
    mine = tmp_path / "mine" / "notes.txt"
    mine.parent.mkdir()
    mine.write_text("a file of the user's")
    recipe = {"steps": 3, "rates": [0.1, 0.2]}

    def fail(folder):
        with claim_folder(folder, FIRST, DATA):
            assert json.loads((folder / "recipe.json").read_text()) == recipe
            raise failure

    for folder in (tmp_path / "new" / "deep", mine.parent):
        with pytest.raises(failure):
            fail(folder)
    assert [one for one in tmp_path.rglob("*") if one.is_file()] == [mine]
    assert not (tmp_path / "new").exists()


def test_a_folder_belongs_to_the_first_run_that_has_weights_in_it(tmp_path):
    def stop_after(name, folder):
        with suppress(KeyboardInterrupt), claim_folder(folder, FIRST, DATA):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).touch()
            raise KeyboardInterrupt

    # A log alone binds nobody, and another run begins it anew.
    stop_after("log.jsonl", tmp_path / "run")
    assert (tmp_path / "run" / "log.jsonl").exists()
    with claim_folder(tmp_path / "run", OTHER, DATA):
        assert not (tmp_path / "run" / "log.jsonl").exists()
    for name in ("state.safetensors", "seeing/state.safetensors"):
        folder = tmp_path / name.replace("/", "-")
        stop_after(name, folder)
        with claim_folder(folder, FIRST, DATA):
            pass
        said = r"a run of another recipe \(steps\) and another recipe \(rates\); give another"
        with pytest.raises(ValueError, match=said), claim_folder(folder, OTHER, DATA):
            pass
        moved = replace(DATA, content={"rows": 8})
        with pytest.raises(ValueError, match="run of other rows;"), claim_folder(folder, moved):
            pass
        # A field that was added since then counts as its default.
        (folder / "recipe.json").write_text('{"steps": 3}')
        with claim_folder(folder, FIRST, DATA):
            pass


def make_learner(width=3):
    torch.manual_seed(width)
    network = nn.Sequential(nn.Linear(2, width), nn.Linear(width, 1))
    optimiser = torch.optim.AdamW(network.parameters(), 0.1)
    return network, [optimiser]


def take_step(network, optimisers):
    network(torch.ones(4, 2)).square().sum().backward()
    optimisers[0].step()
    optimisers[0].zero_grad()


def write_old(path, network, optimisers):
    """Write a state as earlier versions of `train-organism` did, with no note but the steps."""
    moments = {f"optimiser.{k}": v for k, v in collect_moments(optimisers).items()}
    save_file({**network.state_dict(), **moments, "done": torch.tensor(2)}, path)


def write_now(path, network, optimisers):
    """Write a state as this version does."""
    save_state(path, network, optimisers, {"done": 2})


@pytest.mark.parametrize("write", [write_now, write_old])
def test_a_state_of_this_and_of_earlier_versions_goes_on_as_the_run_would_have(tmp_path, write):
    path = tmp_path / STATE_FILE
    network, optimisers = make_learner()
    assert load_state(path, network, optimisers) is None
    take_step(network, optimisers)
    write(path, network, optimisers)
    again, its_optimisers = make_learner()
    notes = load_state(path, again, its_optimisers)
    assert notes is not None
    assert notes["done"] == 2
    for one in ((network, optimisers), (again, its_optimisers)):
        take_step(*one)
    for name, weights in network.state_dict().items():
        assert torch.equal(weights, again.state_dict()[name]), name
    with pytest.raises(ValueError, match="of another network; give another folder"):
        load_state(path, *make_learner(width=4))


def test_notes_of_pairs_that_earlier_versions_learned_from_are_kept(tmp_path):
    network, optimisers = make_learner()
    write_tensors(tmp_path / STATE_FILE, network.state_dict(), {"log": [{"episode": 1}]})
    assert load_state(tmp_path / STATE_FILE, network, optimisers) == {"log": [{"episode": 1}]}
    save_state(tmp_path / STATE_FILE, network, optimisers, {"log": []})
    about = read_tensors(tmp_path / STATE_FILE)[1]
    write_tensors(tmp_path / STATE_FILE, network.state_dict(), {**about, "version": 99})
    with pytest.raises(ValueError, match="version 99 of the state of a run"):
        load_state(tmp_path / STATE_FILE, network, optimisers)


def test_small_networks_learn_on_one_thread_and_others_as_before():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for weights, threads in ((SMALL_WEIGHTS, 1), (SMALL_WEIGHTS + 1, 2)):
            network = nn.ParameterList([torch.empty(weights, device="meta")])
            with suppress(KeyError), use_few_threads(network):
                assert torch.get_num_threads() == threads
                raise KeyError
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
