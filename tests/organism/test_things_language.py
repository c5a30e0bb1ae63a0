"""The language of the world of things: what is said of a clip is true of it, however it is said."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from probe.datasets import load_dataset
from probe.engine.model import load
from probe.grounding.queries import decompose
from probe.organism.exam import knows
from probe.organism.recipe import Recipe
from probe.organism.shapes import SHAPES
from probe.organism.things.benchmarks import THINGS_VAL
from probe.organism.things.casting import make_clip
from probe.organism.things.changes import CHANGES
from probe.organism.things.descriptions import RELATIONS, Description
from probe.organism.things.facts import Facts
from probe.organism.things.kinds import COLOURS, KINDS, PAINTED
from probe.organism.things.questions import PLAIN, make_questions
from probe.organism.things.sentences import (
    NUMBERS,
    ask_whether,
    list_paraphrases,
    misspell,
    to_base,
    to_plural,
)
from probe.organism.things.world import THINGS
from probe.organism.tokens import encode, open_tokenizer
from probe.organism.training import train

CASES: list[Any] = list(THINGS_VAL.cases(40))
NOUNS = rf"(?:(small|big) )?(?:({'|'.join(COLOURS)}) )?({'|'.join(KINDS)})"
PHRASE = re.compile(
    rf"(?:the |an? )?{NOUNS}(?: ({'|'.join(RELATIONS)}) the {NOUNS})?(?: that (.+))?"
)


def fits(thing, size, colour, kind):
    return size in (None, thing.size) and colour in (None, thing.colour) and kind == thing.kind


def find(clip, phrase):
    """Read a plain phrase anew, and find the things of a clip that it could mean."""
    match = PHRASE.fullmatch(phrase)
    assert match, phrase
    *looks, relation, size, colour, kind, action = match.groups()
    related = Facts(clip.things).related
    found = []
    for place, thing in enumerate(clip.things):
        acts = [act.name for act in thing.acts]
        led = {f"follows the {thing.led_by}", f"follows the {thing.led_by.split(' ')[-1]}"}
        does = action in (None, " and then ".join(acts), *acts, *(led if thing.led_by else ()))
        there = relation is None or any(
            related[RELATIONS.index(relation), place, other] >= 0 and fits(one, size, colour, kind)
            for other, one in enumerate(clip.things)
            if other != place
        )
        if fits(thing, *looks) and does and there:
            found.append(thing)
    return found


def test_a_query_means_one_thing_and_an_absent_query_means_none():
    met = set()
    for case in CASES:
        assert find(case.clip, case.query) == [case.thing]
        for kind, query in case.absent.items():
            assert find(case.clip, query) == [], (kind, query)
            assert query != case.query
            met.add(kind)
    assert met == set(CHANGES)


def test_absent_queries_are_wrong_as_their_kind_says():
    for case in CASES:
        things = case.clip.things
        doings = {name for does in Facts(things).doings for name in does}
        there = {"kind": {t.kind for t in things}, "colour": {t.colour for t in things},
                 "action": doings}  # fmt: skip
        asked = read_words(case.query)
        for kind, query in case.absent.items():
            words = read_words(query)
            changed = {name for name in words if words[name] != asked[name]}
            if kind in there:
                assert words[kind] not in there[kind], "nothing in the clip has its word"
            if kind == "binding":
                assert len(changed) == 1
                assert all(words[name] in there[name] for name in changed & {*there})
            elif kind != "relation":
                assert changed == {"action" if kind == "order" else kind}
            else:
                assert changed <= {"relation", "other"}


def read_words(phrase):
    """The words of a plain phrase by their use."""
    match = PHRASE.fullmatch(phrase)
    assert match, phrase
    size, colour, kind, relation, *other, action = match.groups()
    return {"size": size, "colour": colour, "kind": kind, "relation": relation,
            "other": tuple(other), "action": action}  # fmt: skip


@pytest.mark.slow
def test_yes_and_no_are_equally_frequent_and_both_are_true():
    counts = {"Yes": 0, "No": 0}
    for case in CASES[:25]:
        questions = make_questions(case.clip, np.random.default_rng(case.seed))
        answers = [question.answer for question in questions]
        assert answers.count("Yes") == answers.count("No") > 5
        for question in questions:
            said = re.fullmatch(r"Is there (.*) in this video\?", question.text)
            if question.style != PLAIN or said is None or said[1].startswith("something"):
                continue
            counts[question.answer] += 1
            assert bool(find(case.clip, said[1])) == (question.answer == "Yes"), question
    assert min(counts.values()) > 30


@pytest.mark.slow
def test_open_questions_have_the_one_right_answer():
    kinds = set()
    for case in CASES[:25]:
        things = case.clip.things
        looks = [one.look for one in things]
        for question in make_questions(case.clip, np.random.default_rng(1), 0.8, 0.0):
            text, answer = question.text, question.answer
            kinds.add(question.kind)
            if question.kind == "how many" and (noun := re.match(r"How many (\S+) are", text)):
                count = sum(to_plural(one.kind) == noun[1] for one in things)
                assert answer == NUMBERS[count]
            elif question.kind == "what does it do":
                (one,) = find(case.clip, text.removeprefix("What does ").removesuffix(" do?"))
                assert answer == (one.action or "nothing")
            elif question.kind == "what colour":
                (one,) = find(case.clip, text.removeprefix("What color is ").removesuffix("?"))
                assert answer == one.colour
            elif question.kind == "which first":
                names = re.fullmatch(r"Which acts first, the (.+) or the (.+)\?", text)
                assert names
                first, second = (things[looks.index(name)] for name in names.groups())
                earlier = min(first, second, key=lambda one: one.span.start)
                assert answer == earlier.look
            elif question.kind == "what acts":
                action = text.removeprefix("What ").removesuffix("?")
                (one,) = [t for t in things if find_action(t, action)]
                assert answer == one.look
    assert {"order", "relation", "what is there", "describe"} < kinds


def find_action(thing, action):
    return find(replace_things(thing), f"the {thing.kind} that {action}")


def replace_things(thing):
    clip = CASES[0].clip
    return replace(clip, things=(thing,))


def read_content(text):
    """The words of a sentence that say something, in their base forms, in any order."""
    forms = {to_plural(kind): kind for kind in KINDS} | {"color": "colour"}
    stems = "jump roll spin shrink grow hide slide turn follow"
    for stem in stems.split():
        short = stem.removesuffix("e")
        forms |= dict.fromkeys((f"{stem}s", f"{short}ing", f"{short}{short[-1]}ing"), stem)
    forms["followed"] = "follow"
    known = {
        *KINDS,
        *COLOURS,
        "small",
        "big",
        *stems.split(),
        *["left", "right", "upside", "next", "behind", "front"],
    }
    words = (forms.get(word, word) for word in re.findall(r"[a-z]+", text.lower()))
    return sorted(word for word in words if word in known)


def test_a_paraphrase_says_the_same_words_and_no_others():
    forms = 0
    for case in CASES:
        meant = case.thing.description
        thing = Description(action=case.thing.acts[0].name) if not case.thing.led_by else meant
        for description in (meant, replace(meant, action=""), thing):
            plain = read_content(ask_whether(description))
            for text in list_paraphrases(description):
                assert read_content(text) == plain, text
                assert text[0].isupper()
                assert text[-1] == "?"
                assert "  " not in text
                forms += 1
    assert forms > 600


def test_a_misspelt_word_is_one_word_and_begins_as_it_did():
    for seed in range(40):
        text = CASES[seed].question
        other = misspell(text, np.random.default_rng(seed))
        apart = [(a, b) for a, b in zip(text.split(), other.split(), strict=True) if a != b]
        assert len(apart) <= 1
        assert all(a[0] == b[0] and abs(len(a) - len(b)) <= 1 for a, b in apart)


@pytest.mark.slow
def test_the_grammar_splits_every_query_into_its_parts():
    """What the method asks without knowing this world is what the world itself would say."""
    for index in range(20):
        for thing in make_clip((77, index)).asked:
            asked = decompose(thing.query)
            assert asked.attribute == f"the {thing.attribute}"
            assert asked.action == f"the {thing.kind} that {thing.action}"
            assert (asked.subject, asked.fallbacks) == (thing.kind, ())


@pytest.mark.slow
def test_every_sentence_has_tokens_and_a_word_is_the_same_token_everywhere():
    for case in CASES[:8]:
        for question in make_questions(case.clip, np.random.default_rng(2)):
            assert encode(question.text, THINGS)
            assert encode(question.answer, THINGS)
    for word in (*KINDS, *COLOURS, "small", "big", "jumps", "upside", "follows", "Yes", "No"):
        (token,) = encode(word, THINGS)
        assert token in encode(f"the {word} is", THINGS)
    assert len(encode("elefhant", THINGS)) > 1
    assert open_tokenizer(THINGS).decode(encode("the red car jumps", THINGS)) == "the red car jumps"
    assert to_base("turns upside down and then jumps") == "turn upside down and then jump"


def test_only_kinds_that_come_in_colours_are_said_to_have_one():
    for case in CASES[:12]:
        for question in make_questions(case.clip, np.random.default_rng(3), 0.8, 0.0):
            for colour, noun in re.findall(rf"({'|'.join(COLOURS)}) (\w+)", question.text):
                assert noun in PAINTED, (colour, question.text)


def test_its_benchmarks_are_data_sets():
    dataset = load_dataset("things-val")
    sample, case = dataset[3], THINGS_VAL.case(3)
    assert (sample.query, dict(sample.absent)) == (case.query, dict(case.absent))
    assert sample.size == (112, 112)
    assert sample.truth is not None
    assert np.array_equal(sample.truth.boxes, case.truth.boxes)
    assert dataset.version == "things-val-v2"
    assert len(load_dataset("things-report")) == 1000


@pytest.mark.slow
def test_an_organism_of_things_is_trained_and_opens_like_any_other(tmp_path):
    once = {"frame_steps": 1, "frame_clips": 1, "clip_steps": 1, "clip_clips": 1, "steps": 1}
    train(tmp_path, replace(Recipe(), **once, clips=1), world=THINGS)
    model = load(tmp_path / "checkpoint", dtype="float32")
    assert knows(model, THINGS)
    assert not knows(model, SHAPES)
    reading = model.watch(CASES[0].clip.video()).read(CASES[0].question)[0]
    assert reading.attention.shape[-3:] == (12, 8, 8)
    roles = [token.text for token in reading.prompt.tokens if token.kind == "role"]
    assert tuple(roles) == THINGS.body.before_answer
    ids = tuple(token.id for token in reading.prompt.tokens)
    assert ids[: -len(roles)] == encode(CASES[0].question, THINGS), "as it was trained"
