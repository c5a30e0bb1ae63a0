import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from tolerances import assert_equal_up_to_rounding

from probe.organism import training
from probe.organism.pair_pretraining import FramePairs, encode_caption, make_pair_recipe
from probe.organism.recipe import Recipe
from probe.organism.shapes import SHAPES
from probe.organism.tokens import open_tokenizer
from probe.organism.training import train

SHORT = replace(
    Recipe(),
    seeing="protoclip",
    frame_steps=3,
    frame_clips=2,
    clip_steps=1,
    clip_clips=1,
    steps=1,
    clips=1,
    save_every=1,
)


def get_tower(path):
    tensors = load_file(path)
    return {name: value for name, value in tensors.items() if "vision_tower" in name}


@pytest.mark.slow
def test_a_tower_learns_from_pairs_is_then_kept_and_a_stopped_run_goes_on(tmp_path, monkeypatch):
    train(tmp_path / "whole", SHORT)
    log = json.loads((tmp_path / "whole" / "seeing" / "log.json").read_text())
    assert [entry["episode"] for entry in log] == [1, 2, 3]
    first, last = (
        get_tower(tmp_path / "whole" / f"{stage}.safetensors") for stage in ("seeing", "clips")
    )
    assert all(torch.equal(first[name], last[name]) for name in first)
    untrained = training.make_network(0).state_dict()
    assert not all(torch.equal(first[name], untrained[name]) for name in first)

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "PRETRAINING_STAGES", {"frames": stop})
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "broken", SHORT)
    monkeypatch.undo()
    train(tmp_path / "broken", SHORT)
    whole, continued = (
        load_file(tmp_path / name / "checkpoint" / "model.safetensors")
        for name in ("whole", "broken")
    )
    assert all(torch.equal(weights, continued[name]) for name, weights in whole.items())


def test_pairs_take_as_many_steps_and_frames_as_tags():
    for recipe in (Recipe(seeing="protoclip"), Recipe(seeing="infonce"), SHORT):
        pairs = make_pair_recipe(recipe, SHAPES)
        assert pairs.steps == recipe.frame_steps
        assert pairs.batch == recipe.frame_clips * SHAPES.frames_a_clip
        assert pairs.learns_prototypes == (recipe.seeing == "protoclip")


def test_a_caption_names_what_the_frame_shows_and_a_frame_is_the_same_each_time():
    pairs = FramePairs(SHAPES, 5, 12)
    (frame, ids), (again, other) = pairs.read(7, (0, 1)), pairs.read(7, (0, 2))
    assert_equal_up_to_rounding(frame.float(), again.float())
    assert sorted(ids.tolist()) == sorted(other.tolist())
    clip = SHAPES.make_clip((5, 7 // SHAPES.frames_a_clip))
    words = open_tokenizer(SHAPES).decode(ids, skip_special_tokens=True).split()
    for thing in clip.things:
        assert thing.colour in words
        assert thing.shape in words
    assert not encode_caption([], SHAPES).any()
