"""A question as the model reads it: tokens behind the video, and what each of them is for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, TypeAlias

from transformers import PreTrainedTokenizerFast

GENERIC = "Describe this video in details."
"""The generic prompt of the paper: what the model looks at whatever it is asked."""

GENERIC_RELEASED = "please describe this video"
"""The generic prompt of the authors' released code."""

Kind: TypeAlias = Literal["template", "word", "stop", "role"]
"""What a token is for: laid down by the chat template before the user's words, one of the user's
words, the mark that ends their sentence, or added by the template after them (a role token)."""

STOPS = (".", "?", "!")

WORDS = "\ue000"
"""Stands for the user's words in a template; a character that nobody writes."""


@dataclass(frozen=True)
class Token:
    """One token of a question."""

    id: int
    text: str
    kind: Kind


@dataclass(frozen=True)
class Prompt:
    """The tokens that follow the video: the user's words, then the role tokens."""

    question: str
    tokens: tuple[Token, ...]

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def ids(self) -> tuple[int, ...]:
        """The token ids."""
        return tuple(token.id for token in self.tokens)

    def indices(self, *kinds: Kind) -> tuple[int, ...]:
        """Where the tokens of these kinds stand in the prompt."""
        return tuple(i for i, token in enumerate(self.tokens) if token.kind in kinds)

    def only(self, indices: Sequence[int]) -> "Prompt":
        """The same question with some of its tokens."""
        return replace(self, tokens=tuple(self.tokens[index] for index in indices))


@dataclass(frozen=True)
class PromptWriter:
    """Lays out questions in a checkpoint's own chat template."""

    processor: Any
    """The checkpoint's processor: chat template and tokenizer."""

    placeholder: int
    """The id of the token that stands for the video."""

    longest: int
    """How many tokens a question may have, template included."""

    behind: str = ""
    """What the processor writes behind the last visual token, before the template goes on."""

    @property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The checkpoint's tokenizer."""
        return self.processor.tokenizer

    @cached_property
    def around(self) -> tuple[str, str]:
        """What the chat template writes before and after the user's words.

        Raises:
            ValueError: if the template does not put the words behind the video.
        """
        content = [{"type": "video"}, {"type": "text", "text": WORDS}]
        written = self.processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        before, _, after = written.partition(WORDS)
        if self.processor.video_token not in before:
            raise ValueError(
                f"the chat template of this checkpoint writes {written!r}; it must write one "
                f"{self.processor.video_token!r} and the user's words behind it"
            )
        return before, after

    def text(self, question: str) -> str:
        """The question in the chat template, with one mark for the video."""
        return question.join(self.around)

    def write(self, question: str) -> Prompt:
        """Tokenize a question.

        Raises:
            ValueError: if the question is empty, holds one of the model's own control tokens
                (which would change where the video stands), or is too long.
        """
        question = question.strip()
        self._check(question)
        before, after = self.around
        (last_visual,) = self.tokenizer.convert_ids_to_tokens([self.placeholder])
        opening = last_visual + self.behind + before.rpartition(self.processor.video_token)[2]
        span = range(len(opening), len(opening) + len(question))
        encoded = self.tokenizer(opening + question + after, return_offsets_mapping=True)
        ids, places = encoded["input_ids"], encoded["offset_mapping"]
        first = ids.index(self.placeholder) + 1
        tokens = tuple(self._tokens(ids[first:], places[first:], span))
        if len(tokens) > self.longest:
            raise ValueError(
                f"the query has {len(tokens)} tokens but {self.longest} fit behind this video; "
                f"shorten it or sample fewer frames: {question[:60]!r}..."
            )
        return Prompt(question, tokens)

    def _check(self, question: str) -> None:
        if not question:
            raise ValueError("the query is empty; say in words what to look for")
        for control in self.control_tokens:
            if control in question:
                raise ValueError(
                    f"the query holds {control!r}, a control token of this model that would "
                    f"change what it sees; leave it out or write it in other words"
                )

    @cached_property
    def control_tokens(self) -> tuple[str, ...]:
        """Every token that the tokenizer would take for more than text."""
        added = self.tokenizer.get_added_vocab()
        return tuple(sorted({*self.tokenizer.all_special_tokens, *added}, key=len, reverse=True))

    def _tokens(
        self, ids: Sequence[int], places: Sequence[tuple[int, int]], span: range
    ) -> Iterator[Token]:
        inside = [start < span.stop and stop > span.start for start, stop in places]
        last = max((i for i, is_inside in enumerate(inside) if is_inside), default=-1)
        for i, (id_, is_inside) in enumerate(zip(ids, inside, strict=True)):
            (text,) = self.tokenizer.convert_ids_to_tokens([id_])
            kind: Kind = "template" if i < last else "role"
            if is_inside:
                kind = "stop" if i == last and text.strip("▁Ġ ") in STOPS else "word"
            yield Token(id_, readable(text), kind)


def readable(token: str) -> str:
    """A token of the vocabulary as people read it: word-start marks gone, line ends as ↵.

    >>> readable("▁ASS"), readable("Ċ"), readable("##IST")
    ('ASS', '↵', 'IST')
    """
    text = token.removeprefix("##").replace("▁", " ").replace("Ġ", " ")
    return text.replace("Ċ", "↵").replace("\n", "↵").strip(" ") or token


@dataclass(frozen=True)
class AnswerIds:
    """The one-token surface forms of "yes" and "no" in a vocabulary."""

    yes: tuple[int, ...]
    no: tuple[int, ...]


def answer_ids(tokenizer: PreTrainedTokenizerFast) -> AnswerIds:
    """Every way to begin an answer with yes or no that is a single token.

    Raises:
        ValueError: if the tokenizer has no such token.
    """
    yes, no = surfaces(tokenizer, "yes"), surfaces(tokenizer, "no")
    if not yes or not no:
        raise ValueError("this tokenizer writes neither 'yes' nor 'no' as one token")
    return AnswerIds(yes, no)


def surfaces(tokenizer: PreTrainedTokenizerFast, word: str) -> tuple[int, ...]:
    """The ids of all forms of a word that are one token: capitals or not, a space before or not."""
    ids = set()
    for form in (word, word.capitalize(), word.upper()):
        for text in (form, " " + form):
            encoded = tokenizer.encode(text, add_special_tokens=False)
            if len(encoded) == 1 and encoded[0] != tokenizer.unk_token_id:
                ids.add(encoded[0])
    return tuple(sorted(ids))
