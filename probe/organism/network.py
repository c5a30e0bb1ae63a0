"""The organism's network: a LLaVA-NeXT-Video of a few million parameters, with its processor.

It is a plain `LlavaNextVideoForConditionalGeneration`: `from_pretrained` opens the folder that
`save_checkpoint` writes, without this module.
"""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaNextImageProcessor,
    LlavaNextVideoConfig,
    LlavaNextVideoForConditionalGeneration,
    LlavaNextVideoProcessor,
    LlavaNextVideoVideoProcessor,
)

from probe.organism.shapes import SHAPES
from probe.organism.tokens import get_token_ids, open_tokenizer
from probe.organism.worlds import World


def make_processor(world: World = SHAPES) -> LlavaNextVideoProcessor:
    """Make the processor, which turns a video and a text into the organism's inputs."""
    side = world.side
    size: Any = {"size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}}
    return LlavaNextVideoProcessor(
        video_processor=LlavaNextVideoVideoProcessor(**size, num_frames=world.sampled_frames),
        image_processor=LlavaNextImageProcessor(**size, image_grid_pinpoints=[[side, side]]),
        tokenizer=open_tokenizer(world),
        # The processor counts a visual token for every four patches, because LLaVA-NeXT-Video pools
        # them. The organism does not pool: half the patch size gives the right count.
        patch_size=world.body.patch // 2,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=world.body.chat_template,
    )


def make_config(world: World = SHAPES) -> LlavaNextVideoConfig:
    """Make the configuration with the sizes of a world's organism."""
    body, ids = world.body, open_tokenizer(world).get_vocab()
    pad, begin, end, image, video = get_token_ids(
        ("<pad>", body.begin, body.end, "<image>", "<video>"), world
    )
    vision = CLIPVisionConfig(
        hidden_size=body.tower.width,
        intermediate_size=body.tower.hidden,
        num_hidden_layers=body.tower.layers,
        num_attention_heads=body.tower.heads,
        image_size=world.side,
        patch_size=body.patch,
        projection_dim=body.tower.width,
    )
    text = LlamaConfig(
        vocab_size=len(ids),
        hidden_size=body.decoder.width,
        intermediate_size=body.decoder.hidden,
        num_hidden_layers=body.decoder.layers,
        num_attention_heads=body.decoder.heads,
        num_key_value_heads=body.decoder.heads,
        initializer_range=0.05,
        max_position_embeddings=2048,
        pad_token_id=pad,
        bos_token_id=begin,
        eos_token_id=end,
    )
    return LlavaNextVideoConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=image,
        video_token_index=video,
        image_grid_pinpoints=[[world.side, world.side]],
        vision_feature_layer=-1,
        spatial_pool_stride=1,
        video_seq_length=world.visual_tokens,
    )


def make_network(seed: int, world: World = SHAPES) -> LlavaNextVideoForConditionalGeneration:
    """Make an untrained organism of a world."""
    torch.manual_seed(seed)
    return LlavaNextVideoForConditionalGeneration._from_config(
        make_config(world), attn_implementation="sdpa"
    )


def save_checkpoint(
    network: LlavaNextVideoForConditionalGeneration, folder: Path, world: World = SHAPES
) -> None:
    """Write a Hugging Face checkpoint: weights in float16, configuration and processor."""
    folder.mkdir(parents=True, exist_ok=True)
    # `half()` changes a network in place, so it is called on a copy.
    half = make_network(0, world).half()
    half.load_state_dict(network.state_dict())
    half.save_pretrained(folder)
    make_processor(world).save_pretrained(folder)
