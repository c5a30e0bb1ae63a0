"""Qwen-Omni: the part that thinks, alone or in one that also speaks; video without sound."""

from typing import Any

from zoo.parts import CHATML, hf, make_tokenizer, write_template
from zoo.qwen import DEEP, EXPERTS, EYES_2_5, EYES_3, eyes_of, text_of

MARKS = {
    "image_token": "<|image_pad|>",
    "audio_token": "<|audio_pad|>",
    "video_token": "<|video_pad|>",
    "vision_bos_token": "<|vision_start|>",
    "vision_eos_token": "<|vision_end|>",
    "audio_bos_token": "<|audio_start|>",
    "audio_eos_token": "<|audio_end|>",
}
EARS = {
    "num_mel_bins": 16, "encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 64,
    "d_model": 32, "max_source_positions": 100, "output_dim": 64,
}  # fmt: skip

PATCHES = {"patch_size": 14, "temporal_patch_size": 2}
"""As published: these processors overrule the sizes in their files, so that frames stay large."""


def _processor(name: str, tokenizer: Any) -> Any:
    return getattr(hf, f"{name}Processor")(
        image_processor=hf.Qwen2VLImageProcessor(merge_size=2, **PATCHES),
        video_processor=hf.Qwen2VLVideoProcessor(merge_size=2, do_sample_frames=False, **PATCHES),
        feature_extractor=hf.WhisperFeatureExtractor(feature_size=16),
        tokenizer=tokenizer,
        chat_template=write_template(
            "<|vision_start|><|video_pad|><|vision_end|>",
            "<|im_start|>user\n",
            "<|im_end|>\n",
            "<|im_start|>assistant\n",
        ),
    )


def _ids(tokenizer: Any, kind: str) -> dict[str, int]:
    return {
        f"image_token_{kind}": tokenizer.image_token_id,
        f"audio_token_{kind}": tokenizer.audio_token_id,
        f"video_token_{kind}": tokenizer.video_token_id,
        "audio_start_token_id": tokenizer.audio_bos_token_id,
        "vision_start_token_id": tokenizer.vision_bos_token_id,
    }


def _qwen2_5_omni_thinker() -> tuple[str, Any, Any]:
    tokenizer = make_tokenizer(*CHATML, **MARKS)
    config = hf.Qwen2_5OmniThinkerConfig(
        audio_config={**EARS, "n_window": 10},
        vision_config=eyes_of(**{**EYES_2_5, **PATCHES, "window_size": 56}),
        text_config=text_of(tokenizer),
        audio_end_token_id=tokenizer.audio_eos_token_id,
        **_ids(tokenizer, "index"),
    )
    kind = "Qwen2_5OmniThinkerForConditionalGeneration"
    return kind, config, _processor("Qwen2_5Omni", tokenizer)


def _qwen3_omni_moe_thinker() -> tuple[str, Any, Any]:
    tokenizer = make_tokenizer(*CHATML, **MARKS)
    config = hf.Qwen3OmniMoeThinkerConfig(
        audio_config={**EARS, "n_window": 10, "downsample_hidden_size": 32},
        vision_config=eyes_of(**EYES_3, **DEEP, **PATCHES),
        text_config=text_of(tokenizer, **EXPERTS),
        **_ids(tokenizer, "id"),
    )
    kind = "Qwen3OmniMoeThinkerForConditionalGeneration"
    return kind, config, _processor("Qwen3OmniMoe", tokenizer)


def _qwen2_5_omni() -> tuple[str, Any, Any]:
    _, thinker, processor = _qwen2_5_omni_thinker()
    config = hf.Qwen2_5OmniConfig(thinker_config=thinker.to_dict(), enable_audio_output=False)
    return "Qwen2_5OmniForConditionalGeneration", config, processor


def _qwen3_omni_moe() -> tuple[str, Any, Any]:
    _, thinker, processor = _qwen3_omni_moe_thinker()
    config = hf.Qwen3OmniMoeConfig(thinker_config=thinker.to_dict(), enable_audio_output=False)
    return "Qwen3OmniMoeForConditionalGeneration", config, processor


BUILDERS = {
    "qwen2_5_omni": _qwen2_5_omni,
    "qwen3_omni_moe": _qwen3_omni_moe,
    "qwen2_5_omni_thinker": _qwen2_5_omni_thinker,
    "qwen3_omni_moe_thinker": _qwen3_omni_moe_thinker,
}
