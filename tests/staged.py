"""Readings made up for the page: as large as real models' and as peaky, with nothing to load."""

import numpy as np
import torch

from probe.engine.grids import Cells, VisualGrid
from probe.engine.prompts import AnswerIds, Prompt, Token
from probe.engine.readings import Reading
from probe.video import Video

ROLES = ("A", "SS", "IST", "ANT", ":")


def staged_video(frames=20, height=360, width=640):
    """A bright disc that crosses a soft, noisy background."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    pictures = []
    for frame in range(frames):
        soft = np.stack([90 + 60 * np.sin(x / (90 + 30 * c) + y / 70 + c) for c in range(3)], -1)
        noisy = soft + rng.normal(0, 6, soft.shape)
        centre = width * (frame + 1) / (frames + 1)
        noisy[np.hypot(x - centre, y - height / 2) < height / 8] = (235, 200, 60)
        pictures.append(np.clip(noisy, 0, 255).astype(np.uint8))
    return Video(
        np.stack(pictures), tuple(range(5, 5 + 10 * frames, 10)), np.arange(10 * frames) / 10
    )


def staged_reading(video, words, *, layers=32, heads=32, side=12, seed=0):
    """Peaky attention at random, over a part that all maps share; role tokens follow the words."""
    frames = tuple((index,) for index in video.indices)
    cells = Cells(frames, side, side, (0.0, 0.0, float(video.size[1]), float(video.size[0])))
    tokens = [Token(i, word, "word") for i, word in enumerate(words)]
    tokens += [Token(len(words), "?", "stop")]
    tokens += [Token(len(tokens) + i, role, "role") for i, role in enumerate(ROLES)]
    torch.manual_seed(seed)
    scores = 1.8 * torch.randn(layers, heads, len(tokens), len(cells)) + torch.randn(len(cells))
    spent = 0.3 * torch.rand(layers, heads, len(tokens), 1)
    grid = VisualGrid(torch.arange(len(cells)), cells)
    return Reading(
        prompt=Prompt(" ".join(words) + "?", tuple(tokens)),
        attention=grid.fold(scores.softmax(-1) * spent),
        layers=tuple(range(layers)),
        grid=grid,
        logits=torch.tensor([1.25, 0.0, 0.0]),
        answers=AnswerIds(yes=(0,), no=(1,)),
    )
