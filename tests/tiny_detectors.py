"""Detectors of random weights under real configurations, so that nothing is downloaded."""

import torch
from transformers import (
    BertConfig,
    BertTokenizer,
    CLIPTokenizer,
    DetrImageProcessor,
    DFineConfig,
    DFineForObjectDetection,
    EdgeTamVideoConfig,
    EdgeTamVideoModel,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessor,
    GroundingDinoProcessor,
    MMGroundingDinoConfig,
    MMGroundingDinoForObjectDetection,
    OmDetTurboConfig,
    OmDetTurboForObjectDetection,
    OmDetTurboProcessor,
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2ImageProcessor,
    Owlv2Processor,
    RfDetrConfig,
    RfDetrForObjectDetection,
    RfDetrImageProcessor,
    RTDetrImageProcessor,
    Sam2ImageProcessor,
    Sam2VideoConfig,
    Sam2VideoModel,
    Sam2VideoProcessor,
    Sam2VideoVideoProcessor,
    Sam3ImageProcessor,
    Sam3TrackerVideoConfig,
    Sam3TrackerVideoModel,
    Sam3TrackerVideoProcessor,
    Sam3VideoConfig,
    Sam3VideoModel,
    Sam3VideoProcessor,
)

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = (*SPECIAL, ".", "?", "the", "a", "red", "blue", "circle", "square", "man", "dog", "person")
SIDE = 64
"""Width and height of the pictures that SAM 2 sees, half those that GroundingDINO sees."""


GRID = SIDE // 16
"""Cells along a side of the coarsest map that trackers see."""

WIDTH = 128
"""Channels of the maps of trackers."""

CLASSES = {0: "person", 1: "circle", 2: "Square"}
"""The classes of the closed sets, one of them with a capital."""

SQUARE = {"height": SIDE, "width": SIDE}


def save_tiny_finder(folder, seed=0, kinds=(GroundingDinoConfig, GroundingDinoForObjectDetection)):
    """GroundingDINO with one layer of encoder, two of decoder and six queries."""
    make_config, make_model = kinds
    vocabulary = {word: index for index, word in enumerate(WORDS)}
    config = make_config(
        backbone_config=_swin(2 * SIDE), d_model=32,
        text_config=BertConfig(
            vocab_size=len(WORDS), hidden_size=16, intermediate_size=32, num_hidden_layers=1,
            num_attention_heads=2, max_position_embeddings=64,
        ),
        encoder_layers=1, decoder_layers=2, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, num_queries=6,
        max_text_len=32,
    )  # fmt: skip
    torch.manual_seed(seed)
    make_model(config).save_pretrained(folder)
    GroundingDinoProcessor(
        GroundingDinoImageProcessor(size={"shortest_edge": 2 * SIDE, "longest_edge": 4 * SIDE}),
        BertTokenizer(vocab=vocabulary),
    ).save_pretrained(folder)


def save_tiny_mm_finder(folder):
    """MM-GroundingDINO of the same sizes."""
    save_tiny_finder(folder, 0, (MMGroundingDinoConfig, MMGroundingDinoForObjectDetection))


def save_tiny_owl(folder):
    """OWLv2 with one layer each for words and pictures, and sixteen boxes."""
    tokenizer = _spelling_tokenizer(longest=16)
    config = Owlv2Config(
        text_config={**_clip_text(tokenizer, 16), "projection_dim": 16}, projection_dim=16,
        vision_config={
            "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
            "num_attention_heads": 2, "image_size": SIDE, "patch_size": 16,
        },
    )  # fmt: skip
    torch.manual_seed(0)
    Owlv2ForObjectDetection(config).save_pretrained(folder)
    Owlv2Processor(Owlv2ImageProcessor(size=SQUARE), tokenizer).save_pretrained(folder)


def save_tiny_omdet(folder):
    """OmDet-Turbo with two decoder layers and six queries."""
    tokenizer = _spelling_tokenizer(longest=77)
    config = OmDetTurboConfig(
        text_config={"model_type": "clip_text_model", **_clip_text(tokenizer, 77, width=24)},
        # The published one has a tower of timm, which gives its maps with channels last.
        backbone_config=_swin(SIDE), apply_layernorm_after_vision_backbone=False,
        image_size=SIDE, num_queries=6, encoder_hidden_dim=16, encoder_in_channels=[16, 32, 64],
        vision_features_channels=[16, 16, 16], encoder_attention_heads=2,
        encoder_dim_feedforward=32, decoder_hidden_dim=16, decoder_num_heads=2,
        decoder_num_layers=2, decoder_dim_feedforward=32, class_embed_dim=24,
        text_projection_in_dim=24, text_projection_out_dim=24, task_encoder_hidden_dim=16,
    )  # fmt: skip
    _make_wide(OmDetTurboForObjectDetection, config, seed=0).save_pretrained(folder)
    OmDetTurboProcessor(DetrImageProcessor(size=SQUARE), tokenizer).save_pretrained(folder)


def save_tiny_dfine(folder, bias=0.0):
    """D-FINE with three classes and six queries, surer of all of them by `bias`, in logits."""
    config = DFineConfig(
        backbone_config={
            "model_type": "hgnet_v2", "embedding_size": 8, "depths": [1, 1, 1, 1],
            "hidden_sizes": [16, 24, 32, 40], "stem_channels": [3, 8, 8],
            "stage_in_channels": [8, 16, 24, 32], "stage_mid_channels": [8, 8, 8, 8],
            "stage_out_channels": [16, 24, 32, 40], "stage_num_blocks": [1, 1, 1, 1],
            "stage_numb_of_layers": [1, 1, 1, 1], "stage_kernel_size": [3, 3, 5, 5],
            "out_indices": [2, 3, 4],
        },
        encoder_hidden_dim=16, encoder_in_channels=[24, 32, 40], encoder_ffn_dim=16,
        encoder_attention_heads=2, d_model=16, num_queries=6, decoder_in_channels=[16, 16, 16],
        decoder_ffn_dim=16, decoder_layers=2, decoder_attention_heads=2,
        decoder_n_points=[2, 2, 2], lqe_hidden_dim=8, num_denoising=0, **_labels(CLASSES.values()),
    )  # fmt: skip
    model = _make_wide(DFineForObjectDetection, config, seed=0)
    for name, weight in model.named_parameters():
        if "class_embed" in name and name.endswith("bias"):
            weight.data += bias
    model.save_pretrained(folder)
    RTDetrImageProcessor(size=SQUARE).save_pretrained(folder)


def save_tiny_rfdetr(folder, classes=None):
    """RF-DETR with a few classes and six queries."""
    config = RfDetrConfig(
        backbone_config={
            "model_type": "rf_detr_dinov2", "image_size": 56, "patch_size": 14, "hidden_size": 16,
            "num_hidden_layers": 2, "num_attention_heads": 2, "num_windows": 2,
            "out_features": ["stage1", "stage2"],
        },
        d_model=16, decoder_ffn_dim=16, decoder_layers=1, decoder_self_attention_heads=2,
        decoder_cross_attention_heads=2, num_queries=6, group_detr=1, intermediate_size=16,
        **_labels(classes or CLASSES.values()),
    )  # fmt: skip
    _make_wide(RfDetrForObjectDetection, config, seed=0).save_pretrained(folder)
    RfDetrImageProcessor(size={"height": 56, "width": 56}).save_pretrained(folder)


def save_tiny_tracker(folder):
    """SAM 2 video: a Hiera of five blocks, one layer of the rest and four steps of memory."""
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
            "backbone_feature_sizes": [[4 * GRID] * 2, [2 * GRID] * 2, [GRID] * 2],
            "fpn_hidden_size": WIDTH,
        },
        memory_attention_rope_feat_sizes=[GRID, GRID], image_size=SIDE,
        memory_attention_feed_forward_hidden_size=32, **_tracker_parts(),
    )  # fmt: skip
    _save_tracker(Sam2VideoModel, config, folder, Sam2VideoProcessor)


def save_tiny_edgetam(folder):
    """EdgeTAM video: a small tower of timm, and a memory of eight latents."""
    config = EdgeTamVideoConfig(
        vision_config={
            "model_type": "edgetam_vision_model",
            "backbone_config": {
                "model_type": "timm_wrapper", "architecture": "test_byobnet", "num_classes": 2,
                "label_names": ["a", "b"],  # or timm looks for those of ImageNet
                "model_args": {"features_only": True, "out_indices": [1, 2, 3, 4]},
            },
            "backbone_channel_list": [256, 128, 64, 32],
            "backbone_feature_sizes": [[4 * GRID] * 2, [2 * GRID] * 2, [GRID] * 2],
            "fpn_hidden_size": WIDTH,
        },
        memory_attention_rope_feat_sizes=[GRID, GRID], memory_attention_rope_k_sizes=[2, 2],
        image_size=SIDE, memory_attention_mlp_hidden_size=32,
        perceiver_resampler_num_latents=4, perceiver_resampler_num_latents_2d=4,
        perceiver_resampler_mlp_intermediate_size=32, perceiver_resampler_num_layers=1,
        **_tracker_parts(),
    )  # fmt: skip
    _save_tracker(EdgeTamVideoModel, config, folder, Sam2VideoProcessor, seed=3)


def save_tiny_sam3_tracker(folder):
    """The tracker of SAM 3, by itself."""
    config = Sam3TrackerVideoConfig(**_sam3_tracker())
    _save_tracker(Sam3TrackerVideoModel, config, folder, Sam3TrackerVideoProcessor, seed=8)


def save_tiny_sam3(folder, **numbers):
    """SAM 3 video: a detector of six queries and a tracker that share one tower.

    Thresholds let boxes of random weights pass; `numbers` change those of the configuration.
    """
    tokenizer = _spelling_tokenizer(longest=32)
    small = {"hidden_size": WIDTH, "num_layers": 1, "num_attention_heads": 2}
    part = {**small, "intermediate_size": 32}
    detector = {
        "model_type": "sam3",
        "vision_config": _sam3_vision(),
        "text_config": {
            "model_type": "clip_text_model", "projection_dim": 16, **_clip_text(tokenizer, 32),
        },
        "geometry_encoder_config": part, "detr_encoder_config": part,
        "detr_decoder_config": {**part, "num_queries": 6},
        "mask_decoder_config": {"hidden_size": WIDTH, "num_attention_heads": 2},
    }  # fmt: skip
    thresholds = {
        "score_threshold_detection": 0.2, "new_det_thresh": 0.2, "low_res_mask_size": 4 * GRID,
    }  # fmt: skip
    tracker = {"model_type": "sam3_tracker_video", **_sam3_tracker()}
    config = Sam3VideoConfig(
        detector_config=detector, tracker_config=tracker, **{**thresholds, **numbers}
    )
    _save_tracker(Sam3VideoModel, config, folder, Sam3VideoProcessor, tokenizer, seed=6)


def _save_tracker(make_model, config, folder, make_processor, *tokenizer, seed=2):
    """Save a tracker whose masks have an inside and an outside, for which seeds were tried."""
    _make_wide(make_model, config, seed).save_pretrained(folder)
    masks = {"height": 4 * GRID, "width": 4 * GRID}
    make_images = Sam2ImageProcessor if make_processor is Sam2VideoProcessor else Sam3ImageProcessor
    images = make_images(size=SQUARE, mask_size=masks)
    # Pictures of a video are normalised as single pictures are; the classes have other defaults.
    videos = Sam2VideoVideoProcessor(
        size=SQUARE, image_mean=images.image_mean, image_std=images.image_std
    )
    make_processor(images, videos, *tokenizer).save_pretrained(folder)


def _make_wide(make_model, config, seed):
    """Make a model of weights so wide that it tells one input from another."""
    torch.manual_seed(seed)  # before the model is made, since some of its buffers are random too
    model = make_model(config)
    for weight in model.parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=0.1)
    return model


def _tracker_parts():
    return {
        "prompt_encoder_config": {
            "hidden_size": WIDTH, "image_size": SIDE, "patch_size": 16, "mask_input_channels": 8,
        },
        "mask_decoder_config": {
            "hidden_size": WIDTH, "mlp_dim": 32, "num_attention_heads": 2,
            "iou_head_hidden_dim": 16,
        },
        "num_maskmem": 3, "max_object_pointers_in_encoder": 4,
        "memory_attention_hidden_size": WIDTH, "memory_attention_num_layers": 1,
        "memory_encoder_hidden_size": WIDTH, "memory_encoder_output_channels": 64,
        "mask_downsampler_embed_dim": WIDTH, "memory_fuser_embed_dim": WIDTH,
        "memory_fuser_intermediate_dim": 32,
    }  # fmt: skip


def _sam3_vision():
    return {
        "model_type": "sam3_vision_model",
        "backbone_config": {
            "model_type": "sam3_vit_model", "hidden_size": 16, "intermediate_size": 32,
            "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": SIDE,
            "patch_size": 16, "window_size": 2, "global_attn_indexes": [1],
            "pretrain_image_size": 32,
        },
        "fpn_hidden_size": WIDTH,
        "backbone_feature_sizes": [[4 * GRID] * 2, [2 * GRID] * 2, [GRID] * 2],
    }  # fmt: skip


def _sam3_tracker():
    return {
        "vision_config": _sam3_vision(), "image_size": SIDE,
        "memory_attention_rope_feat_sizes": [GRID, GRID],
        "memory_attention_feed_forward_hidden_size": 32, **_tracker_parts(),
    }  # fmt: skip


def _swin(side):
    return {
        "model_type": "swin", "image_size": side, "patch_size": 4, "embed_dim": 8,
        "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2], "window_size": 2,
        "out_indices": [2, 3, 4],
    }  # fmt: skip


def _labels(classes):
    names = dict(enumerate(classes))
    return {"id2label": names, "label2id": {name: number for number, name in names.items()}}


def _spelling_tokenizer(longest):
    """A tokenizer of CLIP that knows letters only, and so spells every word."""
    letters = "abcdefghijklmnopqrstuvwxyz.,"
    pieces = [*letters, *(f"{letter}</w>" for letter in letters)]
    words = [*pieces, "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: number for number, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=longest)


def _clip_text(tokenizer, longest, width=16):
    return {
        "vocab_size": len(tokenizer), "hidden_size": width, "intermediate_size": 32,
        "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": longest,
        "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }  # fmt: skip


SAVE_FINDERS = {
    "grounding-dino": save_tiny_finder, "mm-grounding-dino": save_tiny_mm_finder,
    "owlv2": save_tiny_owl, "omdet-turbo": save_tiny_omdet, "rf_detr": save_tiny_rfdetr,
    "d_fine": save_tiny_dfine,
}  # fmt: skip
"""Functions that save a tiny finder in a folder, by type."""

SAVE_TRACKERS = {
    "sam2_video": save_tiny_tracker, "sam3_tracker_video": save_tiny_sam3_tracker,
    "sam3_video": save_tiny_sam3, "edgetam_video": save_tiny_edgetam,
}  # fmt: skip
"""Functions that save a tiny tracker in a folder, by type."""
