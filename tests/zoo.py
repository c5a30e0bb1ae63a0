"""A tiny checkpoint of each family: random weights under real configurations, nothing downloaded.

Chat templates and marks are those of the published checkpoints; sizes are as small as they get.
"""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from tiny import save_tiny_llava
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from probe.engine.families import FAMILIES
from probe.video import Video

hf: Any = transformers
"""Its configurations take more than their signatures say."""

SENTENCES = (
    "Yes No yes no Is there a red circle that jumps in this video? What jumps? Describe this video "
    "in details. You are a helpful assistant. user system User Assistant: Frame from seconds frames"
)

TEXT = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "initializer_range": 0.2,
}
EYES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
CHATML = "<|im_start|>", "<|im_end|>"


def save_tiny(family: str, folder: Path) -> None:
    """Write weights, configuration and processor as any checkpoint has them."""
    if family == "llava_next_video":
        save_tiny_llava(folder)
        return
    torch.manual_seed(0)
    kind, config, processor = BUILDERS[family]()
    getattr(hf, kind)(config).save_pretrained(folder)
    processor.save_pretrained(folder)


def moving(frames: int = 5, size: tuple[int, int] = (48, 80)) -> Video:
    """A video of noise, an odd number of frames wider than tall, taken from one twice as long."""
    pictures = np.random.default_rng(0).integers(0, 256, (frames, *size, 3), dtype=np.uint8)
    return Video(pictures, tuple(range(0, 2 * frames, 2)), np.arange(2 * frames) / 4)


@cache
def _pieces(special: tuple[str, ...]) -> str:
    """A tokenizer of byte pairs, as JSON."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<pad>", "<s>", "</s>", *special],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([SENTENCES] * 4, trainer)
    return tokenizer.to_str()


def _tokenizer(*more: str, **named: str) -> transformers.PreTrainedTokenizerFast:
    tokenizer = hf.PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_pieces((*named.values(), *more))),
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        padding_side="left",
        extra_special_tokens=named,
    )
    tokenizer.add_tokens(list(more), special_tokens=True)
    return tokenizer


def _text(kind: type, tokenizer: transformers.PreTrainedTokenizerFast, **more: object) -> Any:
    pad = tokenizer.pad_token_id
    return kind(vocab_size=len(tokenizer), pad_token_id=pad, **TEXT, **more)


def _marks(tokenizer: transformers.PreTrainedTokenizerFast, *names: str) -> dict[str, int]:
    """The ids of named tokens, as a configuration has them."""
    return {f"{name}_id": getattr(tokenizer, f"{name}_id") for name in names}


def _template(video: str, before: str, after: str, answer: str) -> str:
    """A chat template that writes the video first and the user's words behind it."""
    parts = "{% for part in message['content'] if part['type'] == "
    return (
        "{% for message in messages %}"
        + before
        + parts + "'video' %}" + video + "{% endfor %}"
        + parts + "'text' %}{{ part['text'] }}{% endfor %}"
        + after
        + "{% endfor %}{% if add_generation_prompt %}" + answer + "{% endif %}"
    )  # fmt: skip


def _llava_onevision() -> tuple[str, Any, Any]:
    tokenizer = _tokenizer(*CHATML, image_token="<image>", video_token="<video>")
    size = {"height": 20, "width": 20}
    config = hf.LlavaOnevisionConfig(
        vision_config=hf.SiglipVisionConfig(
            patch_size=4, image_size=20, vision_use_head=False, **EYES
        ),
        text_config=_text(hf.Qwen2Config, tokenizer),
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
        chat_template=_template(
            "<video>\n", "<|im_start|>user ", "<|im_end|>", "<|im_start|>assistant\n"
        ),
    )
    return "LlavaOnevisionForConditionalGeneration", config, processor


def _qwen(name: str, eyes: dict, timed: bool = False) -> tuple[str, Any, Any]:
    tokenizer = _tokenizer(
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
        **_marks(tokenizer, "image_token", "video_token", "vision_start_token", "vision_end_token"),
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
        chat_template=_template(
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


def _internvl() -> tuple[str, Any, Any]:
    tokenizer = _tokenizer(
        *CHATML,
        start_image_token="<img>",
        end_image_token="</img>",
        context_image_token="<IMG_CONTEXT>",
        video_token="<video>",
    )
    size = {"height": 24, "width": 24}
    config = hf.InternVLConfig(
        vision_config=hf.InternVLVisionConfig(image_size=(24, 24), patch_size=(4, 4), **EYES),
        text_config=_text(hf.Qwen2Config, tokenizer),
        image_token_id=tokenizer.context_image_token_id,
        image_seq_length=9,
        downsample_ratio=0.5,
    )
    processor = hf.InternVLProcessor(
        image_processor=hf.GotOcr2ImageProcessor(size=size, crop_to_patches=False),
        tokenizer=tokenizer,
        video_processor=hf.InternVLVideoProcessor(size=size),
        image_seq_length=9,
        chat_template=_template(
            "<video>\n", "<|im_start|>user\n", "<|im_end|>\n", "<|im_start|>assistant\n"
        ),
    )
    return "InternVLForConditionalGeneration", config, processor


def _smolvlm() -> tuple[str, Any, Any]:
    tokenizer = _tokenizer(
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
        text_config=_text(hf.LlamaConfig, tokenizer),
        image_token_id=tokenizer.image_token_id,
        scale_factor=2,
    )
    sizes = {"size": edge, "max_image_size": edge}
    processor = hf.SmolVLMProcessor(
        image_processor=hf.SmolVLMImageProcessor(do_image_splitting=False, **sizes),
        tokenizer=tokenizer,
        video_processor=hf.SmolVLMVideoProcessor(num_frames=6, fps=1, **sizes),
        image_seq_len=9,
        chat_template=_template(
            "<video>", "<|im_start|>User: ", "<end_of_utterance>\n", "Assistant:"
        ),
    )
    return "SmolVLMForConditionalGeneration", config, processor


def _video_llava() -> tuple[str, Any, Any]:
    tokenizer = _tokenizer(image_token="<image>", video_token="<video>")
    sizes = {"size": {"shortest_edge": 16}, "crop_size": {"height": 16, "width": 16}}
    config = hf.VideoLlavaConfig(
        vision_config=hf.CLIPVisionConfig(image_size=16, patch_size=4, projection_dim=32, **EYES),
        text_config=_text(hf.LlamaConfig, tokenizer),
        image_token_index=tokenizer.image_token_id,
        video_token_index=tokenizer.video_token_id,
    )
    processor = hf.VideoLlavaProcessor(
        image_processor=hf.VideoLlavaImageProcessor(**sizes),
        video_processor=hf.VideoLlavaVideoProcessor(**sizes),
        tokenizer=tokenizer,
        patch_size=4,
        chat_template=_template("<video>\n", "USER: ", "", " ASSISTANT:"),
    )
    return "VideoLlavaForConditionalGeneration", config, processor


BUILDERS = {
    "llava_onevision": _llava_onevision,
    "qwen2_vl": _qwen2_vl,
    "qwen2_5_vl": _qwen2_5_vl,
    "qwen3_vl": _qwen3_vl,
    "internvl": _internvl,
    "smolvlm": _smolvlm,
    "video_llava": _video_llava,
}
ZOO = tuple(FAMILIES)
