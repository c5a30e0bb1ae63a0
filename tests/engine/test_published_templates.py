"""Our input is the documented one, token for token, with the templates of published checkpoints."""

import pytest
from documented import documented_ids, leave_one_pair
from published_templates import CASES, OPEN_THOUGHTS, PUBLISHED, QUESTION
from tokenizers.processors import TemplateProcessing
from zoo import moving, save_tiny
from zoo.parts import hf

from probe.engine.blank_video import check_grid
from probe.engine.chat_templates import set_template
from probe.engine.checkpoint import Checkpoint
from probe.engine.families import family_of
from probe.engine.in_memory import open_module

pytestmark = pytest.mark.slow  # each is quick; tiny checkpoints of many families take seconds


@pytest.fixture(scope="module")
def open_family(tmp_path_factory):
    """Open tiny checkpoints by family: the module and the processor, without the engine."""
    opened = {}

    def open_(family, controls=()):
        if family not in opened:
            folder = tmp_path_factory.mktemp("published") / family
            save_tiny(family, folder)
            module = hf.AutoModelForImageTextToText.from_pretrained(folder)
            opened[family] = module, folder
        module, folder = opened[family]
        processor = hf.AutoProcessor.from_pretrained(folder)
        processor.tokenizer.add_tokens(list(controls), special_tokens=True)
        return Checkpoint(module, processor, family_of(family))

    return open_


@pytest.fixture
def published(request, open_family):
    """A tiny checkpoint with a published template, as it is when it is opened."""
    name, family = request.param
    found = PUBLISHED[name]
    checkpoint = open_family(family, found.controls)
    checkpoint.processor.chat_template = found.template
    set_template(checkpoint.processor, None)
    if found.begins:
        tokenizer = checkpoint.processor.tokenizer
        first = (tokenizer.bos_token, tokenizer.bos_token_id)
        backend = tokenizer.backend_tokenizer
        backend.post_processor = TemplateProcessing(f"{first[0]} $A", special_tokens=[first])
    return found, checkpoint


def ours(checkpoint, question=QUESTION):
    inputs = checkpoint.process(moving(), checkpoint.writer(before=0).text(question))
    return inputs["input_ids"][0].tolist()


def pairs(cases):
    return pytest.mark.parametrize("published", cases, indirect=True, ids=lambda case: str(case))


@pairs([case for case in CASES if family_of(case[1]).frame_marks is None])
def test_our_input_is_that_of_the_model_card_token_for_token(published):
    _, checkpoint = published
    for question in (QUESTION, "Is there a red circle in this video?", "please describe"):
        assert ours(checkpoint, question) == documented_ids(checkpoint, moving(), question)


@pairs([case for case in CASES if family_of(case[1]).frame_marks is not None])
def test_only_the_second_pair_of_vision_marks_differs_from_the_model_card(published):
    """Transformers 5.23 writes the marks of the template, and those of each frame inside them.

    The processor of 4.57, by which these models were published, replaces both marks and the token
    between them.
    """
    _, checkpoint = published
    theirs = documented_ids(checkpoint, moving(), QUESTION)
    single = leave_one_pair(checkpoint, theirs)
    assert ours(checkpoint) == single
    assert theirs != single


@pairs([case for case in CASES if family_of(case[1]).frame_marks is not None])
def test_each_frame_of_qwen3_is_marked_once_after_its_time(published):
    _, checkpoint = published
    cell = "<|vision_start|>" + "<|video_pad|>" * 15 + "<|vision_end|>"
    frames = "".join(f"<{time} seconds>{cell}" for time in ("0.2", "1.2", "2.0"))
    text = checkpoint.processor.tokenizer.decode(ours(checkpoint))
    assert text.startswith(f"<|im_start|>user\n{frames}{QUESTION}<|im_end|>")


@pairs(CASES)
def test_a_text_begins_with_one_first_token_at_most(published):
    found, checkpoint = published
    first = checkpoint.processor.tokenizer.bos_token_id
    ids = ours(checkpoint)
    assert ids.count(first) == found.begins
    assert not found.begins or ids[0] == first


@pairs(CASES)
def test_the_text_around_the_question_is_the_published_one(published):
    found, checkpoint = published
    turn = checkpoint.writer(before=0).turn
    assert turn.before == found.before
    assert turn.after.lstrip(" ") == found.after.lstrip(" ")


@pairs(CASES)
def test_the_answers_turn_opens_after_the_users_ends(published):
    found, checkpoint = published
    writer = checkpoint.writer(before=0)
    prompt = writer.write(QUESTION)
    opening = prompt.tokens[prompt.opening]
    assert opening.kind == "role"
    assert opening.text == found.opening
    assert prompt.only(prompt.indices("role")).opening == prompt.opening - prompt.indices("role")[0]
    assert prompt.only(prompt.indices("word")).opening is None


@pytest.mark.parametrize("name", OPEN_THOUGHTS)
def test_a_template_that_leaves_a_thought_open_is_refused(name, open_family):
    family, template, mark = OPEN_THOUGHTS[name]
    checkpoint = open_family(family)
    checkpoint.processor.chat_template = template
    with pytest.raises(
        ValueError, match=r"ends in an open thought.*--chat-template FILE"
    ) as refused:
        check_grid(checkpoint)
    assert "\n" not in str(refused.value)
    assert mark in str(refused.value)


def test_a_thought_can_be_closed_by_a_template_of_ones_own(open_family):
    """The recipe of the documentation."""
    family, template, _ = OPEN_THOUGHTS["Qwen3-VL-Thinking"]
    opening = r"assistant\n<think>\n"
    checkpoint = open_family(family)
    set_template(checkpoint.processor, template.replace(opening, opening + r"\n</think>\n\n"))
    turn = checkpoint.writer(before=0).turn
    assert turn.opening == "<|im_start|>assistant\n<think>\n\n</think>\n\n"


def test_thoughts_are_closed_by_the_variable_of_the_family(open_family):
    found = PUBLISHED["Qwen3.5"]
    checkpoint = open_family("qwen3_5", found.controls)
    checkpoint.processor.chat_template = found.template
    prompt = checkpoint.writer(before=0).write(QUESTION)
    thought = prompt.tokens[-6:]
    assert [token.text for token in thought] == ["<think>", "↵", "↵", "</think>", "↵", "↵"]
    assert {token.kind for token in thought} == {"role"}


def test_a_model_in_memory_is_asked_by_the_template_that_its_processor_uses(open_family):
    """SmolVLM2's own template is for pictures alone; the user's processor keeps it."""
    found = PUBLISHED["SmolVLM2"]
    checkpoint = open_family("smolvlm")
    checkpoint.processor.chat_template = found.template
    _, opened = open_module(checkpoint.module, checkpoint.processor)
    assert ours(opened) == documented_ids(opened, moving(), QUESTION)
    assert checkpoint.processor.chat_template == found.template
