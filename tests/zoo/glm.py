"""GLM-V: patches of two frames, merged two by two; each pair of frames is marked like an image."""

from typing import Any

from zoo.parts import hf, make_tokenizer, write_template
from zoo.qwen import PATCHES, ROPE, eyes_of, text_of

MARKS = {
    "image_token_id": "<|image|>",
    "video_token_id": "<|video|>",
    "image_start_token_id": "<|begin_of_image|>",
    "image_end_token_id": "<|end_of_image|>",
    "video_start_token_id": "<|begin_of_video|>",
    "video_end_token_id": "<|end_of_video|>",
}
EYES = {
    "depth": 2, "hidden_size": 32, "intermediate_size": 64, "out_hidden_size": 64, "image_size": 48,
}  # fmt: skip
HALF = {"rope_parameters": {**ROPE, "partial_rotary_factor": 1.0}}
EXPERTS = {
    "n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32, **HALF,
}  # fmt: skip


def _glm(name: str, eye: str, processor: str = "", **text: Any) -> tuple[str, Any, Any]:
    words = ("<|user|>", "<|assistant|>", "[gMASK]", "<sop>", "<think>", "</think>")
    marks = [mark for mark in MARKS.values() if mark not in ("<|image|>", "<|video|>")]
    tokenizer = make_tokenizer(*marks, *words, image_token="<|image|>", video_token="<|video|>")
    config = getattr(hf, f"{name}Config")(
        vision_config=eyes_of(**EYES),
        text_config=text_of(tokenizer, **{**HALF, **text}),
        **{name: tokenizer.convert_tokens_to_ids(mark) for name, mark in MARKS.items()},
    )
    size = {"shortest_edge": 64, "longest_edge": 24 * 40 * 6}
    made = getattr(hf, f"{processor or eye}Processor")(
        image_processor=getattr(hf, f"{eye}ImageProcessor")(merge_size=2, size=size, **PATCHES),
        tokenizer=tokenizer,
        video_processor=getattr(hf, f"{eye}VideoProcessor")(
            merge_size=2, size=size, do_sample_frames=False, **PATCHES
        ),
        chat_template=write_template(
            "<|begin_of_video|><|video|><|end_of_video|>",
            "[gMASK]<sop><|user|>\n",
            "",
            "<|assistant|>\n",
        ),
    )
    kind = "Glm46V" if name == "Glmga" else name
    return f"{kind}ForConditionalGeneration", config, made


def _glm4v() -> tuple[str, Any, Any]:
    return _glm("Glm4v", "Glm4v")


def _glm4v_moe() -> tuple[str, Any, Any]:
    return _glm("Glm4vMoe", "Glm4v", **EXPERTS)


def _glm46v() -> tuple[str, Any, Any]:
    return _glm("Glm46V", "Glm46V")


def _glm46v_moe() -> tuple[str, Any, Any]:
    return _glm("Glm46V", "Glm46V", model_type="glm4v_moe_text", **EXPERTS)


def _glmga() -> tuple[str, Any, Any]:
    return _glm("Glmga", "Glmga", "Glm46V")


BUILDERS = {
    "glm4v": _glm4v,
    "glm4v_moe": _glm4v_moe,
    "glm46v": _glm46v,
    "glm46v_moe": _glm46v_moe,
    "glmga": _glmga,
}
