"""A blank video, by which a checkpoint's processor is compared with its family's entry."""

import numpy as np

from probe.engine.checkpoint import Checkpoint
from probe.engine.opening import first_line
from probe.video import Video


def check_grid(checkpoint: Checkpoint) -> None:
    """Refuse a checkpoint whose processor does not do what its family's entry says.

    Needs the processor alone, so it costs milliseconds however large the model.

    Raises:
        ValueError: if it cannot read a video, or there are not as many visual tokens as cells.
    """
    count = 2 if checkpoint.medium == "video" else 1
    pictures = np.zeros((count, 64, 96, 3), np.uint8)
    blank = Video(pictures, tuple(range(count)), np.arange(count) / 2)
    text = checkpoint.writer(before=0).text("?")
    try:
        inputs = checkpoint.process(blank, text)
        checkpoint.grid(blank, inputs)
        checkpoint.embed(inputs["input_ids"].unique().tolist())
    except ValueError:
        raise
    except Exception as failure:  # settings of a processor can raise anything
        raise ValueError(
            f"the processor of this checkpoint cannot read a blank {checkpoint.medium} "
            f"({type(failure).__name__}: {first_line(failure)}); compare its files with those "
            f"that were published"
        ) from failure
