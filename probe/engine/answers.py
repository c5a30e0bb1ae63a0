"""Answers as tokens: what a model said, or could say, after a question."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

from probe.engine.prompts import Kind, Prompt, PromptWriter, Token, readable
from probe.engine.thoughts import find_thoughts

Answer: TypeAlias = str | Sequence[int]
"""An answer: its words, or the ids of its tokens."""


def write_answered(writer: PromptWriter, question: str, answer: Answer | None) -> Prompt:
    """Tokenize a question, and the answer after it if there is one.

    Raises:
        ValueError: if one of them is empty or unsafe, or both together are too long.
    """
    prompt = writer.write(question)
    if answer is None:
        return prompt
    prompt = prompt.answered(*answer_tokens(writer.tokenizer, answer, writer.placeholder))
    writer.check_length(prompt)
    return prompt


def answer_tokens(
    tokenizer: Any, answer: Answer, placeholder: int
) -> tuple[str, tuple[Token, ...]]:
    """Return the text of an answer, and its tokens; those of a thought are of a kind of their own.

    Words are made into tokens by themselves, as a model writes them after a template that is
    complete.

    Args:
        tokenizer: The checkpoint's tokenizer.
        answer: The words, or the ids.
        placeholder: The id of the token that takes the place of a visual token.

    Raises:
        ValueError: if it is empty, holds an id that there is not, or would show another video.
    """
    ids: list[Any] = list(answer)
    if isinstance(answer, str):
        ids = tokenizer(answer, add_special_tokens=False)["input_ids"]
    if not ids:
        raise ValueError("the answer is empty; give its words, or leave it out")
    if wrong := [one for one in ids if not isinstance(one, int) or not 0 <= one < len(tokenizer)]:
        raise ValueError(
            f"an answer has token {wrong[0]!r}, but this tokenizer has those from 0 to "
            f"{len(tokenizer) - 1}; give words, or ids that it wrote"
        )
    if placeholder in ids:
        (mark,) = tokenizer.convert_ids_to_tokens([placeholder])
        raise ValueError(
            f"the answer holds {mark!r}, which stands for a part of a video; leave it out"
        )
    # Texts that grow by a token: bytes of one character may be spread over several of them.
    texts = [_decode(tokenizer, ids[:count]) for count in range(len(ids) + 1)]
    return texts[-1], tuple(_tokens(tokenizer, ids, texts))


def _tokens(tokenizer: Any, ids: Sequence[int], texts: Sequence[str]) -> Iterator[Token]:
    thoughts = find_thoughts(texts[-1])
    written = tokenizer.convert_ids_to_tokens(list(ids))
    for id_, text, (before, after) in zip(ids, written, pairwise(texts), strict=True):
        # A character that is not complete yet is written otherwise, as if it were longer.
        start, stop = min(len(before), len(after)), len(after)
        inside = any(start < last and stop > first for first, last in thoughts)
        kind: Kind = "thought" if inside else "answer"
        yield Token(id_, readable(text), kind, (start, stop))


def _decode(tokenizer: Any, ids: Sequence[int]) -> str:
    return tokenizer.decode(
        list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
    )
