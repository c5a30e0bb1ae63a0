"""Qwen2-VL and what came of it: patches of two frames, merged."""

from typing import Any

from zoo.parts import CHATML, TEXT, hf, ids_of, make_tokenizer, write_template


def _qwen(name: str, eyes: dict, timed: bool = False) -> tuple[str, Any, Any]:
    tokenizer = make_tokenizer(
        *CHATML,
        image_token="<|image_pad|>",
        video_token="<|video_pad|>",
        vision_start_token="<|vision_start|>",
        vision_end_token="<|vision_end|>",
    )
    patches = {"patch_size": 4, "temporal_patch_size": 2}
    config = getattr(hf, f"{name}Config")(
        vision_config={
            "num_heads": 2, "spatial_merge_size": 2, "initializer_range": 0.1, **patches, **eyes
        },
        text_config={
            "vocab_size": len(tokenizer), "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
            "head_dim": 16, **TEXT,
            "rope_parameters": {
                "rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 2, 2]
            },
        },
        **ids_of(tokenizer, "image_token", "video_token", "vision_start_token", "vision_end_token"),
    )  # fmt: skip
    eye = "Qwen3VL" if timed else "Qwen2VL"
    size = {"shortest_edge": 64, "longest_edge": 24 * 40 * (6 if timed else 1)}
    video = getattr(hf, f"{eye}VideoProcessor")(
        merge_size=2, size=size, do_sample_frames=False, **patches
    )
    processor = getattr(hf, f"{name}Processor")(
        image_processor=hf.Qwen2VLImageProcessor(merge_size=2, size=size, **patches),
        tokenizer=tokenizer,
        video_processor=video,
        chat_template=write_template(
            "<|vision_start|><|video_pad|><|vision_end|>",
            "<|im_start|>user\n",
            "<|im_end|>\n",
            "<|im_start|>assistant\n",
        ),
    )
    return f"{name}ForConditionalGeneration", config, processor


def _qwen2_vl() -> tuple[str, Any, Any]:
    return _qwen("Qwen2VL", {"depth": 2, "embed_dim": 32, "hidden_size": 64, "mlp_ratio": 2})


def _qwen2_5_vl() -> tuple[str, Any, Any]:
    eyes = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "out_hidden_size": 64}
    windows = {"window_size": 16, "fullatt_block_indexes": [1], "tokens_per_second": 2}
    return _qwen("Qwen2_5_VL", {**eyes, **windows})


def _qwen3_vl() -> tuple[str, Any, Any]:
    eyes = {"depth": 3, "hidden_size": 32, "intermediate_size": 64, "out_hidden_size": 64}
    deep = {"num_position_embeddings": 64, "deepstack_visual_indexes": [0, 1]}
    return _qwen("Qwen3VL", {**eyes, **deep}, timed=True)


BUILDERS = {
    "qwen2_vl": _qwen2_vl,
    "qwen2_5_vl": _qwen2_5_vl,
    "qwen3_vl": _qwen3_vl,
}
