"""Queries are split into who is meant and what is done, and a split that fails says so."""

import json
import random
from pathlib import Path

import pytest

from probe.grounding.grammar import Clause
from probe.grounding.queries import (
    Decompositions,
    as_question,
    decompose,
    decompose_with_model,
    find_noun,
)
from probe.grounding.statements import as_statement

PAPER = "The man in purple clothes takes a step forward and sits on the bench."

# What is asked, how its attribute ends, and the bare subject; written in the style of HC-STVG,
# VidSTG and the shapes. The action is the bare subject and what follows the attribute.
CAPTIONS = [
    (PAPER, "purple clothes", "the man"),
    ("The woman with long hair and a white shirt turns around, walks to the table and picks up a "
     "cup.", "white shirt", "the woman"),
    ("The bald man in the black suit and white shirt next to the man with glasses looks back and "
     "then shakes hands with the man.", "with glasses", "the man"),
    ("The girl jumps up, is stopped by her uncle, and pulls him to the door.", "girl",
     "the girl"),
    ("The man in the cap bends down and digs in the sand, then lifts a shell.", "cap",
     "the man"),
    ("The short-haired woman in the striped shirt picks up the phone from the table.", "shirt",
     "the woman"),
    ("The man with a beard standing by the window turns his head.", "window", "the man"),
    ("The woman in the floral dress is pulled up by the man and hugs him.", "dress", "the woman"),
    ("The man in a suit sitting opposite the old woman leans forward.", "woman", "the man"),
    ("The tall, bald man in sunglasses drops his cigarette, stamps on it and gets into the car.",
     "sunglasses", "the man"),
    ("The boy in the striped T-shirt kneels down, ties his shoelaces and runs off.", "T-shirt",
     "the boy"),
    ("The man in the leather jacket squints at the screen then shakes his head.", "jacket",
     "the man"),
    ("The nurse carrying a tray comes in and sets it on the bed.", "tray", "the nurse"),
    ("The woman wearing a red headscarf hesitates for a moment and then follows the man.",
     "headscarf", "the woman"),
    ("The man in green overalls hammers a nail into the wall.", "overalls", "the man"),
    ("The woman on the stairs waves to the man below and goes upstairs.", "stairs", "the woman"),
    ("The man standing behind the counter and holding a glass nods.", "glass", "the man"),
    ("The man at the back of the group lowers his weapon.", "group", "the man"),
    ("The old man with grey suspenders slithers towards the door and opens it.", "suspenders",
     "the man"),
    ("The little girl sitting on the sofa stands up and quickly runs to her mother.", "sofa",
     "the girl"),
    ("The man dressed in a grey coat walked to the window and looked out.", "coat", "the man"),
    ("The soldier facing the camera salutes and leaves.", "camera", "the soldier"),
    ("The man with his hair tied back is hit by a ball.", "back", "the man"),
    ("The man in black hands the cup to the boy.", "black", "the man"),
    ("The man behind turns and waves.", "behind", "the man"),
    ("the man on the far left of the picture raises his hand", "picture", "the man"),
    ("the man slowly walks", "the man", "the man"),
    ("The woman whose hair is long puts on her coat.", "long", "the woman"),
    ("the man who is holding a gun points it at the woman", "gun", "the man"),
    ("the man who wears a hat walks away", "hat", "the man"),
    ("two men in black suits fight each other in the hall", "suits", "two men"),
    ("The man and the woman in red hug each other.", "red", "the man and the woman"),
    ("a child in red holds a toy on the sofa", "red", "a child"),
    ("an adult in white leans on the car outside", "white", "an adult"),
    ("a black dog next to the man is watching the ball", "the man", "a dog"),
    ("an adult man in yellow plays a trumpet on a balcony.", "yellow", "a man"),
    ("an adult wearing a plaid dress feeds another adult in brown.", "dress", "an adult"),
    ("an adult on the left is behind another adult on a ladder.", "left", "an adult"),
    ("a goat in the yard is away from another goat.", "yard", "a goat"),
    ("a man wearing a hat walking on the street", "hat", "a man"),
    ("a man riding horses on the beach", "man", "a man"),
    ("a child riding a bike as his father watches", "a child", "a child"),
    ("a ball kicked by a boy rolls on the grass", "boy", "a ball"),
    ("a toy held by the child in blue", "toy", "a toy"),
    ("The black and white cat jumps onto the table.", "cat", "the cat"),
    ("the red circle that glows", "circle", "the circle"),
    ("the white cross that slides left", "cross", "the cross"),
    ("the dog that is being washed by the man barks", "the man", "the dog"),
    ("In the room on the left, the old man stands up.", "old man", "the man"),
    ("The policeman nearest the car draws his gun and approaches.", "car", "the policeman"),
    ("Messi kicks the ball", "Messi", "Messi"),
    ("The man with stone steps behind him walks down.", "behind him", "the man"),
    ("The man who is smoking coughs.", "smoking", "the man"),
    ("US soldiers march past the flag.", "soldiers", "soldiers"),
    ("The woman with brown curls on her brow slithers away.", "her brow", "the woman"),
]  # fmt: skip

# Questions and phrases: attribute, action; None where the whole query is asked.
PHRASES = [
    ("there is a brown dog chasing a ball on the grass", "a brown dog",
     "a dog chasing a ball on the grass"),
    ("Is there a green square that winks in this video?", "a green square", "a square that winks"),
    ("the toy that the child in red holds", "the toy", "the toy that the child holds"),
    ("there is a grey parrot above a wardrobe.", "a grey parrot above a wardrobe", None),
    ("the woman holding the baby that is crying", "the woman",
     "the woman holding the baby that is crying"),
    ("the man in red", "the man in red", None),
    ("the man who wears a hat", "the man who wears a hat", None),
    ("What does the red circle do?", "the red circle", None),
    ("where is the man in red?", "the man in red", None),
    ("when does the man in red open the door?", "the man in red", "the man opens the door"),
    ("which dog chases the ball?", "the dog", "the dog chases the ball"),
    ("who opens the door", None, "someone who opens the door"),
    ("who is holding the baby on the chair?", None, "someone who is holding the baby on the chair"),
    ("what licks the other goat?", None, "something that licks the other goat"),
    ("what is beneath the adult in black?", "something that is beneath the adult in black", None),
    ("what does the child in red hold?", None, "something that the child holds"),
    ("what does the adult in grey lean on inside the house?", None,
     "something that the adult leans on inside the house"),
    ("whom does the woman in blue hug in the park?", None,
     "someone whom the woman hugs in the park"),
    ("what does the young woman carry?", None, "something that the woman carries"),
    ("what did the man in red carry?", None, "something that the man did carry"),
    ("who is the nurse in green away from ?", None, "someone who the nurse is away from"),
    ("what is the man in black next to at the party?", None,
     "something that the man is next to at the party"),
    ("what is the woman in pink feeding in the yard?", None,
     "something that the woman is feeding in the yard"),
    ("what is being pushed by the man in grey?", None,
     "something that is being pushed by the man in grey"),
]  # fmt: skip

# What the rules get wrong, with the attribute that would be right.
WRONG = [
    ("The man in the painting hanging on the wall.", "the man in the painting hanging on the wall"),
]

EVERYTHING = [query for query, *_ in (*CAPTIONS, *PHRASES, *WRONG)]


def words(text: str) -> list[str]:
    return [word.strip(".,?!").lower() for word in text.split()]


@pytest.mark.parametrize(("query", "ends", "bare"), CAPTIONS)
def test_a_caption_is_split_where_its_main_verb_begins(query: str, ends: str, bare: str):
    asked = decompose(query)
    said, rest = query.rstrip(".").split(ends, 1)
    assert words(asked.attribute) == words(said + ends)
    assert words(asked.action) == words(bare) + words(rest)
    assert asked.fallbacks == ()


@pytest.mark.parametrize(("query", "attribute", "action"), PHRASES)
def test_questions_and_phrases_become_phrases_to_look_for(query: str, attribute, action):
    asked = decompose(query)
    statement = as_statement(query)
    assert (asked.attribute, asked.action) == (attribute or statement, action or statement)
    missing = [name for name, text in (("attribute", attribute), ("action", action)) if not text]
    assert asked.fallbacks == tuple(missing)


@pytest.mark.xfail(strict=True, reason="a known limit of the rules")
@pytest.mark.parametrize(("query", "attribute"), WRONG)
def test_what_the_rules_still_get_wrong(query: str, attribute: str):
    assert words(decompose(query).attribute) == words(attribute)


@pytest.mark.parametrize("query", EVERYTHING)
def test_the_laws_of_a_split(query: str):
    asked = decompose(query)
    statement = words(as_statement(query))
    attribute, action = words(asked.attribute), words(asked.action)
    assert asked.whole == query
    assert asked == decompose(query)
    assert attribute
    assert action
    assert statement[: len(attribute)] == attribute
    assert action[-1] == statement[-1]
    assert asked.fallbacks or statement[len(attribute)] in action, "the main verb is kept"
    left = iter(statement)
    assert all(word in left for word in action if word not in {"a", "an"}), "nothing is made up"
    for branch, text in (("attribute", asked.attribute), ("action", asked.action)):
        assert branch not in asked.fallbacks or words(text) == statement


@pytest.mark.slow
def test_any_words_in_any_order_are_split_without_an_error():
    lexicon = [word for query in EVERYTHING for word in query.split()] + [
        "?",
        "...",
        ",",
        "'s",
        "ß",
    ]
    dice = random.Random(0)
    for _ in range(3000):
        query = " ".join(dice.choices(lexicon, k=dice.randint(1, 12)))
        asked = decompose(query)
        assert asked.attribute
        assert as_question(asked.action).startswith("Is there ")


def test_capitals_marks_and_spaces_do_not_change_a_split():
    plain = decompose(PAPER)
    shouted = decompose("  the man  in purple clothes takes a step forward and sits on the bench ")
    assert (plain.attribute, plain.action) == (shouted.attribute, shouted.action)


@pytest.mark.parametrize("split", [decompose, as_question, as_statement])
@pytest.mark.parametrize("query", ["", "  \n"])
def test_an_empty_query_is_refused(split, query: str):
    with pytest.raises(ValueError, match="the query is empty; say"):
        split(query)


@pytest.mark.parametrize(
    ("sub_query", "question"),
    [
        ("The man in red.", "Is there the man in red in this video?"),
        ("someone who opens the door ?", "Is there someone who opens the door in this video?"),
        ("Messi in blue", "Is there Messi in blue in this video?"),
        ("US soldiers", "Is there US soldiers in this video?"),
    ],
)
def test_a_sub_query_is_asked_without_its_mark_and_names_keep_their_capital(sub_query, question):
    assert as_question(sub_query) == question


@pytest.mark.parametrize(("query", "bare"), [(query, bare) for query, _, bare in CAPTIONS])
def test_the_subject_is_the_bare_subject_without_its_articles(query: str, bare: str):
    nouns = [word for word in words(bare) if word not in {"the", "a", "an", "two"}]
    assert decompose(query).subject == " ".join(nouns)


@pytest.mark.parametrize(
    ("query", "subject"),
    [
        ("who opens the door", "person"),
        ("what does the child in red hold?", "something that the child in red holds"),
        ("Is there a green square that winks in this video?", "square"),
        ("Which dog chases the ball?", "dog"),
        ("slowly walks", "slowly walks"),
        ("The man and the woman in red hug each other.", "man and woman"),
        ("a group of people dancing", "people"),
        ("the", "the"),
    ],
)
def test_the_subject_of_a_question_is_what_it_asks_for(query: str, subject: str):
    assert decompose(query).subject == subject


def test_the_subject_of_a_split_from_elsewhere_is_read_from_its_attribute():
    split = "attribute: the bald man in a suit\naction: the man nods"
    assert decompose_with_model(lambda _: split, "The bald man nods.").subject == "man"


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


def test_queries_survive_json():
    asked = decompose("who opens the door")
    record = json.loads(json.dumps(asked.to_dict()))
    assert record == {
        "whole": "who opens the door",
        "attribute": "someone who opens the door",
        "action": "someone who opens the door",
        "source": "rules",
        "fallbacks": ["attribute"],
    }


ATTRIBUTE, ACTION = "the man in purple clothes", "the man takes a step forward"


@pytest.mark.parametrize(
    "answer",
    [
        f"attribute: {ATTRIBUTE}\naction: {ACTION}",
        f"Sure! Here you are:\n\n**Attribute:** {ATTRIBUTE}.\n**Action:** {ACTION}.",
        json.dumps({"attribute": ATTRIBUTE, "action": ACTION}, indent=1),
        f"- Action sub-query = '{ACTION}'\n- Attribute sub-query = '{ATTRIBUTE}'",
        f"attribute: {ATTRIBUTE}\naction: {ACTION}\n\ndescription: more\nattribute: the dog\n",
    ],
)
def test_a_models_answer_is_read_however_it_is_laid_out(answer: str):
    asked = decompose_with_model(lambda _: answer, PAPER)
    assert (asked.attribute, asked.action) == (ATTRIBUTE, ACTION)
    assert (asked.source, asked.fallbacks, asked.whole) == ("model", (), PAPER)


@pytest.mark.parametrize("answer", ["", "I cannot see a video.", "attribute: none\naction:", "{}"])
def test_an_answer_that_cannot_be_used_falls_back_to_the_whole_query(answer: str):
    asked = decompose_with_model(lambda _: answer, PAPER)
    assert asked.attribute == asked.action == as_statement(PAPER)
    assert asked.fallbacks == ("attribute", "action")


def test_a_sub_query_that_shares_no_word_with_the_query_is_not_used():
    asked = decompose_with_model(lambda _: f"attribute: a zebra\naction: {ACTION}", PAPER)
    assert (asked.attribute, asked.action) == (as_statement(PAPER), ACTION)
    assert asked.fallbacks == ("attribute",)


def test_the_model_is_asked_once_about_the_query_and_may_meet_braces():
    prompts = []
    decompose_with_model(lambda prompt: prompts.append(prompt) or "", "the {man}\nwalks")
    (prompt,) = prompts
    assert prompt.endswith("description: the {man} walks\n")


def write(path: Path, content: object) -> Path:
    file = path / "split.json"
    file.write_text(json.dumps(content))
    return file


def published(*attributes: str, actions: tuple[str, ...] = (ACTION,)) -> dict:
    return {"decompose_attribute": list(attributes), "decompose_action": list(actions)}


def test_a_published_file_gives_the_published_questions(tmp_path: Path):
    known = Decompositions.load(write(tmp_path, {"1.mp4": published("The man in red.")}))
    asked = known.of("1.mp4", PAPER)
    assert (asked.attribute, asked.action) == ("the man in red", ACTION)
    assert (asked.whole, asked.source, asked.fallbacks) == (PAPER, "file", ())


def test_the_last_of_several_strings_is_used_as_in_the_released_code(tmp_path: Path):
    known = Decompositions.load(write(tmp_path, {"1.mp4": published("the man", "the old man")}))
    assert known.of("1.mp4", PAPER).attribute == "the old man"


@pytest.mark.parametrize(
    "entry",
    [
        published(),
        published("  "),
        published("Is there please describe this video in this video?"),
        {"decompose_action": [ACTION]},
    ],
)
def test_a_branch_that_the_file_lacks_is_the_whole_query_and_marked(tmp_path: Path, entry: dict):
    asked = Decompositions.load(write(tmp_path, {"1.mp4": entry})).of("1.mp4", "who runs?")
    assert (asked.attribute, asked.action) == ("someone who runs", ACTION)
    assert asked.fallbacks == ("attribute",)


def test_a_video_that_the_file_lacks_is_asked_for_by_the_whole_query(tmp_path: Path):
    asked = Decompositions.load(write(tmp_path, {})).of("2.mp4", PAPER)
    assert asked.fallbacks == ("attribute", "action")


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ([1], "holds a list; "),
        ({"1.mp4": published("a") | {"decompose_action": "runs"}}, "1.mp4: decompose_action must"),
        ({"1.mp4": {"decompose_attribute": [3]}}, "1.mp4: decompose_attribute must"),
        ({"1.mp4": None}, "1.mp4: decompose_attribute must"),
    ],
)
def test_a_malformed_file_is_named_with_its_entry_in_one_line(tmp_path: Path, content, named: str):
    file = write(tmp_path, content)
    with pytest.raises(ValueError, match=named) as refused:
        Decompositions.load(file)
    assert str(refused.value).startswith(f"{file}: ")
    assert "\n" not in str(refused.value)


def test_a_missing_or_broken_file_is_named(tmp_path: Path):
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ValueError, match=r"broken\.json: cannot be read as JSON"):
        Decompositions.load(tmp_path / "broken.json")
    with pytest.raises(ValueError, match=r"missing\.json: no such file"):
        Decompositions.load(tmp_path / "missing.json")


def test_queries_and_files_of_them_are_shown_in_a_line(tmp_path: Path):
    long = decompose(f"The man in {'very ' * 95} red clothes opens {'another ' * 95} door.")
    known = Decompositions.load(write(tmp_path, {f"{i}.mp4": published("a") for i in range(99)}))
    assert repr(known) == "Decompositions(99 queries)"
    assert repr(decompose("who opens the door")) == (
        "Queries('who opens the door': attribute 'someone who opens the door', action 'someone who "
        "opens the door', by rules, without attribute)"
    )
    assert len(repr(long)) < 300
    assert "\n" not in repr(decompose("the man\nwalks"))


def test_what_a_clause_remembers_cannot_be_written_to():
    clause = Clause(["two", "men", "in", "black", "suits", "fight", "each", "other"])
    assert clause.action_start == 5
    assert clause.bare_subject(clause.action_start) == ["two", "men"]
    remembered = {name for kind in Clause.__mro__ for name in vars(kind)} & vars(clause).keys()
    assert len(remembered) > 4
    for name in remembered - {"words"}:
        hash(getattr(clause, name))
