"""The most pixels of a frame: those that Qwen documents, else as many as are asked for."""

import inspect
import json
import math
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from zoo import moving, save_tiny
from zoo.parts import hf

from probe.engine.checkpoint import Checkpoint
from probe.engine.costs import measure_keys
from probe.engine.families import family_of
from probe.engine.model import load
from probe.engine.pixels import COUNTS, choose_pixels, choose_size
from probe.video import Video

PUBLISHED = {"shortest_edge": 56 * 56, "longest_edge": 16384 * 28 * 28}
"""Sizes in the files of Qwen2-VL and Qwen2.5-VL, which were written for pictures."""


def blank(frames, height, width):
    pictures = np.zeros((frames, height, width, 3), np.uint8)
    return Video(pictures, tuple(range(frames)), np.arange(frames) / 25)


def sees(settings, frames, height, width, asked=None):
    """Let a video processor make pictures, and return the pixels that it keeps of a frame."""
    size = choose_size(settings, asked, frames)
    # ERNIE's writes the time into each frame, by a font in its files.
    drawn = {"draw_on_frames": False} if hasattr(settings, "draw_on_frames") else {}
    made = settings(
        [torch.zeros(frames, 3, height, width, dtype=torch.uint8)],
        do_sample_frames=False,
        return_tensors="pt",
        **drawn,
        **({} if size is None else {"size": size}),
    )
    _, rows, columns = made["video_grid_thw"][0].tolist()
    return rows * columns * settings.patch_size**2


def documented(frames, height, width):
    """The size of a frame by `fetch_video` of qwen-vl-utils, written a second time."""
    most = max(min(768 * 28 * 28, 0.9 * 128_000 * 28 * 28 / frames * 2), int(128 * 28 * 28 * 1.05))
    rows, columns = (max(28, round(edge / 28) * 28) for edge in (height, width))
    if rows * columns > most:
        scale = math.sqrt(height * width / most)
        rows, columns = (math.floor(edge / scale / 28) * 28 for edge in (height, width))
    return rows * columns


@pytest.fixture(scope="module")
def qwen(tmp_path_factory):
    """A tiny Qwen2.5-VL with the sizes of published files and of their patches."""
    folder = tmp_path_factory.mktemp("pixels") / "qwen2_5_vl"
    save_tiny("qwen2_5_vl", folder)
    module = hf.AutoModelForImageTextToText.from_pretrained(folder)
    processor = hf.AutoProcessor.from_pretrained(folder)
    settings = {"patch_size": 14, "merge_size": 2}
    processor.video_processor = hf.Qwen2VLVideoProcessor(size=dict(PUBLISHED), **settings)
    processor.image_processor = hf.Qwen2VLImageProcessor(size=dict(PUBLISHED), **settings)
    return Checkpoint(module, processor, family_of("qwen2_5_vl"))


def count_tokens(checkpoint, video):
    inputs = checkpoint.process(video, checkpoint.writer(before=0).text("What jumps?"))
    return int((inputs["input_ids"] == checkpoint.placeholder).sum())


@pytest.mark.slow
def test_a_frame_of_1080p_makes_as_many_tokens_as_qwen_documents(qwen):
    video = blank(4, 1080, 1920)
    assert count_tokens(qwen, video) == 2 * documented(4, 1080, 1920) // 28**2
    # What the files of the checkpoint alone would make of it.
    assert count_tokens(replace(qwen, pixels=PUBLISHED["longest_edge"]), video) == 2 * 39 * 69
    assert count_tokens(replace(qwen, pixels=100_000), video) <= 2 * 100_000 // 28**2


@pytest.mark.parametrize("shape", [(1080, 1920), (720, 1280), (480, 640), (1920, 1080), (500, 99)])
def test_frames_keep_the_size_that_qwen_documents(shape):
    settings = hf.Qwen2VLVideoProcessor(size=dict(PUBLISHED))
    assert sees(settings, 2, *shape) == documented(2, *shape)


AREAS = {name: kind for name, kind in COUNTS.items() if "Video" in name}


@pytest.mark.parametrize("frames", [2, 5, 7, 12])
@pytest.mark.parametrize("name", AREAS)
def test_no_frame_has_more_pixels_than_asked_and_many_that_were_allowed(name, frames):
    settings = getattr(hf, name)()
    cell = (settings.patch_size * settings.merge_size) ** 2
    for asked in (4 * cell, 20 * cell + 1, 60 * cell):
        kept = sees(settings, frames, 270, 480, asked)
        assert kept <= asked
        # What is lost is what rounding down to whole cells takes.
        assert kept > 0.4 * asked


@pytest.mark.parametrize("name", AREAS)
def test_a_small_frame_is_not_changed_by_a_limit_above_it(name):
    settings = getattr(hf, name)()
    assert sees(settings, 4, 224, 224, 10**7) == sees(settings, 4, 224, 224)


def test_smaller_limits_of_files_stay():
    settings = hf.Qwen2VLVideoProcessor(size={"shortest_edge": 784, "longest_edge": 50_000})
    assert choose_pixels(settings, None) == 50_000
    assert choose_size(settings, None, 4) is None


def test_a_picture_keeps_the_pixels_that_its_files_allow(qwen):
    assert choose_pixels(qwen.processor.image_processor, None) == PUBLISHED["longest_edge"]


@pytest.mark.parametrize("asked", [0, -784, 783])
def test_fewer_pixels_than_a_token_shows_are_refused(asked):
    with pytest.raises(ValueError, match=rf"pixels={asked}: one visual token shows 784 pixels"):
        choose_pixels(hf.Qwen2VLVideoProcessor(), asked)


def test_half_a_pixel_is_refused():
    half: Any = np.float64(1000.5)
    with pytest.raises(ValueError, match=r"the most pixels of a frame is .* give a whole number"):
        inspect.unwrap(choose_pixels)(hf.Qwen2VLVideoProcessor(), half)


def test_a_processor_of_one_size_refuses_a_limit_before_weights_are_read(tiny_folder):
    with pytest.raises(ValueError, match=r"pixels=50000: this model's processor .* has no limit"):
        load(tiny_folder, pixels=50_000)


@pytest.mark.slow
def test_an_answer_tells_its_pixels_and_another_reading_has_the_same_grid(tmp_path):
    save_tiny("qwen2_5_vl", tmp_path)
    usual, fewer = load(tmp_path), load(tmp_path, pixels=200)
    assert usual.identity["pixels"] == 24 * 40
    assert fewer.identity["pixels"] == 200
    grids = [model.watch(moving()).grid.shape for model in (usual, fewer)]
    assert grids[0] == (3, 3, 5)
    assert grids[1] == (3, 1, 2)
    recorded: Any = fewer.identity["pixels"]
    again = load(tmp_path, pixels=recorded)
    assert again.watch(moving()).grid.shape == grids[1]


@pytest.mark.slow
def test_a_model_in_memory_takes_a_limit_too(tmp_path):
    save_tiny("qwen2_5_vl", tmp_path)
    module = hf.AutoModelForImageTextToText.from_pretrained(tmp_path)
    processor = hf.AutoProcessor.from_pretrained(tmp_path)
    model = load(module, processor, pixels=200)
    assert model.watch(moving()).grid.shape == (3, 1, 2)
    assert processor.video_processor.size["longest_edge"] == 24 * 40  # the user's own stays


# What it costs


def test_keys_of_a_7b_take_57_344_bytes_a_token():
    text = hf.Qwen2_5_VLConfig(
        text_config={
            "hidden_size": 3584, "num_hidden_layers": 28, "num_attention_heads": 28,
            "num_key_value_heads": 4,
        }
    ).get_text_config()  # fmt: skip
    assert measure_keys(text, torch.bfloat16, 1) == 57_344


def test_the_keys_that_are_told_are_those_that_are_kept(tiny, video):
    view = tiny.watch(video)
    text = tiny.checkpoint.config.get_text_config()
    cache = hf.DynamicCache(config=text)
    ids = torch.zeros(1, len(view.prefix), dtype=torch.long)
    with torch.no_grad():
        tiny.checkpoint.decoder(input_ids=ids, past_key_values=cache, use_cache=True)
    kept = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    assert measure_keys(text, tiny.checkpoint.dtype, len(view.prefix)) == kept


def test_what_is_costly_is_told_and_what_is_not_is_not(tiny, video, monkeypatch):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tiny.watch(video)
    monkeypatch.setattr("probe.engine.costs.NOTED_TOKENS", 100)
    with pytest.warns(UserWarning, match=r"128 visual tokens \(8 x 4 x 4\); .* about 0.0 GB: for"):
        tiny.watch(video)


@pytest.mark.slow
def test_an_answer_holds_its_pixels_and_its_page_is_read_with_them(tmp_path, clip, command):
    save_tiny("qwen2_5_vl", tmp_path / "qwen")
    clip.write(tmp_path / "clip.mp4")
    options = ("--model", tmp_path / "qwen", "--frames", 4, "--out", tmp_path / "out")
    code, *_ = command(
        "ground", tmp_path / "clip.mp4", "the red circle", *options, "--max-pixels", 200, "--quiet"
    )
    assert code == 0
    record = json.loads((tmp_path / "out" / "answer.json").read_text())
    assert record["model"]["pixels"] == 200
    code, *_ = command("view", tmp_path / "out", "--html", tmp_path / "page.html", "--quiet")
    assert code == 0
