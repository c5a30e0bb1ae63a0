"""English grammar for captions: split a statement into which object it means and what that does.

These are rules of thumb, written for captions of videos; `tests/grounding/test_queries.py` has the
captions, and those that the rules still get wrong. Nothing here knows of sub-queries.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from probe.grounding.lexicon import (
    ARTICLES,
    BE,
    COORDINATORS,
    COPULAS,
    DETERMINERS,
    EDGES,
    LOOKS,
    MARKS,
    NEVER_NOUNS,
    NOUNS_OR_VERBS,
    PURPOSES,
    RELATIVES,
    SMALL,
    SUBORDINATORS,
    UNNAMED,
    VERBS,
    choose_article,
    is_form,
)
from probe.grounding.noun_phrases import Subject


@dataclass(frozen=True)
class Action:
    """Place of what is done in a statement."""

    start: int
    """The first word that says what is done, or an adverb before it."""

    pronoun: int | None = None
    """The pronoun of the clause in which it is joined to a description: "that is red and jumps"."""


@dataclass(frozen=True)
class Parts:
    """The words of a statement that say which object is meant, and those that say what it does."""

    attribute: tuple[str, ...] = ()
    """The subject with its looks and its place; empty if it has none."""

    action: tuple[str, ...] = ()
    """The bare subject and what it does; empty if nothing is done."""


@dataclass(frozen=True)
class Clause(Subject):
    """A statement word by word: its subject, its verb, and its two parts."""

    def split(self) -> Parts:
        """Split a statement into which object it means and what that does.

        >>> Clause("the circle that is red and jumps".split()).split().action
        ('the', 'circle', 'that', 'jumps')
        >>> Clause("the jumping red circle".split()).split().attribute
        ('the', 'red', 'circle')
        """
        action = self.action
        if action is None:
            return self._split_at_modifiers()
        start, looks = action.start, self._looks_at_end
        subject = self.bare_subject(start)
        if self._begins_with_verb or subject[-1].lower() in NEVER_NOUNS:
            return Parts()  # nothing is named: no word could be told from what it does
        attribute, acts = [*self.words[:start]], self._bare_action()
        if action.pronoun is not None and self[action.pronoun] != "whose":
            acts = [self.words[action.pronoun], *acts]
        # "that jumps and is red": the looks at the end belong to the subject.
        if looks is not None and start < looks - 1:
            pronoun = [self.words[start]] if self[start] in RELATIVES else []
            attribute += [*pronoun, *self.words[looks:]]
            acts = _drop_joint(acts[: looks - len(self)])
        # "who opens the door" has no attributes.
        named = any(self[i] not in UNNAMED for i in range(start))
        return Parts(tuple(_drop_joint(attribute) if named else ()), (*subject, *acts))

    @cached_property
    def action(self) -> Action | None:
        """Place of what is done; None if nothing is done, or only in a word before the noun."""
        main = self.main_verb
        if main is None:
            return self._find_nested_action()
        joined = (i for i in sorted(self._joined_verbs) if i > main and self.acts(i))
        if not self.acts(main) and (other := next(joined, None)) is not None:
            return Action(self.skip_adverbs(other))  # "the circle is red and jumps"
        looks = self[main] in BE and self[self.after_adverbs(main + 1)] in LOOKS
        return None if looks else Action(self.skip_adverbs(main))

    @property
    def action_start(self) -> int | None:
        """Place of the first word that says what is done; None if `action` is."""
        return None if self.action is None else self.action.start

    def _find_nested_action(self) -> Action | None:
        """Find what is done in a statement without a main verb.

        "A man riding horses" tells its action in the participle, "the circle that glows" in the
        clause; "the man who wears a hat" tells none.
        """
        pronoun = None
        for index in range(1, len(self)):
            joined = pronoun is not None and index in self._joined_verbs and self.acts(index)
            opens = self.is_relative(index)
            if self.is_acting(index) or joined or (opens and self._tells_action(index)):
                return Action(self.skip_adverbs(index), pronoun if joined else None)
            pronoun = index if opens else pronoun
        return None

    def _tells_action(self, relative: int) -> bool:
        """Tell whether a relative clause says what is done, and not what something looks like."""
        # "whose hair is long" and "that is beneath the chair" describe.
        return self[relative] != "whose" and self.acts(self.after_adverbs(relative + 1))

    def _bare_action(self) -> list[str]:
        """Return the words from the action on, without the looks of someone else who acts."""
        start = self.action_start or 0
        # "that the small child in red holds": who acts is someone else, whose looks go too.
        if self[start] in RELATIVES and self[start + 1] in DETERMINERS:
            inner = Clause(self.words[start + 1 :])
            if (at := inner.action_start) is not None:
                return [self.words[start], *inner.bare_subject(at), *inner.words[at:]]
        return [*self.words[start:]]

    @cached_property
    def _looks_at_end(self) -> int | None:
        """Place of the verb in a final "and is red"; None if the statement does not end so."""
        index = len(self) - 1
        while self[index] in LOOKS or (self[index] == "and" and self[index + 1] in LOOKS):
            index -= 1
        ends = self[index] in BE and index < len(self) - 1 and self[index - 1] == "and"
        return index if ends else None

    def _split_at_modifiers(self) -> Parts:
        """Split a statement that tells its action before the noun: "the jumping red circle"."""
        words, (phrase, *others) = tuple(self.words), self.noun_phrases()
        if all(self[i] in SMALL for i in range(len(self))) or self._begins_with_verb:
            return Parts()  # "swimming in the pool", "everything" name nothing
        acting = [i for i in range(phrase.noun, phrase.head) if self.is_modifier(i)]
        # "the wedding dress" and "the swimming pool" do nothing.
        known = all(is_form(self[i], "ing") for i in acting) and self[phrase.head] not in PURPOSES
        if not acting or others or not known:
            return Parts(words)
        first, after = self.skip_adverbs(acting[0]), acting[-1] + 1
        opening = tuple(_drop_joint(words[:first]))  # "the red, jumping circle"
        if first and self[first - 1] in ARTICLES:  # "a jumping orange ball", "an orange ball"
            opening = (*opening[:-1], choose_article(self[after]))
        # The action follows the noun, as in all other action parts, so that the tokens that tell it
        # have read what acts.
        copula = "are" if self.is_plural() else "is"
        acts = (*self.bare_subject(), "that", copula, *_drop_joint(words[first:after]))
        return Parts((*opening, *words[after:]), acts)

    @cached_property
    def _begins_with_verb(self) -> bool:
        """No subject comes before the verb: "swimming in the pool", "slowly walks"."""
        first = self.after_adverbs(0)
        if self[first] in RELATIVES and is_form(self[first + 1], "s"):  # "that jumps"
            return True
        alone = first > 0 or first + 1 >= len(self) or self.is_followed_as_verb(first)
        if is_form(self[first], "ing"):
            return not self.is_modifier(first)
        return is_form(self[first], "s") and alone

    @property
    def nouns(self) -> tuple[str, ...]:
        """The head nouns of the subject, as they are written; none if nothing is named.

        >>> Clause("the bald man and the woman in red run".split()).nouns
        ('man', 'woman')
        """
        return () if self._begins_with_verb else self.head_nouns(self.action_start)

    @cached_property
    def main_verb(self) -> int | None:
        """Place of the finite verb of the sentence, which is in no relative clause."""
        verbs, inside, passed = dict(self._verbs), set[int](), list[int]()
        # "the dog that the man who is tall holds barks": from the end, each pronoun takes the
        # nearest verb that is left, and what no pronoun takes is the sentence's own.
        for index in reversed(range(len(self))):
            if index in verbs:
                passed.append(index)
            elif self.is_relative(index) and passed:
                inside.add(passed.pop())
        own = [i for i in verbs if i not in inside | self._joined_verbs]
        surest = min((verbs[i] for i in own), default=None)
        own = [i for i in own if verbs[i] == surest]
        # "the man with stone steps next to him walks": the sure verb wins over a form that may be a
        # noun, unless that is the first of two things done.
        sure = (i for i in own if self[i] not in NOUNS_OR_VERBS and not self.ends_in_comma(i - 1))
        if own and self[own[0]] in NOUNS_OR_VERBS:
            return next(sure, own[0])
        return own[0] if own else None

    @cached_property
    def _verbs(self) -> tuple[tuple[int, int], ...]:
        """Finite verbs: the place of each, and how weak the guess is, from 0 to 2."""
        # "a child riding a bike as his father watches": the verb of a second clause is not meant.
        end = next((i for i in range(1, len(self)) if self._is_subordinator(i)), len(self))
        nested = next((i for i in range(end) if self.is_relative(i) or self.is_acting(i)), end)
        found, clauses = list[tuple[int, int]](), 0
        for index in range(1, end):
            clauses += self.is_relative(index)
            weakness = self._guess_verb(index, nested)
            # "is pulled", "has slowly opened": the auxiliary is the finite verb.
            follows = self[self.skip_adverbs(index) - 1] in COPULAS
            if weakness is None or follows:
                continue
            # Of two that look alike the later is the verb, the first is a noun before it; unless
            # the first is the verb of a clause, as in "the man who smiles waves".
            if found and found[-1] == (index - 1, weakness) and len(found) > clauses:
                found.pop()
            found.append((index, weakness))
        return tuple(found)

    def _guess_verb(self, index: int, nested: int) -> int | None:
        """Return how weak a guess it is that this is a finite verb; None if it is none.

        Args:
            index: Place of the word.
            nested: Place of the first relative pronoun or participle.
        """
        # Present before past: "with his hair tied back is hit" has a participle first. Unknown
        # verbs, as in "overalls hammers a nail", are the weakest guess, and are looked for only
        # where no clause has begun that has a verb of its own.
        if self.is_present(index) or self._is_base_verb(index):
            return 0
        if self.is_past(index):
            return 1
        return 2 if index < nested and self.is_unknown_verb(index) else None

    def _is_base_verb(self, index: int) -> bool:
        # A base form is a verb only after a plural, as in "two men fight", and else a noun, as in
        # "the cross".
        return self[index] in VERBS and not self.wants_noun(index) and self.is_plural(index)

    def _is_subordinator(self, index: int) -> bool:
        compares = self[index] == "as" and self[index - 1] in {"dressed", "same", "such", "known"}
        return self[index] in SUBORDINATORS and not compares

    @cached_property
    def _joined_verbs(self) -> frozenset[int]:
        """Verbs after "and": "slithers towards the door and opens it" has one, "opens"."""
        verbs = {index for index, _ in self._verbs}
        # "jumps, glows and shrinks" joins the second to the first by its comma.
        listed = {i for i in verbs if i - 1 in verbs and self.ends_in_comma(i - 1)}
        after = {i for i in verbs if self[self.skip_adverbs(i) - 1] in COORDINATORS}
        return frozenset(listed | after)


def _drop_joint(words: Sequence[str]) -> list[str]:
    """Drop the "and" that joined a part to the next, and the marks at the end."""
    kept = [*words]
    while kept and kept[-1].strip(EDGES).lower() in {"", *COORDINATORS}:
        kept.pop()
    return [*kept[:-1], kept[-1].rstrip(MARKS)] if kept else kept
