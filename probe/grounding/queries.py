"""Split a query into which object it means and what the object does.

The attribute sub-query says who: subject, looks, place. The action sub-query keeps the bare subject
and says what it does. Rules, a language model or the authors' files can do the splitting; where a
split fails the whole query stands in for that branch, and the result says so.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Literal, TypeAlias

from probe.engine.prompts import GENERIC_RELEASED
from probe.grounding.grammar import DETERMINERS, EDGES, SMALL, Clause, as_statement, trimmed

Branch: TypeAlias = Literal["attribute", "action"]
Source: TypeAlias = Literal["rules", "model", "file"]


@dataclass(frozen=True)
class Queries:
    """A query and the two sub-queries it is asked as."""

    whole: str
    """The query as it was given."""

    attribute: str
    """Which object: the subject with its looks and its place."""

    action: str
    """What the object does: the subject without its attributes, and the rest of the query."""

    source: Source
    """Who split the query."""

    fallbacks: tuple[Branch, ...] = ()
    """The branches that were not found, for which the whole query stands in as a statement."""

    @property
    def subject(self) -> str:
        """What kind of thing is meant, as a detector is asked for it: the subject's bare nouns.

        Where the subject has no name, as in "something that the child holds", the whole query as
        a statement.

        >>> decompose("The man in purple clothes takes a step forward.").subject
        'man'
        >>> decompose("who opens the door").subject
        'person'
        """
        clause = Clause(self.attribute.split())
        end = len(clause.words) if clause.action_start is None else clause.action_start
        nouns = [word for word in clause.bare(end) if word.lower() not in DETERMINERS | {""}]
        named = " ".join(nouns).lower()
        if named in {"someone", "somebody"}:
            return "person"
        return as_statement(self.whole) if named in {"", "something"} else named

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "Queries":
        """Make the queries that `to_dict` wrote."""
        fallbacks = tuple(record["fallbacks"])
        return cls(
            record["whole"], record["attribute"], record["action"], record["source"], fallbacks
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the queries in plain values, for JSON."""
        return {
            "whole": self.whole,
            "attribute": self.attribute,
            "action": self.action,
            "source": self.source,
            "fallbacks": list(self.fallbacks),
        }


def as_question(sub_query: str) -> str:
    """The yes-or-no question that a sub-query is asked as.

    Articles and other small words lose their capital; any other word may be a name and keeps it.

    >>> as_question("The man in purple clothes.")
    'Is there the man in purple clothes in this video?'

    Raises:
        ValueError: if there is nothing to ask.
    """
    return f"Is there {trimmed(sub_query)} in this video?"


def decompose(query: str) -> Queries:
    """Split a query by rules of English grammar; no model, no download.

    The attribute ends where the main verb begins. Relative clauses and participles before a main
    verb describe ("the man holding a cup walks"); without a main verb they are what is done ("a
    man holding a cup"), except those for clothes and place ("who wears a hat", "that is beneath
    the chair").

    A question asks for a thing that it does not describe, so that its tube must be found through
    what is known of it: "who opens the door" is asked as "someone who opens the door", in the
    attribute branch for want of attributes. In "what does the child in red hold" the target is
    what is held, not the child; the child's looks stay in the attribute branch, where they help
    to find the thing, and leave the action branch.

    >>> asked = decompose("The man in purple clothes takes a step forward and sits on the bench.")
    >>> asked.attribute, asked.action
    ('the man in purple clothes', 'the man takes a step forward and sits on the bench')
    >>> asked = decompose("the red circle that glows")
    >>> asked.attribute, asked.action
    ('the red circle', 'the circle that glows')
    >>> asked = decompose("what does the child in red hold?")
    >>> asked.action, asked.fallbacks
    ('something that the child holds', ('attribute',))

    Raises:
        ValueError: if the query is empty.
    """
    clause = Clause(as_statement(query).split())
    start = clause.action_start
    if start is None:
        return _queries(query, "rules", attribute=" ".join(clause.words))
    subject = " ".join(clause.words[:start]).rstrip(EDGES)
    nobody = subject in {"someone", "something"}
    return _queries(query, "rules", "" if nobody else subject, " ".join(clause.acting()))


def decompose_with_model(ask: Callable[[str], str], query: str) -> Queries:
    r"""Let a language model split a query; what cannot be used of its answer falls back.

    A sub-query is used if it is labelled as asked for and shares a word with the query.

    Args:
        ask: Gives a model's answer to a prompt, without repeating the prompt.
        query: What to split.

    >>> answer = "Attribute: the man in red\nAction: the man runs"
    >>> decompose_with_model(lambda prompt: answer, "The man in red runs.").action
    'the man runs'

    Raises:
        ValueError: if the query is empty.
    """
    known = _keys(as_statement(query)) - SMALL
    found: dict[str, str] = {}
    for line in ask(MODEL_PROMPT.format(query=" ".join(query.split()))).splitlines():
        labelled = re.match(r"\W*(attribute|action)\b[^:=]{0,20}[:=](.*)", line, re.I)
        text = labelled[2].strip(" *`{}[],\"'") if labelled else ""
        if labelled and known & _keys(text):
            found.setdefault(labelled[1].lower(), text)
    return _queries(query, "model", found.get("attribute", ""), found.get("action", ""))


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


@dataclass(frozen=True)
class Decompositions:
    """Sub-queries prepared for the videos of a data set, as the authors publish theirs.

    A file maps a video's name, with or without its suffix, to
    `{"decompose_attribute": [...], "decompose_action": [...]}`. It knows one query a name.
    """

    entries: Mapping[str, Mapping[Branch, str]]
    """By video, then branch; a branch that was not decomposed is left out."""

    @classmethod
    def load(cls, path: str | Path) -> "Decompositions":
        """Read a file of decompositions.

        Of several strings in a list the last is used, as in the released code, so that the
        published files give the published questions; they hold one each. A string that asks for
        the generic prompt is the authors' mark of a split that failed.

        Raises:
            ValueError: if the file cannot be read or an entry is not of that form.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(f"{path}: cannot be read as JSON ({error}); give a file") from error
        if not isinstance(content, dict):
            raise ValueError(f"{path}: holds a {type(content).__name__}; it must map video names")
        return cls({name: dict(_entry(path, name, entry)) for name, entry in content.items()})

    def knows(self, video_name: str) -> bool:
        """Whether there are sub-queries of a video."""
        return self._entry(video_name) is not None

    def of(self, video_name: str, query: str) -> Queries:
        """The sub-queries of a video; what the file lacks, the whole query stands in for.

        Raises:
            ValueError: if the query is empty.
        """
        entry = self._entry(video_name) or {}
        return _queries(query, "file", entry.get("attribute", ""), entry.get("action", ""))

    def _entry(self, video_name: str) -> Mapping[Branch, str] | None:
        names = (video_name, PurePath(video_name).stem)
        return next((self.entries[name] for name in names if name in self.entries), None)


def _entry(path: str | Path, name: str, entry: Any) -> Iterator[tuple[Branch, str]]:
    branches: tuple[Branch, ...] = ("attribute", "action")
    for branch in branches:
        texts = entry.get(f"decompose_{branch}", []) if isinstance(entry, dict) else None
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ValueError(
                f"{path}: {name}: decompose_{branch} must be a list of strings; correct the entry"
            )
        if texts and texts[-1].strip(EDGES) and GENERIC_RELEASED not in texts[-1].lower():
            yield branch, texts[-1]


def _queries(whole: str, source: Source, attribute: str = "", action: str = "") -> Queries:
    """Sub-queries in one form, the whole query standing in for those that are empty."""
    statement = as_statement(whole)
    missing: tuple[tuple[Branch, str], ...] = (("attribute", attribute), ("action", action))
    return Queries(
        whole,
        trimmed(attribute or statement),
        trimmed(action or statement),
        source,
        tuple(branch for branch, text in missing if not text),
    )


def _keys(text: str) -> set[str]:
    return {word.strip(EDGES).lower() for word in text.split()}
