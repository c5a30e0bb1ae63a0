"""Relevance rules: they free the map that says when of what the model looks at whatever is asked.

A rule is any callable of the stated form; those here are the shipped ones. A user's own function
can be used wherever they can.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from probe.engine.attention import RELATIVE_FLOOR, Heatmap
from probe.engine.kept_views import compute_once
from probe.engine.prompts import GENERIC
from probe.engine.readings import Reading
from probe.engine.view import View
from probe.grounding.looks import Look
from probe.interpret.token_rules import EVERY_TOKEN

RelevanceRule: TypeAlias = Callable[[View, Look], Heatmap]
"""Makes a map of the same cells, given the video as the model sees it, in one frame order, and the
look for the action part in it."""


@dataclass(frozen=True)
class OverGeneric:
    """Each frame of the map over the attention that the generic prompt pays to that frame.

    This is relative attention (Zhang et al., ICLR 2025) frame by frame. A map over the generic
    prompt's cell by cell loses the thing itself, which any prompt about the video looks at. The
    logarithm of the ratio has the same order of frames, which is all that most span rules read.
    """

    generic: str = GENERIC
    """The prompt that shows where the model attends whatever it is asked."""

    def __call__(self, view: View, look: Look) -> Heatmap:
        """Divide each frame of the look's map."""
        frames = read_generic_map(view, look, self.generic).values.sum((1, 2), keepdim=True)
        return replace(look.heatmap, values=look.heatmap.values / (frames + RELATIVE_FLOOR))


@dataclass(frozen=True)
class MinusGeneric:
    """The map less the generic prompt's, cell by cell; below 0 where that looks more."""

    generic: str = GENERIC
    """The prompt that shows where the model attends whatever it is asked."""

    def __call__(self, view: View, look: Look) -> Heatmap:
        """Subtract the generic prompt's map from the look's."""
        generic = read_generic_map(view, look, self.generic)
        return replace(look.heatmap, values=look.heatmap.values - generic.values)


def read_generic_map(view: View, look: Look, generic: str = GENERIC) -> Heatmap:
    """Read the map of a generic prompt, all its tokens averaged, through the heads of a look.

    All of its tokens, since most tokens of a question have no counterpart in it.

    Args:
        view: The video as the model sees it.
        look: The look that it is compared with.
        generic: The prompt.

    Raises:
        ValueError: if the look was loaded from a file, without its reading.
    """
    if look.reading is None:
        raise ValueError("a look that was loaded names no heads; ground the video again")
    reading = read_generic(view, generic, look.reading.layers).through(look.reading.layers_heads)
    return reading.heatmap(EVERY_TOKEN(reading))


def read_generic(view: View, generic: str, layers: tuple[int, ...] | None = None) -> Reading:
    """Read the generic prompt; queries about a kept view share what is read without changes."""

    def read() -> Reading:
        (reading,) = view.read(generic, layers=layers)
        return reading

    if view.latents or view.interventions:
        return read()
    return compute_once(view, ("generic prompt", generic, layers), read)
