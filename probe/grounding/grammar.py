"""English grammar for captions: turn a question into a statement, and find what is done in it.

These are rules of thumb over lists of words, written for captions of videos. The comments quote the
captions that made them; `tests/grounding/test_queries.py` has all, and those that the rules still
get wrong. Nothing here knows of sub-queries.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal


def as_statement(query: str) -> str:
    """Turn a query into a phrase that can follow "Is there": a question into what it asks for.

    >>> as_statement("What does the child in red hold?")
    'something that the child in red holds'
    >>> as_statement("who opens the door")
    'someone who opens the door'
    >>> as_statement("There is a brown dog chasing a ball.")
    'a brown dog chasing a ball'

    Raises:
        ValueError: if the query is empty.
    """
    text = re.sub(r"^there(?:'s| is| are| was| were) ", "", trim(query), flags=re.I)
    if asked := re.match(r"(?:is|are) there (.+?)(?: in (?:this|the) video)?$", text, re.I):
        return asked[1]
    # "What does the red circle do?" asks for the action; the red circle is what must be found.
    if asked := re.match(r"what (?:does|do|did|is|are) (.+) (?:do|doing)$", text, re.I):
        return asked[1]
    if asked := re.match(r"(who|whom|what|which|where|when) (.+)$", text, re.I):
        return " ".join(_rephrase(asked[1].lower(), asked[2].split()))
    return text


def trim(text: str) -> str:
    """Drop the final mark and needless spaces, and write a small first word in lower case.

    Raises:
        ValueError: if there are no words.
    """
    if not text.strip():
        raise ValueError("the query is empty; say in words what to look for")
    words = (text.strip().rstrip(".?! ") or text).split()
    # Only words of the lists lose their capital: any other may be a name, as in "Messi kicks".
    first = words[0].lower()
    return " ".join([first if first in SMALL else words[0], *words[1:]])


_STRANDED = re.compile(
    r" (in front of|next to|away from|away|towards? to|towards?|above|beneath|behind|beside|inside)"
    r"(?= *$| +(?:in|on|at|of|from|to|inside|outside|outdoors)\b)"
)
"""A preposition without its object, as in "what is the man next to at the party?": it is the last
word, or another preposition follows."""


def _rephrase(asking: str, words: list[str]) -> list[str]:
    """Turn a question into what it asks for: "who", "opens the door" to "someone who opens ..."."""
    asked = {"who": ["someone", "who"], "whom": ["someone", "whom"], "what": ["something", "that"]}
    pronoun, clause = asked.get(asking, []), Clause(words)
    if clause[0] in DO:
        return [*pronoun, *_undo_inversion(words)]
    # "is the woman feeding", after "what": the verb moves from the front to where a statement has
    # it, before the participle or the preposition: "something that the woman is feeding".
    if clause[0] in BE and (clause[1] in DETERMINERS or not pronoun):
        inner = Clause(words[1:])
        stranded = _STRANDED.search(" ".join(inner.words))
        acting = (i for i in range(len(inner.words)) if inner.is_acting(i))
        at = len(stranded.string[: stranded.start()].split()) if stranded else next(acting, None)
        if at is None:
            return words[1:]
        return [*pronoun, *words[1 : at + 1], words[0], *words[at + 1 :]]
    # "what licks the goat" asks for a thing that licks, "what colour ..." and "which dog ..." name
    # their thing themselves.
    verbal = clause[0] in AUXILIARIES | PAST or clause[0].endswith("s")
    return [*pronoun, *words] if pronoun and (asking != "what" or verbal) else ["the", *words]


def _undo_inversion(words: list[str]) -> list[str]:
    """Put a question with "do" in the order of a statement: "the man leans on", "he did lean"."""
    clause = Clause(words)
    # The verb is the last word if none is known: "what does the man defenestrate".
    verbs = (i for i in range(2, len(words)) if clause[i] in VERBS and not clause.wants_noun(i))
    at = next(verbs, len(words) - 1)
    verb = [words[0].lower(), words[at]]
    if verb[0] == "does":
        stem = re.sub(r"(?<=[^aeiou])y$", "ie", words[at])  # carry, carries; but play, plays
        verb = [stem + ("es" if stem.endswith(("s", "x", "ch", "sh", "o")) else "s")]
    return [*words[1:at], *verb, *words[at + 1 :]]


def _read_words(text: str) -> frozenset[str]:
    return frozenset(text.split())


EDGES = " \t\n,.;:!?\"'()"
"""Marks that are no part of the word they touch."""

# The lexicon: closed classes of English in full, and of the open classes, verbs above all, those
# that occur in captions of videos.
ARTICLES = _read_words("a an")
COUNTS = _read_words("two three four five several many both all")
DETERMINERS = COUNTS | _read_words(
    "the a an this that these those another other each every some no his her its their my your our"
)
PREPOSITIONS = _read_words(
    "in on at of with without to from by for near nearest next beside between among under over "
    "against around across along through into onto towards toward beneath above like as"
)
PLACES = _read_words("behind below inside outside opposite nearby away")
"""Prepositions that need no object, as in "the man below turns"."""

RELATIVES = _read_words("who whom which that whose")
COORDINATORS = _read_words("and or but then")
SUBORDINATORS = _read_words("while when as because until")
BE = _read_words("is are was were")
DO = _read_words("does do did")
AUXILIARIES = BE | DO | _read_words("has have had will can could would")
ADVERBS = _read_words("not also just still again first finally always never")
NOT_ADVERBS = _read_words("family butterfly belly fly lily bully elderly ugly curly")
"""Words in -ly that are not adverbs."""

SMALL = DETERMINERS | PREPOSITIONS | PLACES | AUXILIARIES | RELATIVES
SMALL |= _read_words("someone something somebody what where when there there's")
"""Function words: none is a name, and none tells one query from another."""

CLOTHES = _read_words("wears wearing wore dressed clad having has had covered seated facing")
"""Verbs and participles that describe a thing, and do not tell what it does."""

PEOPLE = _read_words("men women people children boys girls")
"""Plurals of people, after which a base form is a verb."""

PLURALS = _read_words("clothes glasses sunglasses pants shorts jeans trousers stairs bus")
"""Nouns that look like verbs in -s."""

NOT_GERUNDS = _read_words(
    "king ring thing string wing spring building clothing earring painting ceiling evening "
    "morning wedding nothing something stocking railing"
)
"""Nouns in -ing."""

VERBS = _read_words(
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
"""Base forms of verbs."""

# Without "left", which in captions is a side far more often than a verb.
PAST = _read_words(
    """ate beaten began bent bit bitten blew bought broke broken brought built came caught did
    drank drawn drew driven drove eaten fed fell flew fought found gave given got grew held hid hit
    hung knelt laid lay led made met paid put ran ridden rode rose said sang sat saw sent shaken
    shook shot shown shut slept slid spoke stood struck swam swung taken thought threw thrown told
    took tore torn went woke written wrote"""
)
"""Irregular past forms and participles."""

PARTICLES = _read_words("up down off out back forward left right")


@dataclass(frozen=True)
class Clause:
    """A statement word by word, with guesses at what each word is."""

    words: Sequence[str]

    def __getitem__(self, index: int) -> str:
        """Return a word without its marks, in lower case; "" beyond either end."""
        return self.words[index].strip(EDGES).lower() if 0 <= index < len(self.words) else ""

    @cached_property
    def action_start(self) -> int | None:
        """Place of the first word that says what is done; None if none does."""
        end = len(self.words)
        relative = next((i for i in range(end) if self._is_relative(i)), end)
        participle = next((i for i in range(end) if self.is_acting(i)), end)
        nested = min(relative, participle)
        main = self._main_verb(relative, nested)
        if main is not None:
            return self._skip_adverbs(main)
        # Without a main verb, "a man riding horses" tells its action in the participle and "the
        # circle that glows" in the clause; "the man who wears a hat" tells none.
        if nested == end or (nested == relative and self._describes(nested)):
            return None
        return self._skip_adverbs(nested)

    @property
    def noun(self) -> str:
        """The head noun of the subject, of the first one of several; "" if nothing is named.

        >>> Clause("the bald man and the woman in red run".split()).noun
        'man'
        """
        subject = self.bare_subject(self.action_start or len(self.words))
        joined = next((i for i, word in enumerate(subject) if word.lower() == "and"), len(subject))
        noun = subject[joined - 1].strip(EDGES) if joined else ""
        return "" if noun.lower() in SMALL else noun

    def keep_action(self) -> list[str]:
        """Return the bare subject and what it does; all words if nothing is done.

        >>> Clause("the toy that the small child in red holds".split()).keep_action()
        ['the', 'toy', 'that', 'the', 'child', 'holds']
        """
        if self.action_start is None:
            return [*self.words]
        rest = Clause(self.words[self.action_start :])
        # "that the small child in red holds": who acts is someone else, whose looks go too.
        if rest[0] in RELATIVES and rest[1] in DETERMINERS:
            rest = Clause([rest.words[0], *Clause(rest.words[1:]).keep_action()])
        return [*self.bare_subject(self.action_start), *rest.words]

    def bare_subject(self, end: int, start: int = 0) -> list[str]:
        """Return determiners and head noun of the words from `start` up to `end`.

        >>> Clause("the bald man in the black suit".split()).bare_subject(7)
        ['the', 'man']
        """
        if self[start] in PREPOSITIONS:  # "In the room, the man": the subject follows the comma.
            commas = (i for i in range(start, end - 1) if self.words[i].endswith(","))
            start = next(commas, start - 1) + 1
        noun = next((i for i in range(start, end) if self[i] not in DETERMINERS), start)
        # The head is the last word before what cannot belong to it: adjectives and nouns before it,
        # as in "the short-haired woman" or "an adult man", are looks.
        stop = next((i for i in range(noun + 1, end) if self._ends_noun(i)), end)
        head = [*self.words[start:noun], self.words[stop - 1].rstrip(EDGES)]
        # "an adult man" becomes "a man".
        if self[noun - 1] in ARTICLES and noun > start:
            head[-2] = "an" if head[-1].startswith(("a", "e", "i", "o", "u")) else "a"
        joined = stop < end and self[stop] == "and"  # "the man and the woman in red"
        return [*head, self.words[stop], *self.bare_subject(end, stop + 1)] if joined else head

    def _main_verb(self, relative: int, nested: int) -> int | None:
        """Find the finite verb of the sentence, which is not the first of its relative clause.

        Args:
            relative: Place of the first relative pronoun.
            nested: Place of the first relative pronoun or participle.
        """
        end = len(self.words)
        # "a child riding a bike as his father watches": the verb of a second clause is not meant.
        end = next((i for i in range(end) if self[i] in SUBORDINATORS), end)
        # Present before past: "with his hair tied back is hit" has a participle first. Unknown
        # verbs, as in "overalls hammers a nail", are the weakest guess, and are looked for only
        # where no clause has begun that has a verb of its own.
        tries = (self._is_present, end), (self._is_past, end), (self._is_unknown_verb, nested)
        for is_verb, reach in tries:
            found = [i for i in range(1, reach) if is_verb(i) and not is_verb(i + 1)]
            # "the man who wears a hat walks away": the first verb after "who" is the clause's own.
            inside = next((i for i in found if i > relative), None)
            for i in found:
                # "slithers towards the door and opens it": a joined verb is not the first.
                joined = self[self._skip_adverbs(i) - 1] in COORDINATORS
                if i != inside and not joined and self[i - 1] not in AUXILIARIES:
                    return i
        return None

    def wants_noun(self, index: int) -> bool:
        """Tell whether the word before this one needs a noun here, so that this is no verb."""
        before = self[index - 1]
        # "that" before a verb is a pronoun: "the dog that is being washed".
        if self._is_relative(index - 1):
            return False
        # After a gerund, since most take an object: "feeding ducks". It misleads where one takes
        # none: "the man who is smoking coughs".
        return not before or before in DETERMINERS | PREPOSITIONS or self._is_gerund(index - 1)

    def _is_gerund(self, index: int) -> bool:
        word, before = self[index], self[index - 1]
        # Four letters are too few for a stem and an ending: "king", "ring", "wing".
        looks = word.endswith("ing") and len(word) > 4 and word not in NOT_GERUNDS
        return looks and bool(before) and before not in DETERMINERS | PREPOSITIONS

    def _is_present(self, index: int) -> bool:
        word = self[index]
        # The base form is a verb only after a plural, as in "two men fight", and else a noun, as in
        # "the cross". Plurals in -s are not known: "US soldiers march" is missed.
        base = word in VERBS and bool({*self._subject} & (COUNTS | PEOPLE | {"and"}))
        return (word in AUXILIARIES or _is_form(word, "s") or base) and not self.wants_noun(index)

    def _is_past(self, index: int) -> bool:
        # "kicked by a boy" is a participle, not the verb of the sentence.
        past = self[index] in PAST or _is_form(self[index], "ed")
        return past and self[index + 1] != "by" and not self.wants_noun(index)

    def _is_unknown_verb(self, index: int) -> bool:
        word, after = self[index], self[index + 1]
        # A word in -s that is not known as a noun is taken for a verb if it is followed as verbs
        # are: by a function word, "slithers towards", an adverb, a particle, or nothing.
        looks = word.endswith("s") and not word.endswith(("ss", "'s"))
        looks = looks and word not in SMALL | PLURALS and not self.wants_noun(index)
        return looks and (not after or after in SMALL or after.endswith("ly") or after in PARTICLES)

    def is_acting(self, index: int) -> bool:
        """Tell whether this is a participle that says what is done, and not what is worn."""
        # "a toy held by the child" acts, if only as the thing that is held.
        passive = self[index + 1] == "by" and (self[index] in PAST or self[index].endswith("ed"))
        acting = self._is_gerund(index) and self[index] not in CLOTHES
        return index > 0 and (acting or passive)

    def _is_relative(self, index: int) -> bool:
        # "in that house" has a determiner, not a pronoun.
        inner = 0 < index < len(self.words) - 1 and self[index - 1] not in PREPOSITIONS
        return inner and self[index] in RELATIVES

    def _describes(self, relative: int) -> bool:
        """Tell whether a relative clause says what something looks like or where it is."""
        verb, after = self[relative + 1], self[relative + 2]
        if verb not in BE:
            return verb in CLOTHES or self[relative] == "whose"  # "whose hair is long"
        # "that is beneath the chair", "who is dressed in grey"; but "who is holding the baby" acts.
        acts = self._is_gerund(relative + 2) or _is_form(after, "ed") or after in VERBS | PAST
        return after in CLOTHES or not acts

    def _ends_noun(self, index: int) -> bool:
        word = self[index]
        if word == "and":  # "the man and the woman"; but "the black and white cat"
            return self[index + 1] in DETERMINERS
        participle = self._is_gerund(index) or (_is_form(word, "ed") and not self.wants_noun(index))
        return participle or word in PREPOSITIONS | PLACES | RELATIVES | CLOTHES

    def _skip_adverbs(self, index: int) -> int:
        """Go back over the adverbs before a verb, which belong to it: "the man slowly walks"."""
        while self[index - 1] in ADVERBS or self[index - 1].endswith("ly"):
            if self[index - 1] in NOT_ADVERBS:
                break
            index -= 1
        return index

    @cached_property
    def _subject(self) -> tuple[str, ...]:
        return tuple(word.lower() for word in self.bare_subject(len(self.words)))


def _is_form(word: str, ending: Literal["s", "ed"]) -> bool:
    """Tell whether a word is a known verb with this ending: "carries", "watches", "stopped"."""
    # English spelling: all stems that could have given this form are tried.
    stem = word.removesuffix(ending)
    stems = {stem, stem.removesuffix("e"), stem.removesuffix("ie") + "y"}
    if ending == "ed":
        stems = {stem, stem + "e", stem[:-1], stem.removesuffix("i") + "y"}
    return stem != word and bool(stems & VERBS)
