"""Other families that merge patches of frames, each with words and parts of its own."""

from typing import Any

from zoo.parts import CHATML, TEXT, hf, ids_of, make_tokenizer, text_config, write_template
from zoo.qwen import DEEP, EYES_2_5, EYES_3, MARKS, PATCHES, ROPE, eyes_of, processor_of, text_of

SIZE = {"shortest_edge": 64, "longest_edge": 24 * 40 * 6}


def _cosmos3_edge() -> tuple[str, Any, Any]:
    tokenizer = make_tokenizer(*CHATML, **MARKS)
    config = hf.Cosmos3EdgeConfig(
        vision_config={
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 2, "patch_size": 4, "num_patches": 64,
        },
        text_config=text_of(tokenizer),
        projector_hidden_size=64,
        **ids_of(tokenizer, *MARKS),
    )  # fmt: skip
    processor = hf.Cosmos3EdgeProcessor(
        image_processor=hf.Cosmos3EdgeImageProcessor(patch_size=4, merge_size=2, size=SIZE),
        tokenizer=tokenizer,
        video_processor=hf.Cosmos3EdgeVideoProcessor(patch_size=4, merge_size=2, size=SIZE),
        chat_template=write_template(
            "<|vision_start|><|video_pad|><|vision_end|>",
            "<|im_start|>user\n",
            "<|im_end|>\n",
            "<|im_start|>assistant\n",
        ),
    )
    return "Cosmos3EdgeForConditionalGeneration", config, processor


def _cohere_compass() -> tuple[str, Any, Any]:
    marks = {
        "image_token": "<|IMAGE_PAD|>",
        "video_token": "<|VIDEO_PAD|>",
        "vision_start_token": "<|VISION_START|>",
        "vision_end_token": "<|VISION_END|>",
    }
    turns = ("<|START_OF_TURN_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>")
    tokenizer = make_tokenizer(*turns, "<|END_OF_TURN_TOKEN|>", **marks)
    config = hf.CohereCompassConfig(
        vision_config=eyes_of(**EYES_3, **DEEP),
        text_config={
            "vocab_size": len(tokenizer), "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
            **TEXT, "sliding_window": 24, "logit_scale": 0.25,
            "layer_types": ["sliding_attention", "full_attention"] * 2,
            "rope_parameters": {
                "sliding_attention": {**ROPE, "mrope_section": [3, 3, 2]},
                "full_attention": None,
            },
        },
        **ids_of(tokenizer, *marks),
    )  # fmt: skip
    processor = hf.CohereCompassProcessor(
        image_processor=hf.CohereCompassImageProcessor(merge_size=2, size=SIZE, **PATCHES),
        tokenizer=tokenizer,
        video_processor=hf.CohereCompassVideoProcessor(merge_size=2, size=SIZE, **PATCHES),
        chat_template=write_template(
            "<|VIDEO_PAD|>",
            "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>",
            "<|END_OF_TURN_TOKEN|>",
            "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
        ),
    )
    return "CohereCompassForConditionalGeneration", config, processor


def _exaone4_5() -> tuple[str, Any, Any]:
    turns = ("[|user|]", "[|assistant|]", "[|endofturn|]", "<vision>", "</vision>")
    tokenizer = make_tokenizer(*turns, **MARKS)
    config = hf.Exaone4_5_Config(
        vision_config=eyes_of(num_key_value_heads=2, **EYES_2_5),
        text_config={
            "model_type": "exaone4", "vocab_size": len(tokenizer), "pad_token_id": 0,
            "bos_token_id": 1, "eos_token_id": 2, **TEXT, "sliding_window": 24,
            "sliding_window_pattern": 4,
        },
        **ids_of(tokenizer, "image_token", "video_token"),
    )  # fmt: skip
    processor = processor_of("Exaone4_5_", tokenizer, timed=False)
    processor.chat_template = write_template(
        "<vision><|video_pad|></vision>", "[|user|]\n", "[|endofturn|]\n", "[|assistant|]\n"
    )
    return "Exaone4_5_ForConditionalGeneration", config, processor


def _hyperclovax() -> tuple[str, Any, Any]:
    marks = {"image_token": "<|IMAGE_PAD|>", "video_token": "<|VIDEO_PAD|>"}
    tokenizer = make_tokenizer(*CHATML, "<|video_start|>", "<|video_end|>", **marks)
    config = hf.HyperCLOVAXVisionV2Config(
        vision_config={"model_type": "qwen2_5_vl_vision", **eyes_of(**EYES_2_5)},
        text_config={
            "model_type": "hyperclovax", "vocab_size": len(tokenizer), "pad_token_id": 0,
            "bos_token_id": 1, "eos_token_id": 2, "head_dim": 16, **TEXT, "logits_scaling": 0.5,
            "attention_multiplier": 0.3, "residual_multiplier": 0.8, "embedding_multiplier": 2.0,
        },
        tie_word_embeddings=False,
        **ids_of(tokenizer, *marks),
    )  # fmt: skip
    processor = processor_of("HyperCLOVAXVisionV2", tokenizer, timed=False)
    processor.chat_template = write_template(
        "<|video_start|><|VIDEO_PAD|><|video_end|>\n",
        "<|im_start|>user\n",
        "<|im_end|>\n",
        "<|im_start|>assistant\n",
    )
    return "HyperCLOVAXVisionV2ForConditionalGeneration", config, processor


def _ernie() -> tuple[str, Any, Any]:
    marks = {
        "image_token": "<|IMAGE_PLACEHOLDER|>",
        "image_start_token": "<|IMAGE_START|>",
        "image_end_token": "<|IMAGE_END|>",
        "video_token": "<|VIDEO_PLACEHOLDER|>",
        "video_start_token": "<|VIDEO_START|>",
        "video_end_token": "<|VIDEO_END|>",
    }
    tokenizer = make_tokenizer(**marks)
    config = hf.Ernie4_5_VLMoeConfig(
        vision_config={
            "depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "patch_size": 4,
            "spatial_merge_size": 2, "temporal_merge_size": 2, "initializer_range": 0.1,
        },
        text_config={
            "vocab_size": len(tokenizer), "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
            **TEXT, "moe_intermediate_size": [32, 32], "moe_k": 2, "moe_num_experts": 4,
            "moe_num_shared_experts": 1, "mlp_layer_types": ["dense", "sparse", "sparse", "sparse"],
            "rope_parameters": {**ROPE, "mrope_section": [3, 3, 2]},
        },
        **ids_of(tokenizer, *marks),
    )  # fmt: skip
    processor = hf.Ernie4_5_VLMoeProcessor(
        image_processor=hf.Ernie4_5_VLMoeImageProcessor(patch_size=4, merge_size=2, size=SIZE),
        tokenizer=tokenizer,
        video_processor=hf.Ernie4_5_VLMoeVideoProcessor(
            patch_size=4, merge_size=2, size=SIZE, draw_on_frames=False
        ),
        chat_template=write_template(
            "Video 1:<|VIDEO_START|><|VIDEO_PLACEHOLDER|><|VIDEO_END|>",
            "<s>User: ",
            "\n",
            "Assistant: ",
        ),
    )
    return "Ernie4_5_VLMoeForConditionalGeneration", config, processor


def _video_llama_3() -> tuple[str, Any, Any]:
    tokenizer = make_tokenizer(*CHATML, image_token="<image>", video_token="<video>")
    config = hf.VideoLlama3Config(
        vision_config={
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 2, "patch_size": 4, "initializer_range": 0.1,
        },
        text_config=text_config(hf.Qwen2Config, tokenizer),
        **ids_of(tokenizer, "image_token", "video_token"),
    )  # fmt: skip
    processor = hf.VideoLlama3Processor(
        image_processor=hf.VideoLlama3ImageProcessor(patch_size=4, merge_size=1, size=SIZE),
        tokenizer=tokenizer,
        video_processor=hf.VideoLlama3VideoProcessor(patch_size=4, merge_size=2, size=SIZE),
        chat_template=write_template(
            "<video>\n", "<|im_start|>user\n", "<|im_end|>\n", "<|im_start|>assistant\n"
        ),
    )
    return "VideoLlama3ForConditionalGeneration", config, processor


BUILDERS = {
    "cosmos3_edge": _cosmos3_edge,
    "cohere_compass": _cohere_compass,
    "exaone4_5": _exaone4_5,
    "hyperclovax_vision_v2": _hyperclovax,
    "ernie4_5_vl_moe": _ernie,
    "video_llama_3": _video_llama_3,
}
