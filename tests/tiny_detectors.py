"""Detectors of random weights under real configurations, so that nothing is downloaded."""

import torch
from transformers import (
    BertConfig,
    BertTokenizer,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessor,
    GroundingDinoProcessor,
    Sam2ImageProcessor,
    Sam2VideoConfig,
    Sam2VideoModel,
    Sam2VideoProcessor,
    Sam2VideoVideoProcessor,
)

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = (*SPECIAL, ".", "?", "the", "a", "red", "blue", "circle", "square", "man", "dog", "person")
SIDE = 64
"""Width and height of the pictures that SAM 2 sees, half those that GroundingDINO sees."""


def save_tiny_finder(folder, seed=0):
    """GroundingDINO with one layer of encoder, two of decoder and six queries."""
    vocabulary = {word: index for index, word in enumerate(WORDS)}
    config = GroundingDinoConfig(
        backbone_config={
            "model_type": "swin", "image_size": 2 * SIDE, "patch_size": 4, "embed_dim": 8,
            "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2], "window_size": 2,
            "out_indices": [2, 3, 4],
        },
        text_config=BertConfig(
            vocab_size=len(WORDS), hidden_size=16, intermediate_size=32, num_hidden_layers=1,
            num_attention_heads=2, max_position_embeddings=64,
        ),
        d_model=32, encoder_layers=1, decoder_layers=2, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, num_queries=6,
        max_text_len=32,
    )  # fmt: skip
    torch.manual_seed(seed)
    GroundingDinoForObjectDetection(config).save_pretrained(folder)
    GroundingDinoProcessor(
        GroundingDinoImageProcessor(size={"shortest_edge": 2 * SIDE, "longest_edge": 4 * SIDE}),
        BertTokenizer(vocab=vocabulary),
    ).save_pretrained(folder)


def save_tiny_tracker(folder):
    """SAM 2 video: a Hiera of five blocks, one layer of the rest and four steps of memory."""
    grid = SIDE // 16
    config = Sam2VideoConfig(
        vision_config={
            "backbone_config": {
                "model_type": "sam2_hiera_det_model",
                "hidden_size": 8, "image_size": [SIDE, SIDE], "blocks_per_stage": [1, 1, 2, 1],
                "embed_dim_per_stage": [8, 16, 32, 64],
                "num_attention_heads_per_stage": [1, 1, 2, 2],
                "window_size_per_stage": [4, 4, 4, 4], "global_attention_blocks": [3],
                "window_positional_embedding_background_size": [2, 2],
            },
            "backbone_channel_list": [64, 32, 16, 8],
            "backbone_feature_sizes": [[4 * grid] * 2, [2 * grid] * 2, [grid] * 2],
            "fpn_hidden_size": 128,
        },
        prompt_encoder_config={
            "hidden_size": 128, "image_size": SIDE, "patch_size": 16, "mask_input_channels": 8,
        },
        mask_decoder_config={
            "hidden_size": 128, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 16,
        },
        num_maskmem=3, max_object_pointers_in_encoder=4,
        image_size=SIDE, memory_attention_hidden_size=128, memory_attention_num_layers=1,
        memory_attention_feed_forward_hidden_size=32,
        memory_attention_rope_feat_sizes=[grid, grid], memory_encoder_hidden_size=128,
        memory_encoder_output_channels=64, mask_downsampler_embed_dim=128,
        memory_fuser_embed_dim=128, memory_fuser_intermediate_dim=32,
    )  # fmt: skip
    torch.manual_seed(2)
    model = Sam2VideoModel(config)
    for weight in model.parameters():  # wide enough for masks with an inside and an outside
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=0.1)
    model.save_pretrained(folder)
    size = {"height": SIDE, "width": SIDE}
    Sam2VideoProcessor(
        Sam2ImageProcessor(size=size, mask_size={"height": 4 * grid, "width": 4 * grid}),
        Sam2VideoVideoProcessor(size=size),
    ).save_pretrained(folder)
