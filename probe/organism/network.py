"""The organism's network: a LLaVA-NeXT-Video of three million parameters, with its processor.

It is a plain `LlavaNextVideoForConditionalGeneration`: `from_pretrained` opens the folder that
`save_checkpoint` writes, without this module.
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

from probe.organism.world import ACTIONS, COLOURS, SAMPLED_FRAMES, SHAPES, SIDE

PATCH = 8
"""Side of a patch in pixels, and of a visual token, since the tower's patches are not pooled."""

CELLS = SIDE // PATCH
"""Rows and columns of the visual grid."""

CLIP_STAGE_LAYERS = 2
"""Number of decoder layers, from the lowest, that learn from tags of clips before there are
questions."""

# The order of all words below is that of the token ids: another order, or a word inserted, would
# no longer fit the shipped weights.
SPECIAL_TOKENS = ("<pad>", "<s>", "</s>", "<unk>", "<image>", "<video>")

SENTENCE_WORDS = (
    "Is is there There a the The something that in this video ? What what does do color Who who "
    "Which which Please please Describe describe details . , : USER Yes No yes no an object and "
    "doing Where where it of"
)
"""The words of questions and answers, apart from colours, shapes and actions."""

ROLE_PIECES = ("A", "##SS", "##IST", "##ANT")
"""The pieces of `ASSISTANT` in Vicuna's tokenizer; with `:` they are the five role tokens."""

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ 'USER: ' if message['role'] == 'user' else ' ASSISTANT: ' }}"
    "{% for part in message['content'] if part['type'] == 'video' %}{{ '<video>\n' }}{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ ' ASSISTANT:' }}{% endif %}"
)


def make_vocabulary() -> dict[str, int]:
    """Return every token of the organism with its id."""
    words = [*COLOURS, *SHAPES, *(word for action in ACTIONS for word in action.split())]
    tokens = [*SPECIAL_TOKENS, *SENTENCE_WORDS.split(), *words, *ROLE_PIECES]
    return {token: index for index, token in enumerate(dict.fromkeys(tokens))}


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Make a tokenizer of whole words, with the role name in pieces and `<unk>` for other words."""
    tokenizer = Tokenizer(models.WordPiece(make_vocabulary(), unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()]
    )
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", make_vocabulary()["<s>"])]
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
    """Make the processor, which turns a video and a text into the organism's inputs."""
    size: Any = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
    return LlavaNextVideoProcessor(
        video_processor=LlavaNextVideoVideoProcessor(**size, num_frames=SAMPLED_FRAMES),
        image_processor=LlavaNextImageProcessor(**size, image_grid_pinpoints=[[SIDE, SIDE]]),
        tokenizer=make_tokenizer(),
        # The processor counts a visual token for every four patches, because LLaVA-NeXT-Video pools
        # them. The organism does not pool: half the patch size gives the right count.
        patch_size=PATCH // 2,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )


def make_config() -> LlavaNextVideoConfig:
    """Make the configuration with the organism's sizes."""
    ids = make_vocabulary()
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
        video_seq_length=SAMPLED_FRAMES * CELLS * CELLS,
    )


def make_network(seed: int) -> LlavaNextVideoForConditionalGeneration:
    """Make an untrained organism."""
    torch.manual_seed(seed)
    return LlavaNextVideoForConditionalGeneration._from_config(
        make_config(), attn_implementation="sdpa"
    )


def save_checkpoint(network: LlavaNextVideoForConditionalGeneration, folder: Path) -> None:
    """Write a Hugging Face checkpoint: weights in float16, configuration and processor."""
    folder.mkdir(parents=True, exist_ok=True)
    # `half()` changes a network in place, so it is called on a copy.
    half = make_network(0).half()
    half.load_state_dict(network.state_dict())
    half.save_pretrained(folder)
    make_processor().save_pretrained(folder)


def get_token_ids(words: Iterable[str]) -> list[int]:
    """Return the ids of tokens.

    Raises:
        KeyError: if one of them is not in the vocabulary.
    """
    ids = make_vocabulary()
    return [ids[word] for word in words]
