"""The context of a decoder honours the scaling of its rotary positions."""

import json
import shutil
from typing import Any

import numpy as np
import pytest
import transformers

from probe.engine.configuration import read_configuration
from probe.engine.context import measure_context
from probe.engine.model import load
from probe.video import Video

hf: Any = transformers
"""Its configurations take more than their signatures say."""

HALF = [1.0] * 48  # factors of a head of 96 numbers

PUBLISHED = {
    "LLaVA-NeXT-Video-7B": (
        hf.LlamaConfig(
            max_position_embeddings=4096, rope_scaling={"factor": 2.5, "type": "linear"}
        ), 10_240),
    "Vicuna-7B, without scaling": (hf.LlamaConfig(max_position_embeddings=4096), 4096),
    "InternVL3-8B": (
        hf.Qwen2Config(
            max_position_embeddings=32_768, rope_scaling={"factor": 2.0, "rope_type": "dynamic"}
        ), 65_536),
    "Qwen2.5-7B, as its card switches to yarn": (
        hf.Qwen2Config(
            max_position_embeddings=32_768,
            rope_scaling={
                "type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32_768},
        ), 131_072),
    "Qwen3-8B, as its card switches to yarn": (
        hf.Qwen3Config(
            max_position_embeddings=40_960,
            rope_scaling={
                "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32_768},
        ), 131_072),
    "yarn of a length that it has reached": (
        hf.Qwen3Config(
            max_position_embeddings=131_072,
            rope_scaling={
                "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32_768},
        ), 131_072),
    "yarn that names no length of before": (
        hf.Qwen2Config(
            max_position_embeddings=32_768, rope_scaling={"rope_type": "yarn", "factor": 2.0}
        ), 65_536),
    "Llama-3.2-3B": (
        hf.LlamaConfig(
            max_position_embeddings=131_072,
            rope_scaling={
                "rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0,
                "high_freq_factor": 4.0, "original_max_position_embeddings": 8192},
        ), 131_072),
    "Phi-3-mini-128k": (
        hf.Phi3Config(
            max_position_embeddings=131_072, original_max_position_embeddings=4096,
            rope_scaling={"type": "longrope", "short_factor": HALF, "long_factor": HALF},
        ), 131_072),
    "Gemma-3-4B, by the type of a layer": (
        hf.Gemma3TextConfig(
            max_position_embeddings=131_072,
            rope_parameters={
                "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
                "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}},
        ), 131_072),
    "Qwen2.5-VL-7B, whose positions have three axes": (
        hf.Qwen2_5_VLConfig(
            text_config={
                "max_position_embeddings": 128_000,
                "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]}},
        ).get_text_config(), 128_000),
}  # fmt: skip
"""Configurations as they are published or documented, and the context that their authors name."""


def still(frames):
    pictures = np.zeros((frames, 32, 32, 3), np.uint8)
    return Video(pictures, tuple(range(frames)), np.arange(frames) / 25)


def scale(tiny_folder, folder, **rope):
    """Copy the tiny checkpoint, which has 512 positions, with an entry about their scaling."""
    shutil.copytree(tiny_folder, folder)
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["rope_parameters"] = rope
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_context_is_the_one_that_authors_name(name):
    config, expected = PUBLISHED[name]
    assert measure_context(config) == expected


@pytest.mark.slow
def test_more_frames_fit_where_positions_are_scaled(tiny, tiny_folder, tmp_path):
    scaled = load(
        scale(tiny_folder, tmp_path / "scaled", rope_type="linear", factor=2.5, rope_theta=1e4)
    )
    with pytest.raises(ValueError, match=r"40 frames make 6\d\d tokens but 512 fit"):
        tiny.watch(still(40))
    (reading,) = scaled.watch(still(40)).read("What jumps?")
    assert len(reading.grid) > 512
    assert np.isfinite(reading.margin)
    with pytest.raises(ValueError, match="tokens but 1280 fit in the context"):
        scaled.watch(still(90))


@pytest.mark.parametrize("entry", ["rope_parameters", "rope_scaling"])
@pytest.mark.parametrize("factor", [0, 0.5, -2.0, True, "2.5", [2.5], float("inf"), float("nan")])
def test_a_factor_that_is_none_is_refused(entry, factor, tmp_path):
    config = {"model_type": "llava", "text_config": {entry: {"type": "linear", "factor": factor}}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"factor is .*, not a finite number of at least 1|JSON"):
        read_configuration(tmp_path)


def test_a_factor_of_something_else_is_nobodys_business(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llava", "noise": {"factor": 0.1}}')
    assert read_configuration(tmp_path)["noise"]["factor"] == 0.1
