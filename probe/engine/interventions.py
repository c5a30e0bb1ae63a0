"""What may be done to a model while it reads a question, in the terms of its decoder layers.

An intervention says what it changes for a question of a given length; the engine puts the changes
of all questions of a pass together. `knockouts` has the interventions themselves.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

from jaxtyping import Bool, Float, Int
from torch import Tensor

HeadOutputs: TypeAlias = Float[Tensor, "token head width"]
"""What each head adds up from the values of what it sees, before the heads are mixed."""


@dataclass(frozen=True)
class Extent:
    """How much there is to choose from."""

    layers: int
    heads: int
    tokens: int
    """Tokens of the question."""
    shape: tuple[int, int, int]
    """Frames, rows and columns of the visual grid."""


@dataclass(frozen=True, eq=False)
class Edit:
    """What is done otherwise in one decoder layer while one question is read."""

    cut: Bool[Tensor, "#head token visual"] | None = None
    """The attention edges that are taken away, for each head or for all alike."""

    outputs: Callable[[HeadOutputs], HeadOutputs] | None = None
    """What the heads' outputs at the question's tokens become; differentiable, runs in a trace."""


@runtime_checkable
class Intervention(Protocol):
    """Something done to the model while it reads a question."""

    def edits(self, extent: Extent) -> Mapping[int, Edit]:
        """What changes, by decoder layer.

        Raises:
            ValueError: if it names a layer, head, token or cell that is not there.
        """
        ...

    def reversed(self) -> "Intervention":
        """The same with the last frame first."""
        ...


Edits: TypeAlias = Mapping[int, Sequence[tuple[slice, Edit]]]
"""By decoder layer: which tokens of a pass are a question's, and what is done to them."""


def still_seen(
    mask: Bool[Tensor, "token position"],
    columns: Int[Tensor, " visual"],
    parts: Sequence[tuple[slice, Edit]],
) -> Bool[Tensor, "#head token position"]:
    """What each head sees once the edges are cut: a mask for every head, or one for all."""
    cuts = [(rows, edit.cut) for rows, edit in parts if edit.cut is not None]
    heads = max((len(cut) for _, cut in cuts), default=1)
    seen = mask.repeat(heads, 1, 1)
    for rows, cut in cuts:
        seen[:, rows, columns] &= ~cut.to(mask.device)
    return seen


def rewritten(
    states: Float[Tensor, "token mixed"], heads: int, parts: Sequence[tuple[slice, Edit]]
) -> Tensor:
    """The outputs of all heads side by side, with those of each question edited."""
    outputs = states.unflatten(-1, (heads, -1)).clone()
    for rows, edit in parts:
        if edit.outputs is not None:
            outputs[rows] = edit.outputs(outputs[rows]).to(outputs.dtype)
    return outputs.flatten(1)
