"""One step of learning a latent prompt, compared with a naive loop and a plain forward pass.

    python benchmarks/reattention.py

A step is the gradient, with respect to one vector for each visual token, of a loss on the answers
to some questions; two questions are a contrast pair. What all steps of one video share is computed
before, as far as each side can use it: the visual tokens, and for the engine also the states of
video and questions below the layer at which the vectors are added.

engine   `View.with_latent` and `View.answer_logits`: one pass over the video for all questions,
         from the layer on at which the vectors are added
naive    for each question a full forward pass with a hook that adds the vectors, and a backward
         pass: what users write without this toolkit
reattend `probe.reattend`, one step for a question and the generic prompt
plain    one sdpa forward pass over the video and one question, nothing learned: the limit
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from comparison import (
    BenchmarkOptions,
    Numbers,
    Step,
    StepResult,
    compare,
    costs,
    largest_difference,
    run,
    setting,
    table,
)
from jaxtyping import Bool, Float
from models import Peer, frames_of, make_noise_video, open_video_lm, peer, shape_of
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
"""Numbers of questions to learn for at once; the first two questions are a contrast pair."""

START = 0.01
"""Size of the random vectors at which the gradient is taken: small, and different for each."""


def measure(options: BenchmarkOptions) -> Numbers:
    """Measure costs by layer and number of questions, and the difference of the gradients."""
    setup = _Setup.open(options)
    depth = setup.view.checkpoint.depth
    layers = [round(depth * third / 3) for third in range(3)]
    steps = [setup.step(layer, count) for layer in layers for count in COUNTS]
    return {
        **setting(options),
        "tokens": len(setup.visual[0]),
        "decoder_layers": depth,
        "steps": steps,
    }


@dataclass(frozen=True, eq=False)
class _Setup:
    """A video watched by the engine, and the inputs of the plain model for each question."""

    view: View
    other: Peer
    embeddings: Sequence[Float[Tensor, "1 token hidden"]]
    visual: Sequence[Bool[Tensor, " token"]]
    """Mask of the visual tokens in the embeddings of each question."""

    answers: AnswerIds
    options: BenchmarkOptions

    @classmethod
    def open(cls, options: BenchmarkOptions) -> "_Setup":
        shape = shape_of(options)
        other = peer(shape, options)
        video = make_noise_video(frames_of(options), shape)
        inputs = [other.inputs(video, question) for question in QUESTIONS]
        return cls(
            open_video_lm(shape, options).watch(video),
            other,
            [other.embeddings(one) for one in inputs],
            [other.visual(one) for one in inputs],
            answer_ids(other.processor.tokenizer),
            options,
        )

    def step(self, layer: int, count: int) -> Numbers:
        """Compare the alternatives at one layer, for the first `count` questions."""
        latent = zero_prompt(
            self.view.model, self.view.grid, self.view.prefix.embeddings.shape[1], layer
        )
        start = START * torch.randn(
            latent.vectors.shape, generator=torch.Generator().manual_seed(0)
        )

        def engine() -> Float[Tensor, "visual hidden"]:
            vectors = start.clone().requires_grad_()
            view = self.view.with_latent(replace(latent, vectors=vectors))
            loss = self._loss(view.answer_logits(*QUESTIONS[:count]))
            return torch.autograd.grad(loss, vectors)[0]

        def naive() -> Float[Tensor, "visual hidden"]:
            vectors = start.clone().to(self.view.prefix.embeddings.device).requires_grad_()
            # One backward pass for each question holds the graph of one question at a time.
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
        """Return a loss that is small if the answers are yes."""
        return -yes_minus_no(logits, self.answers).sum()

    def _answer(self, index: int, vectors: Tensor, layer: int) -> Float[Tensor, "1 word"]:
        """Run a full pass over the video and one question, with vectors added at a layer."""
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

    def _numbers(self, layer: int, count: int, found: dict[str, StepResult]) -> Numbers:
        difference = largest_difference(found["engine"].value, found["naive"].value)
        return {"layer": layer, "questions": count, **costs(found), "difference": difference}


def show(numbers: Numbers) -> str:
    """Format one line for each layer and number of questions, with the ratios that matter."""
    return table([_format_line(one) for one in numbers["steps"]])


def _format_line(one: Numbers) -> Numbers:
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
