"""Texts as vectors: sentences, and the cues by which a response map is found step by step."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from probe.engine.readings import shorten
from probe.engine.view import View
from probe.files import read_json
from probe.interpret.cuts import Cut
from probe.interpret.steering import record_states
from probe.interpret.word_lens import find_token_ids

CueRule: TypeAlias = Callable[[str], Sequence[str]]
"""Gives short phrases about the thing that a sentence means, the most general one first."""

TextRule: TypeAlias = Callable[[View, Sequence[str]], Float[Tensor, "text width"]]
"""Reads texts as vectors, one for each; a view is given for its model, not for its video."""


def no_cues(sentence: str) -> tuple[str, ...]:  # noqa: ARG001  a rule is given the sentence
    """Give no phrase, so that the whole sentence is the cue of each stage."""
    return ()


@dataclass(frozen=True, repr=False)
class Phrases:
    """Phrases that were prepared for sentences, such as by a language model.

    Raises:
        ValueError: if phrases are no list of texts, or it is asked for a sentence that it does not
            have.
    """

    known: Mapping[str, Sequence[str]]
    """Phrases by sentence."""

    def __post_init__(self) -> None:
        for sentence, phrases in self.known.items():
            _check_phrases(phrases, sentence)
        copied = {sentence: tuple(phrases) for sentence, phrases in self.known.items()}
        object.__setattr__(self, "known", MappingProxyType(copied))

    def __repr__(self) -> str:
        return f"Phrases({len(self.known)} sentences)"

    def __call__(self, sentence: str) -> Sequence[str]:
        """Return the phrases of a sentence."""
        if sentence not in self.known:
            raise ValueError(
                f"no phrases are known for {shorten(sentence)!r}; add them to the file of phrases "
                f"that these maps were trained with, and train again, or ask for another sentence"
            )
        return self.known[sentence]

    @classmethod
    def load(cls, path: str | Path) -> "Phrases":
        """Read a JSON file that maps sentences to lists of phrases.

        Raises:
            ValueError: if the file is missing or is not of that form.
        """
        content = read_json(path)
        if not isinstance(content, dict) or not content:
            raise ValueError(
                f'{path}: no phrases; give JSON such as {{"the man in red": ["a man", "in red"]}}'
            )
        for sentence, phrases in content.items():
            texts = isinstance(phrases, list) and all(isinstance(one, str) for one in phrases)
            if not texts or not all(one.strip() for one in phrases):
                raise ValueError(f"{path}: {shorten(sentence)!r} needs a list of phrases")
        return cls(content)


def fit_cues(phrases: Sequence[str], sentence: str, stages: int) -> tuple[str, ...]:
    """Choose one cue for each stage: phrases in their order, and the sentence at the end.

    Too few phrases are repeated, too many are cut off; the released code does the same.

    >>> fit_cues(["the red circle", "the circle that jumps"], "the red circle that jumps", 3)
    ('the red circle', 'the circle that jumps', 'the red circle that jumps')
    >>> fit_cues(["the circle"], "the red circle", 4)
    ('the circle', 'the circle', 'the circle', 'the red circle')

    Raises:
        ValueError: if the phrases are one text in place of a list, or one of them is blank.
    """
    _check_phrases(phrases, sentence)
    given = tuple(phrases) or (sentence,)
    return (*(given[place % len(given)] for place in range(stages - 1)), sentence)


def _check_phrases(phrases: Sequence[str], sentence: str) -> None:
    # A text is a sequence of its letters, each of which would become a cue.
    if isinstance(phrases, str) or not all(isinstance(one, str) and one.strip() for one in phrases):
        raise ValueError(
            f"the phrases of {shorten(sentence)!r} are {shorten(repr(phrases))}; give a list of "
            f"texts, or an empty one"
        )


def embed_texts(view: View, texts: Sequence[str]) -> Float[Tensor, "text width"]:
    """Average the input embeddings of the tokens of each text.

    Tokens of unknown words are left out.

    Raises:
        ValueError: if the tokenizer knows no word of a text.
    """
    return torch.stack([_embed(view, text) for text in texts])


def _embed(view: View, text: str) -> Float[Tensor, " width"]:
    unknown = view.writer.tokenizer.unk_token_id
    ids = [one for one in find_token_ids(view.writer, text) if one != unknown]
    if not ids:
        raise ValueError(
            f"no word of {shorten(text)!r} is known to this model's tokenizer; say it in other "
            f"words, or leave the sentence out"
        )
    return view.checkpoint.embed(ids).float().mean(0).cpu()


@dataclass(frozen=True)
class TextStates:
    """The mean state of a text's tokens where they enter a layer, read without the video.

    The text is read as a question from which every cell is hidden, so that its vector says nothing
    about the view's video. A family whose layers keep a state cannot hide cells.
    """

    layer: int = field(default=0)
    """The decoder layer; the cells' own is the usual choice."""

    def __call__(self, view: View, texts: Sequence[str]) -> Float[Tensor, "text width"]:
        """Read the texts, each as a question of its own."""
        # Cut at all layers: else words would carry what the video shows.
        blind = view.under(Cut())
        return torch.stack([self._read(blind, text) for text in texts])

    def _read(self, blind: View, text: str) -> Float[Tensor, " width"]:
        states = record_states(blind, text, self.layer)[self.layer]
        # Tokens of the template are the same for all texts.
        words = [
            place for place, one in enumerate(blind.writer.write(text).tokens) if one.characters
        ]
        return states[words].float().mean(0).cpu()
