"""Families of 2026, each with a decoder of its own: windows, convolutions, low-rank keys."""

from typing import Any

from zoo.parts import CHATML, TEXT, hf, ids_of, make_tokenizer, write_template
from zoo.qwen import MARKS, PATCHES, processor_of

SIZE = {"shortest_edge": 64, "longest_edge": 24 * 40 * 6}
ENDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
WINDOWS = {"sliding_window": 24, "layer_types": ["sliding_attention", "full_attention"] * 2}


def _molmo2() -> tuple[str, Any, Any]:
    marks = {
        "image_start_token_id": "<im_start>",
        "low_res_image_start_token_id": "<low_res_im_start>",
        "image_end_token_id": "<im_end>",
        "image_patch_id": "<im_patch>",
        "frame_start_token_id": "<frame_start>",
        "frame_end_token_id": "<frame_end>",
    }
    more = ("<im_col>", "<im_low>", *CHATML)
    tokenizer = make_tokenizer(
        *marks.values(), *more, image_token="<|image|>", video_token="<|video|>"
    )
    eyes = {"num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 16, "hidden_size": 32,
            "intermediate_size": 64, "initializer_range": 0.2}  # fmt: skip
    config = hf.Molmo2Config(
        vision_config={
            **eyes, "num_hidden_layers": 2, "patch_size": 4, "image_size": [36, 36],
            "num_position_embeddings": 81,
        },
        adapter_config={**eyes, "vision_feature_layer": [-1], "text_hidden_size": 64},
        text_config={
            **TEXT, "vocab_size": len(tokenizer), "additional_vocab_size": 16, "head_dim": 16,
            **ENDS,
        },
        **{entry: tokenizer.convert_tokens_to_ids(mark) for entry, mark in marks.items()},
    )  # fmt: skip
    size = {"height": 36, "width": 36}
    processor = hf.Molmo2Processor(
        image_processor=hf.Molmo2ImageProcessor(size=size, patch_size=4),
        video_processor=hf.Molmo2VideoProcessor(size=size, patch_size=4),
        tokenizer=tokenizer,
        chat_template=write_template(
            "<|video|>", "<|im_start|>user\n", "<|im_end|>\n", "<|im_start|>assistant\n"
        ),
    )
    return "Molmo2ForConditionalGeneration", config, processor


MUSE = {
    "image_token": "<|patch|>",
    "image_start_token": "<|image_start|>",
    "image_end_token": "<|image_end|>",
    "video_token": "<|video|>",
    "video_sep_token": "<|vid_frame_separator|>",
    "video_start_token": "<|vid_start|>",
    "video_end_token": "<|vid_end|>",
}


def _muse(name: str, parts: dict[str, Any], config: dict[str, Any], **text: Any) -> Any:
    turns = ("<|header_start|>", "<|header_end|>", "<|eot|>")
    audio = {"audio_token": "<|audio|>", "audio_start_token": "<|soft_audio_start|>",
             "audio_end_token": "<|soft_audio_end|>"}  # fmt: skip
    tokenizer = make_tokenizer(*turns, **MUSE, **audio)
    eyes = {
        "patch_size": 4, "pos_emb_height": 16, "pos_emb_width": 16, "num_attention_heads": 2,
        "num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 64,
        "max_position_embeddings": 256,
    }  # fmt: skip
    written = getattr(hf, f"{name}Config")(
        vision_config=eyes,
        text_config={
            "vocab_size": len(tokenizer), **ENDS, **TEXT, "head_dim": 16, **WINDOWS, **text
        },
        out_hidden_size=128,
        projector_hidden_size=64,
        **ids_of(tokenizer, "image_token", "video_token"),
        **config,
    )  # fmt: skip
    processor = getattr(hf, f"{name}Processor")(
        image_processor=hf.MuseGlimmerImageProcessor(patch_size=4, merge_size=2),
        video_processor=hf.MuseGlimmerVideoProcessor(
            patch_size=4, merge_size=2, max_video_frame_tokens=15
        ),
        tokenizer=tokenizer,
        chat_template=write_template(
            "<|video|>",
            "<s><|header_start|>user<|header_end|>\n\n",
            "<|eot|>",
            "<|header_start|>assistant<|header_end|>\n\n",
        ),
        **parts,
    )
    return f"{name}ForConditionalGeneration", written, processor


def _muse_glimmer() -> tuple[str, Any, Any]:
    return _muse("MuseGlimmer", {}, {})


def _muse_spark() -> tuple[str, Any, Any]:
    ears = {
        "patch_sizes": [4, 4], "hidden_sizes": [16, 32], "depths": [1, 1], "num_hidden_layers": 2,
        "out_hidden_size": 64,
    }  # fmt: skip
    experts = {
        "num_local_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32,
        "moe_hidden_size": 32, "initializer_range": 0.05,
    }  # fmt: skip
    parts = {"feature_extractor": hf.MuseSparkFeatureExtractor()}
    return _muse("MuseSpark", parts, {"audio_config": ears}, **experts)


def _lfm3_vl() -> tuple[str, Any, Any]:
    tokenizer = make_tokenizer(*CHATML, **MARKS)
    config = hf.Lfm3VlConfig(
        vision_config={
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3,
            "num_attention_heads": 2, "num_key_value_heads": 2, "spatial_merge_size": 2, **PATCHES,
        },
        text_config={
            "model_type": "lfm3", "vocab_size": len(tokenizer), **ENDS, **TEXT, "head_dim": 16,
            "sliding_window": 24, "layer_types": ["conv", "sliding_attention", "conv",
                                                  "full_attention"],
        },
        projector_hidden_size=64,
        tie_word_embeddings=False,
        **ids_of(tokenizer, *MARKS),
    )  # fmt: skip
    return "Lfm3VlForConditionalGeneration", config, processor_of("Lfm3Vl", tokenizer, timed=True)


def _kimi_k25() -> tuple[str, Any, Any]:
    words = ("<|media_begin|>", "<|media_content|>", "<|media_end|>", "<|im_user|>",
             "<|im_middle|>", "<|im_end|>", "<|im_assistant|>")  # fmt: skip
    tokenizer = make_tokenizer(
        *words, image_token="<|media_pad|>", video_token="<|kimi_k25_video_placeholder|>"
    )
    config = hf.Kimi_K25Config(
        vision_config={
            "patch_size": 4, "pos_emb_height": 8, "pos_emb_width": 8, "num_attention_heads": 2,
            "num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 64,
        },
        text_config={
            "model_type": "deepseek_v3", "vocab_size": len(tokenizer), **ENDS, **TEXT,
            "num_key_value_heads": 4, "q_lora_rank": 32, "kv_lora_rank": 16,
            "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "v_head_dim": 16,
            "n_routed_experts": 4, "n_group": 1, "topk_group": 1, "num_experts_per_tok": 2,
            "moe_intermediate_size": 32, "first_k_dense_replace": 1,
        },
        projection_hidden_size=32,
        tie_word_embeddings=False,
        **ids_of(tokenizer, "image_token", "video_token"),
    )  # fmt: skip
    processor = hf.Kimi_K25Processor(
        image_processor=hf.Kimi_K25ImageProcessor(patch_size=4, merge_size=2),
        tokenizer=tokenizer,
        video_processor=hf.Kimi_K25VideoProcessor(
            patch_size=4, merge_size=2, size={"max_height": 40, "max_width": 40}, max_patches=60
        ),
        chat_template=write_template(
            "<|kimi_k25_video_placeholder|>",
            "<|im_user|>user<|im_middle|>",
            "<|im_end|>",
            "<|im_assistant|>assistant<|im_middle|>",
        ),
    )
    return "Kimi_K25ForConditionalGeneration", config, processor


def _minimax() -> tuple[str, Any, Any]:
    words = ("]<]start of image[>[", "]<]end of image[>[", "]~b]", "[e~[")
    tokenizer = make_tokenizer(*words, image_token="]<]image[>[", video_token="]<]video[>[")
    config = hf.MiniMaxM3VLConfig(
        vision_config={
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 2, "spatial_merge_size": 2, "image_size": 64, **PATCHES,
        },
        text_config={
            "vocab_size": len(tokenizer), **ENDS, **TEXT, "head_dim": 16, "rotary_dim": 8,
            "num_local_experts": 4, "num_experts_per_tok": 2, "dense_intermediate_size": 64,
            "shared_intermediate_size": 32, "index_n_heads": 2, "index_head_dim": 16,
            "index_block_size": 8, "index_topk_blocks": 2,
            "layer_types": ["full_attention", "minimax_m3_sparse"] * 2,
        },
        image_token_index=tokenizer.image_token_id,
        video_token_index=tokenizer.video_token_id,
        projector_hidden_size=64,
    )  # fmt: skip
    seen = {"merge_size": 2, "min_pixels": 64, "max_pixels": 24 * 40, **PATCHES}
    processor = hf.MiniMaxM3VLProcessor(
        image_processor=hf.MiniMaxM3VLImageProcessor(**seen),
        tokenizer=tokenizer,
        video_processor=hf.MiniMaxM3VLVideoProcessor(**seen),
        chat_template=write_template("]<]video[>[", "]~b]user\n", "[e~[\n", "]~b]ai\n"),
    )
    return "MiniMaxM3SparseForConditionalGeneration", config, processor


BUILDERS = {
    "molmo2": _molmo2,
    "muse_glimmer": _muse_glimmer,
    "muse_spark": _muse_spark,
    "lfm3_vl": _lfm3_vl,
    "kimi_k25": _kimi_k25,
    "minimax_m3_vl": _minimax,
}
