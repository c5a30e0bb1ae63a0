"""Generation: the answer of a model in words, where readings stop at its first token."""

from transformers import BatchFeature

from probe.engine.chat_templates import choose_specials, write_around
from probe.engine.checkpoint import Checkpoint
from probe.engine.families import Inputs
from probe.engine.model import VideoLM
from probe.video import Video


def write_answer(model: VideoLM, question: str, *, video: Video | None, max_new_tokens: int) -> str:
    """Write the model's most likely answer to a question, one token at a time (greedy).

    Args:
        model: The model to ask.
        question: What to ask; it is put into the model's own chat template.
        video: What to ask it about; None for a question of text alone.
        max_new_tokens: The most tokens of the answer, which is cut off there.

    Raises:
        ValueError: if the question is empty or holds a control token of the model, or question
            and answer do not fit in its context.
    """
    # A picture is written and shown in another way than a video, by some models.
    checkpoint = model.checkpoint if video is None else model.checkpoint.for_video(video)
    inputs = _inputs(checkpoint, checkpoint.writer(before=0).write(question).question, video)
    asked = inputs["input_ids"].shape[1]
    if asked + max_new_tokens > checkpoint.context:
        raise ValueError(
            f"a question of {asked} tokens (its video's included) and an answer of "
            f"{max_new_tokens} do not fit in the {checkpoint.context} tokens of {model.name}; "
            "shorten the question, or sample fewer frames"
        )
    # A checkpoint's generation settings may ask for beams or dice; the most likely words need none.
    (written,) = checkpoint.module.generate(
        **inputs,
        max_new_tokens=max_new_tokens,
        num_beams=1,
        do_sample=False,
        temperature=None,
        top_p=None,
        top_k=None,
    )
    answer = written[asked:]
    return checkpoint.processor.tokenizer.decode(answer, skip_special_tokens=True).strip()


def _inputs(checkpoint: Checkpoint, question: str, video: Video | None) -> Inputs:
    if video is not None:
        return checkpoint.process(video, checkpoint.writer(before=0).text(question))
    turn = write_around(checkpoint.processor, variables=checkpoint.family.template)
    text = turn.write(question)
    options = choose_specials(checkpoint.processor, text)
    inputs: BatchFeature = checkpoint.processor(text=[text], return_tensors="pt", **options)
    return dict(inputs.to(checkpoint.device))
