"""A tiny checkpoint of each family: random weights under real configurations, nothing downloaded.

Chat templates and marks are those of the published checkpoints; sizes are as small as they get.
"""

import shutil
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch
from tiny import save_tiny_llava

from probe.engine.families import FAMILIES, PICTURES
from probe.video import Video
from zoo import gemma, glm, merging, minicpm, newer, omni, pictures, qwen, squares
from zoo.parts import hf

EXHAUSTIVE = pytest.mark.exhaustive

BUILDERS = {
    name: builder
    for room in (squares, qwen, glm, merging, gemma, minicpm, newer, omni, pictures)
    for name, builder in room.BUILDERS.items()
}
DETAILED = {
    "llava_next_video", "llava_onevision", "video_llava", "internvl", "smolvlm", "qwen2_vl",
    "qwen2_5_vl", "qwen3_vl", "qwen3_5", "gemma4", "ernie4_5_vl_moe", "minicpmv4_7",
}  # fmt: skip
"""One of each kind: of tiling, of layers, of masks, of inputs. The others are like one of them, and
are tried where all cases of a kind are."""

VARIANTS = ("glm46v_moe", "gemma4_small")
"""Checkpoints of a family that is there already, with other layers."""

ZOO = tuple(
    pytest.param(name, id=name, marks=() if name in DETAILED else [pytest.mark.slow, EXHAUSTIVE])
    for name in (*FAMILIES, *VARIANTS)
)
"""Names of all of them, for tests that go through families."""

PICTURE_ZOO = tuple(PICTURES)


def save_tiny(family: str, folder: Path) -> None:
    """Write weights, configuration and processor as any checkpoint has them."""
    # By its builder, too: a test may put another in its place.
    shutil.copytree(_build(family, BUILDERS.get(family)).name, folder, dirs_exist_ok=True)
    torch.manual_seed(0)  # what a test draws from here on is the same each time


@cache  # many tests ask for the same
def _build(family: str, build: Any) -> "TemporaryDirectory[str]":
    """Return a folder with the checkpoint, which lasts as long as this process."""
    kept = TemporaryDirectory()
    folder = Path(kept.name)
    if family == "llava_next_video":
        save_tiny_llava(folder)
        return kept
    torch.manual_seed(0)
    kind, config, processor = build()
    model = getattr(hf, kind)(config)
    for name, weight in model.named_parameters():
        if name.endswith("mm_input_projection_weight"):  # zero at first: pictures would be alike
            torch.nn.init.normal_(weight, std=0.2)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    if family == "qwen2_5_omni":  # transformers opens none without its speakers' voices
        torch.save({}, folder / "spk_dict.pt")
    return kept


def moving(frames: int = 5, size: tuple[int, int] = (48, 80)) -> Video:
    """A video of noise, an odd number of frames wider than tall, taken from one twice as long."""
    pictures = np.random.default_rng(0).integers(0, 256, (frames, *size, 3), dtype=np.uint8)
    return Video(pictures, tuple(range(0, 2 * frames, 2)), np.arange(2 * frames) / 4)
