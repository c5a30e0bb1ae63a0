"""Families that are known and cannot be read: each reason is true of the installed transformers."""

import pytest
import torch
import transformers
from zoo import BUILDERS, moving, save_tiny
from zoo.parts import hf

from probe.engine.families import FAMILIES
from probe.engine.families.refused import CHOSEN, QUERIES, REFUSED
from probe.engine.layer_plan import LayerPlan
from probe.engine.metadata import describe_times
from probe.engine.model import load

CONFIGURATIONS = {
    "dots3_note": transformers.Dots3NoteTextConfig,
    "glm5_next": transformers.Glm5NextTextConfig,
    "qwen4_exp": transformers.Qwen4ExpTextConfig,
}


@pytest.mark.slow
@pytest.mark.parametrize("family", ["kimi_k25", "minimax_m3_vl"])
def test_whoever_opens_one_is_told_why(family, tmp_path):
    save_tiny(family, tmp_path)
    with pytest.raises(ValueError, match=f"{family} models are not supported: ") as refusal:
        load(tmp_path)
    assert str(refusal.value).endswith(REFUSED[family])


def test_layers_that_choose_their_tokens_are_of_no_kind_that_is_read():
    chosen = {family for family, reason in REFUSED.items() if reason == CHOSEN}
    assert chosen == {*CONFIGURATIONS, "minimax_m3_vl"}
    for configuration in CONFIGURATIONS.values():
        assert "indexed_attention" in configuration().layer_types
    _, config, _ = BUILDERS["minimax_m3_vl"]()
    model = hf.MiniMaxM3SparseForConditionalGeneration(config)
    with pytest.raises(
        ValueError, match=r"layer 1 .* 'minimax_m3_sparse', which the engine cannot"
    ):
        LayerPlan.of(model.model.language_model, config.text_config)


def test_queries_are_as_many_whatever_the_size_of_a_picture():
    for family in (family for family, reason in REFUSED.items() if reason == QUERIES):
        config = transformers.AutoConfig.for_model(family)
        assert config.num_query_tokens == 32
        assert config.qformer_config.cross_attention_frequency


def test_layers_of_nemotron_have_no_attention_where_others_have_it():
    config = hf.NemotronHConfig(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, head_dim=16, layers_block_type=None,
        mamba_num_heads=2, mamba_head_dim=16, ssm_state_size=8, n_groups=1,
        hybrid_override_pattern="M*",
    )  # fmt: skip
    layers = hf.NemotronHModel(config).layers
    assert not any(hasattr(layer, "self_attn") for layer in layers)


def test_kimi_cannot_be_run_on_frames_that_it_averages():
    kind, config, processor = BUILDERS["kimi_k25"]()
    video = moving(frames=8)
    inputs = processor(
        text=["<|kimi_k25_video_placeholder|>"],
        videos=[video.frames],
        video_metadata=[describe_times(video)],
        do_sample_frames=False,
        return_tensors="pt",
    )
    with torch.no_grad(), pytest.raises(RuntimeError, match="split_with_sizes"):
        getattr(hf, kind)(config)(**inputs)


def test_no_family_is_both_read_and_refused():
    assert not FAMILIES.keys() & REFUSED.keys()
