"""However a query is worded, its parts and its noun are the same; what is unsure falls back."""

import json
import random
import re
import sys

import pytest
from captions import CAPTIONS, EVERYTHING

from probe.grounding.grammar import Clause
from probe.grounding.lexicon import SMALL, VERBS, is_form
from probe.grounding.queries import (
    Decompositions,
    as_question,
    decompose,
    decompose_with_model,
    find_noun,
)
from probe.grounding.statements import MOST_WORDS, as_statement
from probe.organism.shapes import SENTENCE_WORDS
from probe.organism.world import ACTIONS, COLOURS, SHAPES

THINGS = [(colour, shape, action) for colour in COLOURS for shape in SHAPES for action in ACTIONS]


SOME = THINGS[::5]
"""A fifth of the things, with all colours, shapes and actions."""

FEW = THINGS[::23]
"""Eight things, with all colours, shapes and actions: enough where many places are tried."""


def bare(text: str) -> list[str]:
    return [word.strip(".,?!\"'").lower() for word in text.split()]


@pytest.mark.parametrize(("colour", "shape", "action"), THINGS)
def test_the_queries_of_the_measurements_are_split_as_they_were(colour, shape, action):
    asked = decompose(f"the {colour} {shape} that {action}")
    assert (asked.attribute, asked.action) == (
        f"the {colour} {shape}",
        f"the {shape} that {action}",
    )
    assert (asked.subject, asked.fallbacks) == (shape, ())


# One thing, said in many ways: {c} is its colour, {s} its shape, {does} "slides left", {do} its
# base form, {doing} "sliding", {did} "jumped" or "slid". What follows the verb is kept where the
# form has room for it.
FORMS = [
    "the {c} {s} that {does}",
    "THE {C} {S} THAT {DOES}.",
    "The {Cc} {Ss} That {Doo}",
    "a {c} {s} {does}.",
    "The {c} {s} is {doing}",
    "the {c} {s} that is {doing}",
    "the {c} {s}, which is slowly {doing}",
    "the {doing} {c} {s}",
    "A {c}, {doing} {s}",
    "the slowly {doing} {c} {s}",
    "the {s} that is {c} and {does}",
    "the {s}, which is {c}, and {does}",
    "the {s} that is {c} and that {does}",
    "the {s} that is {c} and is {doing}",
    "the {s} that {does} and is {c}",
    "the {s} is {c} and {does}",
    "the big {c} {s} that {does} and waits",
    "Is there a {c} {s} that {does} in this video?",
    "there is a {c} {s} {doing}",
    "which {c} {s} {does}?",
    "Is the {c} {s} {doing}?",
    "Does the {c} {s} {do}?",
    "what colour is the {c} {s} that {does}?",
    "where does the {c} {s} {do}?",
    "please find the {c} {s} that {does} in the video",
    "\"The {c} {s} {did}.\"",
    "the {c} {s} has {done}",
]  # fmt: skip

RELATIONS = [
    "next to the green chair", "to the left of the chair", "left of the chair", "above a big chair",
    "right below the chair", "between two green chairs", "in front of the chair", "near the chair",
    "closest to the chair", "on the far right of the picture", "behind the boy's chair",
    "far from the chair and the table",
]  # fmt: skip

RELATED = [
    "the {c} {s} {where} that {does}",
    "THE {C} {S} {WHERE} {DOES}",
    "the {c} {s} that is {where} and {does}",
    "the {c} {s} {where} is {doing}",
    "the {doing} {c} {s} {where}",
    "the {c} {s} {where}, which {does}",
]

SPELLED = {
    "jumps": ("jumping", "jumped", "jumped"),
    "slides": ("sliding", "slid", "slid"),
    "glows": ("glowing", "glowed", "glowed"),
    "grows": ("growing", "grew", "grown"),
    "shrinks": ("shrinking", "shrank", "shrunk"),
    "winks": ("winking", "winked", "winked"),
}


def say(form: str, colour: str, shape: str, action: str, where: str = "") -> str:
    verb, _, rest = action.partition(" ")
    doing, did, done = SPELLED[verb]
    words = {"c": colour, "s": shape, "does": action, "do": f"{verb[:-1]} {rest}".strip(),
             "doing": doing, "did": did, "done": done, "where": where}  # fmt: skip
    upper = {key.upper(): word.upper() for key, word in words.items()}
    titled = {"Cc": colour.title(), "Ss": shape.title(), "Doo": action.title()}
    return form.format(**words, **upper, **titled)


def verb_of(action: str) -> set[str]:
    """Return all spellings of the verb of an action."""
    verb = action.split()[0]
    return {verb, verb[:-1], *SPELLED[verb]}


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_every_way_to_say_it_means_the_same_thing_and_the_same_action(form: str):
    for colour, shape, action in SOME:
        query = say(form, colour, shape, action)
        asked = decompose(query)
        attribute, acts = bare(asked.attribute), bare(asked.action)
        assert asked.fallbacks == (), query
        assert {colour, shape} == {*attribute} - SMALL - {"big"}, query
        assert not verb_of(action) & {*attribute}, query
        assert shape in acts
        assert colour not in acts, query
        assert len(verb_of(action) & {*acts}) == 1, query
        assert asked.subject == shape
        assert find_noun(query).lower() == find_noun(as_question(query)) == shape
        assert asked.whole == query


@pytest.mark.slow
@pytest.mark.parametrize("where", RELATIONS)
@pytest.mark.parametrize("form", RELATED)
def test_a_related_object_is_part_of_the_looks_and_neither_acts_nor_is_meant(form: str, where: str):
    for colour, shape, action in FEW:
        query = say(form, colour, shape, action, where)
        asked = decompose(query)
        assert asked.fallbacks == (), query
        assert f"{where}" in asked.attribute, query
        assert {colour, shape} <= {*bare(asked.attribute)}
        assert {*bare(asked.action)} - SMALL - {*action.split()} <= {shape, *verb_of(action)}, query
        assert asked.subject == find_noun(as_question(query)) == shape


@pytest.mark.parametrize("where", RELATIONS)
def test_a_relation_alone_does_nothing_and_the_missing_action_is_seen(where: str):
    query = f"the red circle {where}"
    asked = decompose(query)
    assert (asked.attribute, asked.action, asked.fallbacks) == (query, query, ("action",))
    assert asked.subject == find_noun(query) == "circle"


# Attribute, action and noun of a query.
SPLITS = [
    ("the circle that is red and jumps", "the circle that is red", "the circle that jumps"),
    ("the dog which is brown and runs away", "the dog which is brown", "the dog which runs away"),
    ("the man who has a hat and runs", "the man who has a hat", "the man who runs"),
    ("the man who wears a hat and slowly walks", "the man who wears a hat",
     "the man who slowly walks"),
    ("the circle that is red but does not jump", "the circle that is red",
     "the circle that does not jump"),
    ("the circle that is light blue, and jumps", "the circle that is light blue",
     "the circle that jumps"),
    ("the circle that is next to the square that jumps", "the circle that is next to the square",
     "the circle that jumps"),
    ("the circle that jumps and is red", "the circle that is red", "the circle that jumps"),
    ("the circle whose colour is red and jumps", "the circle whose colour is red",
     "the circle jumps"),
    ("the circle that is red jumps", "the circle that is red", "the circle jumps"),
    ("the man who wears a hat that is red walks", "the man who wears a hat that is red",
     "the man walks"),
    ("the dog that the man who is tall holds barks", "the dog that the man who is tall holds",
     "the dog barks"),
    ("the man who was sitting stood up", "the man who was sitting", "the man stood up"),
    ("a jumping orange ball", "an orange ball", "a ball that is jumping"),
    ("the jumping and glowing red circle", "the red circle",
     "the circle that is jumping and glowing"),
    ("two fighting men in red", "two men in red", "two men that are fighting"),
    ("the crying baby next to the sleeping dog", "the baby next to the sleeping dog",
     "the baby that is crying"),
    ("the red circle has been jumping", "the red circle", "the circle has been jumping"),
    ("the ball that isn't moving", "the ball", "the ball that is not moving"),
    ("the man who\u2019s walking", "the man", "the man who is walking"),
    ("the ball thrown by the boy rolls", "the ball thrown by the boy", "the ball rolls"),
    ("the boy's red ball that rolls", "the boy's red ball", "the ball that rolls"),
    ("the man, who wears a hat, walks away", "the man, who wears a hat", "the man walks away"),
    ("the man, a doctor, walks away", "the man, a doctor", "the man walks away"),
    ("a man, a woman and a dog run", "a man, a woman and a dog", "a man, a woman and a dog run"),
    ("a man and woman walk", "a man and woman", "a man and woman walk"),
    ("the red and white ball that rolls", "the red and white ball", "the ball that rolls"),
    ("the circle that jumps, glows and shrinks", "the circle",
     "the circle that jumps, glows and shrinks"),
    ("a pair of small dogs run", "a pair of small dogs", "a pair of dogs run"),
    ("the red light blinks", "the red light", "the light blinks"),
    ("the man who is about to jump", "the man", "the man who is about to jump"),
    ("the man who smiles waves", "the man who smiles", "the man waves"),
    ("the red circle (left) jumps", "the red circle (left)", "the circle jumps"),
    ("one of the men walks", "one of the men", "one of the men walks"),
    ("a group of tall people dance", "a group of tall people", "a group of people dance"),
    ("something red that jumps", "something red", "something that jumps"),
    ("the dogs run in the park", "the dogs", "the dogs run in the park"),
    ("the man left the room", "the man", "the man left the room"),
    ("the man dressed as a clown walks", "the man dressed as a clown", "the man walks"),
    ("the building that is burning", "the building", "the building that is burning"),
    ("Then the man in red walks away", "the man in red", "the man walks away"),
    ("which dog is the man feeding", "the dog", "the dog that the man is feeding"),
    ("what hat does the tall man wear?", "the hat", "the hat that the man wears"),
    ("why is the man in red running?", "the man in red", "the man is running"),
    ("which of the circles jumps?", "one of the circles", "one of the circles jumps"),
    ("how many men are walking?", "many men", "many men are walking"),
]  # fmt: skip


@pytest.mark.parametrize(("query", "attribute", "action"), SPLITS)
def test_a_sentence_is_split_into_who_is_meant_and_what_is_done(query, attribute, action):
    asked = decompose(query)
    assert (asked.attribute, asked.action, asked.fallbacks) == (attribute, action, ())


# Only a description: the attribute is all that is asked for, or what is left of a question.
NOTHING_DONE = [
    "the wedding dress", "the swimming pool with a man", "the washing machine", "the building",
    "the running shoes", "the dining table", "a bus stop",
    "the circle is red",
    "the circle next to the red jumping square", "two black dogs in the park", "the black shoes",
    "the man in black shoes", "the football players on the field", "the traffic lights",
    "the circle surrounded by squares", "the red circle and the blue square", "NASA",
    "das Haus in der Stadt", "los hombres en la calle", "\u7ea2\u8272\u7684\u5706",
]  # fmt: skip


@pytest.mark.parametrize("query", NOTHING_DONE)
def test_a_thing_that_does_nothing_has_no_action_and_that_is_seen(query: str):
    asked = decompose(query)
    assert (asked.attribute, asked.action, asked.fallbacks) == (query, query, ("action",))


@pytest.mark.parametrize("query", ["jumps", "swimming in the pool", "slowly walks", "that jumps",
                                   "the", "in the", "why is", "who?"])  # fmt: skip
def test_what_names_nothing_is_asked_whole_in_both_branches(query: str):
    asked = decompose(query)
    assert asked.fallbacks == ("attribute", "action")
    assert asked.attribute == asked.action == as_statement(query) != ""
    with pytest.raises(ValueError, match="names no object"):
        find_noun(query)


@pytest.mark.parametrize(
    ("query", "statement"),
    [
        ("what colour is the ball?", "the ball"),
        ("how big is the ball that rolls?", "the ball that rolls"),
        ("Can you find the man in red?", "the man in red"),
        ("show me a red circle", "a red circle"),
        ("In this video, the man runs", "the man runs"),
        ("Does the video show a dog that jumps?", "a dog that jumps"),
        ("do the men run?", "the men run"),
        ("is the circle red?", "the circle is red"),
        ("whose dog barks?", "someone whose dog barks"),
        ("there's a red circle", "a red circle"),
    ],
)
def test_questions_and_requests_become_what_they_ask_for(query: str, statement: str):
    assert as_statement(query) == statement


@pytest.mark.parametrize(
    ("query", "read"),
    [
        ("THE RED CIRCLE THAT JUMPS", "the red circle that jumps"),
        ("The Red Circle That Jumps", "the red circle that jumps"),
        ("Red Circle", "red circle"),
        ("RED CIRCLE", "red circle"),
        ("THE MAN IN THE T-SHIRT", "the man in the t-shirt"),
        ("2 MEN", "2 men"),
        ("DOG", "dog"),
        # A name cannot be told from shouting by itself; it is left as it is.
        ("NASA", "NASA"),
        ("US", "US"),
        ("Lionel Messi", "Lionel Messi"),
        ("A UFO", "a UFO"),
        ("A UFO lands", "a UFO lands"),
        # In a sentence a capital says something.
        ("Messi kicks the ball", "Messi kicks the ball"),
        ("The man in the NASA shirt", "the man in the NASA shirt"),
        ("US soldiers", "US soldiers"),
        ("the IT expert", "the IT expert"),
        ("the RED circle that JUMPS", "the red circle that jumps"),
        # As a title it says nothing.
        ("Messi Kicks The Ball", "messi kicks the ball"),
    ],
)
def test_capitals_are_kept_where_they_can_mean_a_name(query: str, read: str):
    assert as_statement(query) == read
    assert as_question(query) == f"Is there {read} in this video?"
    assert decompose(query).whole == query


@pytest.mark.parametrize("query", EVERYTHING)
def test_capitals_of_a_whole_query_do_not_change_its_parts(query: str):
    plain, loud = decompose(query), decompose(query.upper())
    assert loud.attribute == plain.attribute.lower()
    assert loud.action == plain.action.lower()
    assert loud.fallbacks == plain.fallbacks


@pytest.mark.parametrize("query", EVERYTHING)
def test_a_question_made_of_a_question_is_the_same(query: str):
    question = as_question(query)
    assert as_question(question) == question
    assert as_statement(question) == as_statement(query)


def test_all_words_of_a_plain_query_stay_words_that_the_shipped_model_knows():
    known = {*SENTENCE_WORDS.split(), *COLOURS, *SHAPES, *" ".join(ACTIONS).split(), "and"}
    for form in ("the {c} {s} that {does}", "THE {C} {S} THAT {DOES}", "the {s} that is {c} and "
                 "{does}", "Is there a {c} {s} that {does} in this video?"):  # fmt: skip
        for thing in SOME:
            query = say(form, *thing)
            asked = decompose(query)
            for text in (asked.attribute, asked.action, query):
                assert {*re.findall(r"\w+|[?]", as_question(text))} <= known


@pytest.mark.parametrize(("query", "bare"), [(query, bare) for query, _, bare in CAPTIONS])
def test_the_noun_of_a_query_is_the_head_of_its_bare_subject(query: str, bare: str):
    noun = find_noun(query)
    assert noun == bare.split(" and ")[0].split()[-1]
    assert find_noun(as_question(query)) == noun, "the question around a query does not matter"


@pytest.mark.parametrize(
    ("question", "noun"),
    [
        ("Is there the red circle that jumps in this video?", "circle"),
        ("Is there a red circle in this video?", "circle"),
        ("Is there the man to the left of the car in this video?", "man"),
        ("the man to the left of the car", "man"),
        ("the circle next to the green square that jumps", "circle"),
        ("What does the red circle do?", "circle"),
        ("Which dog chases the ball?", "dog"),
        ("Messi kicks the ball", "Messi"),
    ],
)
def test_the_noun_of_a_question_is_one_word_as_it_is_written(question: str, noun: str):
    assert find_noun(question) == noun


@pytest.mark.parametrize(
    "question",
    ["who opens the door", "Is there someone who opens the door in this video?", "what licks it?",
     "the", "?"],
)  # fmt: skip
def test_a_question_that_names_nothing_has_no_noun_and_says_so_in_a_line(question: str):
    with pytest.raises(ValueError, match="names no object; give a query with a noun") as refused:
        find_noun(question)
    assert "\n" not in str(refused.value)


def test_what_a_clause_remembers_cannot_be_written_to():
    clause = Clause(["two", "men", "in", "black", "suits", "fight", "each", "other"])
    assert clause.action_start == 5
    assert clause.bare_subject(clause.action_start) == ["two", "men"]
    remembered = {name for kind in Clause.__mro__ for name in vars(kind)} & vars(clause).keys()
    assert len(remembered) > 4
    for name in remembered - {"words"}:
        hash(getattr(clause, name))


def find_noun_or_none(text: str) -> str | None:
    try:
        return find_noun(text)
    except ValueError as refused:
        if "names no object" not in str(refused):
            raise
        return None


LONG = {
    "joined subjects": "the man and ",
    "clauses about clauses": "the toy that the child who is tall holds ",
    "relative clauses": "the man who is tall ",
    "adverbs": "slowly ",
    "verbs": "jumps ",
    "participles": "running ",
    "participles before a noun": "the jumping and glowing ",
    "adjectives": "red ",
    "base forms": "two men walk ",
    "only base forms": "walk ",
    "commas": "the man, ",
    "joined actions": "and jumps ",
    "determiners": "the ",
    "groups": "one of the ",
    "prepositions": "in the ",
    "nouns or verbs": "lights ",
    "relations": "left of ",
    "auxiliaries": "is ",
    "unknown verbs": "the man slithers the ",
    "questions": "what does the man ",
    "short forms": "don't ",
    "openings": "there is find the ",
    "places": "in the video ",
    "capitals": "THE MAN ",
    "titles": "The Man ",
}


@pytest.mark.slow
@pytest.mark.parametrize("repeated", LONG.values(), ids=LONG.keys())
def test_the_longest_queries_of_every_form_are_split(repeated: str):
    words = (repeated * MOST_WORDS).split()[:MOST_WORDS]
    if "'" in repeated:  # each is written out as two words
        words = words[: MOST_WORDS // 2]
    for opening in ("", "two men ", "who "):
        query = " ".join((opening.split() + words)[: len(words)])
        asked = decompose(query)
        _ = asked.subject, as_question(asked.attribute), as_question(asked.action)
        find_noun_or_none(as_question(asked.attribute))
        assert asked.attribute
        assert asked.action


def count_calls(query):
    """The Python calls of a split: a measure of work that does not depend on the machine."""
    calls = 0

    def note(frame, event, _):
        nonlocal calls
        calls += event == "call" and "probe/grounding" in frame.f_code.co_filename

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        decompose(query)
    finally:
        sys.setprofile(before)
    return calls


@pytest.mark.slow
@pytest.mark.parametrize("repeated", LONG.values(), ids=LONG.keys())
def test_work_grows_in_proportion_to_the_words(repeated: str):
    words = (repeated * MOST_WORDS).split()
    short, long = (count_calls(" ".join(words[:count])) for count in (24, 96))
    assert short > 0
    assert long < 3 * 4 * short  # four times the words; their square would be sixteen times


SPLITTERS = {
    "rules": decompose,
    "question": as_question,
    "statement": as_statement,
    "noun": find_noun,
    "model": lambda query: decompose_with_model(lambda _: "", query),
    "file": lambda query: Decompositions({}).of("1.mp4", query),
}


@pytest.mark.parametrize("split", SPLITTERS.values(), ids=SPLITTERS.keys())
@pytest.mark.parametrize(
    "query",
    ["the man walks and " * 900, "the toy that the child holds " * 1000, "a" * 2101,
     "a " * 10**6, "don't " * (MOST_WORDS - 1)],
    ids=["repeats", "nested", "letters", "words", "short forms"],
)  # fmt: skip
def test_a_query_that_is_too_long_is_refused_in_a_line_before_it_is_read(split, query: str):
    with pytest.raises(ValueError, match="at most 200 words and 2,000 characters") as refused:
        split(query)
    assert len(str(refused.value)) < 200
    assert "\n" not in str(refused.value)


def test_spaces_do_not_count_as_length():
    assert decompose("the" + " " * 10**6 + "man").attribute == "the man"
    assert decompose('"' + " " * 10**6 + "man").subject


def test_a_split_from_elsewhere_that_is_too_long_is_not_asked(tmp_path):
    long = "the man and " * MOST_WORDS
    asked = decompose_with_model(
        lambda _: f"attribute: {long}\naction: the man runs", "the man runs"
    )
    assert (asked.attribute, asked.fallbacks) == ("the man runs", ("attribute",))
    file = tmp_path / "split.json"
    file.write_text(json.dumps({"1.mp4": {"decompose_attribute": [long]}}))
    with pytest.raises(ValueError, match=r"1\.mp4: decompose_attribute is longer than a query may"):
        Decompositions.load(file)


@pytest.mark.parametrize(
    "query", ['"The red circle that jumps."', "\u201cthe red circle that jumps\u201d?"]
)
def test_quotes_around_a_query_are_no_part_of_it(query: str):
    assert as_statement(query) == "the red circle that jumps"
    assert as_statement('the "red" circle') == 'the "red" circle'


@pytest.mark.slow
def test_words_in_any_order_give_two_parts_and_a_noun_of_the_query_or_none():
    dice = random.Random(1)
    lexicon = [*SMALL, *VERBS, *bare(" ".join(EVERYTHING)), "red,", "jumping", "and", "that", "is",
               "NASA", "THE", "\u7ea2", "don't", "?", "...", "\"", "'s"]  # fmt: skip
    for _ in range(300):
        query = " ".join(dice.choices(lexicon, k=dice.randint(1, 14)))
        asked = decompose(query)
        assert asked.attribute
        assert asked.action
        assert asked.subject
        assert as_question(asked.action).startswith("Is there ")
        noun = find_noun_or_none(query)
        assert noun is None or (len(noun.split()) == 1 and noun in query)


@pytest.mark.parametrize(
    ("word", "ending"),
    [("jumping", "ing"), ("sliding", "ing"), ("running", "ing"), ("lying", "ing"), ("carries", "s"),
     ("watches", "s"), ("slides", "s"), ("stopped", "ed"), ("carried", "ed"), ("waved", "ed")],
)  # fmt: skip
def test_forms_of_verbs_are_found_by_their_spelling(word: str, ending):
    assert is_form(word, ending)
    assert not is_form(ending, ending)
    assert not is_form(f"xq{word}", ending)
