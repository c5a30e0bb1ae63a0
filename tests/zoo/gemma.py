"""Gemma 4: sliding windows in which a frame sees all of itself; patches pooled three by three."""

from typing import Any

from zoo.parts import TEXT, hf, make_tokenizer, write_template

SEEN = {"patch_size": 4, "pooling_kernel_size": 3}
MARKS = {
    "image_token_id": "<|image|>",
    "boi_token_id": "<|image>",
    "eoi_token_id": "<image|>",
    "video_token_id": "<|video|>",
    "audio_token_id": "<|audio|>",
    "boa_token_id": "<|audio>",
    "eoa_token_index": "<audio|>",
}


def _gemma(name: str, eyes: dict[str, Any], **text: Any) -> tuple[str, Any, Any]:
    tokenizer = make_tokenizer(
        "<|turn>", "<turn|>", image_token="<|image|>", boi_token="<|image>", eoi_token="<image|>",
        video_token="<|video|>", audio_token="<|audio|>", boa_token="<|audio>",
        eoa_token="<audio|>",
    )  # fmt: skip
    config = getattr(hf, f"{name}Config")(
        audio_config=None,
        vision_config={**SEEN, **eyes},
        text_config={
            "vocab_size": len(tokenizer), "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
            **TEXT, "head_dim": 16, "sliding_window": 24,
            "layer_types": ["sliding_attention", "full_attention"] * 2, **text,
        },
        **{entry: tokenizer.convert_tokens_to_ids(mark) for entry, mark in MARKS.items()},
    )  # fmt: skip
    processor = getattr(hf, f"{name}Processor")(
        feature_extractor=getattr(hf, f"{name}AudioFeatureExtractor")(),
        image_processor=getattr(hf, f"{name}ImageProcessor")(**SEEN),
        tokenizer=tokenizer,
        video_processor=getattr(hf, f"{name}VideoProcessor")(**SEEN),
        chat_template=write_template(
            "\n\n<|video|>\n\n", "<s><|turn>user\n", "<turn|>\n", "<|turn>model\n"
        ),
    )
    return f"{name}ForConditionalGeneration", config, processor


EYES = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 2, "head_dim": 16, "position_embedding_size": 64,
}  # fmt: skip


def _gemma4() -> tuple[str, Any, Any]:
    """The larger sizes: frames see all of themselves."""
    return _gemma(
        "Gemma4", EYES, global_head_dim=32, hidden_size_per_layer_input=0,
        use_bidirectional_attention="vision",
    )  # fmt: skip


def _gemma4_small() -> tuple[str, Any, Any]:
    """The E sizes: inputs by layer, and keys that the last layers share; logits are capped."""
    return _gemma(
        "Gemma4", EYES, global_head_dim=32, hidden_size_per_layer_input=16,
        vocab_size_per_layer_input=500, num_kv_shared_layers=2, final_logit_softcapping=30.0,
    )  # fmt: skip


def _gemma4_unified() -> tuple[str, Any, Any]:
    eyes = {"mm_embed_dim": 32, "mm_posemb_size": 64, "output_proj_dims": 32}
    return _gemma("Gemma4Unified", eyes, global_head_dim=32)


BUILDERS = {
    "gemma4": _gemma4,
    "gemma4_small": _gemma4_small,
    "gemma4_unified": _gemma4_unified,
}
