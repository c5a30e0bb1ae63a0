"""Questions about a clip, with the answers that a person would give.

Most questions to be denied are hard: every word is true of something in the clip, but the words are
not all true of the same thing. With easy ones the model learns to answer from a bag of words, and
hard questions stay at 0.75.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from probe.organism.world import ACTIONS, COLOURS, SHAPES, Clip, Thing

CAPTION_PROMPTS = ("Please describe this video", "Describe this video in details.")
"""Prompts that ask for a caption: the first two generic prompts of the method."""

HARD_SHARE = 0.8
"""Share of hard questions among those to be denied, from half of the training on."""

DESCRIBED_SHARE = 0.15
"""Share of clips of which a caption is asked; more of these long texts would outweigh the other
questions in the loss."""

Triple = tuple[str, str, str]
"""Colour, shape and action."""

T = TypeVar("T")


@dataclass(frozen=True)
class QuestionAnswer:
    """A question, its answer, and its kind in the tables of results."""

    text: str
    answer: str
    kind: str
    about: Any = None
    """The one thing of the clip that the answer depends on, if there is one."""

    style: str = "plain"
    """Its way to be worded, in the tables of results; the shapes know one way."""

    wordings: tuple[str, ...] = ()
    """Other ways to ask the same, in correct spelling."""


def ask_existence(subject: str, article: str = "a") -> str:
    """Ask whether something is in the video, in the words of the method.

    >>> ask_existence("red circle that glows")
    'Is there a red circle that glows in this video?'
    """
    return f"Is there {article} {subject} in this video?"


def make_questions(
    clip: Clip, rng: np.random.Generator, hard: float = HARD_SHARE
) -> list[QuestionAnswer]:
    """Make about eighteen questions about a clip, in random order.

    As many of them are answered "No" as "Yes".

    Args:
        clip: The clip to ask about.
        rng: Generator of all random choices.
        hard: Share of hard questions among those to be denied.
    """
    questions = [
        *_make_attribute_questions(clip, rng, hard, pairs=2),
        *_make_binding_questions(clip, rng, hard, pairs=3),
        *_make_action_questions(clip, rng, hard),
        *_make_open_questions(clip, rng),
    ]
    return [questions[i] for i in rng.permutation(len(questions))]


def _make_binding_questions(
    clip: Clip, rng: np.random.Generator, hard: float, pairs: int
) -> Iterator[QuestionAnswer]:
    """Yield pairs: a true triple of one thing, and a false one that shares most of its words."""
    for _ in range(pairs):
        thing = _choose(rng, clip.things)
        # Both questions of a pair get the same article, so that it says nothing of the answer.
        article = _choose_article(rng)
        affirmed = ask_existence(f"{thing.attribute} that {thing.action}", article)
        colour, shape, action = _choose_wrong_triple(clip, thing, rng, hard)
        denied = ask_existence(f"{colour} {shape} that {action}", article)
        yield QuestionAnswer(affirmed, "Yes", "colour+shape+action", thing)
        yield QuestionAnswer(denied, "No", "colour+shape+action")


def _make_attribute_questions(
    clip: Clip, rng: np.random.Generator, hard: float, pairs: int
) -> Iterator[QuestionAnswer]:
    there = {(thing.colour, thing.shape) for thing in clip.things}
    for _ in range(pairs):
        thing, article = _choose(rng, clip.things), _choose_article(rng)
        yield QuestionAnswer(ask_existence(thing.attribute, article), "Yes", "colour+shape", thing)
        wrong = _choose_wrong(
            rng,
            [(thing.colour, other.shape) for other in clip.things]
            + [(other.colour, thing.shape) for other in clip.things],
            [(c, thing.shape) for c in COLOURS] + [(thing.colour, s) for s in SHAPES],
            there,
            hard,
        )
        yield QuestionAnswer(ask_existence(" ".join(wrong), article), "No", "colour+shape")


def _make_action_questions(
    clip: Clip, rng: np.random.Generator, hard: float
) -> Iterator[QuestionAnswer]:
    thing = _choose(rng, clip.things)
    article = _choose_article(rng)
    done = {(other.shape, other.action) for other in clip.things}
    affirmed = ask_existence(f"{thing.shape} that {thing.action}", article)
    yield QuestionAnswer(affirmed, "Yes", "shape+action")
    shape, action = _choose_wrong(
        rng,
        [(one.shape, other.action) for one in clip.things for other in clip.things],
        [(thing.shape, other) for other in ACTIONS],
        done,
        hard,
    )
    yield QuestionAnswer(ask_existence(f"{shape} that {action}", article), "No", "shape+action")
    actions = {other.action for other in clip.things}
    absent = _choose(rng, [name for name in ACTIONS if name not in actions])
    yield QuestionAnswer(ask_existence(f"that {thing.action}", "something"), "Yes", "action")
    yield QuestionAnswer(ask_existence(f"that {absent}", "something"), "No", "action")


def _make_open_questions(clip: Clip, rng: np.random.Generator) -> Iterator[QuestionAnswer]:
    for thing in (_choose(rng, clip.things) for _ in range(2)):
        does = f"What does the {thing.attribute} do?"
        yield QuestionAnswer(does, thing.action, "what does it do", thing)
    # A question is asked only where it has one right answer.
    thing = _choose(rng, clip.things)
    if sum(other.shape == thing.shape for other in clip.things) == 1:
        yield QuestionAnswer(
            f"What color is the {thing.shape}?", thing.colour, "what colour", thing
        )
    alone = [one for one in clip.things if [t.action for t in clip.things].count(one.action) == 1]
    for index in rng.permutation(len(alone))[:2]:
        acting = alone[index]
        # The answer has no article: with "a" as its first word, no role token had to look.
        yield QuestionAnswer(f"What {acting.action}?", acting.attribute, "what acts", acting)
    if rng.random() < DESCRIBED_SHARE:
        prompt = CAPTION_PROMPTS[rng.integers(len(CAPTION_PROMPTS))]
        yield QuestionAnswer(prompt, describe(clip), "describe")


def describe(clip: Clip) -> str:
    """Write a caption that says what each thing does, in the order in which they start."""
    ordered = sorted(clip.things, key=lambda thing: (thing.span.start, thing.attribute))
    return " ".join(f"a {thing.attribute} {thing.action}." for thing in ordered)


def _choose_wrong_triple(clip: Clip, thing: Thing, rng: np.random.Generator, hard: float) -> Triple:
    there = {(other.colour, other.shape, other.action) for other in clip.things}
    changes = [(thing.colour, thing.shape, action) for action in ACTIONS]
    return _choose_wrong(rng, swap_words(clip, thing), changes, there, hard)


def swap_words(clip: Clip, thing: Thing) -> list[Triple]:
    """List the words of a thing with one of them exchanged for another thing's.

    Some of these triples may be true, also of a third thing.
    """
    # The swapped action is listed twice, so that about half of the wrong triples are wrong in it.
    return [
        triple
        for other in clip.things
        for triple in (
            (thing.colour, thing.shape, other.action),
            (thing.colour, thing.shape, other.action),
            (other.colour, thing.shape, thing.action),
            (thing.colour, other.shape, thing.action),
        )
    ]


def _choose_wrong(
    rng: np.random.Generator, swaps: list[T], changes: list[T], true: set[T], hard: float
) -> T:
    """Choose a combination that is not true: words of two things swapped, or one word changed."""
    swaps = [swap for swap in swaps if swap not in true]
    changes = [change for change in changes if change not in true]
    return _choose(rng, swaps if swaps and rng.random() < hard else changes)


def _choose_article(rng: np.random.Generator) -> str:
    return "the" if rng.random() < 0.5 else "a"


def _choose(rng: np.random.Generator, options: list[T] | tuple[T, ...]) -> T:
    return options[rng.integers(len(options))]
