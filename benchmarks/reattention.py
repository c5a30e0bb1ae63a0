"""One step of learning a latent prompt, beside the naive loop and beside one plain forward pass.

    python benchmarks/reattention.py

A step is the gradient, with respect to one vector for each visual token, of a loss on the answers
to some questions; two of them are a contrast pair. What the steps of one video share (its visual
tokens, and the states below the layer the vectors enter, its own and those of the questions, which
only the engine can keep) is computed before, on both sides as far as each can use it.

engine   `View.with_latent` and `View.answer_logits`: one pass over the video for all questions,
         from the layer on that the vectors enter
naive    for each question a full forward pass with a hook that adds the vectors, and a backward
         pass: what one writes without this toolkit
reattend `probe.reattend`, one step for a question and the generic prompt
plain    one sdpa forward pass over the video and one question, nothing learned: the limit
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from comparison import (
    Measured,
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
from jaxtyping import Bool, Float
from models import Peer, frames_of, made_up_video, peer, shape_of, video_lm
from torch import Tensor

from probe.engine.latent_prompts import zero_prompt
from probe.engine.prompts import GENERIC, AnswerIds, answer_ids
from probe.engine.readings import yes_minus_no
from probe.engine.view import View
from probe.grounding.reattention import reattend

QUESTIONS = (
    "Is there a red circle in this video?",
    GENERIC,
    "Is there a blue cross that grows in this video?",
    "Is there a circle in this video?",
    "Does the red square in this video slide?",
    "Is there a green triangle that jumps in this video?",
    "What is the color of the object in this video?",
    "Is the white cross in this video doing something?",
)
COUNTS = (1, 2, 8)
"""How many of the questions are learned for at once; the first two are a contrast pair."""

START = 0.01
"""Size of the vectors that the gradient is taken at: small, and not the same for all."""


def measure(options: Options) -> Numbers:
    """Costs of a step by layer and number of questions, and how far the gradients are apart."""
    bench = _Bench.open(options)
    depth = bench.view.network.depth
    layers = [round(depth * third / 3) for third in range(3)]
    steps = [bench.step(layer, count) for layer in layers for count in COUNTS]
    return {
        **setting(options),
        "tokens": len(bench.visual[0]),
        "decoder_layers": depth,
        "steps": steps,
    }


@dataclass(frozen=True, eq=False)
class _Bench:
    """A video watched by the engine, and the same video before each question for the others."""

    view: View
    other: Peer
    embeddings: Sequence[Float[Tensor, "1 token hidden"]]
    visual: Sequence[Bool[Tensor, " token"]]
    """Which tokens of the embeddings are visual, question by question."""
    answers: AnswerIds
    options: Options

    @classmethod
    def open(cls, options: Options) -> "_Bench":
        shape = shape_of(options)
        other = peer(shape, options)
        video = made_up_video(frames_of(options), shape)
        inputs = [other.inputs(video, question) for question in QUESTIONS]
        return cls(
            video_lm(shape, options).watch(video),
            other,
            [other.embeddings(one) for one in inputs],
            [other.visual(one) for one in inputs],
            answer_ids(other.processor.tokenizer),
            options,
        )

    def step(self, layer: int, count: int) -> Numbers:
        """The alternatives at one layer, for some of the questions."""
        latent = zero_prompt(self.view.model, self.view.grid, self.view.prefix.shape[1], layer)
        start = START * torch.randn(
            latent.vectors.shape, generator=torch.Generator().manual_seed(0)
        )

        def engine() -> Float[Tensor, "visual hidden"]:
            vectors = start.clone().requires_grad_()
            view = self.view.with_latent(replace(latent, vectors=vectors))
            loss = self._loss(view.answer_logits(*QUESTIONS[:count]))
            return torch.autograd.grad(loss, vectors)[0]

        def naive() -> Float[Tensor, "visual hidden"]:
            vectors = start.clone().to(self.view.prefix.device).requires_grad_()
            for index in range(count):
                self._loss(self._answer(index, vectors, layer)).backward()
            assert vectors.grad is not None
            return vectors.grad

        alternatives: dict[str, Step] = {"engine": engine, "naive": naive, "plain": self._plain}
        if count == 2:
            alternatives["reattend"] = lambda: reattend(
                self.view, QUESTIONS[0], layer=layer, steps=1
            )
        return self._numbers(layer, count, compare(alternatives, self.options))

    def _loss(self, logits: Float[Tensor, "question word"]) -> Tensor:
        """Small where the answers are yes."""
        return -yes_minus_no(logits, self.answers).sum()

    def _answer(self, index: int, vectors: Tensor, layer: int) -> Float[Tensor, "1 word"]:
        """A full pass over the video and one question, vectors added to what enters a layer."""
        (places,) = self.visual[index].nonzero(as_tuple=True)

        def add(_: torch.nn.Module, entering: tuple[Tensor]) -> tuple[Tensor]:
            return (entering[0].index_add(1, places, vectors[None].to(entering[0])),)

        hook = self.other.decoder.layers[layer].register_forward_pre_hook(add)
        logits = self._forward(index)
        hook.remove()
        return logits

    @torch.no_grad()
    def _plain(self) -> Float[Tensor, "1 word"]:
        return self._forward(0)

    def _forward(self, index: int) -> Float[Tensor, "1 word"]:
        output = self.other.module(
            inputs_embeds=self.embeddings[index], use_cache=False, logits_to_keep=1
        )
        return output.logits[0].float()

    def _numbers(self, layer: int, count: int, found: dict[str, Measured]) -> Numbers:
        difference = largest_difference(found["engine"].value, found["naive"].value)
        return {"layer": layer, "questions": count, **costs(found), "difference": difference}


def show(numbers: Numbers) -> str:
    """One line for each layer and number of questions, with the ratios that count."""
    return table([_line(one) for one in numbers["steps"]])


def _line(one: Numbers) -> Numbers:
    engine, naive, plain = one["engine"], one["naive"], one["plain"]
    line = {
        "layer": one["layer"],
        "questions": one["questions"],
        "engine s": engine["seconds"],
        "naive s": naive["seconds"],
        "plain s": plain["seconds"],
        "engine MiB": engine["peak_mib"],
        "naive MiB": naive["peak_mib"],
        "naive/engine time": naive["seconds"] / engine["seconds"],
        "naive/engine memory": naive["peak_mib"] / engine["peak_mib"],
        "engine/plain time": engine["seconds"] / plain["seconds"],
        "difference": one["difference"],
    }
    if "reattend" in one:
        line["reattend/plain time"] = one["reattend"]["seconds"] / plain["seconds"]
    return line


if __name__ == "__main__":
    run("reattention", measure, show)
