"""Shapes of published checkpoints, with their processors, cut to two layers.

Every number below that is no count of layers is that of the checkpoint's own `config.json` and
`preprocessor_config.json` (or `video_preprocessor_config.json`), as copies of these files in public
repositories have it; entries that are not named have the default of their class in transformers.
Only the words are other ones: a tokenizer of a few hundred, whose ids lie inside the vocabulary.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from zoo import gemma, qwen
from zoo.parts import CHATML, hf, ids_of, make_tokenizer, write_template

LAYERS = 2
"""Layers of each decoder and of each vision tower: a layer of every kind, and one that reads what
another has written."""


@dataclass(frozen=True)
class Shape:
    """One published checkpoint, and the clip that it is shown."""

    name: str
    """Its name on the hub."""

    make: Callable[[], tuple[str, Any, Any]]
    """Function that makes the name of the model's class, its configuration and its processor."""

    size: tuple[int, int]
    """Height and width of a frame, small where the processor makes fewer cells of a small one."""

    frames: int = 3
    """Frames of the clip, an odd number: models that merge frames must pad it."""

    frames_beyond: int | None = None
    """Frames that make more tokens than the sliding window holds; None if no layer slides."""

    def build(self, dtype: torch.dtype) -> tuple[Any, Any]:
        """Make the model with random weights, as one is opened in this type, and its processor."""
        kind, config, processor = self.make()
        torch.manual_seed(0)
        # Not made in one type and converted: `.to` would round the tables of rotary positions,
        # too, which are in float32 whatever the weights are.
        module = getattr(hf, kind)._from_config(config, dtype=dtype).eval()
        for name, bound in module.named_buffers():
            # The published ones hold numbers; those of a new model are infinite.
            if name.endswith(("_min", "_max")):
                bound.fill_(-LARGEST if name.endswith("_min") else LARGEST)
        if kind.startswith("Gemma4"):
            _scale_queries(module.model.language_model)
        return module, processor


LARGEST = 64.0
"""A bound of the vision tower's linear maps that random weights do not reach."""


@torch.no_grad()
def _scale_queries(decoder: Any) -> None:
    """Divide queries by the root of their width, by the weights of their norm.

    Gemma 4 does not divide scores of attention by it; training has to find the scale. With the
    weights of one that a new model has, scores come to hundreds, of which bfloat16 knows whole
    numbers: rows of it miss those of float32 by 0.4, with either kernel (by 3e-4 if divided).
    """
    for layer in decoder.layers:
        norm = layer.self_attn.q_norm.weight
        norm.fill_(norm.numel() ** -0.5)


def _llava_next_video() -> tuple[str, Any, Any]:
    """LLaVA-NeXT-Video-7B: 32 heads of keys for 32 of queries; rotary positions 2.5 to one."""
    tokenizer = make_tokenizer(image_token="<image>", video_token="<video>")
    crop = {"size": {"shortest_edge": 336}, "crop_size": {"height": 336, "width": 336}}
    config = hf.LlavaNextVideoConfig(
        vision_config=hf.CLIPVisionConfig(
            hidden_size=1024, intermediate_size=4096, num_hidden_layers=LAYERS,
            num_attention_heads=16, image_size=336, patch_size=14, projection_dim=768,
            vocab_size=32000,
        ),
        text_config=hf.LlamaConfig(
            vocab_size=32064, hidden_size=4096, intermediate_size=11008, num_hidden_layers=LAYERS,
            num_attention_heads=32, num_key_value_heads=32, head_dim=128, rms_norm_eps=1e-5,
            max_position_embeddings=4096,
            rope_parameters={"rope_type": "linear", "factor": 2.5, "rope_theta": 10000.0},
            pad_token_id=0,
        ),
        image_token_index=tokenizer.image_token_id,
        video_token_index=tokenizer.video_token_id,
        spatial_pool_stride=2,
        vision_feature_layer=-2,
    )  # fmt: skip
    processor = hf.LlavaNextVideoProcessor(
        video_processor=hf.LlavaNextVideoVideoProcessor(**crop),
        image_processor=hf.LlavaNextImageProcessor(**crop),
        tokenizer=tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=write_template("<video>\n", "USER: ", " ", "ASSISTANT:"),
    )
    return "LlavaNextVideoForConditionalGeneration", config, processor


def _processor_of_qwen(name: str, tokenizer: Any, videos: Any, pictures: Any) -> Any:
    return getattr(hf, name)(
        image_processor=pictures,
        tokenizer=tokenizer,
        video_processor=videos,
        chat_template=write_template(
            "<|vision_start|><|video_pad|><|vision_end|>",
            "<|im_start|>user\n",
            "<|im_end|>\n",
            "<|im_start|>assistant\n",
        ),
    )


def _qwen2_5_vl() -> tuple[str, Any, Any]:
    """Qwen2.5-VL-7B: seven heads share keys; positions of three axes; windows of the tower."""
    tokenizer = make_tokenizer(*CHATML, **qwen.MARKS)
    config = hf.Qwen2_5_VLConfig(
        vision_config={
            "depth": LAYERS, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16,
            "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2,
            "window_size": 112, "fullatt_block_indexes": [1], "out_hidden_size": 3584,
            "tokens_per_second": 2,
        },
        text_config={
            "vocab_size": 152064, "hidden_size": 3584, "intermediate_size": 18944,
            "num_hidden_layers": LAYERS, "num_attention_heads": 28, "num_key_value_heads": 4,
            "max_position_embeddings": 128000, "rms_norm_eps": 1e-6,
            "rope_parameters": {
                "rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24],
            },
            "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
        },
        **ids_of(tokenizer, *qwen.MARKS),
    )  # fmt: skip
    seen = {"size": {"shortest_edge": 56 * 56, "longest_edge": 12845056}}
    processor = _processor_of_qwen(
        "Qwen2_5_VLProcessor",
        tokenizer,
        hf.Qwen2VLVideoProcessor(**seen),
        hf.Qwen2VLImageProcessor(**seen),
    )
    return "Qwen2_5_VLForConditionalGeneration", config, processor


def _qwen3_vl() -> tuple[str, Any, Any]:
    """Qwen3-VL-4B: heads wider together than the states; axes interleaved; levels of the tower."""
    tokenizer = make_tokenizer(*CHATML, **qwen.MARKS)
    config = hf.Qwen3VLConfig(
        vision_config={
            "depth": LAYERS, "hidden_size": 1024, "intermediate_size": 4096, "num_heads": 16,
            "patch_size": 16, "spatial_merge_size": 2, "temporal_patch_size": 2,
            "num_position_embeddings": 2304, "out_hidden_size": 2560,
            "deepstack_visual_indexes": [0, 1],
        },
        text_config={
            "vocab_size": 151936, "hidden_size": 2560, "intermediate_size": 9728,
            "num_hidden_layers": LAYERS, "num_attention_heads": 32, "num_key_value_heads": 8,
            "head_dim": 128, "max_position_embeddings": 262144, "rms_norm_eps": 1e-6,
            "rope_parameters": {
                "rope_type": "default", "rope_theta": 5e6, "mrope_section": [24, 20, 20],
                "mrope_interleaved": True,
            },
            "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
        },
        tie_word_embeddings=True,
        **ids_of(tokenizer, *qwen.MARKS),
    )  # fmt: skip
    halves = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "patch_size": 16, "merge_size": 2}
    processor = _processor_of_qwen(
        "Qwen3VLProcessor",
        tokenizer,
        hf.Qwen3VLVideoProcessor(
            size={"shortest_edge": 4096, "longest_edge": 25165824}, temporal_patch_size=2, **halves
        ),
        hf.Qwen2VLImageProcessor(size={"shortest_edge": 65536, "longest_edge": 16777216}, **halves),
    )
    return "Qwen3VLForConditionalGeneration", config, processor


def _gemma4(eyes: dict[str, Any], **text: Any) -> tuple[str, Any, Any]:
    """Gemma 4: a layer that slides and one that sees all, with heads twice as wide."""
    tokenizer = make_tokenizer(
        "<|turn>", "<turn|>", image_token="<|image|>", boi_token="<|image>", eoi_token="<image|>",
        video_token="<|video|>", audio_token="<|audio|>", boa_token="<|audio>",
        eoa_token="<audio|>",
    )  # fmt: skip
    config = hf.Gemma4Config(
        audio_config=None,
        vision_config={"num_hidden_layers": LAYERS, **eyes},
        text_config={
            "vocab_size": 262144, "num_hidden_layers": LAYERS, "head_dim": 256,
            "global_head_dim": 512, "final_logit_softcapping": 30.0,
            "layer_types": ["sliding_attention", "full_attention"],
            "rope_parameters": {
                "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
                "full_attention": {
                    "rope_type": "proportional", "partial_rotary_factor": 0.25, "rope_theta": 1e6,
                },
            },
            "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, **text,
        },
        **{entry: tokenizer.convert_tokens_to_ids(mark) for entry, mark in gemma.MARKS.items()},
    )  # fmt: skip
    processor = hf.Gemma4Processor(
        feature_extractor=hf.Gemma4AudioFeatureExtractor(),
        image_processor=hf.Gemma4ImageProcessor(),
        tokenizer=tokenizer,
        video_processor=hf.Gemma4VideoProcessor(),
        chat_template=write_template(
            "\n\n<|video|>\n\n", "<s><|turn>user\n", "<turn|>\n", "<|turn>model\n"
        ),
    )
    return "Gemma4ForConditionalGeneration", config, processor


def _gemma4_small() -> tuple[str, Any, Any]:
    """Gemma 4 E4B: an input for each layer, and a window shorter than the clip."""
    return _gemma4(
        {
            "hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12,
            "num_key_value_heads": 12, "head_dim": 64, "use_clipped_linears": True,
        },
        hidden_size=2560, intermediate_size=10240, num_attention_heads=8, num_key_value_heads=2,
        sliding_window=512, max_position_embeddings=131072, hidden_size_per_layer_input=256,
        vocab_size_per_layer_input=262144,
    )  # fmt: skip


def _gemma4_large() -> tuple[str, Any, Any]:
    """Gemma 4 26B-A4B: frames that see all of themselves, keys that are values too, experts."""
    return _gemma4(
        {
            "hidden_size": 1152, "intermediate_size": 4304, "num_attention_heads": 16,
            "num_key_value_heads": 16, "head_dim": 72, "standardize": True,
        },
        hidden_size=2816, intermediate_size=2112, num_attention_heads=16, num_key_value_heads=8,
        num_global_key_value_heads=2, attention_k_eq_v=True, sliding_window=1024,
        max_position_embeddings=262144, hidden_size_per_layer_input=0,
        use_bidirectional_attention="vision", enable_moe_block=True, moe_intermediate_size=704,
        # A token meets 8 experts, as published; of 128, whose weights would take 6 GB, there are
        # 16, which changes no layer's shape but the router's.
        num_experts=16, top_k_experts=8,
    )  # fmt: skip


SHAPES = (
    Shape("llava-hf/LLaVA-NeXT-Video-7B-hf", _llava_next_video, (336, 448)),
    Shape("Qwen/Qwen2.5-VL-7B-Instruct", _qwen2_5_vl, (168, 280)),
    Shape("Qwen/Qwen3-VL-4B-Instruct", _qwen3_vl, (192, 320)),
    # Gemma makes 6 x 10 cells of each frame, and a few tokens that say its time.
    Shape("google/gemma-4-E4B-it", _gemma4_small, (192, 320), frames_beyond=9),
    Shape("google/gemma-4-26B-A4B-it", _gemma4_large, (192, 320), frames_beyond=17),
)
