"""Interventions: what may be done to a model while it reads a question, layer by layer.

An intervention says what it changes for a question of a given length; the engine puts the changes
of all questions of a pass together. `probe.interpret.knockouts` has the shipped ones; a user's own
class with the two methods of `Intervention` works everywhere they do.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from probe.engine.questions import PackedQuestions

HeadOutputs: TypeAlias = Float[Tensor, "token head width"]
"""The sum of values that each head has attended to, before the heads are mixed."""

States: TypeAlias = Float[Tensor, "token hidden"]
"""The residual stream at some tokens."""

Rows: TypeAlias = Float[Tensor, "head token position"]
"""The shares of attention that some tokens pay to each position: first to those before a question,
then to those of the question itself."""


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
    visual: tuple[int, ...] = ()
    """The positions of the visual tokens, which all lie before the question."""
    before: int = 0
    """The number of positions before the question."""

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

    cut_text: Bool[Tensor, "#head token before"] | None = None
    """The edges to positions before the question that are taken away, visual or not."""

    cut_own: Bool[Tensor, "#head token token"] | None = None
    """The edges to tokens of the question itself that are taken away. A token always sees
    itself."""

    rows: Callable[[Rows], Rows] | None = None
    """Makes, of the shares of attention that the question's tokens pay after all cuts, those by
    which values are summed instead."""

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


@runtime_checkable
class VideoIntervention(Intervention, Protocol):
    """Something done to the model while it reads the video, before any question."""

    def video_cuts(self, extent: Extent) -> Mapping[int, Bool[Tensor, "#head visual visual"]]:
        """Return the edges between visual tokens that are taken away, by decoder layer.

        Raises:
            ValueError: if it names a layer, head or cell that does not exist.
        """
        ...


Edits: TypeAlias = Mapping[int, Sequence[tuple[slice, Edit]]]
"""By decoder layer: the tokens of a pass that belong to a question, and what is done to them."""


def visible_positions(
    mask: Bool[Tensor, "token position"],
    columns: Int[Tensor, " visual"],
    packed: PackedQuestions,
    parts: Sequence[tuple[slice, Edit]],
) -> Bool[Tensor, "#head token position"]:
    """Compute what each head sees once the edges are cut: a mask for every head, or one for all."""
    cuts = [(rows, *cut) for rows, edit in parts for cut in _cuts(rows, edit, columns, packed)]
    heads = max((len(cut) for *_, cut in cuts), default=1)
    seen = mask.repeat(heads, 1, 1)
    for rows, places, cut in cuts:
        seen[:, rows, places] &= ~cut.to(mask.device)
    return seen


def _cuts(
    rows: slice, edit: Edit, columns: Int[Tensor, " visual"], packed: PackedQuestions
) -> Iterator[tuple[Any, Bool[Tensor, "#head token place"]]]:
    """Give the places that an edit hides, and what of them is hidden from which token."""
    if edit.cut is not None:
        yield columns, edit.cut
    if edit.cut_text is not None:
        yield slice(0, packed.before), edit.cut_text
    if edit.cut_own is not None:
        # No share can be computed of nothing, so a token sees itself.
        itself = torch.eye(edit.cut_own.shape[-1], dtype=torch.bool)
        yield packed.own(rows), edit.cut_own & ~itself


def unite_video_cuts(
    interventions: Sequence[Intervention], extent: Extent
) -> dict[int, Bool[Tensor, "#head visual visual"]]:
    """Put together what several interventions cut while the video is read, by layer."""
    united: dict[int, Tensor] = {}
    for done in interventions:
        if isinstance(done, VideoIntervention):
            for layer, cut in done.video_cuts(extent).items():
                united[layer] = united[layer] | cut if layer in united else cut
    return united


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
