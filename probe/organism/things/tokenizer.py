"""The subword tokenizer of the world of things, and its chat template with role tokens.

It was trained on the world's own sentences (`docs/write_tokenizer.py`). Frequent words are one
token; rare, misspelt and capital ones are several. A word is the same token wherever it is, so that
the cells of the video can be compared with it.
"""

from pathlib import Path
from typing import Any

TOKENIZER = Path(__file__).parent / "tokenizer.json"

PAD, UNKNOWN = "<pad>", "<unk>"
TURN, END_OF_TURN = "<|im_start|>", "<|im_end|>"
"""The tokens that open and close a turn of the chat, as in ChatML."""

SPECIAL_TOKENS = (PAD, UNKNOWN, TURN, END_OF_TURN, "<image>", "<video>")

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% for part in message['content'] if part['type'] == 'video' %}{{ '<video>\n' }}{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}"
    "{{ '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

BEFORE_VIDEO = (TURN, "user")
BEFORE_ANSWER = (END_OF_TURN, TURN, "assistant")
"""The role tokens. Line ends of the template are between words, and no tokens."""


def make_tokenizer() -> Any:
    """Open the tokenizer that was trained on the world's sentences."""
    # Imported here: transformers takes seconds, for which who only draws clips need not wait.
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_file(str(TOKENIZER)),
        pad_token=PAD,
        unk_token=UNKNOWN,
        bos_token=TURN,
        eos_token=END_OF_TURN,
        padding_side="left",
        extra_special_tokens={"image_token": "<image>", "video_token": "<video>"},
    )
