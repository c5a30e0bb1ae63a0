"""Attention rows through the engine, compared with a plain forward pass and eager attention.

    python benchmarks/attention.py

Each alternative reads one question about one video, from embeddings to the answer's logits:

rows     `View.read`: attention of all text tokens at all layers, through the engine
plain    one sdpa forward pass that gives out no attention: the limit
eager    `output_attentions=True`: full matrices at all layers, from which the same rows are taken
"""

import torch
from comparison import (
    BenchmarkOptions,
    Numbers,
    Step,
    compare,
    costs,
    largest_difference,
    run,
    setting,
    table,
)
from jaxtyping import Float
from models import Peer, Shape, make_noise_video, open_video_lm, peer, shape_of
from torch import Tensor

from probe.engine.model import VideoLM

QUESTION = "Is there a red circle in this video?"

VISUAL_TOKENS = (512, 1536, 3008, 6016, 12032)
"""Numbers of visual tokens."""

QUICK_VISUAL_TOKENS = (64, 128)

LONGEST_EAGER = 4096
"""Number of tokens up to which eager attention is run: at twice as many it needs 16 GiB."""


def measure(options: BenchmarkOptions) -> Numbers:
    """Measure costs by sequence length, and the difference of rows to eager attention."""
    shape = shape_of(options)
    model, other = open_video_lm(shape, options), peer(shape, options)
    lengths = QUICK_VISUAL_TOKENS if options.quick else VISUAL_TOKENS
    measured = [_measure_length(model, other, shape, length, options) for length in lengths]
    return {**setting(options), "lengths": measured}


def _measure_length(
    model: VideoLM, other: Peer, shape: Shape, length: int, options: BenchmarkOptions
) -> Numbers:
    steps, tokens = _prepare_steps(model, other, shape, length)
    found = compare(steps, options)
    numbers: Numbers = {"tokens": tokens, **costs(found)}
    if "eager" in found:
        numbers["difference"] = largest_difference(found["rows"].value, found["eager"].value)
    return numbers


def _prepare_steps(
    model: VideoLM, other: Peer, shape: Shape, length: int
) -> tuple[dict[str, Step], int]:
    """Return the steps to compare, and the number of visual tokens they read."""
    video = make_noise_video(shape.frames(length), shape)
    view = model.watch(video)
    inputs = other.inputs(video, QUESTION)
    embeddings, visual = other.embeddings(inputs), other.visual(inputs)
    options = {"inputs_embeds": embeddings, "use_cache": False, "logits_to_keep": 1}

    def rows() -> Float[Tensor, "layer head token visual"]:
        # A new view has an empty prefix cache: the cost of reading the video is paid in each run.
        return view.with_prefix(view.prefix).read(QUESTION)[0].attention.flatten(-3)

    @torch.no_grad()
    def plain() -> Float[Tensor, "1 1 word"]:
        return other.module(**options).logits

    @torch.no_grad()
    def eager() -> Float[Tensor, "layer head token visual"]:
        # Text before the video cannot see it: only tokens after it have rows to compare.
        first = int(visual.nonzero().max()) + 1
        with other.eager():
            matrices = other.module(**options, output_attentions=True).attentions
        return torch.stack([matrix[0][:, first:, visual] for matrix in matrices])

    steps: dict[str, Step] = {"rows": rows, "plain": plain}
    if len(visual) <= LONGEST_EAGER:
        steps["eager"] = eager
    return steps, len(visual)


def show(numbers: Numbers) -> str:
    """Format one line for each length, with the ratios that matter."""
    return table([_format_line(one) for one in numbers["lengths"]])


def _format_line(one: Numbers) -> Numbers:
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
