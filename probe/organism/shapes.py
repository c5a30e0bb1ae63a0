"""The world of shapes as a value: its words, its tags, and the network that learns it."""

from collections.abc import Mapping
from typing import Any

from probe.organism.absent import ABSENT_VERSION, make_absent_queries
from probe.organism.questions import make_questions
from probe.organism.world import (
    ACTIONS,
    COLOURS,
    LENGTH,
    RATE,
    SAMPLED_FRAMES,
    SIDE,
    STATES,
    Clip,
    Thing,
    make_clip,
)
from probe.organism.world import (
    SHAPES as KINDS,
)
from probe.organism.worlds import RESTS, Body, Sizes, Tag, Tags, World
from probe.video import Span

SHAPES_VERSION = 2
"""Version of the benchmarks, raised whenever the world or the choice of queries changes; scores
compare within a version."""

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
    words = [*COLOURS, *KINDS, *(word for action in ACTIONS for word in action.split())]
    tokens = [*SPECIAL_TOKENS, *SENTENCE_WORDS.split(), *words, *ROLE_PIECES]
    return {token: index for index, token in enumerate(dict.fromkeys(tokens))}


def make_tokenizer() -> Any:
    """Make a tokenizer of whole words, with the role name in pieces and `<unk>` for other words."""
    # Imported here: transformers takes seconds, for which who only draws clips need not wait.
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

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


def get_visible_state(thing: Thing, frame: int) -> str:
    """Name the state of a thing that can be seen in one frame."""
    return thing.action if thing.action in STATES and frame in thing.span else RESTS


def list_frame_tags(clip: Clip, frame: int) -> set[Tag]:
    """List the colour, shape and visible state of each thing in a source frame."""
    return {(one.colour, one.shape, get_visible_state(one, frame)) for one in clip.things}


def list_clip_tags(clip: Clip, part: Span) -> set[Tag]:  # noqa: ARG001
    """List the colour, shape and action of each thing in a clip, whose parts are not learned."""
    return {(one.colour, one.shape, one.action) for one in clip.things}


def group_clip(clip: Clip) -> Mapping[str, str]:  # noqa: ARG001
    """Name no groups: all clips of shapes are alike in light and texture."""
    return {}


SHAPES = World(
    name="shapes",
    side=SIDE,
    length=LENGTH,
    rate=RATE,
    sampled_frames=SAMPLED_FRAMES,
    make_clip=make_clip,
    make_questions=make_questions,
    make_absent_queries=make_absent_queries,
    frame_tags=Tags(((tuple(COLOURS), KINDS, (RESTS, *STATES)),)),
    list_frame_tags=list_frame_tags,
    clip_tags=Tags(((tuple(COLOURS), KINDS, ACTIONS),)),
    list_clip_tags=list_clip_tags,
    body=Body(
        patch=8,
        tower=Sizes(width=128, hidden=384, layers=3, heads=4),
        decoder=Sizes(width=192, hidden=512, layers=5, heads=3),
        make_tokenizer=make_tokenizer,
        chat_template=CHAT_TEMPLATE,
        before_video=("<s>", "USER", ":"),
        before_answer=(*ROLE_PIECES, ":"),
        begin="<s>",
        end="</s>",
    ),
    version=SHAPES_VERSION,
    absent_version=ABSENT_VERSION,
    group=group_clip,
)
"""The world that the shipped model was trained on."""
