"""Targets of interventions: tokens, heads and cells, as users name them and as masks need them."""

from collections.abc import Iterable, Sequence
from dataclasses import is_dataclass, replace
from typing import Any, TypeAlias

import torch
from jaxtyping import Bool
from torch import Tensor

from probe.engine.interventions import Extent, Intervention
from probe.engine.prompts import Prompt
from probe.engine.readings import shorten
from probe.engine.requests import as_numbers, choose_numbers
from probe.video.coercion import describe_given, to_whole

CellMask: TypeAlias = Bool[Tensor, "frame row column"]

Tokens: TypeAlias = tuple[int | str, ...]
"""Places in a question or words of it."""


def as_numbers_or_all(thing: str, given: Any) -> tuple[int, ...] | None:
    """Put one whole number, or several, in a tuple; None, which means all, stays None.

    Raises:
        ValueError: if one is not a whole number.
    """
    return None if given is None else as_numbers(thing, given)


def as_tokens(given: Any) -> Tokens | None:
    """Put one place or word of a question, or several, in a tuple; None stays None.

    Raises:
        ValueError: if one is neither a whole number nor a text.
    """
    if given is None:
        return None
    name = "a token that is not a word"
    return tuple(one if isinstance(one, str) else _to_number(one, name) for one in _as_list(given))


def as_pairs(given: Any) -> tuple[tuple[int, int], ...]:
    """Put one pair of layer and head, or several in any form, in a tuple of pairs.

    Raises:
        ValueError: if one is not a pair of whole numbers.
    """
    listed = _as_list(given)
    one_pair = len(listed) == 2 and not any(isinstance(one, Iterable) for one in listed)
    pairs = [listed] if one_pair else [_as_list(pair) for pair in listed]
    if wrong := [pair for pair in pairs if len(pair) != 2]:
        raise ValueError(
            f"heads are pairs of layer and head, such as (2, 1); found {describe_given(wrong[0])}"
        )
    return tuple(
        (_to_number(layer, "a layer"), _to_number(head, "a head")) for layer, head in pairs
    )


def as_mask(given: Any) -> CellMask | None:
    """Make a mask of cells of an array, a tensor or nested lists; None stays None.

    Raises:
        ValueError: if it is not true or false by frame, row and column.
    """
    if given is None:
        return None
    try:
        # A copy, so that an intervention stays as it is when the caller's array changes.
        mask = given.detach().cpu().clone() if isinstance(given, Tensor) else torch.tensor(given)
    except (TypeError, ValueError, RuntimeError):  # such as lists of unequal lengths
        mask = None
    if mask is None or mask.dtype != torch.bool or mask.dim() != 3:
        raise ValueError(
            f"cells are {describe_given(given)}; give true or false by frame, row and column, such "
            f"as heatmap.values > 0.01"
        )
    return mask


def choose(thing: str, wanted: Sequence[int] | None, count: int) -> tuple[int, ...]:
    """Put the wanted numbers in order; all for None, none for an empty choice.

    Raises:
        ValueError: if one does not exist.
    """
    # The engine refuses an empty choice, since nothing would be read. Here it is a control: an
    # intervention that does nothing.
    return () if wanted is not None and not wanted else choose_numbers(thing, wanted, count)


def choose_tokens(wanted: Tokens | None, count: int) -> tuple[int, ...]:
    """Put the wanted places in a question in order; all for None, none for an empty choice.

    Raises:
        ValueError: if one does not exist, or is still a word.
    """
    if wanted is None:
        return choose("token", None, count)
    places: list[int] = []
    for token in wanted:
        if isinstance(token, str):
            raise ValueError(
                f"{token!r} is a word, and only knock_out knows the question to find it in; give "
                f"its places: view.writer.write(question).find({token!r})"
            )
        places.append(token)
    return choose("token", places, count)


def find_places(wanted: Tokens | None, prompt: Prompt) -> tuple[int, ...] | None:
    """Replace words by their places in a question; None, which means all, stays None.

    Raises:
        ValueError: if a word is not in the question, or more than once.
    """
    if wanted is None:
        return None
    found = [prompt.find(token) if isinstance(token, str) else (token,) for token in wanted]
    return tuple(place for places in found for place in places)


def find_words(intervention: Intervention, prompt: Prompt) -> Intervention:
    """Replace the words among an intervention's tokens by their places in a question.

    Any dataclass that has a tuple `tokens` or `sources` may hold words there, a user's own too.

    Raises:
        ValueError: if a word is not in the question, or more than once.
    """
    if not is_dataclass(intervention):
        return intervention
    named = {name: getattr(intervention, name, None) for name in ("tokens", "sources")}
    found = {name: find_places(some, prompt) for name, some in named.items() if _has_words(some)}
    return replace(intervention, **found) if found else intervention


def _has_words(tokens: Any) -> bool:
    return isinstance(tokens, tuple) and any(isinstance(token, str) for token in tokens)


def mark(chosen: Sequence[int], count: int) -> Bool[Tensor, " thing"]:
    """Make a mask of `count` things that is true at the chosen ones."""
    marked = torch.zeros(count, dtype=torch.bool)
    marked[list(chosen)] = True
    return marked


def mark_cells(cells: CellMask | None, shape: tuple[int, int, int]) -> Bool[Tensor, " visual"]:
    """Make a mask of visual tokens of a mask of cells; all are true for None.

    Raises:
        ValueError: if the mask does not have the shape of the video's grid.
    """
    if cells is None:
        return torch.ones(shape, dtype=torch.bool).flatten()
    if cells.shape != shape:
        raise ValueError(
            f"cells of {tuple(cells.shape)} do not fit a video of {shape} frames, rows and columns"
        )
    return cells.flatten()


def mark_heads(heads: tuple[int, ...] | None, extent: Extent) -> Bool[Tensor, " #head"]:
    """Make a mask of heads; of one entry for all of them where none is named.

    Raises:
        ValueError: if there is no such head.
    """
    if heads is None:
        return torch.ones(1, dtype=torch.bool)
    return mark(choose("head", heads, extent.heads), extent.heads)


def choose_layers(layers: tuple[int, ...] | None, extent: Extent) -> Sequence[int]:
    """Choose layers; all that attend where none is named.

    Raises:
        ValueError: if there is no such layer.
    """
    return extent.attending if layers is None else choose("layer", layers, extent.layers)


def count_cells(cells: CellMask | None) -> str | None:
    """Say how many cells a mask has, for people; None where there is no mask."""
    return None if cells is None else f"{int(cells.sum())} of {cells.numel()}"


def describe(name: str, **choices: Any) -> str:
    """Write an intervention in one line: what was chosen, long choices cut."""
    told = (f"{key}={shorten(str(value))}" for key, value in choices.items() if value is not None)
    return f"{name}({', '.join(told)})"


def _as_list(given: Any) -> list[Any]:
    plain = given.tolist() if hasattr(given, "tolist") else given  # an array or a tensor
    return [plain] if isinstance(plain, str) or not isinstance(plain, Iterable) else list(plain)


def _to_number(value: Any, name: str) -> int:
    # Python takes True for 1, but true and false in a list mean a mask, not places.
    if isinstance(value, bool):
        raise ValueError(f"{name} is {value}; give a whole number")
    return to_whole(value, name)
