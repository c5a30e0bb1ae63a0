"""Queries, and their split into which object is meant and what the object does.

The attribute sub-query has the subject with its looks and its place. The action sub-query has the
bare subject and what it does. Rules, a language model or the authors' files can split a query. If a
part is not found, the whole query is asked in its place, and the result says so.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Literal, TypeAlias

from probe.engine.media import Medium, name_medium
from probe.engine.prompts import GENERIC_RELEASED
from probe.engine.readings import shorten
from probe.files import read_json
from probe.grounding.grammar import Clause
from probe.grounding.lexicon import EDGES, SMALL
from probe.grounding.statements import as_statement, check_length, is_too_long, trim
from probe.video.coercion import describe_given, to_one_line

Branch: TypeAlias = Literal["attribute", "action"]
"""The part of a query that chooses the track, and the part that chooses the span."""

Source: TypeAlias = Literal["rules", "model", "file"]
"""Who can split a query."""


@dataclass(frozen=True, repr=False)
class Queries:
    """A query and the two sub-queries that are asked in its place."""

    whole: str
    """The query as it was given."""

    attribute: str
    """The object: the subject with its looks and its place."""

    action: str
    """The action of the object: the subject without its attributes, and the rest of the query."""

    source: Source
    """Who split the query."""

    fallbacks: tuple[Branch, ...] = ()
    """The branches that were not found, where the whole query is asked as a statement."""

    def __repr__(self) -> str:
        missing = f", without {' and '.join(self.fallbacks)}" if self.fallbacks else ""
        whole, attribute, action = map(shorten, (self.whole, self.attribute, self.action))
        return (
            f"Queries({whole!r}: attribute {attribute!r}, action {action!r}, by {self.source}"
            f"{missing})"
        )

    @property
    def subject(self) -> str:
        """The bare nouns of the subject: the phrase that a detector is given.

        It is the whole query as a statement if the subject has no name, as in "something that the
        child holds".

        >>> decompose("The man in purple clothes takes a step forward.").subject
        'man'
        >>> decompose("who opens the door").subject
        'person'
        """
        clause = Clause(self.attribute.split())
        if clause.nouns:
            return " and ".join(clause.nouns).lower()
        somebody = {"someone", "somebody"}.intersection(map(str.lower, clause.words))
        return "person" if somebody else as_statement(self.whole)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "Queries":
        """Make the queries that `to_dict` wrote.

        Raises:
            ValueError: if one is no text.
        """
        whole, attribute, action = (record[name] for name in ("whole", "attribute", "action"))
        for text in (whole, attribute, action):
            if not isinstance(text, str):
                raise ValueError(f"a query is {describe_given(text)}, not a text")
        return cls(whole, attribute, action, record["source"], tuple(record["fallbacks"]))

    def to_dict(self) -> dict[str, Any]:
        """Return the queries in plain values, for JSON."""
        return {
            "whole": self.whole,
            "attribute": self.attribute,
            "action": self.action,
            "source": self.source,
            "fallbacks": list(self.fallbacks),
        }


def as_question(sub_query: str, medium: Medium = "video") -> str:
    """Turn a sub-query, or a whole query, into a yes-or-no question.

    Articles and other function words lose their capital. Any other word may be a name and keeps it,
    unless the whole text is in capitals or written as a title.

    >>> as_question("The man in purple clothes.")
    'Is there the man in purple clothes in this video?'
    >>> as_question("THE RED CIRCLE THAT JUMPS")
    'Is there the red circle that jumps in this video?'
    >>> as_question("the red car", "image")
    'Is there the red car in this image?'

    Raises:
        ValueError: if there is nothing to ask, or more than 210 words.
    """
    # The paper's template. "Is there the man" is not good English, but the published numbers were
    # measured with it.
    question = f"Is there {as_statement(sub_query)} in "
    return question + name_medium("this video?", medium)


def find_noun(question: str) -> str:
    """Find the bare noun of the subject of a yes-or-no question or a query, as it is written there.

    Of a joined subject, such as "the man and the woman", it is the first noun.

    >>> find_noun("Is there the red circle that jumps in this video?")
    'circle'
    >>> find_noun("the man to the left of the car")
    'man'

    Raises:
        ValueError: if nothing is named, as in "who opens the door", or the question is empty or too
            long.
    """
    nouns = [noun.lower() for noun in Clause(as_statement(question).split()).nouns[:1]]
    # Capitals are as the text has them: "THE CIRCLE JUMPS" was read in lower case.
    written = (word.strip(EDGES) for word in question.split())
    noun = next((word for word in written if word.lower() in nouns), None)
    if noun is None:
        raise ValueError(
            f"{shorten(question)!r} names no object; give a query with a noun, such as 'the man "
            "who opens the door'"
        )
    return noun


def decompose(query: str) -> Queries:
    """Split a query by rules of English grammar, without any model.

    The attribute ends where the main verb begins. Relative clauses and participles before a main
    verb describe ("the man holding a cup walks"). Without a main verb they say what is done ("a man
    holding a cup"), except those for looks, clothes and place ("that is red", "who wears a hat",
    "that is beneath the chair"). A verb that is joined to such a description is what is done ("that
    is red and jumps"), and so is a participle before the noun ("the jumping red circle").

    A related object belongs to the attribute ("the circle next to the square"), and a clause after
    it is taken to be about the subject. A branch falls back where nothing is done, and where the
    words could be a verb or a noun ("the traffic lights").

    A question asks for a thing that it does not describe, so its tube must be found through the
    rest of the question: "who opens the door" is asked as "someone who opens the door", also in the
    attribute branch, since there are no attributes. In "what does the child in red hold" the target
    is the thing that is held. The looks of the child are kept in the attribute branch, where they
    help to find the thing, and left out of the action branch.

    >>> asked = decompose("The man in purple clothes takes a step forward and sits on the bench.")
    >>> asked.attribute, asked.action
    ('the man in purple clothes', 'the man takes a step forward and sits on the bench')
    >>> asked = decompose("the red circle that glows")
    >>> asked.attribute, asked.action
    ('the red circle', 'the circle that glows')
    >>> asked = decompose("the jumping red circle next to the square")
    >>> asked.attribute, asked.action
    ('the red circle next to the square', 'the circle that is jumping')
    >>> asked = decompose("what does the child in red hold?")
    >>> asked.action, asked.fallbacks
    ('something that the child holds', ('attribute',))

    Raises:
        ValueError: if the query is empty, or has more than 200 words or 2,000 characters.
    """
    check_length(query)
    parts = Clause(as_statement(query).split()).split()
    return _make_queries(query, "rules", " ".join(parts.attribute), " ".join(parts.action))


def decompose_with_model(ask: Callable[[str], str], query: str) -> Queries:
    r"""Let a language model split a query.

    A sub-query of its answer is used if it is labelled as the prompt says, shares a word with the
    query and is not longer than a query may be; otherwise the whole query is asked in its place.

    Args:
        ask: Returns the model's answer to a prompt, without the prompt.
        query: The query to split.

    >>> answer = "Attribute: the man in red\nAction: the man runs"
    >>> decompose_with_model(lambda prompt: answer, "The man in red runs.").action
    'the man runs'

    Raises:
        ValueError: if the query is empty, or has more than 200 words or 2,000 characters.
    """
    check_length(query)
    # Small words are shared by all sentences: they do not show that an answer is about the query.
    known = _collect_words(as_statement(query)) - SMALL
    found: dict[str, str] = {}
    for line in ask(MODEL_PROMPT.format(query=" ".join(query.split()))).splitlines():
        # Models write bullets, bold, JSON or "sub-query" around the labels, and may go on with
        # examples of their own: the first answer for each label counts.
        labelled = re.match(r"\W*(attribute|action)\b[^:=]{0,20}[:=](.*)", line, re.I)
        text = labelled[2].strip(" *`{}[],\"'") if labelled else ""
        if labelled and known & _collect_words(text) and not is_too_long(text):
            found.setdefault(labelled[1].lower(), text)
    return _make_queries(query, "model", found.get("attribute", ""), found.get("action", ""))


MODEL_PROMPT = """\
Split a description of one object in a video into two short phrases.
attribute: which object it is. Keep the subject, its looks and its place, leave out what it does.
action: what the object does. Keep the bare subject, leave out its looks, keep all that it does.
Use only words of the description. For a question, call what it asks for "someone" or "something".
Answer with these two lines and nothing else.

description: The old man in a grey coat beside the door lifts his hat and bows.
attribute: the old man in a grey coat beside the door
action: the man lifts his hat and bows

description: there is a small white dog chasing a bird on the beach
attribute: a small white dog
action: a dog chasing a bird on the beach

description: the green square that spins
attribute: the green square
action: the square that spins

description: What does the girl in blue carry?
attribute: something that the girl in blue carries
action: something that the girl carries

description: {query}
"""


@dataclass(frozen=True, repr=False)
class Decompositions:
    """Sub-queries that were prepared for the videos of a data set, as the authors publish theirs.

    The file maps the name of a video, with or without its suffix, to
    `{"decompose_attribute": [...], "decompose_action": [...]}`. It holds one query a name.
    """

    entries: Mapping[str, Mapping[Branch, str]]
    """Sub-queries by video and branch; a branch that was not decomposed is left out."""

    def __repr__(self) -> str:
        return f"Decompositions({len(self.entries)} queries)"

    @classmethod
    def load(cls, path: str | Path) -> "Decompositions":
        """Read a file of decompositions.

        The last string of a list is used, as in the released code, so that the published files
        give the published questions; their lists hold one string each. A string that contains the
        generic prompt is the authors' mark of a split that failed.

        Raises:
            ValueError: if the file cannot be read or an entry is not of that form.
        """
        content = read_json(path)
        if not isinstance(content, dict):
            raise ValueError(f"{path}: holds a {type(content).__name__}; it must map video names")
        return cls(
            {name: dict(_read_branches(path, name, entry)) for name, entry in content.items()}
        )

    def knows(self, video_name: str) -> bool:
        """Tell whether there are sub-queries for a video."""
        return self._find_entry(video_name) is not None

    def of(self, video_name: str, query: str) -> Queries:
        """Return the sub-queries of a video; the whole query in place of what the file lacks.

        Raises:
            ValueError: if the query is empty or too long.
        """
        check_length(query)
        entry = self._find_entry(video_name) or {}
        return _make_queries(query, "file", entry.get("attribute", ""), entry.get("action", ""))

    def _find_entry(self, video_name: str) -> Mapping[Branch, str] | None:
        names = (video_name, PurePath(video_name).stem)
        return next((self.entries[name] for name in names if name in self.entries), None)


def _read_branches(path: str | Path, name: str, entry: Any) -> Iterator[tuple[Branch, str]]:
    """Read the sub-queries that an entry of a file holds."""
    place = f"{path}: {to_one_line(name)}"
    branches: tuple[Branch, ...] = ("attribute", "action")
    for branch in branches:
        texts = entry.get(f"decompose_{branch}", []) if isinstance(entry, dict) else None
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ValueError(
                f"{place}: decompose_{branch} must be a list of strings; correct the entry"
            )
        if texts and is_too_long(texts[-1]):
            raise ValueError(
                f"{place}: decompose_{branch} is longer than a query may be; shorten it"
            )
        if texts and texts[-1].strip(EDGES) and GENERIC_RELEASED not in texts[-1].lower():
            yield branch, texts[-1]


def _make_queries(whole: str, source: Source, attribute: str = "", action: str = "") -> Queries:
    """Make queries of what was found, with the whole query in place of what is empty."""
    statement = as_statement(whole)
    missing: tuple[tuple[Branch, str], ...] = (("attribute", attribute), ("action", action))
    return Queries(
        whole,
        trim(attribute or statement),
        trim(action or statement),
        source,
        tuple(branch for branch, text in missing if not text),
    )


def _collect_words(text: str) -> set[str]:
    return {word.strip(EDGES).lower() for word in text.split()}
