"""Data, choices and files that response maps cannot be learned or read from: refused in a line.

Each of these once trained or was read without an error, and gave maps that say nothing.
"""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import save_tiny_llava
from tolerances import assert_equal_up_to_rounding
from zoo import save_tiny

import probe
from probe.engine.grids import VisualGrid
from probe.files import read_json, read_tensors, write_json, write_tensors
from probe.trained.responses.drawn import describe_drawn
from probe.trained.responses.examples import Described, Material
from probe.trained.responses.pictures import Scaling
from probe.trained.responses.presets import VIDEO, Schedule
from probe.trained.responses.responses import Responses
from probe.trained.responses.states import StateStore, read_states
from probe.trained.responses.texts import no_cues
from probe.trained.responses.training import ResponseRecipe, train_responses
from probe.video import Video

pytestmark = pytest.mark.slow  # each is quick; what they share takes seconds

SMALL = ResponseRecipe(
    2,
    replace(VIDEO, network=replace(VIDEO.network, channels=8)),
    Schedule(steps=2, batch=2, rate=1e-3),
)


@pytest.fixture(scope="module")
def model():
    return probe.load()


@pytest.fixture(scope="module")
def clips():
    return describe_drawn(2)


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    return tmp_path_factory.mktemp("states")


@pytest.fixture(scope="module")
def trained(model, clips, states, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    learned = train_responses(model, clips, SMALL, states=states, run=folder / "my run")
    learned.save(folder / "my maps.safetensors")
    return folder / "my maps.safetensors"


CHANGES = {
    "two of one name": (
        lambda _, clips: {"videos": [clips[0], clips[0]]},
        "2 videos have this name",
    ),
    "one video": (lambda _, clips: {"videos": clips[:1]}, "1 video: sentences are told from those"),
    "a batch of one": (
        lambda recipe, _: {"recipe": replace(recipe, schedule=Schedule(4, batch=1))},
        "give one step and two pictures",
    ),
    "cues that are one text": (
        lambda recipe, _: {"recipe": replace(recipe, cues=lambda _: "red")},
        "are 'red'; give a list",
    ),
    "no frames": (
        lambda recipe, _: {"recipe": replace(recipe, frames=lambda *_: ())},
        "the rule for frames gave none",
    ),
    "unknown words": (
        lambda _, clips: {"videos": [replace(clips[0], sentences=("zebra",)), clips[1]]},
        "no word of 'zebra'",
    ),
}


@pytest.mark.usefixtures("trained")  # which collected the states
@pytest.mark.parametrize(("change", "told"), CHANGES.values(), ids=CHANGES)
def test_what_would_teach_nothing_is_refused_before_states_are_read(
    model, clips, states, tmp_path, monkeypatch, change, told
):
    # Kept states are of the clips as they are: reading others would take hours on a large set.
    monkeypatch.setattr(StateStore, "_compute", lambda *_: pytest.fail("states were computed"))
    given = {"videos": clips, "recipe": SMALL, **change(SMALL, clips)}
    with pytest.raises(ValueError, match=told):
        train_responses(model, **given, states=states, run=tmp_path)


def test_a_loss_that_is_no_number_stops_a_run(model, clips, states, tmp_path):
    steep = replace(SMALL, schedule=replace(SMALL.schedule, rate=1e30))
    with pytest.raises(RuntimeError, match=r"the loss is \S+ at step 1; give another folder"):
        train_responses(model, clips, steep, states=states, run=tmp_path)


def test_states_that_are_not_finite_are_refused(tmp_path):
    save_tiny_llava(tmp_path)
    model = probe.load(tmp_path, dtype="float16")
    one = describe_drawn(1)[0].read().video
    assert read_states(model.watch(one), 1).isfinite().all()
    layer = model.checkpoint.module.model.language_model.layers[0].mlp.down_proj
    with torch.no_grad():
        layer.weight.fill_(6e4)  # the largest numbers that float16 has
    with pytest.raises(ValueError, match="entering layer 1 are not finite, as in float16"):
        read_states(model.watch(one), 1)


def test_frames_of_a_single_cell_are_refused(model, clips, trained):
    view = model.watch(clips[0].read().video)
    frames = len(view.grid.cells.frames)
    cells = replace(view.grid.cells, rows=1, columns=1)
    small = replace(view, grid=VisualGrid(view.grid.positions[:frames], cells))
    with pytest.raises(ValueError, match="sees each frame as a single cell"):
        Responses.load(trained).heatmap(small, "the red circle")


def test_a_run_is_continued_only_from_a_state_and_a_model_of_its_own(
    model, clips, states, trained, tmp_path
):
    given = {"videos": clips, "recipe": SMALL, "states": states}
    shutil.copytree(trained.parent / "my run", tmp_path / "my run")
    about, state = tmp_path / "my run/recipe.json", tmp_path / "my run/state.safetensors"
    for tensors in ({"weights": torch.zeros(2)}, {"learner.log_scale": torch.zeros(2)}):
        for told in (None, {"done": 1}, read_tensors(state)[1]):
            damaged = tmp_path / "damaged"
            shutil.copytree(tmp_path / "my run", damaged, dirs_exist_ok=True)
            write_tensors(damaged / "state.safetensors", tensors, told)
            with pytest.raises(ValueError, match="the state of a run") as failure:
                train_responses(model, **given, run=damaged)
            assert "\n" not in str(failure.value)
    write_json(about, {**read_json(about), "fingerprint": "another"})
    with pytest.raises(ValueError, match="a run of another model; give"):
        train_responses(model, **given, run=tmp_path / "my run")
    state.unlink()  # as if it had failed before its first state, from which nothing can go on
    learned = train_responses(model, **given, run=tmp_path / "my run")
    assert learned.content == Responses.load(trained).learned.content
    # Its log begins anew, too: the lines of two runs would be taken for those of one.
    logs = (one / "log.jsonl" for one in (trained.parent / "my run", tmp_path / "my run"))
    assert len({len(log.read_text().splitlines()) for log in logs}) == 1


def test_a_layer_that_there_is_not_leaves_no_folder(model, clips, tmp_path):
    recipe = replace(SMALL, layer=99)
    with pytest.raises(ValueError, match=r"no layer \[99\]"):
        train_responses(model, clips, recipe, states=tmp_path / "states", run=tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_a_video_whose_frames_are_of_no_others_size_is_left_out_and_told(tmp_path):
    save_tiny("qwen2_5_vl", tmp_path / "model")
    model = probe.load(tmp_path / "model", dtype="float32")

    def describe(name, height):
        frames = np.random.default_rng(height).integers(0, 255, (2, height, 56, 3), dtype=np.uint8)
        return Described(name, ("red",), lambda: Material(Video(frames, (0, 1), np.arange(2) / 2)))

    videos = [describe("a", 56), describe("b", 84), describe("c", 112)]
    recipe = replace(SMALL, layer=1, schedule=Schedule(steps=2, batch=2), cues=no_cues)
    paths = {"states": tmp_path / "s", "run": tmp_path / "r"}
    with pytest.raises(ValueError, match="no two of 3 videos have frames of as many rows"):
        train_responses(model, videos, recipe, **paths)
    videos.append(describe("d", 112))
    paths["run"] = tmp_path / "again"
    with pytest.warns(UserWarning, match="2 of 4 videos are left out"):
        learned = train_responses(model, videos, recipe, **paths)
    assert len(learned.bank) == 2  # of one batch: none is of a video that was alone


@pytest.mark.parametrize("centre", [0.0, 3.1415, -200.7])
def test_scaling_is_that_of_all_parts_together_and_makes_no_rounding_loud(centre):
    vectors = torch.tensor(np.random.default_rng(0).normal(centre, 1.5, (30, 3)))
    vectors[:, 2] = centre  # a channel that never changes
    found = Scaling.measure(vectors.split([4, 1, 25]))
    assert_equal_up_to_rounding(found.centre, vectors.mean(0).float())
    assert_equal_up_to_rounding(found.spread[:2], vectors.std(0, unbiased=False).float()[:2])
    # States are kept in 16 bits, and read in 32.
    live, kept = vectors[:1].float(), vectors[:1].half().float()
    assert float((found.apply(live) - found.apply(kept)).abs().max()) < 1


def with_entry(about, part, value):
    """The same with another value of an entry, or without it."""
    *path, last = part.split(".")
    changed = inner = json.loads(json.dumps(about))
    for name in path:
        inner = inner[name]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return changed


DAMAGES = {
    "bank.cues": lambda one: one[:1],
    "bank.sentences": lambda one: one.to(torch.int64),
    "cells.centre": lambda one: one * float("nan"),
    "cells.spread": lambda one: one * 0,
    "texts.spread": lambda one: one[:1],
    "network.project_text.weight": lambda one: one[:2],
}
"""What may be wrong with a tensor; each was once found out only when a map was asked for."""

ENTRIES = ("network.look_again", "layer", "cues", "text", "about.model.name", "about.fingerprint")


def test_a_damaged_file_of_maps_is_refused_in_one_line(trained, tmp_path):
    tensors, about = read_tensors(trained)
    changes = [
        ({**tensors, name: break_it(tensors[name])}, about) for name, break_it in DAMAGES.items()
    ]
    changes += [
        (tensors, with_entry(about, part, value)) for part in ENTRIES for value in (None, [1])
    ]
    changes.append((tensors, with_entry(about, "layer", -3)))
    for change in changes:
        write_tensors(tmp_path / "a.safetensors", *change)
        with pytest.raises(ValueError, match=r"a\.safetensors: ") as failure:
            Responses.load(tmp_path / "a.safetensors")
        assert "\n" not in str(failure.value)
