"""A tiny checkpoint of each family: random weights under real configurations, nothing downloaded.

Chat templates and marks are those of the published checkpoints; sizes are as small as they get.
"""

from pathlib import Path

import numpy as np
import torch
from tiny import save_tiny_llava

from probe.engine.families import FAMILIES, PICTURES
from probe.video import Video
from zoo import gemma, glm, merging, minicpm, newer, omni, pictures, qwen, squares
from zoo.parts import hf

BUILDERS = {
    name: builder
    for room in (squares, qwen, glm, merging, gemma, minicpm, newer, omni, pictures)
    for name, builder in room.BUILDERS.items()
}
ZOO = tuple(FAMILIES)
PICTURE_ZOO = tuple(PICTURES)


def save_tiny(family: str, folder: Path) -> None:
    """Write weights, configuration and processor as any checkpoint has them."""
    if family == "llava_next_video":
        save_tiny_llava(folder)
        return
    torch.manual_seed(0)
    kind, config, processor = BUILDERS[family]()
    getattr(hf, kind)(config).save_pretrained(folder)
    processor.save_pretrained(folder)


def moving(frames: int = 5, size: tuple[int, int] = (48, 80)) -> Video:
    """A video of noise, an odd number of frames wider than tall, taken from one twice as long."""
    pictures = np.random.default_rng(0).integers(0, 256, (frames, *size, 3), dtype=np.uint8)
    return Video(pictures, tuple(range(0, 2 * frames, 2)), np.arange(2 * frames) / 4)
