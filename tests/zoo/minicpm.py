"""MiniCPM-V: each frame is an image of its own; patches are merged inside the vision tower."""

from typing import Any

from zoo.parts import CHATML, EYES, hf, ids_of, make_tokenizer, write_template
from zoo.qwen import LINEAR, text_of

MARKS = {
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
    "image_start_token": "<image>",
    "image_end_token": "</image>",
    "slice_start_token": "<slice>",
    "slice_end_token": "</slice>",
    "image_id_start_token": "<image_id>",
    "image_id_end_token": "</image_id>",
}
SEEN = {"patch_size": 4, "scale_resolution": 64, "downsample_mode": "16x"}
"""Frames of 192 x 320 pixels become 48 x 80, of 3 x 5 cells."""


def _minicpm(name: str, eye: str = "", **more: Any) -> tuple[str, Any, Any]:
    tokenizer = make_tokenizer(*CHATML, **MARKS)
    config = getattr(hf, f"{name}Config")(
        vision_config={
            **EYES, "patch_size": 4, "image_size": 64, "insert_layer_id": 0,
        },
        text_config=text_of(tokenizer, model_type="qwen3_5_text", **LINEAR),
        insert_layer_id=0,
        downsample_mode="16x",
        tie_word_embeddings=False,
        **ids_of(tokenizer, "image_token", "video_token"),
        **{entry: tokenizer.convert_tokens_to_ids(mark) for entry, mark in more.items()},
    )  # fmt: skip
    processor = getattr(hf, f"{name}Processor")(
        image_processor=getattr(hf, f"{eye or name}ImageProcessor")(**SEEN),
        video_processor=getattr(hf, f"{eye or name}VideoProcessor")(**SEEN),
        tokenizer=tokenizer,
        chat_template=write_template(
            "<|video_pad|>\n", "<|im_start|>user\n", "<|im_end|>\n", "<|im_start|>assistant\n"
        ),
    )
    return f"{name}ForConditionalGeneration", config, processor


def _minicpmv4_6() -> tuple[str, Any, Any]:
    return _minicpm("MiniCPMV4_6")


def _minicpmv4_7() -> tuple[str, Any, Any]:
    ends = {"image_start_id": "<image>", "image_end_id": "</image>"}
    slices = {"slice_start_id": "<slice>", "slice_end_id": "</slice>", "newline_id": "\n"}
    return _minicpm("MiniCPMV4_7", "MiniCPMV4_6", **ends, **slices)


def _minicpm_ocr() -> tuple[str, Any, Any]:
    return _minicpm("MiniCPMOcr")


BUILDERS = {
    "minicpmv4_6": _minicpmv4_6,
    "minicpmv4_7": _minicpmv4_7,
    "minicpm_ocr": _minicpm_ocr,
}
