"""Checkpoints of random weights under real configurations, so that nothing is downloaded."""

import torch
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaNextVideoConfig,
    LlavaNextVideoForConditionalGeneration,
)

from probe.organism.network import make_processor
from probe.organism.shapes import make_vocabulary


def save_tiny_llava(folder, *, safe=True, layers=4):
    """LLaVA-NeXT-Video with pooled patches, two layers of vision and some of language."""
    ids = make_vocabulary()
    config = LlavaNextVideoConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
            image_size=32, patch_size=4, projection_dim=32,
        ),
        text_config=LlamaConfig(
            vocab_size=len(ids), hidden_size=64, intermediate_size=128, num_hidden_layers=layers,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512,
            initializer_range=0.2, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        ),
        image_token_index=ids["<image>"],
        video_token_index=ids["<video>"],
        image_grid_pinpoints=[[32, 32]],
        spatial_pool_stride=2,
    )  # fmt: skip
    torch.manual_seed(0)
    model = LlavaNextVideoForConditionalGeneration(config)
    model.save_pretrained(folder)
    processor = make_processor()
    processor.patch_size = 4
    processor.video_processor.size = {"shortest_edge": 32}
    processor.video_processor.crop_size = {"height": 32, "width": 32}
    processor.save_pretrained(folder)
    if not safe:
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
