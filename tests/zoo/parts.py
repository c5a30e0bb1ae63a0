"""Parts that tiny checkpoints share: sizes, tokenizers and chat templates."""

from functools import cache
from typing import Any

import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

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


def make_tokenizer(*more: str, **named: str) -> transformers.PreTrainedTokenizerFast:
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


def text_config(kind: type, tokenizer: transformers.PreTrainedTokenizerFast, **more: object) -> Any:
    pad = tokenizer.pad_token_id
    return kind(vocab_size=len(tokenizer), pad_token_id=pad, **TEXT, **more)


def ids_of(tokenizer: transformers.PreTrainedTokenizerFast, *names: str) -> dict[str, int]:
    """The ids of named tokens, as a configuration has them."""
    return {f"{name}_id": getattr(tokenizer, f"{name}_id") for name in names}


def write_template(video: str, before: str, after: str, answer: str, image: str = "") -> str:
    """A chat template that writes the video or picture first and the user's words behind it."""
    # As published templates call them, in small letters or in capitals.
    image = image or video.replace("video", "image").replace("VIDEO", "IMAGE")
    parts = "{% for part in message['content'] if part['type'] == "
    return (
        "{% for message in messages %}"
        + before
        + parts + "'video' %}" + video + "{% endfor %}"
        + parts + "'image' %}" + image + "{% endfor %}"
        + parts + "'text' %}{{ part['text'] }}{% endfor %}"
        + after
        + "{% endfor %}{% if add_generation_prompt %}" + answer + "{% endif %}"
    )  # fmt: skip
