"""Phrases of tags as words, with which visual tokens are compared."""

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from probe.organism.tokens import encode
from probe.organism.worlds import RESTS, World


def encode_phrases(phrases: Iterable[str], world: World) -> list[list[int]]:
    """Return the token ids of each phrase; none for resting, for which there is no word."""
    return [[] if phrase == RESTS else list(encode(phrase, world)) for phrase in phrases]


def compare_phrases(
    cosine: Float[Tensor, "item token word"], phrases: Sequence[Sequence[int]]
) -> Float[Tensor, "item token phrase"]:
    """Average the cosines of each phrase's words; resting is the absence of every other phrase.

    Args:
        cosine: Cosine of each visual token with each word.
        phrases: Token ids of each phrase; none for resting, which may only be the first.
    """
    named = [phrase for phrase in phrases if phrase]
    if all(len(phrase) == 1 for phrase in named):
        stacked = cosine[..., [phrase[0] for phrase in named]]
    else:
        stacked = torch.stack([cosine[..., phrase].mean(-1) for phrase in named], dim=-1)
    if len(named) == len(phrases):
        return stacked
    # No question contains a word for resting, so the vocabulary has none.
    return torch.cat([-stacked.amax(-1, keepdim=True), stacked], dim=-1)


def sum_phrases(
    cosine: Float[Tensor, "item token word"], axes: Sequence[Sequence[Sequence[int]]]
) -> Float[Tensor, "item token tag"]:
    """Sum the cosines of the phrases of each tag of a group.

    Args:
        cosine: Cosine of each visual token with each word.
        axes: Token ids of each phrase of each axis.
    """
    # Summed within each token, before tokens are pooled: colour, shape and action have to meet in
    # one cell, or nothing would bind them.
    first, *others = (compare_phrases(cosine, axis) for axis in axes)
    summed = first
    for scores in others:
        summed = summed[..., None] + scores.unflatten(-1, [1] * (summed.ndim - 2) + [-1])
    return summed.flatten(2)
