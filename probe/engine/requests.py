"""Requests: questions ready to be read, what is done meanwhile, and what is kept of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from probe.engine.grids import VisualGrid
from probe.engine.interventions import (
    Edit,
    Edits,
    Extent,
    Intervention,
    VideoIntervention,
)
from probe.engine.layer_plan import explain_no_attention
from probe.engine.prompts import AnswerIds, Kind, Prompt
from probe.engine.questions import AttentionSelection, PackedQuestions, QuestionTokens
from probe.engine.readings import AttentionMaps, Reading

Interventions = Sequence[Sequence[Intervention]]
"""Interventions on the model while it reads each of several questions."""


@dataclass(frozen=True, eq=False)
class Request:
    """Questions ready to be read, and what is to be kept of them."""

    prompts: tuple[Prompt, ...]
    packed: PackedQuestions
    tokens: QuestionTokens
    selection: AttentionSelection
    edits: Edits
    grid: VisualGrid

    kinds: tuple[Kind, ...] | None = None
    """The kinds of token whose attention is kept; None for all."""

    @property
    def kept(self) -> list[Prompt]:
        """The questions, each with those of its tokens whose attention is kept."""
        if self.kinds is None:
            return list(self.prompts)
        return [prompt.only(prompt.indices(*self.kinds)) for prompt in self.prompts]

    @property
    def predicting(self) -> list[list[int]]:
        """The tokens of each question after which the logits are kept.

        The last one before the answer, and those of the answer that are followed by another.
        """
        return [
            list(range(part.stop - 1 - len(prompt.answer_ids), part.stop - bool(prompt.answer_ids)))
            for part, prompt in zip(self.packed.parts, self.prompts, strict=True)
        ]

    def without_attention(self) -> "Request":
        """Return the same request, of which no attention is kept."""
        return replace(self, selection=replace(self.selection, layers=()))

    def maps(self, rows: Sequence[Float[Tensor, "head token visual"]]) -> list[AttentionMaps]:
        """Hand the rows of attention, one tensor a layer, to the questions they belong to."""
        selection, kept = self.selection, self.kept
        tokens = [len(prompt) for prompt in kept]
        stacked = (
            torch.stack(list(rows)) if rows else torch.zeros(0, 1, sum(tokens), len(self.grid))
        )
        parts = self.grid.fold(stacked).split(tokens, dim=2)
        return [
            AttentionMaps(prompt, part, selection.layers, self.grid, heads=selection.heads)
            for prompt, part in zip(kept, parts, strict=True)
        ]

    def readings(
        self,
        rows: Sequence[Float[Tensor, "head token visual"]],
        logits: Sequence[Float[Tensor, "_ word"]],
        answers: AnswerIds,
    ) -> list[Reading]:
        """Hand rows of attention and logits to the questions they belong to."""
        return [
            Reading(
                **vars(maps),
                logits=own[0],
                answers=answers,
                answer_logits=own if prompt.answer_ids else None,
            )
            for maps, own, prompt in zip(self.maps(rows), logits, self.prompts, strict=True)
        ]


def select_tokens(
    prompts: Sequence[Prompt], packed: PackedQuestions, kinds: Sequence[Kind] | None
) -> list[int] | None:
    """Find the tokens of these kinds in the row of packed questions; None for all.

    Raises:
        ValueError: if there is none.
    """
    if kinds is None:
        return None
    pairs = zip(packed.parts, prompts, strict=True)
    selected = [part.start + i for part, prompt in pairs for i in prompt.indices(*kinds)]
    if not selected:
        raise ValueError(f"no question has a {' or '.join(kinds)} token")
    return selected


def collect_edits(
    packed: PackedQuestions,
    interventions: Sequence[Intervention],
    per_question: Interventions | None,
    room: Extent,
) -> Edits:
    """Put the edits of all questions of a pass together, layer by layer.

    Args:
        packed: The questions.
        interventions: What is done to all of them.
        per_question: What is done to each.
        room: The layers, heads and cells to choose from; each question has tokens of its own.

    Raises:
        ValueError: if there are not as many lists as questions, or an intervention does not fit,
            or changes the attention of a layer that has none.
    """
    own = per_question or [()] * len(packed.lengths)
    if len(own) != len(packed.lengths):
        raise ValueError(
            f"{len(own)} lists of interventions for {len(packed.lengths)} questions; "
            "give one for each"
        )
    for done in (done for some in own for done in some):
        if isinstance(done, VideoIntervention):
            raise ValueError(
                f"{type(done).__name__} changes how the video is read, which all questions of a "
                f"pass share; give it to View.under or to knock_out"
            )
    edits: dict[int, list[tuple[slice, Edit]]] = {}
    for part, length, some in zip(packed.parts, packed.lengths, own, strict=True):
        for intervention in (*interventions, *some):
            for layer, edit in intervention.edits(replace(room, tokens=length)).items():
                _check_edit(layer, edit, room)
                edits.setdefault(layer, []).append((part, edit))
    return edits


def _check_edit(layer: int, edit: Edit, room: Extent) -> None:
    changes = (edit.cut, edit.cut_text, edit.cut_own, edit.rows, edit.outputs)
    if layer not in room.attending and any(change is not None for change in changes):
        raise ValueError(explain_no_attention([layer], room.attending))


def choose_layers(
    wanted: int | Sequence[int] | None, attending: Sequence[int], depth: int
) -> tuple[int, ...]:
    """Put the wanted layers in order; all that attend where none are named.

    Args:
        wanted: A number or several; negative ones count from the last layer.
        attending: The layers that have attention.
        depth: The number of layers.

    Raises:
        ValueError: if one is no number, does not exist or has no attention, or the choice is empty.
    """
    if wanted is None:
        return tuple(attending)
    chosen = choose_numbers("layer", wanted, depth)
    if blind := [layer for layer in chosen if layer not in attending]:
        raise ValueError(explain_no_attention(blind, attending))
    return chosen


def choose_numbers(thing: str, wanted: int | Sequence[int] | None, count: int) -> tuple[int, ...]:
    """Put the wanted numbers of layers or heads in order; all where none are named.

    Args:
        thing: What is counted, such as "layer".
        wanted: A number or several; negative ones count from the last.
        count: How many there are.

    Raises:
        ValueError: if one is no number or does not exist, or the choice is empty.
    """
    if wanted is None:
        return tuple(range(count))
    wanted = as_numbers(thing, wanted)
    if wrong := [number for number in wanted if not -count <= number < count]:
        owner = "question" if thing == "token" else "model"
        raise ValueError(f"there is no {thing} {wrong}; this {owner} has {thing}s 0 to {count - 1}")
    if not wanted:
        raise ValueError(f"there is no {thing} to read; name at least one, or None for all")
    return tuple(sorted({number % count for number in wanted}))


def as_numbers(thing: str, wanted: Any) -> tuple[int, ...]:
    """Take one whole number for a sequence of one.

    Raises:
        ValueError: if there is something else.
    """
    several = (wanted,) if isinstance(wanted, int | np.integer) else wanted
    if isinstance(several, str) or not isinstance(several, Iterable):
        raise ValueError(f"{thing}s are given as numbers, such as 2 or (1, 2); found {wanted!r}")
    listed = tuple(several)
    if not all(isinstance(one, int | np.integer) for one in listed):
        raise ValueError(f"{thing}s are given as whole numbers; found {wanted!r}")
    return tuple(int(one) for one in listed)
