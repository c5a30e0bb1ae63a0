"""Options about the model: what is said of it, what is refused before its weights are read."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from probe.organism.world import make_clip

MANY = 60
"""Frames that the tiny model has no room for."""


@pytest.fixture(scope="module")
def clip_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    make_clip(7).write(path, scale=1)
    return path


@pytest.fixture(scope="module")
def broken(tiny_folder, tmp_path_factory):
    """A checkpoint that is refused as soon as its weights are read, and not before."""
    folder = shutil.copytree(tiny_folder, tmp_path_factory.mktemp("broken") / "tiny-llava")
    path = folder / "model.safetensors"
    weights = load_file(path)
    name = next(iter(weights))
    weights[name] = torch.full_like(weights[name], float("nan"))
    save_file(weights, path, metadata={"format": "pt"})
    return folder


@pytest.fixture
def run(command, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return command


def notes(err):
    return [line for line in err.splitlines() if line.startswith("probe: note: ")]


@pytest.mark.slow
def test_a_model_says_what_it_is_where_it_goes_and_what_it_costs(run, clip_file, tiny_folder):
    words = ("tokens", clip_file, "What jumps?", "--model", tiny_folder, "--device", "cpu")
    code, _, err = run(*words, "--frames", 4)
    assert code == 0
    (said,) = notes(err)
    assert "LlavaNextVideoForConditionalGeneration of " in said
    assert "4 layers of 4 heads, float32 on cpu" in said
    assert "4 frames of 56 x 56 pixels make 4 x 4 x 4 visual tokens" in said
    assert "TFLOP to read the video once" in said
    assert notes(run(*words, "--frames", 4, "--quiet")[2]) == []


@pytest.mark.slow
def test_the_shipped_model_costs_nothing_worth_a_note(run, clip_file):
    code, _, err = run("tokens", clip_file, "What jumps?")
    assert (code, err) == (0, "")


def make_bad_tracks(folder):
    (folder / "tracks.json").write_text("[7]")
    return folder / "tracks.json"


CHEAP = {
    "tracks": (lambda folder: ("--tracks", make_bad_tracks(folder)), "tracks.json"),
    "device": (lambda _: ("--device", "nowhere"), "cannot use device 'nowhere'"),
    "adapter": (lambda _: ("--adapter", "./absent"), "./absent: no such folder"),
    "template": (lambda _: ("--chat-template", "absent.jinja"), "absent.jinja"),
    "sub-queries": (lambda _: ("--split", "./absent.json"), "absent.json"),
    "nothing": (lambda _: (), "not finite"),
}
"""Wrong options, and what is said of them; with none, the weights are read and refused."""


@pytest.mark.slow
@pytest.mark.parametrize("wrong", CHEAP)
def test_what_is_wrong_and_cheap_to_check_is_told_before_weights_are_read(
    run, clip_file, broken, tmp_path, wrong
):
    make, said = CHEAP[wrong]
    words = ("ground", clip_file, "the red circle", "--model", broken, "--frames", 4)
    code, out, err = run(*words, *make(tmp_path))
    assert code == 2
    assert out == ""
    assert said in err.splitlines()[-1]
    assert ("not finite" in err) == (wrong == "nothing")


@pytest.mark.slow
def test_a_video_that_does_not_fit_is_refused_before_weights_are_read(run, clip_file, broken):
    words = ("tokens", clip_file, "What jumps?", "--model", broken, "--frames", MANY)
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert "fit in the context" in err
    assert "not finite" not in err


@pytest.mark.slow
def test_an_adapter_changes_what_is_read_and_is_named_in_the_answer(
    run, clip_file, tiny_folder, tmp_path
):
    import peft
    from transformers import AutoModelForImageTextToText

    module = AutoModelForImageTextToText.from_pretrained(tiny_folder, dtype=torch.float32)
    torch.manual_seed(1)
    settings = {"target_modules": ["q_proj", "v_proj"], "init_lora_weights": False}
    adapted = peft.get_peft_model(module, peft.LoraConfig(r=8, lora_alpha=32, **settings))
    adapted.save_pretrained(tmp_path / "lora")
    words = ("ground", clip_file, "the red circle", "--model", tiny_folder, "--frames", 4, "--json")
    plain = json.loads(run(*words)[1])
    changed = json.loads(run(*words, "--adapter", tmp_path / "lora")[1])
    assert plain["model"]["adapter"] is None
    assert changed["model"]["adapter"] == str(tmp_path / "lora")
    assert len(changed["model"]["adapter_content"]) == 64
    assert plain["presence"] != changed["presence"]
    # The page of the answer reads it with the adapter again.
    assert run("view", "probe-ground", "--html", "page.html")[0] == 0


@pytest.mark.slow
def test_an_answer_of_a_model_in_memory_is_not_read_again_from_files(run, clip_file, tiny_folder):
    words = ("ground", clip_file, "the red circle", "--model", tiny_folder, "--frames", 4)
    assert run(*words)[0] == 0
    answer = json.loads(Path("probe-ground/answer.json").read_text())
    answer["model"]["weights"] = "in memory"
    Path("probe-ground/answer.json").write_text(json.dumps(answer))
    code, _, err = run("view", "probe-ground", "--html", "page.html")
    assert code == 2
    assert "was in memory; give its files: --model" in err
    assert run("view", "probe-ground", "--html", "page.html", "--model", tiny_folder)[0] == 0
