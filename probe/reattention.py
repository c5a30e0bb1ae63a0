"""Logit-guided re-attention: move the visual tokens so that the model's own answer is "yes".

A latent prompt is learned for one question by a few gradient steps on the model's next-token
logits at the first answer position. The model is frozen, no box or time is seen, and text is
never generated: one pass a step, the question and the generic prompt packed together.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from probe.latent_prompts import LatentPrompt, zero_prompt
from probe.prompts import GENERIC, AnswerIds
from probe.view import View, yes_minus_no

Logits: TypeAlias = Float[Tensor, " word"]
Loss: TypeAlias = Callable[[Logits, Logits, AnswerIds], Tensor]
"""Of the logits for the question and for the generic prompt; smaller is better."""


def exponential(asked: Logits, generic: Logits, ids: AnswerIds) -> Tensor:  # noqa: ARG001
    """The paper's: -exp(log p(yes) - log p(no)) at the first answer position."""
    return -yes_minus_no(asked, ids).exp()


def contrast(asked: Logits, generic: Logits, ids: AnswerIds) -> Tensor:
    """The released code's: 1 - [(yes - no) of the question - (yes - no) of the generic prompt]."""
    return 1 - (yes_minus_no(asked, ids) - yes_minus_no(generic, ids))


def entropy(asked: Logits, generic: Logits, ids: AnswerIds) -> Tensor:  # noqa: ARG001
    """How undecided the next token is, in nats: the paper's alternative, which gave no gain."""
    log_probability = asked.log_softmax(-1)
    return -(log_probability.exp() * log_probability).sum()


@dataclass(frozen=True)
class Absolute:
    """The gradient times a number, as published: 8 for models of 7B."""

    rate: float = 8.0

    def step(self, gradient: Tensor, visual: Tensor) -> Tensor:  # noqa: ARG002
        """The move against the gradient, whatever the visual tokens are."""
        return -self.rate * gradient


@dataclass(frozen=True)
class Relative:
    """A move whose longest vector is a share of the visual tokens' mean norm: free of scale."""

    share: float = 0.2

    def step(self, gradient: Tensor, visual: Tensor) -> Tensor:
        """The move against the gradient, at a length that suits the visual tokens."""
        longest = gradient.norm(dim=-1).max()
        return -self.share * visual.norm(dim=-1).mean() / longest * gradient


Rate: TypeAlias = Absolute | Relative


@dataclass(frozen=True)
class Step:
    """What one gradient step saw before it moved."""

    loss: float
    margin: float
    """Yes minus no for the question, in logits."""
    peak: float
    """The strongest attention of any role token to any one cell, all layers and heads averaged."""
    gradient_norm: float


@dataclass(frozen=True, eq=False)
class Reattention:
    """A learned latent prompt and how it was learned."""

    latent: LatentPrompt
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Learning:
    """How a latent prompt is learned: the choices of `reattend` as a value."""

    layer: int = 0
    """The decoder layer the vectors enter."""
    steps: int = 1
    rate: Rate = field(default_factory=Relative)
    loss: Loss = exponential
    two_taps: bool = False
    """Apply the mean of the newest vectors and those before."""
    checkpointing: bool = False
    """Spend time to save memory: a step keeps states between layers only, and runs all layers."""

    def prompted(self, view: View, question: str, generic: str) -> View:
        """The view with a latent prompt learned for a question."""
        learned = reattend(view, question, generic=generic, **vars(self))
        return view.with_latent(learned.latent)


def reattend(  # noqa: PLR0913  each is a choice that the paper or its code makes differently
    view: View,
    question: str,
    *,
    layer: int = 0,
    steps: int = 1,
    rate: Rate | float = Relative(),
    loss: Loss = exponential,
    generic: str = GENERIC,
    two_taps: bool = False,
    checkpointing: bool = False,
) -> Reattention:
    """Learn the latent prompt that makes the model say yes to a question about a video.

    Args:
        view: The video; latent prompts it already has stay as they are.
        question: A yes-or-no question.
        layer: The decoder layer the vectors enter; only what lies above it runs.
        steps: Gradient steps; 0 gives the prompt that changes nothing.
        rate: How far a step goes; a number is taken as `Absolute`.
        loss: What a step makes smaller.
        generic: The prompt that the question is contrasted with.
        two_taps: Apply the mean of the newest vectors and those before, as the release does.
        checkpointing: Spend time to save memory, exactly: a step keeps the states between layers
            only and computes the rest again, and layers below the latent's run again too.

    Raises:
        ValueError: if there is no such layer, or steps are negative.
        RuntimeError: if the gradient vanishes or is not a number, with its step and layer.
    """
    if steps < 0:
        raise ValueError(f"{steps} steps cannot be taken; give 0 or more")
    mover = Absolute(float(rate)) if isinstance(rate, int | float) else rate
    blank = zero_prompt(view.model, view.grid, view.prefix.shape[1], layer)
    latent = replace(blank, question=question)
    view.with_latent(latent)  # says at once if there is no such layer
    visual = view.entering(layer)[view.grid.positions].float().cpu()
    seen: list[Step] = []
    newest = latent.vectors
    for number in range(steps):
        gradient, step = _gradient(view, latent, generic, loss, checkpointing)
        if not 0 < step.gradient_norm < float("inf"):
            raise RuntimeError(
                f"the gradient of step {number} at layer {layer} has norm {step.gradient_norm}; "
                f"try another layer, loss or number type"
            )
        before, newest = newest, newest + mover.step(gradient, visual)
        latent = replace(latent, vectors=(newest + before) / 2 if two_taps else newest)
        seen.append(step)
    return Reattention(latent, tuple(seen))


def _gradient(
    view: View, latent: LatentPrompt, generic: str, loss: Loss, checkpointing: bool
) -> tuple[Float[Tensor, "visual hidden"], Step]:
    """The gradient of the loss with respect to a latent's vectors, and what was seen on the way."""
    vectors = latent.vectors.detach().requires_grad_()
    prompted, ids = view.with_latent(replace(latent, vectors=vectors)), view.network.answers
    # What is computed again for the gradient must be computed as it was, masks and all.
    with view.network.attending("sdpa") if checkpointing else nullcontext():
        logits = prompted.answer_logits(latent.question, generic, checkpointing=checkpointing)
        value = loss(logits[0], logits[1], ids)
        (gradient,) = torch.autograd.grad(value, vectors)
    # Before the first step all is read as without them. A view with latent prompts of its own is
    # left alone: they may be learnable, and what it remembers then carries their graph.
    if view.plain is None and not vectors.any():
        view.remember_of(prompted)
    margin = yes_minus_no(logits[0], ids)
    return gradient, Step(value.item(), margin.item(), _peak(prompted), gradient.norm().item())


@torch.no_grad()
def _peak(prompted: View) -> float:
    """Where the role tokens look, read behind what the step has read of the video already."""
    (gaze,) = prompted.gaze(prompted.latents[-1].question, kinds=("role",))
    return float(gaze.mean_attention().max())
