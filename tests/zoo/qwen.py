"""Qwen-VL and what came of it: patches of two frames, merged two by two."""

from typing import Any

from zoo.parts import CHATML, TEXT, hf, ids_of, make_tokenizer, write_template

PATCHES = {"patch_size": 4, "temporal_patch_size": 2}
ROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 2, 2]}
MARKS = {
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
    "vision_start_token": "<|vision_start|>",
    "vision_end_token": "<|vision_end|>",
}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
EYES_2_5 = {
    "depth": 2, "hidden_size": 32, "intermediate_size": 64, "out_hidden_size": 64,
    "window_size": 16, "fullatt_block_indexes": [1],
}  # fmt: skip
EYES_3 = {
    "depth": 3, "hidden_size": 32, "intermediate_size": 64, "out_hidden_size": 64,
    "num_position_embeddings": 64,
}  # fmt: skip
DEEP = {"deepstack_visual_indexes": [0, 1]}


def text_of(tokenizer: Any, **more: Any) -> dict[str, Any]:
    """The decoder's configuration, positions of three axes included."""
    marks = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    return {"vocab_size": len(tokenizer), **marks, "head_dim": 16, **TEXT, "rope_parameters": ROPE,
            **more}  # fmt: skip


def eyes_of(**more: Any) -> dict[str, Any]:
    """The vision tower's configuration."""
    return {"num_heads": 2, "spatial_merge_size": 2, "initializer_range": 0.1, **PATCHES, **more}


def processor_of(name: str, tokenizer: Any, timed: bool, **more: Any) -> Any:
    """A processor of 6 x 10 cells, in Qwen's words."""
    size = {"shortest_edge": 64, "longest_edge": 24 * 40 * (6 if timed else 1)}
    eye = hf.Qwen3VLVideoProcessor if timed else hf.Qwen2VLVideoProcessor
    return getattr(hf, f"{name}Processor")(
        image_processor=hf.Qwen2VLImageProcessor(merge_size=2, size=size, **PATCHES),
        tokenizer=tokenizer,
        video_processor=eye(merge_size=2, size=size, do_sample_frames=False, **PATCHES),
        chat_template=write_template(
            "<|vision_start|><|video_pad|><|vision_end|>",
            "<|im_start|>user\n",
            "<|im_end|>\n",
            "<|im_start|>assistant\n",
        ),
        **more,
    )


def _qwen(
    name: str, eyes: dict[str, Any], timed: bool = False, processor: str = "", **text: Any
) -> tuple[str, Any, Any]:
    tokenizer = make_tokenizer(*CHATML, **MARKS)
    config = getattr(hf, f"{name}Config")(
        vision_config=eyes_of(**eyes),
        text_config=text_of(tokenizer, **text),
        **ids_of(tokenizer, *MARKS),
    )
    kind = f"{name}ForConditionalGeneration"
    return kind, config, processor_of(processor or name, tokenizer, timed)


def _qwen2_vl() -> tuple[str, Any, Any]:
    return _qwen("Qwen2VL", {"depth": 2, "embed_dim": 32, "hidden_size": 64, "mlp_ratio": 2})


def _qwen2_5_vl() -> tuple[str, Any, Any]:
    return _qwen("Qwen2_5_VL", {**EYES_2_5, "tokens_per_second": 2})


def _qwen3_vl() -> tuple[str, Any, Any]:
    return _qwen("Qwen3VL", {**EYES_3, **DEEP}, timed=True)


def _qwen3_vl_moe() -> tuple[str, Any, Any]:
    more = {"decoder_sparse_step": 1, "mlp_only_layers": [], **EXPERTS}
    return _qwen("Qwen3VLMoe", {**EYES_3, **DEEP}, timed=True, processor="Qwen3VL", **more)


def _cosmos3_omni() -> tuple[str, Any, Any]:
    return _qwen("Cosmos3Omni", {**EYES_3, **DEEP}, timed=True, processor="Qwen3VL")


LINEAR = {
    "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 16,
    "linear_value_head_dim": 16, "layer_types": ["linear_attention", "full_attention"] * 2,
    "rope_parameters": {**ROPE, "partial_rotary_factor": 1.0, "mrope_interleaved": True},
}  # fmt: skip
"""Every second layer has a recurrent state in the place of attention."""


def _qwen3_5() -> tuple[str, Any, Any]:
    return _qwen("Qwen3_5", EYES_3, timed=True, processor="Qwen3VL", **LINEAR)


def _qwen3_5_moe() -> tuple[str, Any, Any]:
    more = {**LINEAR, **EXPERTS, "shared_expert_intermediate_size": 32}
    return _qwen("Qwen3_5Moe", EYES_3, timed=True, processor="Qwen3VL", **more)


BUILDERS = {
    "qwen2_vl": _qwen2_vl,
    "qwen2_5_vl": _qwen2_5_vl,
    "qwen3_vl": _qwen3_vl,
    "qwen3_vl_moe": _qwen3_vl_moe,
    "qwen3_5": _qwen3_5,
    "qwen3_5_moe": _qwen3_5_moe,
    "cosmos3_omni": _cosmos3_omni,
}
