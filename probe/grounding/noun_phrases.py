"""The noun phrases of a statement's subject: their determiners and their head nouns."""

from dataclasses import dataclass
from functools import cached_property

from probe.grounding.lexicon import (
    ARTICLES,
    COUNTS,
    DETERMINERS,
    EDGES,
    GROUPS,
    NAMELESS,
    PEOPLE,
    PLACES,
    PREPOSITIONS,
    SIDES,
    SINGULAR,
    SMALL,
    choose_article,
)
from probe.grounding.tagging import TaggedWords


@dataclass(frozen=True)
class NounPhrase:
    """Places of the words of one noun phrase."""

    start: int
    """The first word, a determiner if it has one."""

    noun: int
    """The first word of the noun with its adjectives."""

    head: int
    """The head noun."""


@dataclass(frozen=True)
class Subject(TaggedWords):
    """A statement whose subject can be told from the rest."""

    @cached_property
    def start(self) -> int:
        """Place of the first word of the subject."""
        if self[0] not in PREPOSITIONS | PLACES:
            return 0
        # "In the room, the man": the subject follows the comma.
        commas = (i for i in range(len(self) - 1) if self.words[i].endswith(","))
        return next(commas, -1) + 1

    def noun_phrases(self, end: int | None = None) -> tuple[NounPhrase, ...]:
        """Find the noun phrases of the subject, which lies before `end`: one, or several joined."""
        end, start, found = len(self) if end is None else end, self.start, list[NounPhrase]()
        while True:
            noun = self._skip_determiners(start, end)
            # The head is the last word before what cannot belong to it: adjectives and nouns before
            # it, as in "the short-haired woman" or "an adult man", are looks.
            stop = next((i for i in range(noun + 1, end) if self.ends_noun(i)), end)
            found.append(NounPhrase(start, noun, self._find_head(noun, stop)))
            joined = stop + 1 < end and self[stop] == "and"  # "the man and the woman in red"
            if not joined:
                return tuple(found)
            start = stop + 1

    def _skip_determiners(self, start: int, end: int) -> int:
        """Go on over determiners, also over "one of the" and "a group of"."""
        noun = start
        while noun < end - 1:
            # A group is named by its members, so that a detector looks for them.
            group = self[noun] in GROUPS and self[noun + 1] == "of"
            if not (self[noun] in DETERMINERS or group or (self[noun] == "of" and noun > start)):
                return noun
            noun += 1
        return noun if self[noun] not in DETERMINERS else start

    def _find_head(self, noun: int, stop: int) -> int:
        """Find the head noun of a phrase, before the adverbs and sides that follow it."""
        if self[noun] in NAMELESS:  # "something red"
            return noun
        head = max(self.skip_adverbs(stop) - 1, noun)
        while head > noun and self[head] in SIDES:  # "the circle bottom right"
            head -= 1
        return head

    def bare_subject(self, end: int | None = None) -> list[str]:
        """Return determiners and head nouns of the subject, which lies before `end`.

        >>> Subject("the bald man in the black suit".split()).bare_subject()
        ['the', 'man']
        """
        bare: list[str] = []
        for phrase in self.noun_phrases(end):
            opening = self.words[phrase.start : phrase.noun]
            head = self.words[phrase.head].strip(EDGES)
            if opening and self[phrase.noun - 1] in ARTICLES:  # "an adult man" becomes "a man"
                opening = [*opening[:-1], choose_article(head.lower())]
            joined = ["and"] if bare else []
            bare += [*joined, *opening, head]
        return bare

    def head_nouns(self, end: int | None = None) -> tuple[str, ...]:
        """Return the head nouns of the subject, as they are written; none if nothing is named."""
        heads = (self.words[phrase.head].strip(EDGES) for phrase in self.noun_phrases(end))
        return tuple(noun for noun in heads if noun.lower() not in SMALL | {""})

    def is_plural(self, end: int | None = None) -> bool:
        """Tell whether the subject is more than one thing, so that its verb has no -s."""
        words = [word.lower() for word in self.bare_subject(end)]
        if COUNTS.union(PEOPLE, {"and", "these", "those"}).intersection(words):
            return True
        several = words[-1].endswith("s") and not words[-1].endswith(("ss", "us", "is", "'s"))
        return several and not SINGULAR.union({"sports"}).intersection(words)
