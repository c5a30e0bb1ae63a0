"""Token ids of a world's texts."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from probe.organism.shapes import SHAPES
from probe.organism.worlds import World


# One tokenizer for each world, since the same texts are encoded again and again.
@lru_cache(maxsize=8)
def open_tokenizer(world: World) -> Any:
    """Return the tokenizer of a world's organism."""
    return world.body.make_tokenizer()


def get_token_ids(tokens: Iterable[str], world: World = SHAPES) -> list[int]:
    """Return the ids of tokens.

    Raises:
        KeyError: if one of them is not in the vocabulary.
    """
    ids = _get_vocabulary(world)
    return [ids[token] for token in tokens]


@lru_cache(maxsize=8)
def _get_vocabulary(world: World) -> Mapping[str, int]:
    return open_tokenizer(world).get_vocab()


# Each batch has about 150 questions and as many answers, most of them seen before.
@lru_cache(maxsize=100_000)
def encode(text: str, world: World = SHAPES) -> tuple[int, ...]:
    """Return the token ids of a question, an answer or a phrase.

    Raises:
        ValueError: if it contains a word that the organism does not know.
    """
    tokenizer = open_tokenizer(world)
    ids = tokenizer.encode(text, add_special_tokens=False)
    if tokenizer.unk_token_id in ids:
        raise ValueError(f"the organism has no word for something in {text!r}")
    return tuple(ids)
