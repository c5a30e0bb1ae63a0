"""A question as the model reads it: the tokens after the video, and what each of them is for."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from functools import cached_property
from typing import Any, Literal, TypeAlias

from transformers import PreTrainedTokenizerFast

from probe.engine.chat_templates import REMEDY, TurnText, choose_specials, write_around
from probe.engine.families import Family

GENERIC = "Describe this video in details."
"""The generic prompt of the paper: what the model looks at whatever it is asked."""

GENERIC_RELEASED = "please describe this video"
"""The generic prompt of the authors' released code."""

Kind: TypeAlias = Literal["template", "word", "stop", "role", "thought", "answer"]
"""The use of a token: written by the chat template before the user's words, one of the user's
words, the mark that ends their sentence, added by the template after them (a role token), or a part
of the model's answer: of its thought, or of what it says."""

STOPS = (".", "?", "!")


@dataclass(frozen=True)
class Token:
    """One token of a question."""

    id: int
    text: str
    kind: Kind
    characters: tuple[int, int] | None = None
    """The characters of the question, or of the answer, that it covers, from the first up to but
    not including the last; None for a token of the template."""


@dataclass(frozen=True)
class Prompt:
    """The tokens that follow the video: the user's words, the role tokens, and an answer if any."""

    question: str
    tokens: tuple[Token, ...]

    opening: int | None = None
    """The place of the token that opens the answer's turn, such as the `A` of ` ASSISTANT:` or
    `<|im_start|>`; None where the chat template opens none."""

    answer: str = ""
    """The text of the answer after the question; empty where the question alone is read."""

    answer_ids: tuple[int, ...] = ()
    """The tokens of the answer, which are the last of `tokens`."""

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def ids(self) -> tuple[int, ...]:
        """The token ids."""
        return tuple(token.id for token in self.tokens)

    @property
    def asked(self) -> int:
        """The number of its tokens that are not of the answer."""
        return sum(token.kind not in ("thought", "answer") for token in self.tokens)

    def indices(self, *kinds: Kind) -> tuple[int, ...]:
        """Return the places of the tokens of these kinds in the prompt."""
        return tuple(i for i, token in enumerate(self.tokens) if token.kind in kinds)

    def only(self, indices: Sequence[int]) -> "Prompt":
        """Return the same question with some of its tokens."""
        kept = [range(len(self))[index] for index in indices]
        opening = kept.index(self.opening) if self.opening in kept else None
        return replace(self, tokens=tuple(self.tokens[index] for index in kept), opening=opening)

    def to_dict(self) -> dict[str, Any]:
        """Return the prompt in plain values."""
        return {
            "question": self.question,
            "tokens": [list(astuple(one)) for one in self.tokens],
            "opening": self.opening,
            "answer": self.answer,
            "answer_ids": list(self.answer_ids),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "Prompt":
        """Make the prompt that `to_dict` wrote."""
        tokens = (
            Token(id_, text, kind, None if part is None else (part[0], part[1]))
            for id_, text, kind, part in record["tokens"]
        )
        # Records of earlier versions name neither the opening nor an answer.
        return cls(
            record["question"],
            tuple(tokens),
            record.get("opening"),
            record.get("answer", ""),
            tuple(record.get("answer_ids", ())),
        )

    def answered(self, text: str, tokens: Sequence[Token]) -> "Prompt":
        """Return the same question, followed by the tokens of an answer."""
        ids = tuple(token.id for token in tokens)
        return replace(self, tokens=(*self.tokens, *tokens), answer=text, answer_ids=ids)

    def find(self, text: str) -> tuple[int, ...]:
        """Find the tokens that a word of the question, or several words in a row, are made of.

        Text that is no part of the question is looked for in the answer, and names a token of the
        template, such as "ASS", where it is no part of either.

        Raises:
            ValueError: if there is no such word or token, or more than one.
        """
        groups = self._covering(text, self.question, ("word", "stop"))
        groups = groups or self._covering(text, self.answer, ("thought", "answer"))
        if not groups:
            groups = [(place,) for place, token in enumerate(self.tokens) if token.text == text]
        if len(groups) != 1:
            several = (
                f"more than once, at places {groups}; give a place"
                if groups
                else (
                    f"not there; its tokens are {', '.join(repr(one.text) for one in self.tokens)}"
                )
            )
            raise ValueError(f"{text!r} in the question {self.question!r}: {several}")
        return groups[0]

    def _covering(self, text: str, whole: str, kinds: tuple[Kind, ...]) -> list[tuple[int, ...]]:
        """Find the tokens of these kinds that make up each occurrence of words in a text."""
        places = [(i, one.characters) for i, one in enumerate(self.tokens) if one.kind in kinds]
        found = (match.span() for match in _as_words(text).finditer(whole))
        groups = (
            tuple(i for i, part in places if part and part[0] < stop and part[1] > start)
            for start, stop in found
        )
        return [group for group in groups if group]


@dataclass(frozen=True)
class PromptWriter:
    """Writes questions in a checkpoint's own chat template."""

    processor: Any
    """The checkpoint's processor: chat template and tokenizer."""

    family: Family
    """The entry of the checkpoint's family."""

    placeholder: int
    """The id of the token that takes the place of a visual token in the text."""

    max_tokens: int
    """The most tokens that a question may have, template included."""

    tail: str = ""
    """Text that the processor writes after the last visual token, before the template goes on."""

    closing: int = 0
    """The number of tokens of that text which belong to the video, and to no question."""

    @property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The checkpoint's tokenizer."""
        return self.processor.tokenizer

    @property
    def mark(self) -> str:
        """The token that takes the place of the whole video in the chat template."""
        return getattr(self.processor, f"{self.family.medium}_token")

    @cached_property
    def turn(self) -> TurnText:
        """The text that the chat template writes around the user's words.

        Raises:
            ValueError: if there is no template, it does not put the words after the video, or it
                leaves a thought open.
        """
        part = {"type": self.family.medium}
        turn = write_around(self.processor, part, variables=self.family.template)
        if self.mark not in turn.before:
            raise ValueError(
                f"the chat template of this checkpoint writes {turn.before[:200]!r} before the "
                f"user's words; it must write one {self.mark!r} there: {REMEDY}"
            )
        # Left in, these marks would be there twice, which no such model was trained on.
        opens, closes = self.family.frame_marks or ("", "")
        return replace(turn, before=turn.before.replace(f"{opens}{self.mark}{closes}", self.mark))

    def text(self, question: str) -> str:
        """Write the question in the chat template, with one mark for the video."""
        return self.turn.write(question)

    def write(self, question: str) -> Prompt:
        """Tokenize a question.

        Raises:
            ValueError: if the question is empty, holds one of the model's own control tokens
                (which would change where the video is), or is too long.
        """
        prompt = self._written(question)
        self.check_length(prompt)
        return prompt

    def check_length(self, prompt: Prompt) -> None:
        """Refuse a question that is too long, with its answer if it has one.

        Raises:
            ValueError: if it is.
        """
        if len(prompt) > self.max_tokens:
            said = " and its answer have" if prompt.answer_ids else " has"
            raise ValueError(
                f"the query{said} {len(prompt)} tokens but {self.max_tokens} fit after this video; "
                f"shorten it or sample fewer frames: {prompt.question[:60]!r}..."
            )

    def _written(self, question: str) -> Prompt:
        question = question.strip()
        self._check(question)
        turn = self.turn
        (last_visual,) = self.tokenizer.convert_ids_to_tokens([self.placeholder])
        # Tokenized with what comes before and after, since tokens at a boundary may merge: a line
        # end of the template, say, with the word that follows it.
        opening = last_visual + self.tail + turn.before.rpartition(self.mark)[2]
        span = range(len(opening), len(opening) + len(question))
        options = choose_specials(self.processor, turn.before)
        text = opening + question + turn.after
        encoded = self.tokenizer(text, return_offsets_mapping=True, **options)
        ids, places = encoded["input_ids"], encoded["offset_mapping"]
        first = ids.index(self.placeholder) + 1 + self.closing
        tokens = tuple(self._tokens(ids[first:], places[first:], span))
        # Space is part of the word that follows it in some vocabularies, and of none in others.
        answer = len(text) - len(turn.opening.lstrip())
        covering = [i for i, (start, stop) in enumerate(places[first:]) if start <= answer < stop]
        return Prompt(question, tokens, covering[0] if covering else None)

    def _check(self, question: str) -> None:
        if not question:
            raise ValueError("the question is empty; ask something in words")
        # Such text would become a token that opens a turn or a video, not words about one.
        for control in self.control_tokens:
            if control in question:
                raise ValueError(
                    f"the query holds {control!r}, a control token of this model that would "
                    f"change what it sees; leave it out or write it in other words"
                )

    @cached_property
    def control_tokens(self) -> tuple[str, ...]:
        """Every token that the tokenizer would take for more than text, the longest first."""
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
            part = None
            if is_inside:
                kind = "stop" if i == last and text.strip("▁Ġ ") in STOPS else "word"
                start, stop = places[i]
                part = max(start, span.start) - span.start, min(stop, span.stop) - span.start
            yield Token(id_, readable(text), kind, part)


def readable(token: str) -> str:
    """Write a token of the vocabulary as people read it: no word-start marks, line ends as ↵.

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
    """Find every way to begin an answer with yes or no that is a single token.

    Raises:
        ValueError: if the tokenizer has no such token.
    """
    yes, no = surfaces(tokenizer, "yes"), surfaces(tokenizer, "no")
    if not yes or not no:
        raise ValueError("this tokenizer writes neither 'yes' nor 'no' as one token")
    return AnswerIds(yes, no)


def surfaces(tokenizer: PreTrainedTokenizerFast, word: str) -> tuple[int, ...]:
    """Find all forms of a word that are one token: capitals or not, a space before or not."""
    # Vocabularies differ in whether the space before a word belongs to its token, and answers in
    # whether they begin with a capital.
    ids = set()
    for form in (word, word.lower(), word.capitalize(), word.upper()):
        for text in (form, " " + form):
            encoded = tokenizer.encode(text, add_special_tokens=False)
            if len(encoded) == 1 and encoded[0] != tokenizer.unk_token_id:
                ids.add(encoded[0])
    return tuple(sorted(ids))


def _as_words(text: str) -> re.Pattern[str]:
    """Match the text where it begins and ends with a whole word, whatever its capitals."""
    plain = text.strip()
    before = r"(?<!\w)" if plain[:1].isalnum() else ""
    after = r"(?!\w)" if plain[-1:].isalnum() else ""
    return re.compile(f"{before}{re.escape(plain)}{after}", re.IGNORECASE)
