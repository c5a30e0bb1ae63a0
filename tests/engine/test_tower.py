"""Attention of vision towers against the eager code of their own classes, and by cause."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from tolerances import assert_equal_up_to_rounding
from zoo import EXHAUSTIVE, ZOO, moving, save_tiny

from probe.engine.families import patches
from probe.engine.model import load
from probe.engine.tower import read_tower
from probe.video import Video

pytestmark = pytest.mark.slow  # each is quick; what they share takes seconds


PICTURED = [
    pytest.param((name, 1), id=f"a picture of {name}", marks=EXHAUSTIVE)
    for name in ("llava_next", "idefics3", "gemma3", "qwen2_5_vl")
]
FILMED = [
    pytest.param((one.values[0], 5), id=one.id, marks=one.marks)
    for one in ZOO
    if one.values[0] not in patches.NO_ATTENTION
]


@pytest.fixture(scope="module", params=[*FILMED, *PICTURED])
def view(request, tmp_path_factory):
    family, frames = request.param
    folder = tmp_path_factory.mktemp("zoo") / family
    save_tiny(family, folder)
    video = moving(frames)
    if frames == 1:
        video = Video(video.frames, (0,), np.zeros(1))
    return load(folder, dtype="float32").watch(video)


def eager_matrices(view, monkeypatch):
    """Collect the mean heads of the eager attention of the tower's own class, by layer."""
    checkpoint, found = view.checkpoint, []
    for name in {type(module).__module__ for module in checkpoint.module.modules()}:
        theirs = getattr(sys.modules[name], "eager_attention_forward", None)
        if theirs is None:
            continue

        def keep(module, *tensors, theirs=theirs, **options):
            options.setdefault("attention_mask", None if len(tensors) < 4 else tensors[3])
            outputs, weights = theirs(module, *tensors[:3], **options)
            found.append((id(module), weights.mean(1)))
            return outputs, weights

        monkeypatch.setattr(sys.modules[name], "eager_attention_forward", keep)
    vision = checkpoint.config.vision_config
    monkeypatch.setattr(vision, "_attn_implementation", "eager")
    inputs = checkpoint.process(view.video, checkpoint.writer(before=0).text("?"))
    with torch.no_grad():
        view.decoder.read_video(inputs)
    by_layer = {}
    for layer, matrices in found:
        by_layer.setdefault(layer, []).extend(matrices)
    return list(by_layer.values())


def test_rows_of_a_tower_equal_those_of_its_classes_eager_attention(view, monkeypatch):
    tower = read_tower(view)
    layers = eager_matrices(view, monkeypatch)
    size = len(tower.numbers)
    layers = [layer for layer in layers if sum(map(len, layer)) == size][: len(tower.layers)]
    assert len(layers) == len(tower.layers)
    flow = tower.spread(torch.rand(tower.patches.shape, generator=torch.Generator().manual_seed(0)))
    for number, matrices in enumerate(layers):
        parts = flow.split([len(matrix) for matrix in matrices])
        expected = torch.cat([part @ one for part, one in zip(parts, matrices, strict=True)])
        assert expected.max() > 0
        assert_equal_up_to_rounding(tower.pass_down(flow, number, 7), expected)
    assert_equal_up_to_rounding(tower.gather(flow).sum(), flow.sum())


def test_a_token_is_the_patch_whose_pixels_change_it_most(view):
    """The queries of the lowest layer, before patches have seen one another."""
    tower, video = read_tower(view), view.video
    chosen = np.random.default_rng(0).integers(0, tower.patches.shape, (4, 3))
    for frame, row, column in chosen.tolist():
        box = tower.patches.box(row, column)
        left, top, right, bottom = (max(round(edge), 0) for edge in box)
        frames = video.frames.copy()
        for source in tower.patches.frames[frame]:
            shown = frames[video.indices.index(source)]
            shown[top:bottom, left:right] = 255 - shown[top:bottom, left:right]
        after = read_tower(replace(view, video=replace(video, frames=frames)))
        moved = torch.cat(
            [
                (one.queries - other.queries).abs().sum(dim=(0, 2))
                for one, other in zip(tower.layers[0], after.layers[0], strict=True)
            ]
        )
        # Tiles of a picture show the same pixels once more.
        moved[tower.numbers < 0] = 0
        place = np.ravel_multi_index((frame, row, column), tower.patches.shape)
        assert tower.numbers[moved.argmax()] == place
