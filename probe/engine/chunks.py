"""Chunks of a long video: parts of its frames that fit in the context of a model."""

import math
from dataclasses import replace
from itertools import pairwise

from probe.engine.checkpoint import Checkpoint
from probe.video import Video

QUESTION_ROOM = 128
"""Tokens of a chunk's context that are left for a question."""

FEW = 32
"""Frames that every model is taken to have room for, so that nothing is measured."""


def divide_video(checkpoint: Checkpoint, video: Video) -> list[Video]:
    """Divide the frames of a video evenly among as few videos as the context asks for.

    Each has the source, the frame numbers and the clock of the whole. A video that fits is the only
    one. Tokens are counted by the processor on a few frames: two lengths tell the tokens of a frame
    and those of the text around it.

    Raises:
        ValueError: if not even two frames fit.
    """
    if len(video) <= FEW:
        return [video]
    few, more = (_count_tokens(checkpoint, _take(video, 0, count)) for count in (2, 6))
    each = (more - few) / 4
    around = few - 2 * each
    most = math.floor((checkpoint.context - around - QUESTION_ROOM) / max(each, 1e-9))
    if most >= len(video):
        return [video]
    if most < 2:
        raise ValueError(
            f"a frame makes {each:.0f} tokens but {checkpoint.context} fit in the context of the "
            f"model; give smaller pictures"
        )
    # An even number, since some models see frames by twos.
    count = math.ceil(len(video) / (most - most % 2))
    ends = [round(part * len(video) / count) for part in range(count + 1)]
    return [_take(video, *pair) for pair in pairwise(ends)]


def _take(video: Video, start: int, stop: int) -> Video:
    return replace(video, frames=video.frames[start:stop], indices=video.indices[start:stop])


def _count_tokens(checkpoint: Checkpoint, video: Video) -> int:
    reader = checkpoint.for_video(video)
    return reader.process(video, reader.writer(before=0).text("?"))["input_ids"].shape[1]
