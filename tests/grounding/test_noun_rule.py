"""The token of the noun that is asked about."""

import pytest

from probe.grounding.noun_rule import Noun
from probe.grounding.queries import as_question


def read_words(organism, video, question):
    (reading,) = organism.watch(video).read(question, layers=(0,))
    return [reading.tokens[place] for place in Noun()(reading)]


@pytest.mark.parametrize(
    ("query", "noun"),
    [
        ("the red circle that jumps", "circle"),
        ("the red circle", "circle"),
        ("a square that slides left", "square"),
        ("the circle next to the green square", "circle"),
        ("something that jumps", "something"),
    ],
)
def test_the_noun_of_the_question_is_read(organism, video, query, noun):
    assert read_words(organism, video, as_question(query)) == [noun]


def test_of_two_equal_words_the_first_is_the_subject(organism, video):
    question = as_question("the circle next to the green circle")
    (reading,) = organism.watch(video).read(question, layers=(0,))
    assert Noun()(reading) == (reading.tokens.index("circle"),)


def test_a_noun_of_several_tokens_is_read_whole(tiny, video):
    (reading,) = tiny.watch(video).read("Is there the red circle in this video?", layers=(0,))
    places = Noun()(reading)
    start, stop = (reading.prompt.question.index("circle"), len("circle"))
    covered = [reading.prompt.tokens[place].characters for place in places]
    assert min(first for first, _ in covered) <= start
    assert max(last for _, last in covered) >= start + stop
