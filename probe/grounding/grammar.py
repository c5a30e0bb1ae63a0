"""Just enough English grammar to turn a question into a statement and to find what is done in it.

Rules over word lists, written for captions of videos; it knows nothing of sub-queries.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal


def as_statement(query: str) -> str:
    """The query as a phrase that can follow "Is there": a question becomes what it asks for.

    >>> as_statement("What does the child in red hold?")
    'something that the child in red holds'
    >>> as_statement("who opens the door")
    'someone who opens the door'
    >>> as_statement("There is a brown dog chasing a ball.")
    'a brown dog chasing a ball'

    Raises:
        ValueError: if the query is empty.
    """
    text = re.sub(r"^there(?:'s| is| are| was| were) ", "", trimmed(query), flags=re.I)
    if asked := re.match(r"(?:is|are) there (.+?)(?: in (?:this|the) video)?$", text, re.I):
        return asked[1]
    if asked := re.match(r"what (?:does|do|did|is|are) (.+) (?:do|doing)$", text, re.I):
        return asked[1]
    if asked := re.match(r"(who|whom|what|which|where|when) (.+)$", text, re.I):
        return " ".join(_answer(asked[1].lower(), asked[2].split()))
    return text


def trimmed(text: str) -> str:
    """Without the final mark, spaces made single, a small first word in lower case.

    Raises:
        ValueError: if there are no words.
    """
    if not text.strip():
        raise ValueError("the query is empty; say in words what to look for")
    words = (text.strip().rstrip(".?! ") or text).split()
    first = words[0].lower()
    return " ".join([first if first in SMALL else words[0], *words[1:]])


_STRANDED = re.compile(
    r" (in front of|next to|away from|away|towards? to|towards?|above|beneath|behind|beside|inside)"
    r"(?= *$| +(?:in|on|at|of|from|to|inside|outside|outdoors)\b)"
)
"""A preposition without its object, as a question about that object leaves it."""


def _answer(asking: str, words: list[str]) -> list[str]:
    """What a question asks for, as a phrase: "who", "opens the door" -> "someone who opens ..."."""
    asked = {"who": ["someone", "who"], "whom": ["someone", "whom"], "what": ["something", "that"]}
    pronoun, clause = asked.get(asking, []), Clause(words)
    if clause[0] in DO:
        return [*pronoun, *_straightened(words)]
    if clause[0] in BE and (clause[1] in DETERMINERS or not pronoun):
        inner = Clause(words[1:])
        stranded = _STRANDED.search(" ".join(inner.words))
        acting = (i for i in range(len(inner.words)) if inner.is_acting(i))
        at = len(stranded.string[: stranded.start()].split()) if stranded else next(acting, None)
        if at is None:
            return words[1:]
        return [*pronoun, *words[1 : at + 1], words[0], *words[at + 1 :]]
    verbal = clause[0] in AUXILIARIES | PAST or clause[0].endswith("s")
    return [*pronoun, *words] if pronoun and (asking != "what" or verbal) else ["the", *words]


def _straightened(words: list[str]) -> list[str]:
    """A question with "do" in the order of a statement: "the man leans on", "the man did lean"."""
    clause = Clause(words)
    verbs = (i for i in range(2, len(words)) if clause[i] in VERBS and not clause.wants_noun(i))
    at = next(verbs, len(words) - 1)
    verb = [words[0].lower(), words[at]]
    if verb[0] == "does":
        stem = re.sub(r"(?<=[^aeiou])y$", "ie", words[at])
        verb = [stem + ("es" if stem.endswith(("s", "x", "ch", "sh", "o")) else "s")]
    return [*words[1:at], *verb, *words[at + 1 :]]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# The lexicon: closed classes of English, and the open classes that captions of videos live on.
EDGES = " \t\n,.;:!?\"'()"
ARTICLES = _words("a an")
COUNTS = _words("two three four five several many both all")
DETERMINERS = COUNTS | _words(
    "the a an this that these those another other each every some no his her its their my your our"
)
PREPOSITIONS = _words(
    "in on at of with without to from by for near nearest next beside between among under over "
    "against around across along through into onto towards toward beneath above like as"
)
PLACES = _words("behind below inside outside opposite nearby away")
"""Prepositions that can also stand alone: "the man behind turns"."""

RELATIVES = _words("who whom which that whose")
COORDINATORS = _words("and or but then")
SUBORDINATORS = _words("while when as because until")
BE = _words("is are was were")
DO = _words("does do did")
AUXILIARIES = BE | DO | _words("has have had will can could would")
ADVERBS = _words("not also just still again first finally always never")
NOT_ADVERBS = _words("family butterfly belly fly lily bully elderly ugly curly")
SMALL = DETERMINERS | PREPOSITIONS | PLACES | AUXILIARIES | RELATIVES
SMALL |= _words("someone something somebody what where when there there's")

CLOTHES = _words("wears wearing wore dressed clad having has had covered seated facing")
"""Verbs and participles that describe a thing rather than tell what it does."""

PEOPLE = _words("men women people children boys girls")
PLURALS = _words("clothes glasses sunglasses pants shorts jeans trousers stairs bus")
"""Nouns that look like verbs in -s."""

NOT_GERUNDS = _words(
    "king ring thing string wing spring building clothing earring painting ceiling evening "
    "morning wedding nothing something stocking railing"
)
VERBS = _words(
    """
    accept aim answer appear approach argue arrive ask bake bark bathe beat become begin bend
    bite blink block blow bounce bow break bring brush build bump call caress carry catch change
    chase check cheer clap clean climb close comb come comfort cook cough crawl cross crouch cry
    cut dance dive drag draw drink drive drop eat embrace enter exit extend fall feed fight find
    finish fix flip float fly fold follow gesture get give glow go grab grow hand hang hesitate
    hide hit hold hop hug jump keep kick kiss kneel knock land laugh lay lead lean leap leave
    let lick lie lift light listen load lock look lower make march meet mix move nod open pace
    paint pass pat pay pet pick pinch place play point poke pour press pretend pull punch push
    put raise reach read receive release remove rest return ride rise roll rotate row rub run
    rush salute say scratch sell send set shake shine shoot shout show shrink shrug shut sigh
    sing sit skate ski slap sleep slide slip smell smile smoke sneeze sniff speak spin spit
    splash spread squat squeeze squint stamp stand stare start stay step stick stir stop
    straighten stretch strike swallow sweep swim swing switch take talk taste tear tell think
    throw tie tilt toss touch tremble try tuck turn twist type unlock use wag wait wake walk
    want wash watch wave wear whisper wink wipe work wrap write yank yawn yell
    """
)
PAST = _words(  # without "left", in captions far more often a side
    """ate beaten began bent bit bitten blew bought broke broken brought built came caught did
    drank drawn drew driven drove eaten fed fell flew fought found gave given got grew held hid hit
    hung knelt laid lay led made met paid put ran ridden rode rose said sang sat saw sent shaken
    shook shot shown shut slept slid spoke stood struck swam swung taken thought threw thrown told
    took tore torn went woke written wrote"""
)
PARTICLES = _words("up down off out back forward left right")


@dataclass(frozen=True)
class Clause:
    """A statement word by word, and what each of its words can be."""

    words: Sequence[str]

    def __getitem__(self, index: int) -> str:
        """A word without its marks, in lower case; empty beyond either end."""
        return self.words[index].strip(EDGES).lower() if 0 <= index < len(self.words) else ""

    @cached_property
    def action_start(self) -> int | None:
        """Where the words begin that say what is done; None if none do."""
        end = len(self.words)
        relative = next((i for i in range(end) if self._is_relative(i)), end)
        participle = next((i for i in range(end) if self.is_acting(i)), end)
        nested = min(relative, participle)
        main = self._main_verb(relative, nested)
        if main is not None:
            return self._before_adverbs(main)
        if nested == end or (nested == relative and self._is_described(nested)):
            return None
        return self._before_adverbs(nested)

    def acting(self) -> list[str]:
        """The bare subject and what it does; everything if nothing is done.

        >>> Clause("the toy that the small child in red holds".split()).acting()
        ['the', 'toy', 'that', 'the', 'child', 'holds']
        """
        if self.action_start is None:
            return [*self.words]
        rest = Clause(self.words[self.action_start :])
        if rest[0] in RELATIVES and rest[1] in DETERMINERS:
            rest = Clause([rest.words[0], *Clause(rest.words[1:]).acting()])
        return [*self.bare(self.action_start), *rest.words]

    def bare(self, end: int, start: int = 0) -> list[str]:
        """Determiners and head noun of the words from `start` up to `end`.

        >>> Clause("the bald man in the black suit".split()).bare(7)
        ['the', 'man']
        """
        if self[start] in PREPOSITIONS:  # "In the room, the man": the subject follows the comma
            commas = (i for i in range(start, end - 1) if self.words[i].endswith(","))
            start = next(commas, start - 1) + 1
        noun = next((i for i in range(start, end) if self[i] not in DETERMINERS), start)
        stop = next((i for i in range(noun + 1, end) if self._ends_noun(i)), end)
        head = [*self.words[start:noun], self.words[stop - 1].rstrip(EDGES)]
        if self[noun - 1] in ARTICLES and noun > start:
            head[-2] = "an" if head[-1].startswith(("a", "e", "i", "o", "u")) else "a"
        joined = stop < end and self[stop] == "and"
        return [*head, self.words[stop], *self.bare(end, stop + 1)] if joined else head

    def _main_verb(self, relative: int, nested: int) -> int | None:
        """The finite verb of the sentence, which is not the first of its relative clause.

        Present comes before past, which may be a participle; unknown verbs come last, and only
        before any nested clause.
        """
        end = len(self.words)
        end = next((i for i in range(end) if self[i] in SUBORDINATORS), end)
        tries = (self._is_present, end), (self._is_past, end), (self._is_unknown_verb, nested)
        for is_verb, reach in tries:
            found = [i for i in range(1, reach) if is_verb(i) and not is_verb(i + 1)]
            inside = next((i for i in found if i > relative), None)
            for i in found:
                joined = self[self._before_adverbs(i) - 1] in COORDINATORS
                if i != inside and not joined and self[i - 1] not in AUXILIARIES:
                    return i
        return None

    def wants_noun(self, index: int) -> bool:
        """Whether the word before asks for a noun."""
        before = self[index - 1]
        if self._is_relative(index - 1):
            return False
        return not before or before in DETERMINERS | PREPOSITIONS or self._is_gerund(index - 1)

    def _is_gerund(self, index: int) -> bool:
        word, before = self[index], self[index - 1]
        looks = word.endswith("ing") and len(word) > 4 and word not in NOT_GERUNDS
        return looks and bool(before) and before not in DETERMINERS | PREPOSITIONS

    def _is_present(self, index: int) -> bool:
        word = self[index]
        base = word in VERBS and bool({*self._subject} & (COUNTS | PEOPLE | {"and"}))
        return (word in AUXILIARIES or _is_form(word, "s") or base) and not self.wants_noun(index)

    def _is_past(self, index: int) -> bool:
        past = self[index] in PAST or _is_form(self[index], "ed")
        return past and self[index + 1] != "by" and not self.wants_noun(index)

    def _is_unknown_verb(self, index: int) -> bool:
        word, after = self[index], self[index + 1]
        looks = word.endswith("s") and not word.endswith(("ss", "'s"))
        looks = looks and word not in SMALL | PLURALS and not self.wants_noun(index)
        return looks and (not after or after in SMALL or after.endswith("ly") or after in PARTICLES)

    def is_acting(self, index: int) -> bool:
        """Whether this is a participle that says what is done rather than what is worn."""
        passive = self[index + 1] == "by" and (self[index] in PAST or self[index].endswith("ed"))
        acting = self._is_gerund(index) and self[index] not in CLOTHES
        return index > 0 and (acting or passive)

    def _is_relative(self, index: int) -> bool:
        inner = 0 < index < len(self.words) - 1 and self[index - 1] not in PREPOSITIONS
        return inner and self[index] in RELATIVES

    def _is_described(self, relative: int) -> bool:
        """Whether a relative clause tells looks or place."""
        verb, after = self[relative + 1], self[relative + 2]
        if verb not in BE:
            return verb in CLOTHES or self[relative] == "whose"
        acts = self._is_gerund(relative + 2) or _is_form(after, "ed") or after in VERBS | PAST
        return after in CLOTHES or not acts

    def _ends_noun(self, index: int) -> bool:
        word = self[index]
        if word == "and":
            return self[index + 1] in DETERMINERS
        participle = self._is_gerund(index) or (_is_form(word, "ed") and not self.wants_noun(index))
        return participle or word in PREPOSITIONS | PLACES | RELATIVES | CLOTHES

    def _before_adverbs(self, index: int) -> int:
        while self[index - 1] in ADVERBS or self[index - 1].endswith("ly"):
            if self[index - 1] in NOT_ADVERBS:
                break
            index -= 1
        return index

    @cached_property
    def _subject(self) -> list[str]:
        return [word.lower() for word in self.bare(len(self.words))]


def _is_form(word: str, ending: Literal["s", "ed"]) -> bool:
    """Whether a word is a known verb with this ending: "carries", "watches", "stopped"."""
    stem = word.removesuffix(ending)
    stems = {stem, stem.removesuffix("e"), stem.removesuffix("ie") + "y"}
    if ending == "ed":
        stems = {stem, stem + "e", stem[:-1], stem.removesuffix("i") + "y"}
    return stem != word and bool(stems & VERBS)
