"""Box steering: draw the look of a question's tokens into a region of the video.

The task and the method of ControlMLLM ("ControlMLLM: Training-Free Visual Prompt Learning for
Multimodal Large Language Models", Wu et al., NeurIPS 2024): a question may mean any thing in the
video, and a region says which. A vector for each visual token, zero at first, is added where the
tokens enter the decoder, and is learned in a few gradient steps so that attention falls in the
region. The model stays as it is, and no answer is seen. Written from the paper; none of its code.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import pandas as pd
from jaxtyping import Float
from torch import Tensor

from probe.engine.answering import generate
from probe.engine.attention import Heatmap
from probe.engine.content import same_content
from probe.engine.latent_prompts import LatentPrompt
from probe.engine.readings import Reading, shorten
from probe.engine.requests import choose_layers
from probe.engine.view import View
from probe.grounding.losses import LookOutside
from probe.grounding.reattention import Learning, LearningStep, Reattention, Relative
from probe.interpret.regions import weigh_cells
from probe.video import Video

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STEERING_STEPS = 2
"""Gradient steps; ControlMLLM takes four or five, of another length."""

STEERING_RATE = Relative(0.4)
"""Length of a step. Both are chosen on shapes-val: the fewest steps among those that do as well
(`analyses/box_steering.py`)."""

IN_REGION = 0.5
"""Weight above which a cell is drawn as one of the region; near a point it falls below that."""


@dataclass(frozen=True, eq=False)
class Steering:
    """A question about a region: the vectors that were learned, and what they changed."""

    learned: Reattention
    """The latent prompt on the visual tokens, and its steps; it is saved by its `save`."""

    loss: LookOutside
    """The loss that the steps made smaller, with the weights of the cells in the region."""

    before: Reading
    """The reading of the question and of the answer that the model writes, not steered."""

    after: Reading
    """The reading of the question and of the answer with the vectors added."""

    def __eq__(self, other: object) -> bool:
        return same_content(self, other)

    def __hash__(self) -> int:
        return hash((self.learned, self.loss))

    def __repr__(self) -> str:
        question = shorten(self.before.prompt.question)
        first, second = (shorten(answer, 30) for answer in self.answers)
        answer = f"answer {first!r} -> {second!r}" if self.answer_changed else f"answer {first!r}"
        return (
            f"Steering({question!r}: {self.shares[0]:.0%} -> {self.shares[-1]:.0%} of the look in "
            f"the region after {len(self.learned.steps)} steps, {answer})"
        )

    @property
    def latent(self) -> LatentPrompt:
        """The vectors that were learned; `view.with_latent(steering.latent)` asks under them."""
        return self.learned.latent

    @property
    def region(self) -> Float[Tensor, "frame row column"]:
        """The weight of each cell in the region, 0 to 1."""
        return self.loss.region

    @property
    def answers(self) -> tuple[str, str]:
        """The answer that the model writes, before and after."""
        return self.before.prompt.answer, self.after.prompt.answer

    @property
    def answer_changed(self) -> bool:
        """True if another answer is written."""
        return self.answers[0] != self.answers[1]

    @property
    def shares(self) -> tuple[float, ...]:
        """The share of the look at the video in the region, 0 to 1: before each step, and at last.

        It is what the steps raise, and so no evidence that they do anything else.
        """
        # Each step measured its loss before it moved the vectors; only the last state is read anew.
        measured = (_share(step) for step in self.learned.steps)
        return (*measured, float(self.loss.share(self.after)))

    @property
    def maps(self) -> tuple[Heatmap, Heatmap]:
        """The look of the steered tokens, before and after."""
        both = (self.before, self.after)
        first, second = (Heatmap(self.loss.look(one), one.grid.cells) for one in both)
        return first, second

    def to_dict(self) -> dict[str, Any]:
        """Return question, answers, shares and the size of the region, in plain values."""
        return {
            "question": self.before.prompt.question,
            "answer_before": self.answers[0],
            "answer_after": self.answers[1],
            "answer_changed": self.answer_changed,
            "shares": list(self.shares),
            "layer": self.latent.layer,
            "attention_layers": list(self.loss.attention_layers),
            "cells": float(self.region.sum()),
        }

    def to_frame(self) -> pd.DataFrame:
        """Return one row a step, with the `share` in the region before it.

        The other columns are those of `Reattention.to_frame`.
        """
        table = self.learned.to_frame()
        table["share"] = [_share(step) for step in self.learned.steps]
        return table

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the share of the look in the region by the number of steps taken.

        Args:
            ax: The axes to draw on; None for a new figure.
        """
        # Imported where it is drawn: matplotlib takes long to import.
        from probe.pictures.curves import draw_shares

        return draw_shares(ax, self.shares, self.before.prompt.question)

    def draw(self, video: Video | None = None) -> "Figure":
        """Draw the look before and after with the region outlined, and its share by step.

        Args:
            video: The video, to draw its pictures below the heat; None for the maps alone.

        Raises:
            ValueError: if the video does not have the frames of the maps.
        """
        from matplotlib.figure import Figure  # see `plot`

        figure = Figure(figsize=(7.0, 5.0), layout="constrained")
        self._fill(figure, video)
        return figure

    def _repr_html_(self) -> str:
        """Draw the maps and the share by step for Jupyter."""
        from probe.pictures.html import plot_as_html  # see `plot`

        return plot_as_html(self, self._fill, height=5.0)

    def _fill(self, figure: "Figure", video: Video | None = None) -> None:
        from probe.pictures.rows import draw_heat  # see `plot`
        from probe.pictures.style import write_title

        *rows, curve = figure.subplots(3, 1, height_ratios=(1.2, 1.2, 1))
        within = self.region.cpu().numpy() > IN_REGION
        # Both rows show the same frames, so that they can be compared.
        peaks = [heat.peak[0] for heat in self.maps]
        told = ("before", "after"), self.answers, (self.shares[0], self.shares[-1])
        for ax, heat, when, answer, share in zip(rows, self.maps, *told, strict=True):
            draw_heat(
                ax,
                heat.to_numpy(),
                region=heat.cells.region,
                sources=heat.cells.frames,
                video=video,
                within=within,
                also=peaks,
            )
            write_title(ax, f"{when}: {answer}", f" ({share:.0%} of the look in the region)")
        self.plot(curve)


def steer_to(  # noqa: PLR0913  each is an option of its own for whoever steers
    view: View,
    question: str,
    region: Any,
    *,
    tokens: Any = None,
    layers: int | Sequence[int] | None = None,
    heads: int | Sequence[int] | None = None,
    max_new_tokens: int = 32,
    **choices: Any,
) -> Steering:
    """Draw the look of a question's tokens into a region, and compare the answers.

    A latent prompt on the visual tokens is learned by steps on the loss `LookOutside`; gradients
    are exact, and pass through the cached keys and values of the video. Vectors change what
    cells say as well as how much they are looked at: give a control, such as another region.

    Args:
        view: The video; latent prompts and interventions it already has stay as they are.
        question: What to ask; any question, not only one of yes or no.
        region: Where to look: a Tube, box, mask, point or scribble, as
            `probe.interpret.regions.weigh_cells` takes them.
        tokens: The tokens that look: places in the question, or words of it; all by default.
        layers: Decoder layers whose attention is drawn there; all that attend by default.
        heads: Heads of each of these layers; all by default.
        max_new_tokens: The most tokens of each answer, which is cut off there.
        **choices: Fields of `Learning` but the loss: `steps` (2), `rate` (`Relative(0.4)`), `layer`
            (0, where the visual tokens enter), `average_last_two`.

    Returns:
        What was learned, and readings and answers before and after. `steering.latent` is added to
        any view of the video by `View.with_latent`, next to others, and turns round with it.

    Raises:
        ValueError: if the region does not fit the video, the question lacks a token, a layer or
            head does not exist, or a choice is no field of `Learning`.
        RuntimeError: if the gradient vanishes or is not a number, with its step and layer.
    """
    known = [one.name for one in fields(Learning) if one.name != "loss"]
    if unknown := [name for name in choices if name not in known]:
        raise ValueError(f"steering has no choice {unknown[0]!r}; there are {', '.join(known)}")
    depth = view.checkpoint.depth
    looked = choose_layers(layers, view.decoder.plan.attending, depth)
    loss = LookOutside(weigh_cells(view, region), looked, tokens, heads)
    # Written in words, not only the first token as elsewhere: a question about a region is open.
    before = generate(view, question, max_new_tokens=max_new_tokens)
    # Refuses tokens and heads that are not there, before anything is learned.
    loss.look(before)
    learning = Learning(**{"steps": STEERING_STEPS, "rate": STEERING_RATE, **choices, "loss": loss})
    # The generic prompt that every loss is given is read as well; it is short, and not looked at.
    (learned,) = learning.learn(view, [question])
    after = generate(view.with_latent(learned.latent), question, max_new_tokens=max_new_tokens)
    return Steering(learned, loss, before, after)


def _share(step: LearningStep) -> float:
    """Compute the share in the region from the loss, which is the square of that outside."""
    return 1 - step.loss**0.5
