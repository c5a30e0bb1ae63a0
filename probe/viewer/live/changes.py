"""Changes: messages made into the toolkit's own interventions, with words for people."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch

from probe.engine.interventions import Intervention
from probe.engine.prompts import Prompt
from probe.engine.readings import shorten
from probe.engine.view import View
from probe.interpret.cuts import Cut, CutVideo, Frames
from probe.interpret.shares import Amplify
from probe.interpret.steering import Steer, record_states
from probe.interpret.targets import CellMask
from probe.viewer.live.messages import (
    AmplifyLook,
    CutInVideo,
    CutLook,
    Edit,
    Numbers,
    SteerTo,
    write_message,
)

LONGEST_WORDS = 60
"""Characters of a list or question inside a sentence."""


@dataclass(frozen=True, eq=False)
class Change:
    """A change of how a question is read: what was asked for, what is done, and words for it."""

    edit: Edit
    intervention: Intervention
    words: str

    def to_dict(self) -> dict[str, Any]:
        """Return the message and the words in plain values."""
        return {"message": write_message(self.edit), "words": self.words}


def does_nothing(edit: Edit) -> bool:
    """Tell whether a change leaves everything as it is: a slider back in its middle."""
    if isinstance(edit, AmplifyLook):
        return edit.factor == 1
    return isinstance(edit, SteerTo) and edit.strength == 0


def same_target(edit: Edit, other: Edit) -> bool:
    """Tell whether two changes are of one kind and target: the later takes the other's place."""
    return _without_size(edit) == _without_size(other)


def _without_size(edit: Edit) -> Edit:
    if isinstance(edit, AmplifyLook):
        return replace(edit, factor=1.0)
    return replace(edit, strength=0.0) if isinstance(edit, SteerTo) else edit


def make_change(edit: Edit, view: View, prompt: Prompt) -> Change:
    """Make a change of a question about a video.

    Args:
        edit: What is asked for.
        view: The video, unchanged.
        prompt: The question as the model reads it.

    Raises:
        ValueError: if it names a token, cell, layer or head that does not exist.
    """
    intervention, words = MAKERS[type(edit)](edit, view, prompt)
    return Change(edit, intervention, words)


def _cut(edit: CutLook, view: View, prompt: Prompt) -> tuple[Cut, str]:
    cells = mask_cells(edit.cells, view)
    whom = describe_cells(cells)
    who = describe_tokens(edit.tokens, prompt, none=True)
    # All tokens are named by nobody's place: an answer may be longer than the one on show.
    done = Cut(edit.tokens, cells, edit.layers, edit.heads)
    return done, f"{who} {_verb(edit.tokens, 'looks', 'look')} at {whom}{describe_layers(edit)}"


def _amplify(edit: AmplifyLook, view: View, prompt: Prompt) -> tuple[Amplify, str]:
    cells = mask_cells(edit.cells, view)
    who, whom = describe_tokens(edit.tokens, prompt), describe_cells(cells)
    verb = "looks" if edit.tokens is not None and len(edit.tokens) == 1 else "look"
    done = Amplify(edit.factor, edit.tokens, cells, edit.layers, edit.heads)
    return done, f"{who} {verb} {edit.factor:.3g} times as much at {whom}{describe_layers(edit)}"


def _cut_in_video(edit: CutInVideo, view: View, _: Prompt) -> tuple[CutVideo, str]:
    cells = mask_cells(edit.cells, view)
    done = CutVideo(edit.frames, None, cells, edit.layers, edit.heads)
    what = UNSEEN[edit.frames] if cells is None else f"{describe_cells(cells)} are unseen"
    where = "" if cells is None else FROM[edit.frames]
    return done, f"While the video is read, {what}{where}{describe_layers(edit)}"


def _steer(edit: SteerTo, view: View, prompt: Prompt) -> tuple[Steer, str]:
    """Make the addition of a difference of two states (activation addition, Turner et al. 2023)."""
    # Steering may enter layers without attention, too.
    if edit.layer >= (depth := view.checkpoint.depth):
        raise ValueError(f"there is no layer {edit.layer}; give one from 0 to {depth - 1}")
    own, other = (
        record_states(view, question, [edit.layer])[edit.layer][-1]
        for question in (prompt.question, edit.question)
    )
    # The last token before the answer, by its place: with an answer, others come after it.
    done = Steer(other - own, [edit.layer], [prompt.asked - 1], strength=edit.strength)
    way = f"{100 * edit.strength:.4g} % of the way to"
    towards = repr(shorten(edit.question, LONGEST_WORDS))
    return done, f"At layer {edit.layer} the last state goes {way} that of {towards}"


UNSEEN: Mapping[Frames, str] = MappingProxyType(
    {
        "all": "no cell sees another",
        "within": "no cell sees another of its frame",
        "across": "no cell sees those of other frames",
    }
)
"""Words for edges that are cut between all cells, by the frames that they join."""

FROM: Mapping[Frames, str] = MappingProxyType(
    {"all": "", "within": " by others of their frame", "across": " from other frames"}
)
"""Words for those who no longer see some cells, by the frames that the edges join."""

MAKERS: Mapping[type, Callable[[Any, View, Prompt], tuple[Intervention, str]]] = MappingProxyType(
    {CutLook: _cut, AmplifyLook: _amplify, CutInVideo: _cut_in_video, SteerTo: _steer}
)
"""The maker of the intervention and words of each kind of change."""


def mask_cells(cells: Numbers | None, view: View) -> CellMask | None:
    """Make the mask of cells by their places in the grid; None, which means all, stays None.

    Raises:
        ValueError: if there is no such cell.
    """
    if cells is None:
        return None
    count = len(view.grid)
    if cells[-1] >= count:
        raise ValueError(f"there is no cell {cells[-1]}; this video has cells 0 to {count - 1}")
    mask = torch.zeros(count, dtype=torch.bool)
    mask[list(cells)] = True
    return mask.reshape(view.grid.shape)


def describe_cells(cells: CellMask | None) -> str:
    """Say which cells are meant: how many, in how many frames."""
    if cells is None:
        return "the whole video"
    frames = int(cells.any(dim=(1, 2)).sum())
    return f"{_count(int(cells.sum()), 'cell')} in {_count(frames, 'frame')}"


def describe_tokens(tokens: Numbers | None, prompt: Prompt, *, none: bool = False) -> str:
    """Name the tokens of a question.

    Args:
        tokens: Their places; None for all.
        prompt: The question.
        none: True for a sentence about what they do no longer.

    Raises:
        ValueError: if a place is not in the question.
    """
    if tokens is None:
        return "No token" if none else "All tokens"
    if (last := tokens[-1]) >= prompt.asked:
        # Of an answer that is on show: under the change the model may give another.
        raise ValueError(
            f"there is no token {last} in the question; choose one of its {prompt.asked}, since "
            f"an answer changes with what is changed"
        )
    texts = ", ".join(repr(prompt.tokens[place].text) for place in tokens)
    return shorten(texts, LONGEST_WORDS)


def describe_layers(edit: CutLook | CutInVideo | AmplifyLook) -> str:
    """Name the layers and heads of a change; nothing if it is made in all of them."""
    named = {"layer": edit.layers, "head": edit.heads}
    parts = (_name(thing, numbers) for thing, numbers in named.items() if numbers is not None)
    return "".join(f", {part}" for part in parts)


def _name(thing: str, numbers: Sequence[int]) -> str:
    listed = shorten(", ".join(map(str, numbers)), LONGEST_WORDS)
    return f"{thing}{'' if len(numbers) == 1 else 's'} {listed}"


def _verb(tokens: Numbers | None, one: str, several: str) -> str:
    """Choose the verb for tokens that no longer do something."""
    if tokens is None:  # "No token looks"
        return one
    return f"no longer {one if len(tokens) == 1 else several}"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
