"""The noun phrases of a statement's subject: their determiners and their head nouns."""

from dataclasses import dataclass
from functools import cached_property

from probe.grounding.lexicon import (
    ARTICLES,
    DETERMINERS,
    EDGES,
    GROUPS,
    LOOKS,
    NAMELESS,
    PLACE_WORDS,
    SEVERAL,
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

    joint: str = ""
    """"and" or a comma that joins it to the phrase before it."""


@dataclass(frozen=True)
class Subject(TaggedWords):
    """A statement whose subject can be told from the rest."""

    @cached_property
    def start(self) -> int:
        """Place of the first word of the subject."""
        if self[0] not in PLACE_WORDS:
            return 0
        # "In the room, the man": the subject follows the comma.
        commas = (i for i in range(len(self) - 1) if self.ends_in_comma(i))
        return next(commas, -1) + 1

    def noun_phrases(self, end: int | None = None) -> tuple[NounPhrase, ...]:
        """Find the noun phrases of the subject, which lies before `end`: one, or several joined."""
        end, start, found = len(self) if end is None else end, self.start, list[NounPhrase]()
        joint = ""
        while True:
            noun = self._skip_determiners(start, end)
            # The head is the last word before what cannot belong to it: adjectives and nouns before
            # it, as in "the short-haired woman" or "an adult man", are looks.
            stop = next((i for i in range(noun + 1, end) if i in self._ends), end)
            found.append(NounPhrase(start, noun, self._find_head(noun, stop), joint))
            if stop + 1 < end and self[stop] == "and":  # "the man and the woman in red"
                start, joint = stop + 1, "and"
            elif stop + 1 < end and self[stop] in DETERMINERS and self.ends_in_comma(stop - 1):
                start, joint = stop, ","
            else:
                break
        # "a man, a woman and a dog" are three; but in "the man, a doctor, walks" there is one.
        while found[-1].joint == ",":
            found.pop()
        return tuple(found)

    @cached_property
    def _ends(self) -> frozenset[int]:
        # Found once: subjects are looked for up to many words in turn.
        return frozenset(i for i in range(1, len(self)) if self.ends_noun(i))

    def _skip_determiners(self, start: int, end: int) -> int:
        """Go on over determiners, also over "one of the" and "a group of"."""
        noun = start
        while noun < end - 1:
            # A group is named by its members, so that a detector looks for them.
            group = self[noun] in GROUPS and self[noun + 1] == "of"
            if not (self[noun] in DETERMINERS or group or (self[noun] == "of" and noun > start)):
                return noun
            noun += 1
        return noun

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
            moved = phrase.head > phrase.noun  # "an adult man" becomes "a man"
            if moved and opening and self[phrase.noun - 1] in ARTICLES:
                opening = [*opening[:-1], choose_article(head.lower())]
            if phrase.joint == ",":
                bare[-1] += ","
            bare += [*(["and"] if phrase.joint == "and" else []), *opening, head]
        return bare

    def head_nouns(self, end: int | None = None) -> tuple[str, ...]:
        """Return the head nouns of the subject, as they are written; none if nothing is named."""
        heads = (phrase.head for phrase in self.noun_phrases(end))
        nouns = (i for i in heads if self[i] and self[i] not in SMALL and not self.is_adverb(i))
        named = tuple(self.words[i].strip(EDGES) for i in nouns)
        # "a yellow and a red circle" names circles; "the young" has no other noun.
        return tuple(noun for noun in named if noun.lower() not in LOOKS) or named

    def is_plural(self, end: int | None = None) -> bool:
        """Tell whether the subject is more than one thing, so that its verb has no -s."""
        words = [word.lower() for word in self.bare_subject(end)]
        if "of" in words:  # "a pair of dogs run"
            words = words[words.index("of") + 1 :] or words
        if not SEVERAL.isdisjoint(words):
            return True
        several = words[-1].endswith("s") and not words[-1].endswith(("ss", "us", "is", "'s"))
        return several and SINGULAR.isdisjoint(words) and words[-1] != "sports"
