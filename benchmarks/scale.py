"""How cost grows with frames, questions and depth; and what a model of 7B needs, on paper.

    python benchmarks/scale.py

read     `View.read` of a video that was watched but not read: rows at all layers
learn    one step of learning at the embeddings, for the same questions

An exponent of 1 means that cost doubles with what it is fitted against, 0 that it stays as it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice, product

import numpy as np
import torch
from comparison import MIB, Numbers, Options, compare, costs, run, setting, table
from jaxtyping import Float
from models import SHAPES, Shape, made_up_video, shape_of, video_lm
from paper_model import PaperModel
from torch import Tensor

from probe.engine.latent_prompts import zero_prompt
from probe.engine.model import VideoLM
from probe.engine.readings import yes_minus_no
from probe.engine.view import View
from probe.organism.world import ACTIONS, COLOURS
from probe.organism.world import SHAPES as THINGS

FRAMES = (8, 16, 32, 64, 128)
QUESTIONS = (1, 2, 4, 8, 16, 32)
DEPTHS = (2, 4, 8, 16)

USUAL_FRAMES, USUAL_QUESTIONS = 20, 2
"""What stays while another thing grows: the paper's frames, and a contrast pair."""

QUICK = {"frames": (2, 4), "questions": (1, 2), "layers": (2, 4)}
QUICK_FRAMES = 4

MOST_REPEATS = 3
"""Enough for an exponent, which many sizes share."""

PAPER_FRAMES = (20, 32, 128)
QUESTION_TOKENS = 20

GIB, TERA = 2**30, 1e12


def measure(options: Options) -> Numbers:
    """Costs by frames, questions and decoder layers, their exponents, and the model on paper."""
    sizes = QUICK if options.quick else {"frames": FRAMES, "questions": QUESTIONS, "layers": DEPTHS}
    shape = shape_of(options)
    usual = QUICK_FRAMES if options.quick else USUAL_FRAMES
    model = video_lm(shape, options)
    view = watched(model, shape, usual)

    def deep(layers: int) -> Numbers:
        deeper = replace(shape, layers=layers)
        return cost(watched(video_lm(deeper, options), deeper, usual), USUAL_QUESTIONS, options)

    growth = {
        "frames": _grown(
            sizes["frames"],
            lambda frames: cost(watched(model, shape, frames), USUAL_QUESTIONS, options),
        ),
        "questions": _grown(sizes["questions"], lambda count: cost(view, count, options)),
        "layers": _grown(sizes["layers"], deep),
    }
    return {**setting(options), "growth": growth, "paper": [on_paper(n) for n in PAPER_FRAMES]}


def watched(model: VideoLM, shape: Shape, frames: int) -> View:
    """A made-up video of so many frames."""
    return model.watch(made_up_video(frames, shape))


def cost(view: View, count: int, options: Options) -> Numbers:
    """What reading and one learning step cost for so many questions."""
    questions = [
        f"Is there a {colour} {thing} that {action} in this video?"
        for colour, thing, action in islice(product(COLOURS, THINGS, ACTIONS), count)
    ]
    blank = zero_prompt(view.model, view.grid, view.prefix.shape[1], layer=0)

    def read() -> None:
        unread = replace(view)
        unread.read(*questions)

    def learn() -> Float[Tensor, "visual hidden"]:
        vectors = blank.vectors.clone().requires_grad_()
        prompted = view.with_latent(replace(blank, vectors=vectors))
        margins = yes_minus_no(prompted.answer_logits(*questions), view.network.answers)
        return torch.autograd.grad(margins.sum(), vectors)[0]

    fewer = replace(options, repeats=min(options.repeats, MOST_REPEATS))
    return costs(compare({"read": read, "learn": learn}, fewer))


def _grown(sizes: Sequence[int], measured: Callable[[int], Numbers]) -> Numbers:
    """Costs at every size, and how they grow."""
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
    """The power of size that values follow, fitted to their logarithms."""
    return round(float(np.polyfit(np.log(sizes), np.log(values), 1)[0]), 3)


def on_paper(frames: int) -> Numbers:
    """What LLaVA-NeXT-Video-7B needs in bfloat16 for a video of so many frames."""
    shape = SHAPES["7b"]
    model = PaperModel(shape)
    visual = frames * shape.cells**2
    tokens = visual + QUESTION_TOKENS
    third = shape.layers / 3
    at = {"embeddings": 0, "a third": round(third), "two thirds": round(2 * third)}
    learn = {name: model.learn_flops(tokens, layer) / TERA for name, layer in at.items()}
    graph = {name: model.graph(tokens, layer) / GIB for name, layer in at.items()}
    return {
        "frames": frames,
        "tokens": tokens,
        "weights GiB": model.weights / GIB,
        "keys, values GiB": model.memory(tokens) / GIB,
        "rows MiB": model.rows(QUESTION_TOKENS, visual) / MIB,
        **{f"graph GiB, {name}": bytes_ for name, bytes_ in graph.items()},
        "eager matrices GiB": model.matrices(tokens) / GIB,
        "vision TFLOP": model.vision_flops(frames) / TERA,
        "read TFLOP": model.read_flops(tokens) / TERA,
        **{f"learn TFLOP, {name}": flops for name, flops in learn.items()},
    }


def show(numbers: Numbers) -> str:
    """A table for each thing that grows, with its exponents, and the model on paper."""
    grown = [_growth_table(name, growth) for name, growth in numbers["growth"].items()]
    return "\n\n".join([*grown, _paper_table(numbers["paper"])])


def _growth_table(name: str, growth: Numbers) -> str:
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


def _paper_table(paper: Sequence[Numbers]) -> str:
    cells = SHAPES["7b"].cells ** 2
    names = [name for name in paper[0] if name != "frames"]
    return table(
        [
            {"7B on paper": name, **{f"{one['frames']} x {cells}": one[name] for one in paper}}
            for name in names
        ]
    )


if __name__ == "__main__":
    run("scale", measure, show)
