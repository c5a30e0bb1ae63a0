"""An answer in words is the model's most likely one."""

import dataclasses

import pytest
import torch
from zoo import save_tiny
from zoo.pictures import still

from probe.engine.generation import write_answer
from probe.engine.model import load

QUESTION = "What does the red circle do?"


def first_word(model, reading):
    return model.checkpoint.processor.tokenizer.decode([int(reading.logits.argmax())]).strip()


def test_the_first_word_is_the_likeliest_that_the_engine_reads(organism, video):
    for question in (QUESTION, "Is there a green square in this video?"):
        (reading,) = organism.watch(video).read(question)
        written = write_answer(organism, question, video=video, max_new_tokens=1)
        assert written == first_word(organism, reading)


def test_every_further_word_is_the_likeliest_after_those_before_it(organism, video):
    """Compare with the slow way, which reads everything again for each word."""
    checkpoint = organism.checkpoint
    tokenizer = checkpoint.processor.tokenizer
    inputs = checkpoint.process(video, checkpoint.writer(before=0).text(QUESTION))
    written = []
    with torch.no_grad():
        while len(written) < 5:
            likeliest = int(checkpoint.module(**inputs).logits[0, -1].argmax())
            if likeliest == tokenizer.eos_token_id:
                break
            written.append(likeliest)
            inputs["input_ids"] = torch.cat([inputs["input_ids"], torch.tensor([[likeliest]])], 1)
            inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    answer = write_answer(organism, QUESTION, video=video, max_new_tokens=5)
    assert answer == tokenizer.decode(written).strip()


def test_a_shorter_answer_is_the_beginning_of_a_longer_one(tiny, video):
    answers = [
        write_answer(tiny, QUESTION, video=video, max_new_tokens=length) for length in (2, 6)
    ]
    assert answers[1].startswith(answers[0])
    assert answers[0] != answers[1]


def test_an_answer_depends_on_the_video_and_a_text_needs_none(organism, video):
    black = dataclasses.replace(video, frames=video.frames * 0)
    questions = [f"Is there a {colour} circle in this video?" for colour in ("white", "red")]
    seen, unseen = (
        [write_answer(organism, question, video=shown, max_new_tokens=1) for question in questions]
        for shown in (video, black)
    )
    assert seen != unseen
    assert isinstance(write_answer(organism, QUESTION, video=None, max_new_tokens=3), str)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["smolvlm", "qwen2_vl"])
def test_an_answer_about_a_picture_is_that_of_the_engine(family, tmp_path):
    """These families show a picture to the decoder in another way than a video of one frame."""
    save_tiny(family, tmp_path)
    model = load(tmp_path, dtype="float32")
    (reading,) = model.watch(still()).read(QUESTION)
    written = write_answer(model, QUESTION, video=still(), max_new_tokens=1)
    assert written == first_word(model, reading)


@pytest.mark.parametrize("shown", [True, False])
def test_what_cannot_be_asked_is_refused_in_one_line(tiny, video, shown):
    shown = video if shown else None
    wrong = [("question is empty", " ", 1), ("control token", "is <video> here?", 1)]
    wrong += [("do not fit in the 512 tokens", QUESTION, 500)]
    for words, question, longest in wrong:
        with pytest.raises(ValueError, match=words) as refused:
            write_answer(tiny, question, video=shown, max_new_tokens=longest)
        assert "\n" not in str(refused.value)
