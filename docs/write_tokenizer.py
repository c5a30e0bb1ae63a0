"""Train the tokenizer of the world of things on the world's own sentences.

    python docs/write_tokenizer.py     write probe/organism/things/tokenizer.json (a minute)

The order of its tokens is that of the embeddings: an organism that was trained with another file
does not fit this one.
"""

import string
from collections.abc import Iterator

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from probe.organism.things.casting import make_clip
from probe.organism.things.questions import make_questions
from probe.organism.things.tokenizer import SPECIAL_TOKENS, TOKENIZER, UNKNOWN

SEED = 700_001
"""Seed of the clips that the sentences are about; no benchmark and no training has it."""

CLIPS = 6000
TOKENS = 704


def write_sentences() -> Iterator[str]:
    """Yield questions and answers about clips, and the words of the template."""
    yield from ["user", "assistant"] * 1000
    for index in range(CLIPS):
        rng = np.random.default_rng((SEED, index, 1))
        for question in make_questions(make_clip((SEED, index)), rng):
            yield question.text
            yield question.answer
        thing = make_clip((SEED, index)).things[0]
        yield thing.query


def train() -> Tokenizer:
    """Train a tokenizer of word pieces."""
    tokenizer = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
    # WordPiece marks the pieces inside of words, not the beginnings: "red" is one token, also as
    # the first word of an answer.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()]
    )
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    letters = string.ascii_letters + string.digits + string.punctuation
    trainer = trainers.WordPieceTrainer(
        vocab_size=TOKENS,
        special_tokens=[*SPECIAL_TOKENS, *(f"##{letter}" for letter in string.ascii_letters)],
        initial_alphabet=[*letters],
        min_frequency=20,
        show_progress=False,
    )
    tokenizer.train_from_iterator(write_sentences(), trainer)
    return tokenizer


if __name__ == "__main__":
    train().save(str(TOKENIZER), pretty=True)
