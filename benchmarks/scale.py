"""Growth of cost with frames, questions and depth; and what a 7B needs, by arithmetic.

    python benchmarks/scale.py

read     `View.read` of a video that was watched but not read yet: rows at all layers
learn    one step of learning at the embeddings, for the same questions

An exponent of 1 means that cost doubles when the size doubles, 0 that cost does not change.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice, product

import numpy as np
import torch
from comparison import (
    LONG_RUN_REPEATS,
    MIB,
    BenchmarkOptions,
    Numbers,
    compare,
    costs,
    run,
    setting,
    table,
)
from jaxtyping import Float
from models import MODEL_SHAPES, QUICK_FRAMES, Shape, make_noise_video, open_video_lm, shape_of
from paper_model import compute_vision_flops, make_sizes
from torch import Tensor

from probe.engine.latent_prompts import zero_prompt
from probe.engine.model import VideoLM
from probe.engine.readings import yes_minus_no
from probe.engine.view import View
from probe.organism.world import ACTIONS, COLOURS
from probe.organism.world import SHAPES as THINGS

FRAME_COUNTS = (8, 16, 32, 64, 128)
QUESTION_COUNTS = (1, 2, 4, 8, 16, 32)
DEPTHS = (2, 4, 8, 16)

USUAL_FRAMES, USUAL_QUESTIONS = 20, 2
"""Fixed sizes while another one grows: the frames of the paper, and a contrast pair."""

QUICK = {"frames": (2, 4), "questions": (1, 2), "layers": (2, 4)}
PAPER_FRAMES = (20, 32, 128)
QUESTION_TOKENS = 20

GIB, TERA = 2**30, 1e12


def measure(options: BenchmarkOptions) -> Numbers:
    """Measure costs by frames, questions and layers with their exponents; add the 7B's costs."""
    sizes = (
        QUICK
        if options.quick
        else {"frames": FRAME_COUNTS, "questions": QUESTION_COUNTS, "layers": DEPTHS}
    )
    shape = shape_of(options)
    usual = QUICK_FRAMES if options.quick else USUAL_FRAMES
    model = open_video_lm(shape, options)
    view = watch_noise(model, shape, usual)

    # Depth is a size of the model itself, so each depth needs a model of its own.
    def deep(layers: int) -> Numbers:
        deeper = replace(shape, layers=layers)
        return measure_cost(
            watch_noise(open_video_lm(deeper, options), deeper, usual), USUAL_QUESTIONS, options
        )

    growth = {
        "frames": _measure_growth(
            sizes["frames"],
            lambda frames: measure_cost(
                watch_noise(model, shape, frames), USUAL_QUESTIONS, options
            ),
        ),
        "questions": _measure_growth(
            sizes["questions"], lambda count: measure_cost(view, count, options)
        ),
        "layers": _measure_growth(sizes["layers"], deep),
    }
    return {
        **setting(options),
        "growth": growth,
        "paper": [compute_paper_costs(n) for n in PAPER_FRAMES],
    }


def watch_noise(model: VideoLM, shape: Shape, frames: int) -> View:
    """Watch a video of noise."""
    return model.watch(make_noise_video(frames, shape))


def measure_cost(view: View, count: int, options: BenchmarkOptions) -> Numbers:
    """Measure the cost of reading and of one learning step for so many questions."""
    questions = [
        f"Is there a {colour} {thing} that {action} in this video?"
        for colour, thing, action in islice(product(COLOURS, THINGS, ACTIONS), count)
    ]
    blank = zero_prompt(view.model, view.grid, view.prefix.embeddings.shape[1], layer=0)

    def read() -> None:
        # A new view has an empty prefix cache, so that the video is read again.
        view.with_prefix(view.prefix).read(*questions)

    def learn() -> Float[Tensor, "visual hidden"]:
        vectors = blank.vectors.clone().requires_grad_()
        prompted = view.with_latent(replace(blank, vectors=vectors))
        margins = yes_minus_no(prompted.answer_logits(*questions), view.checkpoint.answers)
        return torch.autograd.grad(margins.sum(), vectors)[0]

    # An exponent is fitted to many sizes, so each of them needs fewer repeats.
    fewer = replace(options, repeats=min(options.repeats, LONG_RUN_REPEATS))
    return costs(compare({"read": read, "learn": learn}, fewer))


def _measure_growth(sizes: Sequence[int], measured: Callable[[int], Numbers]) -> Numbers:
    """Measure the costs at every size, and fit their exponents."""
    found = [{"size": size, **measured(size)} for size in sizes]
    return {
        "measured": found,
        "exponents": {
            f"{step} {name}": exponent(sizes, [one[step][key] for one in found])
            for step in ("read", "learn")
            for name, key in (("time", "seconds"), ("memory", "peak_mib"))
        },
    }


def exponent(sizes: Sequence[int], values: Sequence[float]) -> float:
    """Fit the power of the size that values are proportional to, on logarithms."""
    return round(float(np.polyfit(np.log(sizes), np.log(values), 1)[0]), 3)


def compute_paper_costs(frames: int) -> Numbers:
    """Compute what LLaVA-NeXT-Video-7B needs in bfloat16 for a video of so many frames."""
    shape = MODEL_SHAPES["7b"]
    model = make_sizes(shape)
    visual = frames * shape.cells**2
    tokens = visual + QUESTION_TOKENS
    # The layers at which `reattention.py` measures a step.
    third = shape.layers / 3
    at = {"embeddings": 0, "a third": round(third), "two thirds": round(2 * third)}
    learn = {name: model.learn_flops(tokens, layer) / TERA for name, layer in at.items()}
    graph = {name: model.graph(tokens, layer) / GIB for name, layer in at.items()}
    return {
        "frames": frames,
        "tokens": tokens,
        "weights GiB": model.weights / GIB,
        "keys, values GiB": model.keys_and_values(tokens) / GIB,
        "rows MiB": model.rows(QUESTION_TOKENS, visual) / MIB,
        **{f"graph GiB, {name}": bytes_ for name, bytes_ in graph.items()},
        "eager matrices GiB": model.matrices(tokens) / GIB,
        "vision TFLOP": compute_vision_flops(shape, frames) / TERA,
        "read TFLOP": model.read_flops(tokens) / TERA,
        **{f"learn TFLOP, {name}": flops for name, flops in learn.items()},
    }


def show(numbers: Numbers) -> str:
    """Format a table for each size that grows, with exponents, and one for the 7B."""
    grown = [_format_growth(name, growth) for name, growth in numbers["growth"].items()]
    return "\n\n".join([*grown, _format_paper(numbers["paper"])])


def _format_growth(name: str, growth: Numbers) -> str:
    lines = [
        {
            name: one["size"],
            **{f"{step} s": one[step]["seconds"] for step in ("read", "learn")},
            **{f"{step} MiB": one[step]["peak_mib"] for step in ("read", "learn")},
        }
        for one in growth["measured"]
    ]
    fitted = ", ".join(f"{what} {value:.2f}" for what, value in growth["exponents"].items())
    return f"{table(lines)}\nexponents: {fitted}"


def _format_paper(paper: Sequence[Numbers]) -> str:
    cells = MODEL_SHAPES["7b"].cells ** 2
    names = [name for name in paper[0] if name != "frames"]
    return table(
        [
            {"7B on paper": name, **{f"{one['frames']} x {cells}": one[name] for one in paper}}
            for name in names
        ]
    )


if __name__ == "__main__":
    run("scale", measure, show)
