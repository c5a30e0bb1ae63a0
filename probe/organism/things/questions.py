"""Questions about a clip of things, with the answers that a person would give.

There are as many "No" as "Yes", and most questions to be denied are hard: every word is true of
something in the clip, but not all of the same thing.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np

from probe.organism.questions import HARD_SHARE, QuestionAnswer
from probe.organism.things.acting import MOTIONS, STATES
from probe.organism.things.casting import list_names
from probe.organism.things.changes import list_false
from probe.organism.things.descriptions import RELATIONS, Description
from probe.organism.things.facts import Facts
from probe.organism.things.scene import Clip, Thing
from probe.organism.things.sentences import (
    NUMBERS,
    PARAPHRASED,
    ask_whether,
    choose_article,
    list_paraphrases,
    respell,
    to_base,
    to_plural,
)

PLAIN, PARAPHRASE = "plain", "paraphrase"
"""Styles of a question: the form of the benchmarks, and any other."""

HEAD_START = 10
"""Source frames by which one action must begin earlier than another to be before it."""

DESCRIBED_SHARE = 0.12
"""Share of clips of which a caption is asked."""

BINDINGS = 5
"""Pairs of questions that bind an action to a thing: most of what there is to learn."""

CAPTION_PROMPTS = ("Please describe this video", "Describe this video in details.")

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Interview:
    """All that is needed to ask about one clip."""

    clip: Clip
    rng: np.random.Generator
    hard: float
    """Share of hard questions among those to be denied."""

    paraphrased: float
    """Share of questions that are not in their plain form."""

    @cached_property
    def facts(self) -> Facts:
        """The facts about the clip."""
        return Facts(self.clip.things)

    def pick(self, options: Sequence[T]) -> T:
        """Choose one of several."""
        return options[int(self.rng.integers(len(options)))]

    def ask(
        self, plain: str, others: Sequence[str], answer: str, kind: str, about: Thing | None = None
    ) -> QuestionAnswer:
        """Ask in the plain form, or in another and perhaps misspelt one."""
        text, style = plain, PLAIN
        if self.rng.random() < self.paraphrased:
            text, style = respell(self.pick(others), self.rng), PARAPHRASE
        return QuestionAnswer(text, answer, kind, about, style, tuple(others))

    def ask_pair(
        self, meant: Description, wrong: Sequence[Description], kind: str, about: Thing | None
    ) -> Iterator[QuestionAnswer]:
        """Yield a question to be affirmed and one to be denied, which are worded alike."""
        if not wrong:
            return
        definite = bool(self.rng.random() < 0.5)
        form = int(self.rng.integers(1_000)) if self.rng.random() < self.paraphrased else -1
        for said, answer in ((meant, "Yes"), (self.pick(wrong), "No")):
            text, style = ask_whether(said, definite=definite), PLAIN
            forms = tuple(list_paraphrases(said))
            if form >= 0:
                # The same form for both, so that it says nothing of the answer.
                text, style = respell(forms[form % len(forms)], self.rng), PARAPHRASE
            meant_thing = about if answer == "Yes" else None
            yield QuestionAnswer(text, answer, kind, meant_thing, style, forms)

    def choose_wrong(self, meant: Description, *easy: str) -> list[Description]:
        """List changes to be denied: swapped words, or by the share of easy ones new words."""
        swapped = list_false(self.facts, meant, "binding")
        new = [one for kind in easy for one in list_false(self.facts, meant, kind)]
        first, second = (swapped, new) if self.rng.random() < self.hard else (new, swapped)
        return first or second


def make_questions(
    clip: Clip,
    rng: np.random.Generator,
    hard: float = HARD_SHARE,
    paraphrased: float = PARAPHRASED,
) -> list[QuestionAnswer]:
    """Make about thirty questions about a clip, in random order.

    As many of them are answered "No" as "Yes".

    Args:
        clip: The clip to ask about.
        rng: Generator of all random choices.
        hard: Share of hard questions among those to be denied.
        paraphrased: Share of questions that are not in their plain form.
    """
    interview = Interview(clip, rng, hard, paraphrased)
    questions = [question for make in MAKERS for question in make(interview)]
    return [questions[i] for i in rng.permutation(len(questions))]


def _ask_looks(interview: Interview) -> Iterator[QuestionAnswer]:
    for _ in range(2):
        thing = interview.pick(interview.clip.things)
        meant = Description(thing.kind, thing.colour)
        if thing.size and interview.rng.random() < 0.6:
            meant = replace(meant, size=thing.size)
        wrong = interview.choose_wrong(meant, "kind", "colour", "size")
        yield from interview.ask_pair(meant, wrong, "look", thing)


def _ask_bindings(interview: Interview) -> Iterator[QuestionAnswer]:
    asked = interview.clip.asked
    for place in interview.rng.permutation(BINDINGS) % len(asked):
        thing = asked[place]
        wrong = interview.choose_wrong(thing.description, "kind", "action")
        kind = "place+action" if thing.name.other else "look+action"
        yield from interview.ask_pair(thing.description, wrong, kind, thing)


def _ask_actions(interview: Interview) -> Iterator[QuestionAnswer]:
    for _ in range(2):
        thing = interview.pick(interview.clip.asked)
        meant = Description(action=interview.pick(thing.acts).name)
        # "Is there something that follows?" would need the other thing, which a binding question
        # has.
        if not thing.led_by:
            wrong = list_false(interview.facts, meant, "action")
            yield from interview.ask_pair(meant, wrong, "action", None)


def _ask_relations(interview: Interview) -> Iterator[QuestionAnswer]:
    facts = interview.facts
    found = np.argwhere(facts.related > 0)
    for index in interview.rng.permutation(len(found))[:2]:
        relation, first, second = found[index]
        thing, other = facts.things[first], facts.things[second]
        if thing.kind == other.kind:
            continue
        meant = Description(
            thing.kind,
            thing.colour,
            relation=RELATIONS[relation],
            other=Description(other.kind, other.colour),
        )
        wrong = list_false(facts, meant, "relation") or list_false(facts, meant, "binding")
        yield from interview.ask_pair(meant, wrong, "relation", thing)


def _ask_order(interview: Interview) -> Iterator[QuestionAnswer]:
    asked = interview.clip.asked
    pairs = [
        (first, second)
        for first in asked
        for second in asked
        if second.span.start - first.span.start >= HEAD_START
        and first.attribute != second.attribute
    ]
    if not pairs:
        return
    first, second = interview.pick(pairs)
    for one, two, answer in ((first, second, "Yes"), (second, first, "No")):
        does, do = f"the {one.attribute} {one.action}", f"the {one.attribute} {to_base(one.action)}"
        then, later = f"the {two.attribute} {two.action}", f"the {two.attribute}"
        plain = f"Does {do} before {then}?"
        others = (
            f"Does {later} {to_base(two.action)} after {does}?",
            f"Is it true that {does} before {then}?",
            f"Before {then}, does {do}?",
        )
        yield interview.ask(plain, others, answer, "order")


def _ask_which_first(interview: Interview) -> Iterator[QuestionAnswer]:
    asked = interview.clip.asked
    names = [thing.look for thing in interview.clip.things]
    pairs = [
        (first, second)
        for first in asked
        for second in asked
        if second.span.start - first.span.start >= HEAD_START
        and names.count(first.look) == names.count(second.look) == 1
    ]
    if pairs:
        first, second = interview.pick(pairs)
        one, two = (first, second) if interview.rng.random() < 0.5 else (second, first)
        yield interview.ask(
            f"Which acts first, the {one.look} or the {two.look}?",
            (f"Does the {one.look} or the {two.look} act first?",
             f"Of the {one.look} and the {two.look}, which acts first?"),
            first.look, "which first", first,
        )  # fmt: skip


def _ask_what_it_does(interview: Interview) -> Iterator[QuestionAnswer]:
    facts = interview.facts
    for place in interview.rng.permutation(len(facts.things))[:4]:
        thing = facts.things[place]
        names = [name for name in list_names(facts, int(place)) if facts.names(name, int(place))]
        if not names:
            continue
        name = interview.pick(names).attribute
        yield interview.ask(
            f"What does the {name} do?",
            (f"What is the {name} doing?", f"In this video, what does the {name} do?",
             f"Tell me what the {name} does.", f"What happens to the {name}?"),
            thing.action or "nothing", "what does it do", thing,
        )  # fmt: skip


def _ask_colour(interview: Interview) -> Iterator[QuestionAnswer]:
    kinds = [thing.kind for thing in interview.clip.things]
    painted = [one for one in interview.clip.things if one.colour and kinds.count(one.kind) == 1]
    if painted:
        thing = interview.pick(painted)
        yield interview.ask(
            f"What color is the {thing.kind}?",
            (f"What colour is the {thing.kind}?", f"Which color does the {thing.kind} have?",
             f"The {thing.kind} has what color?"),
            thing.colour, "what colour", thing,
        )  # fmt: skip


def _ask_who_acts(interview: Interview) -> Iterator[QuestionAnswer]:
    facts = interview.facts
    done = sorted({name for doings in facts.doings for name in doings})
    # A question is asked only where it has one right answer.
    alone = [name for name in done if sum(name in doings for doings in facts.doings) == 1]
    for index in interview.rng.permutation(len(alone))[:3]:
        action = alone[index]
        (place,) = facts.find(Description(action=action))
        thing = facts.things[place]
        # The answer has no article: with "a" as its first word, no role token had to look.
        yield interview.ask(
            f"What {action}?",
            (f"Which thing {action}?", f"What is it that {action} in this video?",
             f"Name the thing that {action}."),
            thing.look, "what acts", thing,
        )  # fmt: skip


def _ask_what_is_there(interview: Interview) -> Iterator[QuestionAnswer]:
    facts, options = interview.facts, list[tuple[str, Thing]]()
    looks = [thing.look for thing in facts.things]
    for index, relation in enumerate(RELATIONS):
        for other, thing in enumerate(facts.things):
            rows = facts.related[index, :, other]
            # One thing surely is there, and no other nearly.
            if looks.count(thing.look) == 1 and (rows > 0).sum() == 1 and (rows >= 0).sum() == 1:
                options.append((f"{relation} the {thing.look}", facts.things[int(rows.argmax())]))
    if options:
        place, thing = interview.pick(options)
        others = (f"Which thing is {place}?", f"{place.capitalize()}, what is there?")
        yield interview.ask(f"What is {place}?", others, thing.look, "what is there", thing)


def _ask_numbers(interview: Interview) -> Iterator[QuestionAnswer]:
    facts = interview.facts
    if interview.rng.random() < 0.6:
        kind = interview.pick(facts.things).kind
        count = sum(thing.kind == kind for thing in facts.things)
        plural = to_plural(kind)
        plain = f"How many {plural} are there?"
        others = (f"How many {plural} are in this video?", f"How many {plural} can you see?",
                  f"What is the number of {plural}?", f"Count the {plural}.")  # fmt: skip
    else:
        action = interview.pick((*STATES, *MOTIONS))
        count = sum(action in doings for doings in facts.doings)
        plain = f"How many things {to_base(action)}?"
        others = (f"How many of the things {to_base(action)}?",
                  f"In this video, how many things {to_base(action)}?")  # fmt: skip
    yield interview.ask(plain, others, NUMBERS[count], "how many")


def _ask_caption(interview: Interview) -> Iterator[QuestionAnswer]:
    if interview.rng.random() < DESCRIBED_SHARE:
        yield QuestionAnswer(interview.pick(CAPTION_PROMPTS), describe(interview.clip), "describe")


def describe(clip: Clip) -> str:
    """Write a caption that says what each thing does, in the order in which they start."""
    acting = sorted(
        (one for one in clip.things if one.acts), key=lambda one: (one.span.start, one.look)
    )
    return " ".join(f"{choose_article(one.look)} {one.look} {one.action}." for one in acting)


MAKERS: tuple[Callable[[Interview], Iterator[QuestionAnswer]], ...] = (
    _ask_looks,
    _ask_bindings,
    _ask_actions,
    _ask_relations,
    _ask_order,
    _ask_which_first,
    _ask_what_it_does,
    _ask_colour,
    _ask_who_acts,
    _ask_what_is_there,
    _ask_numbers,
    _ask_caption,
)
"""The makers of questions, in the order in which they draw."""
