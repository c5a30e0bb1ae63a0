"""The organism's anatomy: a LLaVA-NeXT-Video of three million parameters, with its processor.

It is a plain `LlavaNextVideoForConditionalGeneration`: nothing here is needed to open the folder
that `save` writes; `from_pretrained` does.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaNextImageProcessor,
    LlavaNextVideoConfig,
    LlavaNextVideoForConditionalGeneration,
    LlavaNextVideoProcessor,
    LlavaNextVideoVideoProcessor,
    PreTrainedTokenizerFast,
)

from probe.organism.world import ACTIONS, COLOURS, SAMPLED, SHAPES, SIDE

PATCH = 8
"""Side of a patch in pixels, and of a visual token: the tower's patches are not pooled."""

CELLS = SIDE // PATCH
"""Rows and columns of the visual grid."""

WATCHING = 2
"""The lowest decoder layers, which learn from tags of clips before there are questions."""

SPECIAL = ("<pad>", "<s>", "</s>", "<unk>", "<image>", "<video>")

SENTENCES = (
    "Is is there There a the The something that in this video ? What what does do color Who who "
    "Which which Please please Describe describe details . , : USER Yes No yes no an object and "
    "doing Where where it of"
)
"""The words of questions and answers, apart from colours, shapes and actions."""

ROLE_PIECES = ("A", "##SS", "##IST", "##ANT")
"""`ASSISTANT` in pieces, as Vicuna's tokenizer cuts it; with `:` the five role tokens."""

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ 'USER: ' if message['role'] == 'user' else ' ASSISTANT: ' }}"
    "{% for part in message['content'] if part['type'] == 'video' %}{{ '<video>\n' }}{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ ' ASSISTANT:' }}{% endif %}"
)


def vocabulary() -> dict[str, int]:
    """Every token of the organism and its id."""
    words = [*COLOURS, *SHAPES, *(word for action in ACTIONS for word in action.split())]
    tokens = [*SPECIAL, *SENTENCES.split(), *words, *ROLE_PIECES]
    return {token: index for index, token in enumerate(dict.fromkeys(tokens))}


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of whole words, with the role name in pieces and one `<unk>` for all others."""
    tokenizer = Tokenizer(models.WordPiece(vocabulary(), unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()]
    )
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", vocabulary()["<s>"])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        padding_side="left",
        extra_special_tokens={"image_token": "<image>", "video_token": "<video>"},
    )


def make_processor() -> LlavaNextVideoProcessor:
    """What turns a video and a text into the organism's inputs.

    The processor counts visual tokens as patches over four, for a pooling the organism does not
    do; half its patch size gives the same count.
    """
    size: Any = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
    return LlavaNextVideoProcessor(
        video_processor=LlavaNextVideoVideoProcessor(**size, num_frames=SAMPLED),
        image_processor=LlavaNextImageProcessor(**size, image_grid_pinpoints=[[SIDE, SIDE]]),
        tokenizer=make_tokenizer(),
        patch_size=PATCH // 2,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )


def make_config() -> LlavaNextVideoConfig:
    """The organism's sizes."""
    ids = vocabulary()
    vision = CLIPVisionConfig(
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=3,
        num_attention_heads=4,
        image_size=SIDE,
        patch_size=PATCH,
        projection_dim=128,
    )
    text = LlamaConfig(
        vocab_size=len(ids),
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=5,
        num_attention_heads=3,
        num_key_value_heads=3,
        initializer_range=0.05,
        max_position_embeddings=2048,
        pad_token_id=ids["<pad>"],
        bos_token_id=ids["<s>"],
        eos_token_id=ids["</s>"],
    )
    return LlavaNextVideoConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=ids["<image>"],
        video_token_index=ids["<video>"],
        image_grid_pinpoints=[[SIDE, SIDE]],
        vision_feature_layer=-1,
        spatial_pool_stride=1,
        video_seq_length=SAMPLED * CELLS * CELLS,
    )


def make_network(seed: int) -> LlavaNextVideoForConditionalGeneration:
    """An untrained organism."""
    torch.manual_seed(seed)
    return LlavaNextVideoForConditionalGeneration._from_config(
        make_config(), attn_implementation="sdpa"
    )


def save(network: LlavaNextVideoForConditionalGeneration, folder: Path) -> None:
    """Write weights in float16, configuration and processor, as any checkpoint has them."""
    folder.mkdir(parents=True, exist_ok=True)
    half = make_network(0).half()
    half.load_state_dict(network.state_dict())
    half.save_pretrained(folder)
    make_processor().save_pretrained(folder)


def token_ids(words: Iterable[str]) -> list[int]:
    """The ids of whole words.

    Raises:
        KeyError: if a word is not in the vocabulary.
    """
    ids = vocabulary()
    return [ids[word] for word in words]
