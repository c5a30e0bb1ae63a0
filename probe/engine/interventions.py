"""Interventions: what may be done to a model while it reads a question, layer by layer.

An intervention says what it changes for a question of a given length; the engine puts the changes
of all questions of a pass together. `probe.interpret.knockouts` has the shipped ones; a user's own
class with the two methods of `Intervention` works everywhere they do.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

from jaxtyping import Bool, Float, Int
from torch import Tensor

HeadOutputs: TypeAlias = Float[Tensor, "token head width"]
"""The sum of values that each head has attended to, before the heads are mixed."""

States: TypeAlias = Float[Tensor, "token hidden"]
"""The residual stream at some tokens."""


@dataclass(frozen=True)
class Extent:
    """The layers, heads, tokens and cells that an intervention can choose from."""

    layers: int
    heads: int
    tokens: int
    """Tokens of the question."""
    shape: tuple[int, int, int]
    """Frames, rows and columns of the visual grid."""
    attends: tuple[int, ...] | None = None
    """The layers that have attention, where not all of them have."""

    @property
    def attending(self) -> tuple[int, ...]:
        """The layers that have attention, in increasing order."""
        return tuple(range(self.layers)) if self.attends is None else self.attends


@dataclass(frozen=True, eq=False)
class Edit:
    """A change of one decoder layer while one question is read.

    Functions run inside the trace, in the order of the fields; gradients flow through them.
    """

    states: Callable[[States], States] | None = None
    """Makes, of the residual stream that enters the layer at the question's tokens, the one that
    enters instead: steering adds a vector, patching puts in states of another question."""

    cut: Bool[Tensor, "#head token visual"] | None = None
    """The attention edges that are taken away, for each head or for all alike."""

    outputs: Callable[[HeadOutputs], HeadOutputs] | None = None
    """Makes new outputs of the heads at the question's tokens."""


@runtime_checkable
class Intervention(Protocol):
    """Something done to the model while it reads a question."""

    def edits(self, extent: Extent) -> Mapping[int, Edit]:
        """Return what changes, by decoder layer.

        Raises:
            ValueError: if it names a layer, head, token or cell that does not exist.
        """
        ...

    def reversed(self) -> "Intervention":
        """Return the same intervention for the video with its last frame first."""
        ...


Edits: TypeAlias = Mapping[int, Sequence[tuple[slice, Edit]]]
"""By decoder layer: the tokens of a pass that belong to a question, and what is done to them."""


def visible_positions(
    mask: Bool[Tensor, "token position"],
    columns: Int[Tensor, " visual"],
    parts: Sequence[tuple[slice, Edit]],
) -> Bool[Tensor, "#head token position"]:
    """Compute what each head sees once the edges are cut: a mask for every head, or one for all."""
    cuts = [(rows, edit.cut) for rows, edit in parts if edit.cut is not None]
    heads = max((len(cut) for _, cut in cuts), default=1)
    seen = mask.repeat(heads, 1, 1)
    for rows, cut in cuts:
        seen[:, rows, columns] &= ~cut.to(mask.device)
    return seen


def edit_states(states: States, parts: Sequence[tuple[slice, Edit]]) -> States:
    """Replace the residual stream at the tokens of each question by its edited form."""
    edited = states.clone()
    for rows, edit in parts:
        if edit.states is not None:
            edited[rows] = edit.states(edited[rows]).to(edited.dtype)
    return edited


def edit_outputs(outputs: HeadOutputs, parts: Sequence[tuple[slice, Edit]]) -> HeadOutputs:
    """Replace the outputs of all heads at the tokens of each question."""
    edited = outputs.clone()
    for rows, edit in parts:
        if edit.outputs is not None:
            edited[rows] = edit.outputs(edited[rows]).to(edited.dtype)
    return edited
