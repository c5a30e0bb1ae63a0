"""Families that see each frame as a square of patches."""

from typing import Any

from zoo.parts import CHATML, EYES, hf, make_tokenizer, text_config, write_template


def _llava_onevision() -> tuple[str, Any, Any]:
    tokenizer = make_tokenizer(*CHATML, image_token="<image>", video_token="<video>")
    size = {"height": 20, "width": 20}
    config = hf.LlavaOnevisionConfig(
        vision_config=hf.SiglipVisionConfig(
            patch_size=4, image_size=20, vision_use_head=False, **EYES
        ),
        text_config=text_config(hf.Qwen2Config, tokenizer),
        image_token_index=tokenizer.image_token_id,
        video_token_index=tokenizer.video_token_id,
        image_grid_pinpoints=[[20, 40], [40, 20]],
    )
    processor = hf.LlavaOnevisionProcessor(
        video_processor=hf.LlavaOnevisionVideoProcessor(size=size),
        image_processor=hf.LlavaOnevisionImageProcessor(size=size),
        tokenizer=tokenizer,
        num_image_tokens=25,
        vision_feature_select_strategy="full",
        chat_template=write_template(
            "<video>\n", "<|im_start|>user ", "<|im_end|>", "<|im_start|>assistant\n"
        ),
    )
    return "LlavaOnevisionForConditionalGeneration", config, processor


def _internvl() -> tuple[str, Any, Any]:
    tokenizer = make_tokenizer(
        *CHATML,
        start_image_token="<img>",
        end_image_token="</img>",
        context_image_token="<IMG_CONTEXT>",
        video_token="<video>",
    )
    size = {"height": 24, "width": 24}
    config = hf.InternVLConfig(
        vision_config=hf.InternVLVisionConfig(image_size=(24, 24), patch_size=(4, 4), **EYES),
        text_config=text_config(hf.Qwen2Config, tokenizer),
        image_token_id=tokenizer.context_image_token_id,
        image_seq_length=9,
        downsample_ratio=0.5,
    )
    processor = hf.InternVLProcessor(
        image_processor=hf.GotOcr2ImageProcessor(size=size, crop_to_patches=False),
        tokenizer=tokenizer,
        video_processor=hf.InternVLVideoProcessor(size=size),
        image_seq_length=9,
        chat_template=write_template(
            "<video>\n",
            "<|im_start|>user\n",
            "<|im_end|>\n",
            "<|im_start|>assistant\n",
            image="<IMG_CONTEXT>\n",
        ),
    )
    return "InternVLForConditionalGeneration", config, processor


def _smolvlm() -> tuple[str, Any, Any]:
    tokenizer = make_tokenizer(
        *CHATML,
        image_token="<image>",
        fake_image_token="<fake_token_around_image>",
        global_image_token="<global-img>",
        video_token="<video>",
        end_of_utterance_token="<end_of_utterance>",
    )
    edge = {"longest_edge": 24}
    config = hf.SmolVLMConfig(
        vision_config=hf.SmolVLMVisionConfig(image_size=24, patch_size=4, **EYES),
        text_config=text_config(hf.LlamaConfig, tokenizer),
        image_token_id=tokenizer.image_token_id,
        scale_factor=2,
    )
    sizes = {"size": edge, "max_image_size": edge}
    processor = hf.SmolVLMProcessor(
        image_processor=hf.SmolVLMImageProcessor(do_image_splitting=False, **sizes),
        tokenizer=tokenizer,
        video_processor=hf.SmolVLMVideoProcessor(num_frames=6, fps=1, **sizes),
        image_seq_len=9,
        chat_template=write_template(
            "<video>", "<|im_start|>User: ", "<end_of_utterance>\n", "Assistant:"
        ),
    )
    return "SmolVLMForConditionalGeneration", config, processor


def _video_llava() -> tuple[str, Any, Any]:
    tokenizer = make_tokenizer(image_token="<image>", video_token="<video>")
    sizes = {"size": {"shortest_edge": 16}, "crop_size": {"height": 16, "width": 16}}
    config = hf.VideoLlavaConfig(
        vision_config=hf.CLIPVisionConfig(image_size=16, patch_size=4, projection_dim=32, **EYES),
        text_config=text_config(hf.LlamaConfig, tokenizer),
        image_token_index=tokenizer.image_token_id,
        video_token_index=tokenizer.video_token_id,
    )
    processor = hf.VideoLlavaProcessor(
        image_processor=hf.VideoLlavaImageProcessor(**sizes),
        video_processor=hf.VideoLlavaVideoProcessor(**sizes),
        tokenizer=tokenizer,
        patch_size=4,
        chat_template=write_template("<video>\n", "USER: ", "", " ASSISTANT:"),
    )
    return "VideoLlavaForConditionalGeneration", config, processor


def _perception_lm() -> tuple[str, Any, Any]:
    turns = ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
    tokenizer = make_tokenizer(*turns, image_token="<|image|>", video_token="<|video|>")
    config = hf.PerceptionLMConfig(
        vision_config={
            "model_type": "timm_wrapper", "architecture": "vit_pe_core_large_patch14_336",
            "do_pooling": False, "num_classes": 0, "global_pool": "",
            "model_args": {
                "embed_dim": 32, "img_size": (24, 24), "depth": 2, "num_heads": 2, "patch_size":
                (4, 4), "class_token": True, "global_pool": "", "use_post_transformer_norm": False,
                "init_values": 0.1, "ref_feat_shape": (1, 1),
            },
        },
        text_config=text_config(hf.LlamaConfig, tokenizer),
        image_token_id=tokenizer.image_token_id,
        video_token_id=tokenizer.video_token_id,
        projector_pooling_ratio=2,
    )  # fmt: skip
    processor = hf.PerceptionLMProcessor(
        image_processor=hf.PerceptionLMImageProcessor(tile_size=24),
        tokenizer=tokenizer,
        video_processor=hf.PerceptionLMVideoProcessor(size={"height": 24, "width": 24}),
        patch_size=4,
        pooling_ratio=2,
        chat_template=write_template(
            "<|video|>",
            "<s><|start_header_id|>user<|end_header_id|>\n\n",
            "<|eot_id|>",
            "<|start_header_id|>assistant<|end_header_id|>\n\n",
        ),
    )
    return "PerceptionLMForConditionalGeneration", config, processor


BUILDERS = {
    "llava_onevision": _llava_onevision,
    "internvl": _internvl,
    "smolvlm": _smolvlm,
    "video_llava": _video_llava,
    "perception_lm": _perception_lm,
}
