"""The word lens: how alike the visual tokens are to words, with no question asked.

It is a rival of attention maps, and no part of the method: it reads states and embeddings, and no
attention and no answer. A map that does not beat it says little about how a question is answered.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from probe.engine.attention import Heatmap
from probe.engine.prompts import PromptWriter
from probe.engine.requests import choose_numbers
from probe.engine.view import View

BEFORE = "a "
"""Text before a word while it is tokenized, so that it is written as within a sentence."""


def word_lens(
    view: View, words: str | Sequence[str], layers: int | Sequence[int] | None = None
) -> Heatmap:
    """Sum, over words, the cosine between the state of each cell and the word's input embedding.

    The map lies between minus and plus the number of words, has no natural zero, and does not
    change if all states, or the embedding of a word, are multiplied by a positive number.

    Args:
        view: The video.
        words: A word, or several: a text, or a list of them. The embedding of a word that is
            several tokens is their mean. Function words tell little; leave them out.
        layers: A decoder layer, or several, whose maps are averaged; all by default. States are
            those that enter the layer: at layer 0, the visual tokens as they enter the decoder.
            Each layer costs a pass through those below it, once a video.

    Raises:
        ValueError: if there is no word, the tokenizer does not know one, there is no such layer, or
            the view has latent prompts, which the lens leaves out.
    """
    if view.latents:
        raise ValueError("visual tokens are read without latent prompts; give the plain view")
    vectors = embed_words(view, words)
    numbers = choose_numbers("layer", layers, view.checkpoint.depth)
    maps = [_sum_cosines(view, layer, vectors) for layer in numbers]
    return Heatmap(view.grid.fold(torch.stack(maps).mean(0)), view.grid.cells)


def knows_word(view: View, word: str) -> bool:
    """Tell whether the tokenizer has tokens for all of a word, so that the lens can look for it."""
    return view.writer.tokenizer.unk_token_id not in find_token_ids(view.writer, word)


def embed_words(view: View, words: str | Sequence[str]) -> Float[Tensor, "word hidden"]:
    """Look up the embedding of each word: the mean over its tokens.

    Raises:
        ValueError: if there is no word, or the tokenizer does not know one.
    """
    texts = [words] if isinstance(words, str) else words
    several = [word for text in texts for word in text.split()]
    if not several:
        raise ValueError("there is no word to look for; give at least one")
    for word in several:
        if not knows_word(view, word):
            raise ValueError(f"{word!r} is unknown to this model's tokenizer; give another word")
    embed = view.checkpoint.embed
    return torch.stack(
        [embed(find_token_ids(view.writer, word)).float().mean(0) for word in several]
    )


def find_token_ids(writer: PromptWriter, text: str) -> tuple[int, ...]:
    """Find the tokens of words within a sentence; vocabularies have others for its first word."""
    tokens = writer.write(f"{BEFORE}{text}").tokens
    # By the characters they cover: a token of a word may contain the space before it.
    return tuple(one.id for one in tokens if one.characters and one.characters[1] > len(BEFORE))


@torch.no_grad()
def _sum_cosines(
    view: View, layer: int, vectors: Float[Tensor, "word hidden"]
) -> Float[Tensor, " visual"]:
    """Sum the cosines of each visual token's state at one layer with some vectors."""
    # In float32: in half precision, rounding is as large as the differences between cells.
    states = view.states(layer)[view.grid.positions].to(vectors)
    return (normalize(states, dim=-1) @ normalize(vectors, dim=-1).mT).sum(-1).cpu()
