"""Queries are split into who is meant and what is done, and a split that fails says so."""

import json
from pathlib import Path

import pytest
from captions import CAPTIONS, EVERYTHING, PAPER, PHRASES, WRONG

from probe.grounding.queries import (
    Decompositions,
    as_question,
    decompose,
    decompose_with_model,
)
from probe.grounding.statements import as_statement


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
