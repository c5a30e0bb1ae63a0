"""The language of the world of things: forms of verbs and nouns, and many ways to say the same.

A plain form is what the benchmarks ask. A paraphrase means the same: it differs in order, voice,
article, number, case or spelling.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from probe.organism.questions import ask_existence
from probe.organism.things.acting import FOLLOWS
from probe.organism.things.descriptions import Description

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight")

PARAPHRASED = 0.4
"""Share of questions that are not asked in their plain form."""

MISSPELT, CAPITAL, LOWER = 0.2, 0.06, 0.2
"""Shares of paraphrased questions with a wrong letter, in capitals, and without any."""

_BASES = {
    "jumps": "jump",
    "rolls": "roll",
    "spins": "spin",
    "shrinks": "shrink",
    "grows": "grow",
    "hides": "hide",
    "slides": "slide",
    "turns": "turn",
    "follows": "follow",
}
_GERUNDS = {
    "jumps": "jumping",
    "rolls": "rolling",
    "spins": "spinning",
    "shrinks": "shrinking",
    "grows": "growing",
    "hides": "hiding",
    "slides": "sliding",
    "turns": "turning",
    "follows": "following",
}
_PLURALS = {
    "butterfly": "butterflies", "fish": "fish", "bus": "buses", "strawberry": "strawberries",
    "policeman": "policemen", "octopus": "octopuses", "fox": "foxes",
}  # fmt: skip

TYPOS = "abcdefghijklmnopqrstuvwxyz"


def inflect(action: str, forms: dict[str, str]) -> str:
    """Put the verbs of an action into another form.

    >>> inflect("jumps and then turns upside down", _BASES)
    'jump and then turn upside down'
    """
    return " and then ".join(
        " ".join(forms.get(word, word) for word in part.split())
        for part in action.split(" and then ")
    )


def to_base(action: str) -> str:
    """Return the base form of an action: "jump".

    >>> to_base("slides left")
    'slide left'
    """
    return inflect(action, _BASES)


def to_gerund(action: str) -> str:
    """Return the participle of an action: "jumping".

    >>> to_gerund("follows the red car")
    'following the red car'
    """
    return inflect(action, _GERUNDS)


def to_plural(noun_phrase: str) -> str:
    """Return the plural of a noun with its adjectives.

    >>> to_plural("small butterfly"), to_plural("car")
    ('small butterflies', 'cars')
    """
    *looks, noun = noun_phrase.split()
    return " ".join([*looks, _PLURALS.get(noun, f"{noun}s")])


def choose_article(words: str) -> str:
    """Return "an" before a vowel, else "a"."""
    return "an" if words[0] in "aeiou" else "a"


def ask_whether(meant: Description, *, definite: bool = True) -> str:
    """Ask in the plain form whether something is in the video.

    >>> ask_whether(Description("owl", action="spins"), definite=False)
    'Is there an owl that spins in this video?'
    """
    if not meant.kind:
        return ask_existence(f"that {meant.action}", "something")
    words = meant.plain
    return ask_existence(words, "the" if definite else choose_article(words))


def list_paraphrases(meant: Description) -> Iterator[str]:
    """Yield other ways to ask whether something is in the video, in correct spelling.

    Each means the same as `ask_whether`.
    """
    action = meant.action
    if not meant.kind:
        yield f"Does anything {to_base(action)} in this video?"
        yield f"Is something {to_gerund(action)}?"
        yield f"In this video, does something {to_base(action)}?"
        yield f"Do you see something that {action}?"
        return
    words, name = meant.plain, meant.attribute
    one = choose_article(words)
    yield f"In this video, is there {one} {words}?"
    yield f"Can you see {one} {words} in the video?"
    yield f"Does the video show {one} {words}?"
    yield f"Do you see {one} {words}?"
    if meant.colour:
        size = f"{meant.size} " if meant.size else ""
        rest = f" and that {action}" if action else ""
        bare = f"{size}{meant.kind}"
        if not meant.other:
            yield f"Is there {choose_article(bare)} {bare} that is {meant.colour}{rest}?"
    if meant.other and not action:
        yield f"Is {one} {meant.noun_phrase} {meant.place}?"
        yield f"Is there {one} {meant.noun_phrase} which is {meant.place} in the video?"
        yield f"{meant.place[0].upper()}{meant.place[1:]}, is there {one} {meant.noun_phrase}?"
    if not action:
        yield f"Are there any {to_plural(meant.noun_phrase)} {meant.place}".rstrip() + "?"
        yield f"Is any {name} in this video?"
        return
    yield f"Does {one} {name} {to_base(action)} in this video?"
    yield f"Is there {one} {name} that is {to_gerund(action)} in this video?"
    yield f"Is {one} {name} {to_gerund(action)}?"
    many = f"{to_plural(meant.noun_phrase)} {meant.place}".rstrip()
    yield f"Are there any {many} that {to_base(action)}?"
    if action in _GERUNDS and not meant.other:
        doing = to_gerund(action)
        yield f"Is there {choose_article(doing)} {doing} {meant.noun_phrase} in this video?"
    if action.startswith(FOLLOWS) and not meant.other:
        led = action.removeprefix(f"{FOLLOWS} ")
        yield f"Is {led} followed by {one} {meant.noun_phrase}?"


def respell(text: str, rng: np.random.Generator) -> str:
    """Change case or spelling as people do who type in a hurry."""
    draw = rng.random()
    if draw < MISSPELT:
        return misspell(text, rng)
    if draw < MISSPELT + CAPITAL:
        return text.upper()
    if draw < MISSPELT + CAPITAL + LOWER:
        return text.lower().rstrip("?.") if rng.random() < 0.5 else text.lower()
    return text


def misspell(text: str, rng: np.random.Generator) -> str:
    """Change one letter inside of one longer word: dropped, doubled, exchanged, or another.

    The first letter stays, and the word does not become another word of the language by much more
    than chance: words of three letters stay as they are.
    """
    words = text.split()
    # Short words are the grammar of a sentence: with a wrong letter they would be other words.
    long = [i for i, word in enumerate(words) if len(word.strip("?,.")) > 4]
    if not long:
        return text
    index = long[rng.integers(len(long))]
    words[index] = _MISTAKES[int(rng.integers(len(_MISTAKES)))](words[index], rng)
    return " ".join(words)


def _drop(word: str, rng: np.random.Generator) -> str:
    place = int(rng.integers(1, len(word) - 1))
    return word[:place] + word[place + 1 :]


def _double(word: str, rng: np.random.Generator) -> str:
    place = int(rng.integers(1, len(word) - 1))
    return word[:place] + word[place] + word[place:]


def _swap(word: str, rng: np.random.Generator) -> str:
    place = int(rng.integers(1, len(word.rstrip("?,.")) - 1))
    return word[:place] + word[place + 1] + word[place] + word[place + 2 :]


def _replace(word: str, rng: np.random.Generator) -> str:
    place = int(rng.integers(1, len(word) - 1))
    return word[:place] + TYPOS[rng.integers(len(TYPOS))] + word[place + 1 :]


_MISTAKES: Sequence[Callable[[str, np.random.Generator], str]] = (_drop, _double, _swap, _replace)
