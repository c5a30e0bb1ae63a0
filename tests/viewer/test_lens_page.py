"""The words of cells on the page: clicked, by layer, bounded in size, and always text."""

import json
from dataclasses import replace

import numpy as np
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By

import probe
from probe.organism.world import make_clip
from probe.viewer import Budget, ask_questions, page
from probe.viewer.lens_json import SHOWN, encode_lens
from probe.viewer.scene_json import encode_scene

pytestmark = pytest.mark.slow  # each is quick; what they share takes seconds

QUESTION = "Is there a green square in this video?"
EVIL = "<script>document.title = 'taken'</script>"


@pytest.fixture(scope="module")
def view():
    return probe.load().watch(make_clip(7).video(8))


@pytest.fixture(scope="module")
def lens(view):
    return probe.logit_lens(view, "green", top=5)


@pytest.fixture(scope="module")
def scene(view, lens):
    return ask_questions(view, QUESTION, lens=lens)


def read_table(browser):
    """The words on the page, layer by layer, each with its probability."""
    rows = browser.find_elements(By.CSS_SELECTOR, ".gp-lens tr")
    return {
        int(row.find_element(By.TAG_NAME, "th").text): [
            (
                cell.find_element(By.CSS_SELECTOR, ".gp-said").text,
                float(cell.find_element(By.CSS_SELECTOR, ".gp-chance").text),
            )
            for cell in row.find_elements(By.TAG_NAME, "td")
        ]
        for row in rows
    }


def assert_said(browser, lens, cell):
    said = lens.top_words(cell)
    for layer, words in read_table(browser).items():
        ours = said[(said.layer == layer) & (said["rank"] <= SHOWN)]
        assert [word for word, _ in words] == list(ours.word)
        chances = np.array([chance for _, chance in words])
        assert np.abs(chances - ours.probability.to_numpy()).max() < 0.01


def test_a_cell_that_is_clicked_says_its_words_by_layer_and_the_strongest_one_else(
    browser, opened, scene, lens
):
    look = opened(page(scene))
    frame = look("return state.frame")
    strongest = look("return state.peakCell(state.frame)")
    assert_said(browser, lens, (frame, strongest["row"], strongest["column"]))
    picture = browser.find_element(By.CSS_SELECTOR, ".gp-picture")
    across, down = picture.size["width"] / 7, picture.size["height"] / 7
    # From the middle of the picture, the middle of the cell in the fourth row and column.
    at = ActionChains(browser).move_to_element_with_offset(picture, -2 * across, down)
    at.click().perform()
    assert_said(browser, lens, (frame, 4, 1))
    look("viewer.stage.goTo(2)")
    assert_said(browser, lens, (2, 4, 1))  # the clicked cell stays, and another frame is shown
    browser.find_element(By.CSS_SELECTOR, ".gp-section .gp-quiet:not([hidden])").click()
    strongest = look("return state.peakCell(2)")
    assert_said(browser, lens, (2, strongest["row"], strongest["column"]))


def test_a_word_stays_text(browser, opened, scene, lens):
    hostile = replace(lens, tokens=(EVIL,) * len(lens.tokens))
    opened(page(replace(scene, lens=hostile)))
    assert browser.title != "taken"
    said = [word for words in read_table(browser).values() for word, _ in words]
    assert set(said) == {EVIL}
    assert len(browser.find_elements(By.TAG_NAME, "script")) == 2


def test_further_maps_are_shown_as_they_are_until_a_token_is_chosen(browser, opened, scene, view):
    maps = {"word lens": probe.word_lens(view, "green square")}
    look = opened(page(scene, maps=maps))
    (button,) = (
        one
        for one in browser.find_elements(By.CSS_SELECTOR, ".gp-choice button")
        if one.text == "word lens"
    )
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    shown = np.array(look("return Array.from(state.map.values)"), dtype=np.float32)
    assert np.array_equal(shown, maps["word lens"].to_numpy().ravel())
    assert not browser.find_elements(By.CSS_SELECTOR, ".gp-chip[aria-checked=true]")
    browser.find_elements(By.CSS_SELECTOR, ".gp-chip")[1].click()
    assert look("return state.mode") == "raw"


def test_what_is_kept_of_a_lens_is_bounded_and_always_has_the_last_layer(lens):
    cells, layers = len(lens.cells), len(lens.layers)
    for most in (10**6, 2 * layers * cells, 3 * cells, 1):
        record = encode_lens(lens, most)
        kept = len(record["layers"]) * record["top"] * cells
        assert kept <= max(most, cells)
        assert record["layers"][-1] == lens.layers[-1]
        assert record["left"] == layers - len(record["layers"])
        assert record["layers"] == sorted(set(record["layers"]))
    assert kept == cells


def test_without_a_lens_the_page_has_no_words_of_cells_and_other_cells_are_refused(scene, view):
    record = json.loads(encode_scene(replace(scene, lens=None), Budget()))
    assert record["lens"] is None
    turned = probe.word_lens(view, "green").reversed()
    with pytest.raises(ValueError, match="'backwards' shows other cells"):
        page(scene, maps={"backwards": turned})
