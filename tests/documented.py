"""Inputs as the cards of the models make them: by `apply_chat_template`, of the given frames."""

from itertools import pairwise

from PIL import Image

from probe.engine.checkpoint import Checkpoint
from probe.engine.metadata import describe_times
from probe.video import Video


def documented_ids(checkpoint: Checkpoint, video: Video, question: str) -> list[int]:
    """Tokenize a conversation of one message, with thinking off where the template can."""
    picture = checkpoint.family.medium == "image"
    shown = (
        {"type": "image", "image": Image.fromarray(video.frames[0])}
        if picture
        else {"type": "video", "video": video.frames}
    )
    given = (
        {} if picture else {"video_metadata": [describe_times(video)], "do_sample_frames": False}
    )
    made = checkpoint.processor.apply_chat_template(
        [{"role": "user", "content": [shown, {"type": "text", "text": question}]}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        processor_kwargs={**given, **checkpoint.family.options_for(video)},
        **checkpoint.family.template,
    )
    return made["input_ids"][0].tolist()


def leave_one_pair(checkpoint: Checkpoint, ids: list[int]) -> list[int]:
    """Leave out the template's pair of marks where the processor writes it once more a frame."""
    if checkpoint.family.frame_marks is None:
        return ids
    opens, closes = checkpoint.processor.tokenizer.convert_tokens_to_ids(
        list(checkpoint.family.frame_marks)
    )
    visual = [token == checkpoint.placeholder for token in ids]
    frames = sum(second and not first for first, second in pairwise(visual))
    # Some processors leave the pair out by themselves (Cosmos 3).
    if ids.count(opens) == frames:
        return ids
    last = len(ids) - 1 - ids[::-1].index(closes)
    first = ids.index(opens)
    return ids[:first] + ids[first + 1 : last] + ids[last + 1 :]
