"""Families that are shown pictures alone."""

from typing import Any

import numpy as np

from probe.video import Video, read_image
from zoo.parts import CHATML, EYES, hf, make_tokenizer, text_config, write_template


def still(size: tuple[int, int] = (48, 80)) -> Video:
    """A picture of noise, wider than tall."""
    return read_image(np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8))


def _llava(**options: Any) -> tuple[str, Any, Any]:
    tokenizer = make_tokenizer(image_token="<image>")
    config = hf.LlavaConfig(
        vision_config=hf.CLIPVisionConfig(image_size=24, patch_size=4, projection_dim=32, **EYES),
        text_config=text_config(hf.LlamaConfig, tokenizer),
        image_token_index=tokenizer.image_token_id,
        image_seq_length=36,
    )
    eye = hf.LlavaImageProcessor if options else hf.CLIPImageProcessor
    processor = hf.LlavaProcessor(
        image_processor=eye(
            size={"shortest_edge": 24}, crop_size={"height": 24, "width": 24}, **options
        ),
        tokenizer=tokenizer,
        patch_size=4,
        num_additional_image_tokens=1,
        vision_feature_select_strategy="default",
        chat_template=write_template("<image>\n", "USER: ", "", " ASSISTANT:"),
    )
    return "LlavaForConditionalGeneration", config, processor


def _padded_llava() -> tuple[str, Any, Any]:
    return _llava(do_pad=True)


def _llava_next() -> tuple[str, Any, Any]:
    tokenizer = make_tokenizer(image_token="<image>")
    tiles = [[24, 48], [48, 24], [48, 48]]
    config = hf.LlavaNextConfig(
        vision_config=hf.CLIPVisionConfig(image_size=24, patch_size=4, projection_dim=32, **EYES),
        text_config=text_config(hf.LlamaConfig, tokenizer),
        image_token_index=tokenizer.image_token_id,
        image_grid_pinpoints=tiles,
    )
    processor = hf.LlavaNextProcessor(
        image_processor=hf.LlavaNextImageProcessor(
            size={"shortest_edge": 24},
            crop_size={"height": 24, "width": 24},
            image_grid_pinpoints=tiles,
        ),
        tokenizer=tokenizer,
        patch_size=4,
        num_additional_image_tokens=1,
        vision_feature_select_strategy="default",
        chat_template=write_template("<image>\n", "[INST] ", " [/INST]", ""),
    )
    return "LlavaNextForConditionalGeneration", config, processor


def _idefics3() -> tuple[str, Any, Any]:
    tokenizer = make_tokenizer(
        *CHATML,
        *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)),
        image_token="<image>",
        fake_image_token="<fake_token_around_image>",
        global_image_token="<global-img>",
        end_of_utterance_token="<end_of_utterance>",
    )
    config = hf.Idefics3Config(
        vision_config=hf.Idefics3VisionConfig(image_size=24, patch_size=4, **EYES),
        text_config=text_config(hf.LlamaConfig, tokenizer),
        image_token_id=tokenizer.image_token_id,
        scale_factor=2,
    )
    processor = hf.Idefics3Processor(
        # As published: a picture is cut into tiles unless that is switched off.
        image_processor=hf.Idefics3ImageProcessor(
            size={"longest_edge": 48}, max_image_size={"longest_edge": 24}
        ),
        tokenizer=tokenizer,
        image_seq_len=9,
        chat_template=write_template(
            "<image>", "<|im_start|>User:", "<end_of_utterance>\n", "Assistant:"
        ),
    )
    return "Idefics3ForConditionalGeneration", config, processor


def _gemma3() -> tuple[str, Any, Any]:
    """A picture's tokens all see each other, and every second layer sees a window alone."""
    tokenizer = make_tokenizer(
        "<start_of_turn>",
        "<end_of_turn>",
        image_token="<image_soft_token>",
        boi_token="<start_of_image>",
        eoi_token="<end_of_image>",
    )
    config = hf.Gemma3Config(
        vision_config=hf.SiglipVisionConfig(
            patch_size=4, image_size=24, vision_use_head=False, **EYES
        ),
        text_config=text_config(
            hf.Gemma3TextConfig,
            tokenizer,
            head_dim=16,
            sliding_window=24,
            layer_types=["sliding_attention", "full_attention"] * 2,
        ),
        mm_tokens_per_image=9,
        image_token_index=tokenizer.image_token_id,
        boi_token_index=tokenizer.boi_token_id,
        eoi_token_index=tokenizer.eoi_token_id,
    )
    processor = hf.Gemma3Processor(
        image_processor=hf.Gemma3ImageProcessor(size={"height": 24, "width": 24}),
        tokenizer=tokenizer,
        image_seq_length=9,
        chat_template=write_template(
            "<start_of_image>",
            "<s><start_of_turn>user\n",
            "<end_of_turn>\n",
            "<start_of_turn>model\n",
        ),
    )
    return "Gemma3ForConditionalGeneration", config, processor


BUILDERS = {
    "gemma3": _gemma3,
    "llava": _llava,
    "padded_llava": _padded_llava,
    "llava_next": _llava_next,
    "idefics3": _idefics3,
}
