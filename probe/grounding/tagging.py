"""Guesses at the class of each word of a statement: verb, participle, relative pronoun, adverb.

They are rules of thumb over the lists of the lexicon, written for captions of videos. The comments
quote the captions that made them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from probe.grounding.lexicon import (
    ACTORS,
    ADVERBS,
    AFTER_NOUNS,
    AFTER_VERBS,
    AUXILIARIES,
    BE,
    BEFORE_LOOKS,
    BEFORE_NOUNS,
    CLOTHES,
    DETERMINERS,
    EDGES,
    HAVE,
    INTRANSITIVE,
    LOOKS,
    NEVER_VERBS,
    NOT_ADVERBS,
    NOT_GERUNDS,
    NOT_IN_NOUNS,
    NOUNS_OR_LOOKS,
    NOUNS_OR_VERBS,
    ONE_THING,
    PARTICIPLES,
    PAST,
    PREPOSITIONS,
    RELATIONS,
    RELATIVES,
    VERBS,
    is_form,
)


@dataclass(frozen=True)
class Words:
    """A statement word by word, with its adverbs and its participles in -ing."""

    words: Sequence[str]

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, index: int) -> str:
        """Return a word without its marks, in lower case; "" beyond either end."""
        return self._bare[index] if 0 <= index < len(self._bare) else ""

    @cached_property
    def _bare(self) -> tuple[str, ...]:
        return tuple(word.strip(EDGES).lower().replace("\u2019", "'") for word in self.words)

    def ends_in_comma(self, index: int) -> bool:
        """Tell whether a comma follows a word."""
        return self.words[index].endswith(",")

    def is_adverb(self, index: int) -> bool:
        """Tell whether a word says how: it belongs to the verb or adjective next to it."""
        word = self[index]
        return word in ADVERBS or (word.endswith("ly") and word not in NOT_ADVERBS)

    def skip_adverbs(self, index: int) -> int:
        """Go back over the adverbs before a verb, which belong to it: "the man slowly walks"."""
        return self._run_start(index, self._adverb_runs)

    def after_adverbs(self, index: int) -> int:
        """Go on over adverbs, to the first word that is none: "that is slowly moving"."""
        while self.is_adverb(index):
            index += 1
        return index

    @cached_property
    def _adverb_runs(self) -> tuple[int, ...]:
        return self._find_runs(self.is_adverb)

    @cached_property
    def _look_runs(self) -> tuple[int, ...]:
        def extends(index: int) -> bool:
            looks = self[index] in LOOKS or self[index] == "and" or self._looks_like_gerund(index)
            return looks or self.is_adverb(index)

        return self._find_runs(extends)

    def _find_runs(self, extends: Callable[[int], bool]) -> tuple[int, ...]:
        """Return, for each place, where the run of words right before it begins."""
        # In one pass: going back from each word anew would cost the square of the length.
        starts = [0]
        for index in range(len(self)):
            starts.append(starts[-1] if extends(index) else index + 1)
        return tuple(starts)

    @staticmethod
    def _run_start(index: int, runs: tuple[int, ...]) -> int:
        return runs[index] if 0 <= index < len(runs) else index

    def _opens_phrase(self, index: int) -> bool:
        """Tell whether adjectives after this word must have a noun after them."""
        word = self[index]
        # A colour after "in" is a noun: "the man in black".
        opens = word in BEFORE_LOOKS or word.endswith("'s")
        return not word or opens

    def _looks_like_gerund(self, index: int) -> bool:
        word = self[index]
        # Four letters are too few for a stem and an ending: "king", "ring", "wing".
        return word.endswith("ing") and len(word) > 4 and word not in NOT_GERUNDS

    @cached_property
    def _modifiers(self) -> frozenset[int]:
        """Places of participles that come before their noun: "the red jumping circle"."""
        found: set[int] = set()
        for index in reversed(range(len(self))):
            if not self._looks_like_gerund(index) or self[index] in CLOTHES:
                continue
            after = index + 2 if self[index + 1] == "and" else index + 1
            if self._looks_like_gerund(after):  # "the jumping and glowing circle"
                noun_follows = after in found
            else:
                word = self[index + 1]
                noun_follows = bool(word) and word not in NOT_IN_NOUNS
                noun_follows = noun_follows and not self.is_adverb(index + 1)
            start = self._run_start(index, self._look_runs)
            # Without a determiner "riding horses" is an action; "jumping circle" can only be a
            # circle that jumps.
            bare = start == 0 and self[index + 1] not in ONE_THING
            if noun_follows and not bare and self._opens_phrase(start - 1):
                found.add(index)
        return frozenset(found)

    def is_modifier(self, index: int) -> bool:
        """Tell whether this is a participle before its noun: "the red jumping circle"."""
        return index in self._modifiers

    def is_gerund(self, index: int) -> bool:
        """Tell whether this is a participle in -ing after its noun: "the circle jumping"."""
        before = self[index - 1]
        after_noun = bool(before) and before not in BEFORE_NOUNS
        return self._looks_like_gerund(index) and after_noun and not self.is_modifier(index)


@dataclass(frozen=True)
class TaggedWords(Words):
    """A statement word by word, with guesses at what each word is."""

    def wants_noun(self, index: int) -> bool:
        """Tell whether the words before this one need a noun here, so that this is no verb."""
        before = self[index - 1]
        # "that" before a verb is a pronoun: "the dog that is being washed".
        if self.is_relative(index - 1):
            return False
        # After a gerund, since most take an object: "feeding ducks", but not "the man who is
        # smoking coughs".
        if self.is_gerund(index - 1):
            return before not in INTRANSITIVE
        if not before or self.is_modifier(index - 1) or before in BEFORE_NOUNS:
            return True
        if before.endswith("'s"):
            return True
        # "two black dogs", "the man with red hands"; but "the man in black hands ..." and "the
        # circle that is red jumps".
        looks = before in LOOKS and before not in NOUNS_OR_LOOKS
        return looks and self._opens_phrase(self._run_start(index, self._look_runs) - 1)

    def is_acting(self, index: int) -> bool:
        """Tell whether this is a participle that says what is done, and not what is worn."""
        # "a toy held by the child" acts, if only as the thing that is held.
        passive = self[index + 1] == "by" and (self[index] in PAST or self[index].endswith("ed"))
        acting = self.is_gerund(index) and self[index] not in CLOTHES
        return index > 0 and (acting or (passive and self[index] not in CLOTHES))

    def is_relative(self, index: int) -> bool:
        """Tell whether a relative clause begins here."""
        inner = 0 < index < len(self) - 1 and self[index] in RELATIVES
        # "in that house", "holds that ball" have a determiner, not a pronoun.
        return inner and self[index - 1] not in PREPOSITIONS and not self._points(index)

    def _points(self, index: int) -> bool:
        """Tell whether "that" is the object of the verb before it, or a part of it."""
        before, after = self[index - 1], self[index + 1]
        verb = is_form(before, "s") or (is_form(before, "ing") and before not in NOT_GERUNDS)
        verb_follows = after in AUXILIARIES or after in VERBS or is_form(after, "s")
        return self[index] == "that" and verb and not verb_follows

    def acts(self, verb: int) -> bool:
        """Tell whether a finite verb says what is done, and not what something looks like."""
        word, at = self[verb], self.after_adverbs(verb + 1)
        after, participle = self[at], is_form(self[at], "ed") or self[at] in PARTICIPLES
        if word in BE:
            # "is beneath the chair", "is dressed in grey"; but "is holding the baby" acts.
            begins = after == "about" and self[at + 1] == "to"
            return after not in CLOTHES and (self.is_gerund(at) or participle or begins)
        if word in HAVE:  # "has a hat", "has painted nails"; but "has jumped over it"
            ends = not self[at + 1] or self[at + 1] in NOT_IN_NOUNS or self.is_adverb(at + 1)
            return after == "been" or (participle and ends)
        return word not in CLOTHES

    @cached_property
    def _first_actor(self) -> int:
        return next((i for i in range(len(self)) if self[i] in ACTORS), len(self))

    def is_present(self, index: int) -> bool:
        """Tell whether this is an auxiliary or a known verb in -s."""
        word = self[index]
        if word in AUXILIARIES:
            return not self.wants_noun(index)
        # "the traffic lights" has no verb, "the nurse hands him the cup" has.
        verbal = word not in NOUNS_OR_VERBS or index > self._first_actor
        verbal = verbal or self.is_followed_as_verb(index)
        return is_form(word, "s") and verbal and not self.wants_noun(index)

    def is_past(self, index: int) -> bool:
        """Tell whether this is a past form, and not a participle with "by" after it."""
        word, after = self[index], self[index + 1]
        # "left" is a side far more often than a verb: "the man left the room".
        past = word in PAST or is_form(word, "ed") or (word == "left" and after in DETERMINERS)
        return past and after != "by" and not self.wants_noun(index)

    def is_unknown_verb(self, index: int) -> bool:
        """Tell whether a word in -s is used as verbs are: "slithers towards", "hammers a nail"."""
        word = self[index]
        looks = word.endswith("s") and not word.endswith(("ss", "'s"))
        looks = looks and word not in NEVER_VERBS and index > self._first_actor
        return looks and self.is_followed_as_verb(index) and not self.wants_noun(index)

    def is_followed_as_verb(self, index: int) -> bool:
        """Tell whether the next word follows verbs more often than nouns."""
        after = self[index + 1]
        return after in AFTER_VERBS or self.is_adverb(index + 1)

    def ends_noun(self, index: int) -> bool:
        """Tell whether a word cannot belong to the noun phrase before it."""
        word, before = self[index], self[index - 1]
        if word in {"and", "or"}:  # "the man and the woman"; but "the black and white cat"
            return self[index + 1] in DETERMINERS or before in ACTORS
        if self.ends_in_comma(index - 1):  # "the man, tall and thin, walks"; "the tall, bald"
            return before in ACTORS or word in DETERMINERS
        relation = word in RELATIONS and self[index + 1] in {"of", "to", "from"}
        participle = is_form(word, "ed") or word in PAST
        participle = self.is_gerund(index) or (participle and not self.wants_noun(index))
        return word in AFTER_NOUNS or participle or relation
