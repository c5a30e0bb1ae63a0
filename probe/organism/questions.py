"""Questions about a clip, with the answers a person would give.

Negatives are mostly hard: every word of the question is true of something in the clip, but not of
one and the same thing. Easy negatives teach a bag of words (shared notes: 0.75 and flat).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from probe.organism.world import ACTIONS, COLOURS, SHAPES, Clip, Thing

GENERIC = ("Please describe this video", "Describe this video in details.")
"""Asked to learn the words of a caption; the first two generic prompts of the method."""

HARD = 0.8
"""Share of negatives whose words all occur in the clip, once the organism has grown up."""

DESCRIBED = 0.15
"""Share of clips of which a description is asked; it is long, and would drown the questions."""

Triple = tuple[str, str, str]
"""Colour, shape and action."""

T = TypeVar("T")


@dataclass(frozen=True)
class Question:
    """A question, its answer, and what kind it is in the tables of results."""

    text: str
    answer: str
    kind: str
    about: Thing | None = None
    """The one thing that the answer depends on, where there is one."""


def existence(subject: str, article: str = "a") -> str:
    """Whether something is there, in the words of the method.

    >>> existence("red circle that glows")
    'Is there a red circle that glows in this video?'
    """
    return f"Is there {article} {subject} in this video?"


def ask(clip: Clip, rng: np.random.Generator, hard: float = HARD) -> list[Question]:
    """About eighteen questions on a clip, in random order, as many to be denied as affirmed."""
    questions = [
        *_attribute_questions(clip, rng, hard, pairs=2),
        *_binding_questions(clip, rng, hard, pairs=3),
        *_action_questions(clip, rng, hard),
        *_open_questions(clip, rng),
    ]
    return [questions[i] for i in rng.permutation(len(questions))]


def binding_pair(clip: Clip, rng: np.random.Generator, hard: float) -> list[Question]:
    """Colour, shape and action of one thing, and a denial that shares most of its words."""
    thing = _choose(rng, clip.things)
    article = _article(rng)
    affirmed = existence(f"{thing.attribute} that {thing.action}", article)
    colour, shape, action = _wrong_triple(clip, thing, rng, hard)
    denied = existence(f"{colour} {shape} that {action}", article)
    return [
        Question(affirmed, "Yes", "colour+shape+action", thing),
        Question(denied, "No", "colour+shape+action"),
    ]


def _binding_questions(
    clip: Clip, rng: np.random.Generator, hard: float, pairs: int
) -> Iterator[Question]:
    for _ in range(pairs):
        yield from binding_pair(clip, rng, hard)


def _attribute_questions(
    clip: Clip, rng: np.random.Generator, hard: float, pairs: int
) -> Iterator[Question]:
    there = {(thing.colour, thing.shape) for thing in clip.things}
    for _ in range(pairs):
        thing, article = _choose(rng, clip.things), _article(rng)
        yield Question(existence(thing.attribute, article), "Yes", "colour+shape", thing)
        wrong = _wrong(
            rng,
            [(thing.colour, other.shape) for other in clip.things]
            + [(other.colour, thing.shape) for other in clip.things],
            [(c, thing.shape) for c in COLOURS] + [(thing.colour, s) for s in SHAPES],
            there,
            hard,
        )
        yield Question(existence(" ".join(wrong), article), "No", "colour+shape")


def _action_questions(clip: Clip, rng: np.random.Generator, hard: float) -> Iterator[Question]:
    thing = _choose(rng, clip.things)
    article = _article(rng)
    done = {(other.shape, other.action) for other in clip.things}
    yield Question(existence(f"{thing.shape} that {thing.action}", article), "Yes", "shape+action")
    shape, action = _wrong(
        rng,
        [(one.shape, other.action) for one in clip.things for other in clip.things],
        [(thing.shape, other) for other in ACTIONS],
        done,
        hard,
    )
    yield Question(existence(f"{shape} that {action}", article), "No", "shape+action")
    actions = {other.action for other in clip.things}
    absent = _choose(rng, [name for name in ACTIONS if name not in actions])
    yield Question(existence(f"that {thing.action}", "something"), "Yes", "action")
    yield Question(existence(f"that {absent}", "something"), "No", "action")


def _open_questions(clip: Clip, rng: np.random.Generator) -> Iterator[Question]:
    for thing in (_choose(rng, clip.things) for _ in range(2)):
        does = f"What does the {thing.attribute} do?"
        yield Question(does, thing.action, "what does it do", thing)
    thing = _choose(rng, clip.things)
    if sum(other.shape == thing.shape for other in clip.things) == 1:
        yield Question(f"What color is the {thing.shape}?", thing.colour, "what colour", thing)
    alone = [one for one in clip.things if [t.action for t in clip.things].count(one.action) == 1]
    for index in rng.permutation(len(alone))[:2]:
        acting = alone[index]
        yield Question(f"What {acting.action}?", acting.attribute, "what acts", acting)
    if rng.random() < DESCRIBED:
        yield Question(GENERIC[rng.integers(len(GENERIC))], describe(clip), "describe")


def describe(clip: Clip) -> str:
    """A caption: what each thing does, in the order in which they start."""
    ordered = sorted(clip.things, key=lambda thing: (thing.span.start, thing.attribute))
    return " ".join(f"a {thing.attribute} {thing.action}." for thing in ordered)


def _wrong_triple(clip: Clip, thing: Thing, rng: np.random.Generator, hard: float) -> Triple:
    there = {(other.colour, other.shape, other.action) for other in clip.things}
    swaps = [
        triple
        for other in clip.things
        for triple in (
            (thing.colour, thing.shape, other.action),
            (thing.colour, thing.shape, other.action),
            (other.colour, thing.shape, thing.action),
            (thing.colour, other.shape, thing.action),
        )
    ]
    return _wrong(rng, swaps, [(thing.colour, thing.shape, a) for a in ACTIONS], there, hard)


def _wrong(
    rng: np.random.Generator, swaps: list[T], changes: list[T], true: set[T], hard: float
) -> T:
    """A combination that is not true: a swap between things of the clip, or another word."""
    swaps = [swap for swap in swaps if swap not in true]
    changes = [change for change in changes if change not in true]
    return _choose(rng, swaps if swaps and rng.random() < hard else changes)


def _article(rng: np.random.Generator) -> str:
    return "the" if rng.random() < 0.5 else "a"


def _choose(rng: np.random.Generator, options: list[T] | tuple[T, ...]) -> T:
    return options[rng.integers(len(options))]
