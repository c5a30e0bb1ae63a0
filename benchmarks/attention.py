"""Attention rows through the engine, beside a plain forward pass and beside eager attention.

    python benchmarks/attention.py

Each alternative reads one question about one video, from embeddings to the answer's logits:

rows     `View.read`: where all text tokens look, at all layers, through the engine
plain    one sdpa forward pass that looks at nothing: the limit
eager    `output_attentions=True`: full matrices at all layers, of which the same rows are kept
"""

from dataclasses import replace

import torch
from comparison import (
    Numbers,
    Options,
    Step,
    compare,
    costs,
    largest_difference,
    run,
    setting,
    table,
)
from jaxtyping import Float
from models import Peer, Shape, made_up_video, peer, shape_of, video_lm
from torch import Tensor

from probe.engine.model import VideoLM

QUESTION = "Is there a red circle in this video?"

LENGTHS = (512, 1536, 3008, 6016, 12032)
"""Visual tokens."""
QUICK_LENGTHS = (64, 128)

LONGEST_EAGER = 4096
"""Tokens up to which eager attention is run: at twice as many its matrices fill 16 GiB."""


def measure(options: Options) -> Numbers:
    """Costs of each alternative by sequence length, and how far rows are from eager attention."""
    shape = shape_of(options)
    model, other = video_lm(shape, options), peer(shape, options)
    lengths = QUICK_LENGTHS if options.quick else LENGTHS
    measured = [_measured(model, other, shape, length, options) for length in lengths]
    return {**setting(options), "lengths": measured}


def _measured(model: VideoLM, other: Peer, shape: Shape, length: int, options: Options) -> Numbers:
    steps, tokens = _alternatives(model, other, shape, length)
    found = compare(steps, options)
    numbers: Numbers = {"tokens": tokens, **costs(found)}
    if "eager" in found:
        numbers["difference"] = largest_difference(found["rows"].value, found["eager"].value)
    return numbers


def _alternatives(
    model: VideoLM, other: Peer, shape: Shape, length: int
) -> tuple[dict[str, Step], int]:
    """The steps to compare, and how many tokens they read."""
    video = made_up_video(shape.frames(length), shape)
    view = model.watch(video)
    inputs = other.inputs(video, QUESTION)
    embeddings, visual = other.embeddings(inputs), other.visual(inputs)
    options = {"inputs_embeds": embeddings, "use_cache": False, "logits_to_keep": 1}

    def rows() -> Float[Tensor, "layer head token visual"]:
        unread = replace(view)  # which has read nothing yet
        return unread.read(QUESTION)[0].attention.flatten(-3)

    @torch.no_grad()
    def plain() -> Float[Tensor, "1 1 word"]:
        return other.module(**options).logits

    @torch.no_grad()
    def eager() -> Float[Tensor, "layer head token visual"]:
        behind = int(visual.nonzero().max()) + 1
        with other.eager():
            matrices = other.module(**options, output_attentions=True).attentions
        return torch.stack([matrix[0][:, behind:, visual] for matrix in matrices])

    steps: dict[str, Step] = {"rows": rows, "plain": plain}
    if len(visual) <= LONGEST_EAGER:
        steps["eager"] = eager
    return steps, len(visual)


def show(numbers: Numbers) -> str:
    """One line for each length, with the ratios that count."""
    return table([_line(one) for one in numbers["lengths"]])


def _line(one: Numbers) -> Numbers:
    rows, plain = one["rows"], one["plain"]
    line = {
        "tokens": one["tokens"],
        "rows s": rows["seconds"],
        "plain s": plain["seconds"],
        "rows/plain": rows["seconds"] / plain["seconds"],
        "rows MiB": rows["peak_mib"],
        "plain MiB": plain["peak_mib"],
    }
    if (eager := one.get("eager")) is None:
        return line
    return {
        **line,
        "eager s": eager["seconds"],
        "eager MiB": eager["peak_mib"],
        "eager/rows time": eager["seconds"] / rows["seconds"],
        "eager/rows memory": eager["peak_mib"] / rows["peak_mib"],
        "difference": one["difference"],
    }


if __name__ == "__main__":
    run("attention", measure, show)
