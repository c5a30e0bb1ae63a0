"""Maps of the vision tower against products of full matrices, and the laws that follow."""

import pytest
import torch
from tolerances import assert_differ_beyond_rounding, assert_equal_up_to_rounding
from zoo import BUILDERS, moving, save_tiny

from probe.engine.attention import Heatmap
from probe.engine.model import load
from probe.engine.tower import read_tower
from probe.interpret.baseline_maps import attention_rollout
from probe.interpret.tower_maps import tower_attention, tower_rollout

QUESTION = "Is there a red circle in this video?"


@pytest.fixture(params=["organism", "tiny"])
def view(request, video):
    """A tower whose patches are the cells, and one that is pooled, with class tokens."""
    return request.getfixturevalue(request.param).watch(video)


@pytest.fixture
def matrices(view):
    """The mean attention of every layer in full, class tokens included."""
    checkpoint = view.checkpoint
    tower = checkpoint.module.model.vision_tower
    inputs = checkpoint.process(view.video, checkpoint.writer(before=0).text("?"))
    vision = checkpoint.config.vision_config
    before, vision._attn_implementation = vision._attn_implementation, "eager"
    with torch.no_grad():
        out = tower(inputs["pixel_values_videos"][0], output_attentions=True)
    vision._attn_implementation = before
    used = checkpoint.config.vision_feature_layer % (len(out.attentions) + 1)
    return [one.mean(1) for one in out.attentions[:used]]


def test_the_map_of_a_layer_is_what_its_patches_get_on_average(view, matrices):
    for layers, used in ((-1, matrices[-1:]), (None, matrices)):
        found = tower_attention(view, layers, block=5)
        expected = torch.stack(used).mean(0)[:, 1:, 1:].mean(1)
        assert_equal_up_to_rounding(found.values.flatten(1), expected)
        assert found.values.sum(dim=(1, 2)).max() < 1  # class tokens get some
    assert found.cells.frames == view.grid.cells.frames
    assert found.cells.region == view.grid.cells.region


@pytest.mark.slow
def test_all_patches_together_look_as_the_cells_do_on_average_each_in_its_own_frame(tiny, video):
    view = tiny.watch(video)
    every = [(2, row, column) for row in range(4) for column in range(4)]
    assert len(every) == view.grid.shape[1] * view.grid.shape[2]
    alone = [tower_attention(view, cell=cell).values for cell in every]
    assert all(values[[0, 1, 3]].abs().max() == 0 for values in alone)
    assert_equal_up_to_rounding(
        torch.stack(alone).mean(0)[2], tower_attention(view).values[2], scale=[1]
    )
    assert_differ_beyond_rounding(alone[0], alone[-1])


def test_the_rollout_is_the_product_of_all_matrices_half_of_each_passed_on(view, matrices):
    heatmap = attention_rollout(view, QUESTION)
    tower = read_tower(view)
    finer = tower.patches.rows // view.grid.cells.rows
    spread = heatmap.values.repeat_interleave(finer, 1).repeat_interleave(finer, 2) / finer**2
    flow = torch.nn.functional.pad(spread.flatten(1), (1, 0))[:, None]
    for matrix in reversed(matrices):
        flow = flow @ (matrix + torch.eye(matrix.shape[1])) / 2
    found = tower_rollout(view, heatmap, block=11)
    assert_equal_up_to_rounding(found.values.flatten(1), flow[:, 0, 1:])
    assert 0 < found.values.sum() < heatmap.values.sum()


@pytest.mark.slow
def test_without_class_tokens_a_rollout_loses_nothing_and_moves_no_value_to_another_frame(
    tmp_path,
):
    save_tiny("qwen2_5_vl", tmp_path)
    view = load(tmp_path, dtype="float32").watch(moving())
    values = torch.zeros(view.grid.shape)
    values[1, 2, 3], values[0, 0, 0] = 0.25, 0.5
    found = tower_rollout(view, Heatmap(values, view.grid.cells))
    assert_equal_up_to_rounding(found.values.sum((1, 2)), values.sum((1, 2)))
    # A cell is made of two times two patches, which keep most of what is theirs.
    assert found.values[1, 4:6, 6:8].sum() > found.values[1].sum() / 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "reason"),
    [
        ("gemma4_unified", "no vision tower"),
        ("perception_lm", "inside one step"),
        ("lfm3_vl", "its layers are convolutions"),
    ],
)
def test_a_tower_without_attention_is_refused_with_the_reason(
    family, reason, tmp_path, monkeypatch
):
    kind, config, processor = BUILDERS[family]()
    if family == "lfm3_vl":
        config.vision_config.layer_types = ["conv"] * config.vision_config.num_hidden_layers
    monkeypatch.setitem(BUILDERS, family, lambda: (kind, config, processor))
    save_tiny(family, tmp_path)
    view = load(tmp_path, dtype="float32").watch(moving())
    with pytest.raises(ValueError, match=reason) as refused:
        tower_attention(view)
    assert "\n" not in str(refused.value)


def test_what_does_not_fit_is_refused_in_one_line(view):
    heatmap = tower_attention(view)
    for ask, reason in (
        (lambda: tower_attention(view, 99), "no layer of the tower \\[99\\]"),
        (lambda: tower_attention(view, cell=(0, 99, 0)), "there is no cell"),
        (lambda: tower_rollout(view, heatmap.reversed()), "the map shows other cells"),
    ):
        with pytest.raises(ValueError, match=reason) as refused:
            ask()
        assert "\n" not in str(refused.value)


def test_the_attention_of_the_model_is_as_it_was(view):
    vision = view.checkpoint.config.vision_config
    before = vision._attn_implementation
    (reading,) = view.read(QUESTION)
    tower_attention(view)
    assert vision._attn_implementation == before
    assert torch.equal(view.read(QUESTION)[0].logits, reading.logits)
