"""Models of referring segmentation with random weights of the real classes: SAM and CLIP."""

import json

import open_clip
import torch
from safetensors.torch import save_file
from transformers import SamConfig, SamImageProcessor, SamModel, SamProcessor

SAM_SIDE = 64


def save_tiny_sam(folder, seed=0):
    """SAM with two layers, on pictures of 64 pixels in cells of 8."""
    image = {"image_size": SAM_SIDE, "patch_size": 8}
    config = SamConfig(
        vision_config={
            "hidden_size": 16, "output_channels": 16, "num_hidden_layers": 2, "window_size": 4,
            "num_attention_heads": 2, "global_attn_indexes": [1], "num_pos_feats": 8,
            "mlp_dim": 32, **image,
        },
        prompt_encoder_config={"hidden_size": 16, "mask_input_channels": 4, **image},
        mask_decoder_config={
            "hidden_size": 16, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 16,
        },
    )  # fmt: skip
    torch.manual_seed(seed)
    model = SamModel(config)
    widen(model)
    model.save_pretrained(folder)
    images = SamImageProcessor(
        size={"longest_edge": SAM_SIDE}, pad_size={"height": SAM_SIDE, "width": SAM_SIDE},
        mask_size={"longest_edge": 32}, mask_pad_size={"height": 32, "width": 32},
    )  # fmt: skip
    SamProcessor(images).save_pretrained(folder)
    return folder


TINY_CLIP = {
    "embed_dim": 16, "quick_gelu": True,
    "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None},
    "text_cfg": {
        "context_length": 32, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1,
    },
}  # fmt: skip
"""CLIP with a ResNet of one block a stage, whose cells are vectors of 256."""


def save_tiny_clip(folder, seed=0):
    """A folder as open_clip publishes them: configuration and weights."""
    folder.mkdir(exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": TINY_CLIP}))
    torch.manual_seed(seed)
    clip = open_clip.CLIP(**TINY_CLIP)
    widen(clip)
    save_file(clip.state_dict(), folder / "open_clip_model.safetensors")
    return folder


def widen(model):
    """Draw weights so wide that the model tells one input from another, as a trained one does."""
    for weight in model.parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=1.5 * weight[0].numel() ** -0.5)
