"""Logit-guided re-attention: move the visual tokens so that the model's own answer is "yes".

A latent prompt is learned for one question by a few gradient steps on the model's next-token
logits at the first answer position. The model is frozen, no box or time is seen, and text is
never generated: one pass a step, the question and the generic prompt packed together.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, fields, replace
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from probe.engine.content import same_content
from probe.engine.latent_prompts import LatentPrompt, zero_prompt
from probe.engine.past import TwoStageGradient
from probe.engine.prompts import GENERIC
from probe.engine.readings import shorten
from probe.engine.view import View
from probe.files import FileFormat, read_tensors, write_tensors
from probe.grounding.losses import Loss, attention_layers, exponential
from probe.video.coercion import describe_given, expect, to_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REATTENTION_FORMAT = FileFormat(
    "grounding-probe/reattention", 1, "a learned latent prompt", "Reattention.save"
)

SMALLEST_SCALED_LOSS = 2.0**-16
"""Smaller losses are not brought near 1: their gradients are not as small as they are."""


@runtime_checkable
class Rate(Protocol):
    """Length of a gradient step: any object with this method."""

    def step(
        self, gradient: Float[Tensor, "visual hidden"], visual: Float[Tensor, "visual hidden"]
    ) -> Float[Tensor, "visual hidden"]:
        """Compute the move against the gradient.

        Args:
            gradient: The gradient of the loss with respect to the latent vectors.
            visual: The states of the visual tokens where the vectors enter.
        """
        ...


def check_length(name: str, value: float) -> None:
    """Check the length of a step; a negative one moves away from a yes.

    Raises:
        ValueError: if it is no finite number.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError(f"{name} of a step is {describe_given(value)}; give a finite number")


@dataclass(frozen=True)
class Absolute:
    """The gradient times a number, as published: 8 for models of 7B."""

    rate: float = 8.0

    def __post_init__(self) -> None:
        check_length("the rate", self.rate)

    def step(self, gradient: Tensor, visual: Tensor) -> Tensor:  # noqa: ARG002
        """Compute the move against the gradient, whatever the visual tokens are."""
        return -self.rate * gradient


@dataclass(frozen=True)
class Relative:
    """A move whose longest vector is a share of the visual tokens' mean norm: free of scale."""

    share: float = 0.2

    def __post_init__(self) -> None:
        check_length("the share", self.share)

    def step(self, gradient: Tensor, visual: Tensor) -> Tensor:
        """Compute the move against the gradient, at a length that suits the visual tokens."""
        longest = gradient.norm(dim=-1).max()
        return -self.share * visual.norm(dim=-1).mean() / longest * gradient


@dataclass(frozen=True)
class LearningStep:
    """Measurements of one gradient step, before it moved the vectors."""

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
    steps: tuple[LearningStep, ...]

    def __eq__(self, other: object) -> bool:
        return same_content(self, other)

    def __hash__(self) -> int:
        return hash((self.latent, self.steps))

    def to_frame(self) -> pd.DataFrame:
        """Return one row a step, with what was measured before the vectors moved."""
        return pd.DataFrame([asdict(step) for step in self.steps])

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the margin by step, each measured before the vectors moved.

        Args:
            ax: The axes to draw on; None for a new figure.

        Raises:
            ValueError: if there is no step, or a margin is not finite.
        """
        # Imported where it is drawn: matplotlib takes long to import.
        from probe.pictures.curves import draw_margins

        return draw_margins(ax, [step.margin for step in self.steps], self.latent.question)

    def _repr_html_(self) -> str:
        """Draw the margin by step and the length of each vector for Jupyter."""
        from probe.pictures.html import plot_as_html  # see `plot`

        return plot_as_html(self, self._draw, height=3.0)

    def _draw(self, figure: "Figure") -> None:
        curve, vectors = figure.subplots(2, 1)
        self.plot(curve)
        self.latent.plot(vectors)

    def save(self, path: str | Path) -> None:
        """Write the prompt and its steps as safetensors."""
        latent = self.latent
        about = {
            **REATTENTION_FORMAT.header,
            "layer": latent.layer,
            "model": latent.model,
            "shape": latent.shape,
            "question": latent.question,
            "steps": [asdict(step) for step in self.steps],
        }
        write_tensors(path, {"vectors": latent.vectors}, about)

    @classmethod
    def load(cls, path: str | Path) -> "Reattention":
        """Read what `save` wrote.

        Raises:
            ValueError: if the file is missing or holds something else.
        """
        tensors, about = read_tensors(path)
        with REATTENTION_FORMAT.reading(path):
            record = REATTENTION_FORMAT.check(path, about)
            latent = LatentPrompt.from_record(tensors["vectors"], record)
            return cls(latent, tuple(LearningStep(**step) for step in record["steps"]))

    def __repr__(self) -> str:
        margins = " -> ".join(f"{step.margin:+.2f}" for step in self.steps)
        question = shorten(self.latent.question)
        return f"Reattention({question!r}, layer {self.latent.layer}, margins {margins or 'none'})"


_Found: TypeAlias = tuple[Float[Tensor, "visual hidden"], LearningStep]
"""A gradient with respect to a latent prompt's vectors, and what was measured with it."""


@dataclass(frozen=True)
class Learning:
    """Choices for learning latent prompts.

    Raises:
        ValueError: if layer or steps are no whole numbers from 0 on, the rate is neither a number
            nor a `Rate`, or the loss cannot be called.
    """

    layer: int = 0
    """The decoder layer that the vectors enter; only the layers above it run."""
    steps: int = 1
    """Gradient steps; 0 gives the prompt that changes nothing."""
    rate: Rate | float = field(default_factory=Relative)
    """Length of a step; a number is taken as `Absolute`."""
    loss: Loss = exponential
    """The quantity that a step makes smaller; see `probe.losses`."""
    average_last_two: bool = False
    """True to apply the mean of the newest vectors and those before, as the released code does."""
    checkpointing: bool = False
    """True to spend time to save memory, with the same result: a step keeps the states between
    layers only and computes the rest again, and layers below the prompt's run again too."""

    def __post_init__(self) -> None:
        for name in ("layer", "steps"):
            value = to_whole(getattr(self, name), name)
            if value < 0:
                raise ValueError(f"{name} is {value}; give 0 or more")
            object.__setattr__(self, name, value)
        if not isinstance(self.rate, Rate):
            check_length("the rate", self.rate)
        if not callable(self.loss):
            raise ValueError(
                f"the loss is {describe_given(self.loss)}; give a function, such as one of "
                f"probe.losses"
            )

    def prompted(self, view: View, questions: Sequence[str], generic: str = GENERIC) -> list[View]:
        """Return the view with the latent prompt of each question; raises what `learn` raises."""
        learned = self.learn(view, questions, generic)
        return [view.with_latent(one.latent) for one in learned]

    def learn(
        self, view: View, questions: Sequence[str], generic: str = GENERIC
    ) -> list[Reattention]:
        """Learn, for each question on its own, the latent prompt that makes the model say yes.

        All of them start from zeros, so one reading of the video serves all their first steps;
        with checkpointing nothing is cached, and each step reads the video again.

        Args:
            view: The video; latent prompts it already has stay as they are.
            questions: Yes-or-no questions.
            generic: The prompt that each question is contrasted with.

        Raises:
            ValueError: if there is no such layer, there is no question, or one that `View.read`
                refuses.
            RuntimeError: if a gradient vanishes or is not a number, with its step and layer.
        """
        # Both refuse what cannot be learned before the video is read for it.
        view.reader.pack(questions)
        blank = zero_prompt(view.model, view.grid, view.prefix.embeddings.shape[1], self.layer)
        view.with_latent(blank)
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
        """Take all steps for one question, given the gradient of the first."""
        rate = Absolute(float(self.rate)) if isinstance(self.rate, int | float) else self.rate
        visual = view.states(self.layer)[view.grid.positions].float().cpu()
        newest, taken = latent.vectors, []
        for number in range(self.steps):
            if number:
                (found,) = self._gradients(view, latent, [latent.question], generic)
            gradient, step = found
            if not 0 < step.gradient_norm < float("inf"):
                raise RuntimeError(
                    f"the gradient of step {number} at layer {self.layer} has norm "
                    f"{step.gradient_norm}; try another layer, loss or number type"
                )
            before, newest = newest, newest + rate.step(gradient, visual)
            applied = (newest + before) / 2 if self.average_last_two else newest
            latent = replace(latent, vectors=applied)
            taken.append(step)
        return Reattention(latent, tuple(taken))

    def _gradients(
        self, view: View, latent: LatentPrompt, questions: Sequence[str], generic: str
    ) -> list[_Found]:
        """Compute the gradient at the vectors of a latent prompt, for each question."""
        vectors = latent.vectors.detach().requires_grad_()
        prompted = view.with_latent(replace(latent, vectors=vectors))
        if self.checkpointing:
            reader, back = prompted, lambda loss: torch.autograd.grad(loss, vectors)[0]
        else:
            past = prompted.cache.past(view.checkpoint.depth)
            stages = TwoStageGradient.of(past, vectors)
            reader = replace(prompted, cache=prompted.cache.start_from(stages.cut))
            back = stages.gradient
        found = [self._gradient(reader, question, generic, back) for question in questions]
        # With vectors of zeros everything is read as without them, so the plain view can keep it.
        # Not where the view has latent prompts of its own: they may be learnable, and its cache
        # then carries their graph.
        if view.plain is None and not vectors.any():
            view.cache.take_over(prompted.cache)
        peaks = _peaks(prompted, questions)
        return [
            (gradient, LearningStep(loss, margin, peak, gradient.norm().item()))
            for (gradient, loss, margin), peak in zip(found, peaks, strict=True)
        ]

    def _gradient(
        self, view: View, question: str, generic: str, back: Callable[[Tensor], Tensor]
    ) -> tuple[Float[Tensor, "visual hidden"], float, float]:
        """Compute the gradient of the loss for a question, the loss, and yes minus no."""
        # What is computed again for the gradient must be computed as it was, masks and all.
        with view.decoder.attending("sdpa") if self.checkpointing else nullcontext():
            asked, base = view.read_with_graph(
                question,
                generic,
                layers=attention_layers(self.loss),
                checkpointing=self.checkpointing,
            )
            loss = self.loss(asked, base)
            scale = _choose_scale(loss.item())
            gradient = back(loss * scale).float() / scale
            return gradient, loss.item(), asked.margin


def _choose_scale(loss: float) -> float:
    """Choose a factor that brings a loss near 1 while its gradient is computed.

    The paper's loss is an exponential: with a margin of 12 logits it is 160,000, and its gradient
    is beyond the largest number of float16; with -12 it vanishes. A power of two changes no digit.
    """
    if not math.isfinite(loss):
        return 1.0
    return 2.0 ** -math.frexp(max(abs(loss), SMALLEST_SCALED_LOSS))[1]


@torch.no_grad()
def _peaks(prompted: View, questions: Sequence[str]) -> list[float]:
    """Measure where the role tokens attend, after what the step has read of the video already."""
    maps = prompted.attention(*questions, kinds=("role",))
    return [float(one.mean_attention().max()) for one in maps]


def reattend(
    view: View,
    question: str,
    learning: Learning = Learning(),
    *,
    generic: str = GENERIC,
    **choices: Any,
) -> Reattention:
    """Learn the latent prompt that makes the model say yes to a question about a video.

    For several questions about one video, `Learning.learn` shares what their first steps read.

    Args:
        view: The video; latent prompts it already has stay as they are.
        question: A yes-or-no question.
        learning: How the prompt is learned.
        generic: The prompt that the question is contrasted with.
        **choices: Fields of `Learning` that differ from it, such as `layer=2, steps=3`.

    Raises:
        ValueError: if an argument is of another kind, a choice is no field of `Learning`, or one
            that it refuses, or there is no such layer.
        RuntimeError: if the gradient vanishes or is not a number, with its step and layer.
    """
    expect(view, View, "the view", "what model.watch(video) returns")
    expect(learning, Learning, "the learning", "its choices by name, such as layer=2, steps=3")
    known = [one.name for one in fields(Learning)]
    if unknown := [name for name in choices if name not in known]:
        raise ValueError(f"learning has no choice {unknown[0]!r}; there are {', '.join(known)}")
    (learned,) = replace(learning, **choices).learn(view, [question], generic)
    return learned


def prompt_views(
    view: View, asked: Sequence[tuple[str, Learning | None]], generic: str
) -> list[View]:
    """Return, for each question, the view with its latent prompt; as it is where none is learned.

    Questions learned for in the same way are learned for together.

    Args:
        view: The video.
        asked: Each question, and how its latent prompt is learned; None for none.
        generic: The prompt that each question is contrasted with.
    """
    views = [view] * len(asked)
    for learning in {learning for _, learning in asked if learning is not None}:
        same = [index for index, (_, other) in enumerate(asked) if other == learning]
        made = learning.prompted(view, [asked[index][0] for index in same], generic)
        for index, prompted in zip(same, made, strict=True):
            views[index] = prompted
    return views
