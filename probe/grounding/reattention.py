"""Logit-guided re-attention: move the visual tokens so that the model's own answer is "yes".

A latent prompt is learned for one question by a few gradient steps on the model's next-token
logits at the first answer position. The model is frozen, no box or time is seen, and text is
never generated: one pass a step, the question and the generic prompt packed together.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from probe.engine.latent_prompts import LatentPrompt, zero_prompt
from probe.engine.memories import Joint
from probe.engine.prompts import GENERIC
from probe.engine.view import View, yes_minus_no
from probe.grounding.losses import Loss, exponential


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


_Found: TypeAlias = tuple[Float[Tensor, "visual hidden"], Step]
"""A gradient with respect to a latent prompt's vectors, and what was seen on the way."""


@dataclass(frozen=True)
class Learning:
    """How latent prompts are learned."""

    layer: int = 0
    """The decoder layer the vectors enter; only what lies above it runs."""
    steps: int = 1
    """Gradient steps; 0 gives the prompt that changes nothing."""
    rate: Rate = field(default_factory=Relative)
    """How far a step goes."""
    loss: Loss = exponential
    """What a step makes smaller."""
    two_taps: bool = False
    """Apply the mean of the newest vectors and those before, as the release does."""
    checkpointing: bool = False
    """Spend time to save memory, exactly: a step keeps the states between layers only and computes
    the rest again, and layers below the latent's run again too."""

    def prompted(self, view: View, questions: Sequence[str], generic: str = GENERIC) -> list[View]:
        """The view with the latent prompt of each question; raises what `learn` raises."""
        learned = self.learn(view, questions, generic)
        return [view.with_latent(one.latent) for one in learned]

    def learn(
        self, view: View, questions: Sequence[str], generic: str = GENERIC
    ) -> list[Reattention]:
        """Learn, for each question on its own, the latent prompt that makes the model say yes.

        All of them start from zeros, so one reading of the video serves all their first steps;
        with checkpointing nothing is remembered, and each step reads it for itself.

        Args:
            view: The video; latent prompts it already has stay as they are.
            questions: Yes-or-no questions.
            generic: The prompt that each question is contrasted with.

        Raises:
            ValueError: if there is no such layer, steps are negative, there is no question, or one
                that `View.read` refuses.
            RuntimeError: if a gradient vanishes or is not a number, with its step and layer.
        """
        if self.steps < 0:
            raise ValueError(f"{self.steps} steps cannot be taken; give 0 or more")
        view.packed(questions)  # says at once if there is none, or one that cannot be asked
        blank = zero_prompt(view.model, view.grid, view.prefix.shape[1], self.layer)
        view.with_latent(blank)  # says at once if there is no such layer
        latents = [replace(blank, question=question) for question in questions]
        if not self.steps:
            return [Reattention(latent, ()) for latent in latents]
        first = self._gradients(view, blank, questions, generic)
        return [
            self._learned(view, latent, found, generic)
            for latent, found in zip(latents, first, strict=True)
        ]

    def _learned(
        self, view: View, latent: LatentPrompt, found: _Found, generic: str
    ) -> Reattention:
        """All steps for one question, the gradient of the first being known."""
        visual = view.entering(self.layer)[view.grid.positions].float().cpu()
        newest, seen = latent.vectors, []
        for number in range(self.steps):
            if number:
                (found,) = self._gradients(view, latent, [latent.question], generic)
            gradient, step = found
            if not 0 < step.gradient_norm < float("inf"):
                raise RuntimeError(
                    f"the gradient of step {number} at layer {self.layer} has norm "
                    f"{step.gradient_norm}; try another layer, loss or number type"
                )
            before, newest = newest, newest + self.rate.step(gradient, visual)
            applied = (newest + before) / 2 if self.two_taps else newest
            latent = replace(latent, vectors=applied)
            seen.append(step)
        return Reattention(latent, tuple(seen))

    def _gradients(
        self, view: View, latent: LatentPrompt, questions: Sequence[str], generic: str
    ) -> list[_Found]:
        """What is found at the vectors of a latent prompt, for each question."""
        vectors = latent.vectors.detach().requires_grad_()
        prompted = view.with_latent(replace(latent, vectors=vectors))
        if self.checkpointing:
            reader, back = prompted, lambda loss: torch.autograd.grad(loss, vectors)[0]
        else:
            joint = Joint.of(prompted.memory, vectors)
            reader, back = prompted.remembering(joint.cut), joint.gradient
        found = [self._gradient(reader, question, generic, back) for question in questions]
        # Before the first step all is read as without them. A view with latent prompts of its own
        # is left alone: they may be learnable, and what it remembers then carries their graph.
        if view.plain is None and not vectors.any():
            view.remember_of(prompted)
        peaks = _peaks(prompted, questions)
        return [
            (gradient, Step(loss, margin, peak, gradient.norm().item()))
            for (gradient, loss, margin), peak in zip(found, peaks, strict=True)
        ]

    def _gradient(
        self, view: View, question: str, generic: str, back: Callable[[Tensor], Tensor]
    ) -> tuple[Float[Tensor, "visual hidden"], float, float]:
        """The gradient of the loss for a question, the loss, and yes minus no."""
        ids = view.network.answers
        # What is computed again for the gradient must be computed as it was, masks and all.
        with view.network.attending("sdpa") if self.checkpointing else nullcontext():
            asked, base = view.answer_logits(question, generic, checkpointing=self.checkpointing)
            loss = self.loss(asked, base, ids)
            return back(loss), loss.item(), yes_minus_no(asked, ids).item()


@torch.no_grad()
def _peaks(prompted: View, questions: Sequence[str]) -> list[float]:
    """Where the role tokens look, read behind what the step has read of the video already."""
    gazes = prompted.gaze(*questions, kinds=("role",))
    return [float(gaze.mean_attention().max()) for gaze in gazes]


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

    For several questions about one video, `Learning.learn` shares what their first steps read.

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
    mover = Absolute(float(rate)) if isinstance(rate, int | float) else rate
    learning = Learning(
        layer=layer,
        steps=steps,
        rate=mover,
        loss=loss,
        two_taps=two_taps,
        checkpointing=checkpointing,
    )
    (learned,) = learning.learn(view, [question], generic)
    return learned


def prompted_each(
    view: View, asked: Sequence[tuple[str, Learning | None]], generic: str
) -> list[View]:
    """For each question and how its latent prompt is learned, the view with it; as is for None.

    Questions learned for in the same way are learned for together.
    """
    views = [view] * len(asked)
    for learning in {learning for _, learning in asked if learning is not None}:
        same = [index for index, (_, other) in enumerate(asked) if other == learning]
        made = learning.prompted(view, [asked[index][0] for index in same], generic)
        for index, prompted in zip(same, made, strict=True):
            views[index] = prompted
    return views
