"""The words of a model's own answer on the page: clicked, compared, told from the question's."""

import numpy as np
import pytest
from selenium.webdriver.common.by import By
from tolerances import assert_equal_up_to_rounding

import probe
from probe.engine.answering import generate
from probe.engine.attention import RELATIVE_FLOOR
from probe.engine.prompts import GENERIC
from probe.grounding.reattention import Learning
from probe.organism.world import make_clip
from probe.viewer import ask_questions, page

pytestmark = pytest.mark.slow  # each is quick; what they share takes seconds

QUESTION, MOST = "Describe this video.", 8


@pytest.fixture(scope="module")
def view():
    return probe.load().watch(make_clip((0, 7)).video(8))


def test_a_word_of_the_answer_is_clicked_and_its_look_is_shown(browser, opened, view):
    look = opened(page(ask_questions(view, QUESTION, max_new_tokens=MOST)))
    reading = generate(view, QUESTION, max_new_tokens=MOST)
    chips = browser.find_elements(By.CSS_SELECTOR, ".gp-chip[data-kind=answer]")
    said = reading.prompt.indices("answer")
    assert len(chips) == len(said)
    assert (
        browser.find_element(
            By.CSS_SELECTOR, ".gp-token[data-kind=answer][data-first] .gp-kind"
        ).text
        == "its answer"
    )
    for chip, place in list(zip(chips, said, strict=True))[::3]:
        chip.click()
        assert look("return state.token") == place
        seen = np.array(look("return Array.from(state.map.values)"))
        ours = reading.heatmap(place).to_numpy().ravel()
        assert np.abs(seen - ours).max() <= 0.02 * ours.max()


def test_relative_attention_of_a_word_of_the_answer_is_over_the_same_word_after_the_generic_prompt(
    opened, view
):
    (shown,) = ask_questions(view, QUESTION, max_new_tokens=MOST).questions
    (base,) = view.read(GENERIC, answer=shown.reading.prompt.answer_ids)
    assert base == shown.generic
    place = shown.reading.prompt.indices("answer")[0]
    same = base.prompt.indices("answer")[0]
    relative = shown.reading.relative_heatmap(place, base)
    expected = shown.reading.heatmap(place).values / (base.heatmap(same).values + RELATIVE_FLOOR)
    assert_equal_up_to_rounding(relative.values, expected)
    look = opened(page(ask_questions(view, QUESTION, max_new_tokens=MOST)))
    counterpart = look("viewer.pickToken(arguments[0]); return state.counterpart.token", place)
    assert counterpart == same


def test_the_same_answer_is_read_before_and_after_reattention(view):
    learning = Learning(layer=1, steps=1)
    scene = ask_questions(view, QUESTION, learning=learning, max_new_tokens=MOST)
    (shown,) = scene.questions
    assert shown.before is not None
    assert shown.before.reading.prompt == shown.reading.prompt
    assert shown.reading.prompt.answer_ids
