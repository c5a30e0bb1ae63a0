"""The interactive page, driven in a real headless browser."""

import json
import re
import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pages import open_file
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from staged import staged_reading, staged_video
from tolerances import assert_equal_up_to_rounding

import probe
from probe.cli import main
from probe.engine.attention import RELATIVE_FLOOR, assemble
from probe.grounding.reattention import Learning
from probe.viewer import (
    Budget,
    Scene,
    ShownQuestion,
    as_scene,
    ask_questions,
    open_answer,
    page,
    save_page,
    show_answer,
)
from probe.viewer.compression import (
    COARSE_LEVELS,
    FEW,
    FINE_LEVELS,
    StrongestCells,
    WholeMaps,
    compress_attention,
    decode_logs,
    encode_logs,
)
from probe.viewer.page import load_script, load_style
from probe.viewer.scene_json import encode_scene
from probe.viewer.widget import Viewer

pytestmark = pytest.mark.slow  # each is quick; what they share takes seconds

LIMIT = 15_000_000
"""Bytes of a page of 20 frames, 32 layers, 32 heads, 40 tokens and 12 x 12 cells."""

SMOOTH = 0.25
"""Seconds within which such a page answers a hand; three times what it takes on a busy machine."""


@pytest.fixture(scope="module")
def small_video():
    return staged_video(frames=6, height=90, width=160)


@pytest.fixture(scope="module")
def asked(small_video):
    words = ["Is", "there", "a", "yellow", "disc"]
    return staged_reading(small_video, words, layers=4, heads=3, side=5, seed=1)


@pytest.fixture(scope="module")
def before(small_video):
    words = ["Is", "there", "a", "yellow", "disc"]
    return staged_reading(small_video, words, layers=4, heads=3, side=5, seed=2)


@pytest.fixture(scope="module")
def generic(small_video):
    return staged_reading(small_video, ["Describe", "it"], layers=4, heads=3, side=5, seed=3)


@pytest.fixture
def look(opened, asked, small_video, generic, before):
    """A small page with everything on it."""
    return opened(page(asked, small_video, generic=generic, before=before))


def shown(look):
    """The map on show, as the browser has it."""
    return np.array(look("return Array.from(state.map.values)"))


def press(browser, key):
    browser.switch_to.active_element.send_keys(key)


def near(map_, truth, error):
    return float(np.abs(map_ - truth.flatten().numpy()).max()) <= error + 1e-8


# Maps in little space


def peaky(*shape, seed=0):
    torch.manual_seed(seed)
    return (2 * torch.randn(*shape)).softmax(-1).numpy()


def test_a_map_is_off_by_no_more_than_a_level_or_its_weakest_kept_cell():
    maps = peaky(1, 12, 1, 300)
    kept = compress_attention(maps, 60, 40)
    layers = kept.layers.decode(kept.means.decode())
    decoded = kept.heads.decode(np.repeat(layers, 12, axis=0))
    true = maps[0, :, 0]
    weakest = np.sort(true, axis=1)[:, -40]
    level = true.max(axis=1) / COARSE_LEVELS
    assert (np.abs(decoded - true).max(axis=1) <= weakest + level).all()


def test_kept_cells_are_the_strongest_and_nothing_else_outshines_them():
    maps = peaky(1, 12, 1, 300)
    kept = compress_attention(maps, 60, 40).heads
    decoded = kept.decode(np.full((12, 300), 1 / 300, np.float32))
    for number in range(12):
        inside = np.zeros(300, bool)
        inside[kept.places[number]] = True
        assert maps[0, number, 0][inside].min() >= maps[0, number, 0][~inside].max()
        assert decoded[number][inside].min() >= decoded[number][~inside].max()


def test_with_room_for_every_cell_a_map_is_off_by_less_than_a_level():
    maps = peaky(2, 3, 2, 50)
    kept = compress_attention(maps, 1000, 1000)
    assert kept.heads.places.shape == (12, 50)
    assert max(kept.error.layer, kept.error.head) <= maps.max() / COARSE_LEVELS
    assert kept.error.mean <= maps.max() / FINE_LEVELS


def test_what_is_not_kept_has_the_parents_shape_and_its_own_mass():
    parent = np.array([[4.0, 3.0, 2.0, 1.0, 0.0]], np.float32)
    one = StrongestCells(
        places=np.array([[4]]),
        codes=np.array([[255]], np.uint8),
        peaks=np.array([9.0], np.float32),
        masses=np.array([10.0], np.float32),
    )
    assert_equal_up_to_rounding(one.decode(parent), [[0.4, 0.3, 0.2, 0.1, 9.0]], roundings=1)


def test_a_map_of_nothing_stays_nothing():
    kept = compress_attention(np.zeros((2, 2, 1, 9), np.float32), 3, 2)
    assert not kept.heads.decode(np.ones((4, 9), np.float32)).any()
    assert not WholeMaps.decode(kept.means).any()


def test_peaks_and_sums_are_rounded_up_by_little_and_only_once():
    rng = np.random.default_rng(0)
    values = np.exp(rng.uniform(-70, 10, 2000)).astype(np.float32)
    values[:2] = 0, 1
    kept = decode_logs(encode_logs(values))
    assert_equal_up_to_rounding(decode_logs(encode_logs(kept)), kept)
    assert (encode_logs(kept) == encode_logs(values)).all()
    assert kept[0] == 0
    assert kept[1] == 1
    assert (kept >= values * (1 - 1e-5)).all()
    assert (kept <= values * 1.0014).all()


@pytest.mark.parametrize("count", [1, FEW, FEW + 1, 300])
def test_the_cells_found_are_the_strongest_however_many(count):
    (maps,) = peaky(1, 12, 1, 300)
    kept = compress_attention(maps[None], 300, count).heads
    for number, places in enumerate(kept.places):
        assert sorted(places) == places.tolist()
        strongest = np.argsort(maps[number, 0], kind="stable")[-count:]
        assert set(places) == set(strongest)


@pytest.mark.slow
def test_a_page_of_six_hundred_tokens_would_fit():
    part = 20 / 606
    usual = Budget()
    budget = Budget(int(usual.layer_cells * part), int(usual.head_cells * part))
    video = staged_video(frames=20, height=36, width=64)
    reading = staged_reading(video, [f"word{number}" for number in range(14)], side=7)
    assert reading.attention.shape == (32, 32, 20, 20, 7, 7)
    record = json.loads(encode_scene(Scene(video, (ShownQuestion(reading),)), budget))
    written = len(json.dumps(record["readings"]))
    assert written < (LIMIT - 4 / 3 * usual.picture_bytes) * part


@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf])
def test_attention_that_is_not_a_number_is_refused(strange):
    maps = peaky(1, 1, 2, 9)
    maps[0, 0, 1, 4] = strange
    with pytest.raises(ValueError, match="token 1 is not finite"):
        compress_attention(maps, 3, 3)


# What can be shown


def test_a_reading_needs_its_video(asked):
    with pytest.raises(ValueError, match="give the video"):
        as_scene(asked)


def test_a_reading_of_another_video_is_refused(asked):
    with pytest.raises(ValueError, match="give the video that it was read from"):
        Scene(staged_video(frames=7, height=90, width=160), (ShownQuestion(asked),))


def test_only_readings_of_one_question_are_compared(asked, generic, small_video):
    with pytest.raises(ValueError, match="compare readings of one question"):
        page(asked, small_video, before=generic)


def test_readings_of_other_layers_are_not_compared(asked, generic, small_video):
    fewer = replace(generic, attention=generic.attention[:2], layers=(0, 1))
    with pytest.raises(ValueError, match="other layers or cells"):
        page(asked, small_video, generic=fewer)


def test_the_scene_holds_no_sign_that_could_end_a_script(asked, small_video):
    scene = Scene(small_video, (ShownQuestion(asked),), title="</script><!--\u2028&")
    text = encode_scene(scene, Budget())
    assert not set(text) & set("<>&\u2028\u2029")
    assert json.loads(text)["title"] == "</script><!--\\u2028&"


def test_signs_of_control_are_shown_as_escapes(asked, small_video):
    question = ShownQuestion(asked, name="\x1b[31mred\u202e")
    scene = Scene(small_video, (question,), title="a\nb\x07", model="\u202emodel")
    shown = page(scene)
    assert not set(shown) & set("\x1b\x07\u202e")
    record = json.loads(encode_scene(scene, Budget()))
    assert record["title"] == r"a\nb\x07"
    assert record["questions"][0]["name"] == r"\x1b[31mred\u202e"
    assert record["model"] == r"\u202emodel"


def test_pictures_fit_their_budget(asked, small_video):
    scene = Scene(small_video, (ShownQuestion(asked),))
    for most in (200_000, 20_000, 6_000):
        pictures = json.loads(encode_scene(scene, Budget(picture_bytes=most)))["video"]["pictures"]
        assert sum(len(picture) for picture in pictures) <= most * 4 / 3 + 40 * len(pictures)


def test_a_title_that_names_a_part_of_the_page_stays_a_title(asked, small_video):
    text = page(Scene(small_video, (ShownQuestion(asked),), title="@SCENE@ @SCRIPT@"))
    assert "<title>@SCENE@ @SCRIPT@</title>" in text


# In the browser


def test_clicking_a_token_shows_where_it_looks(look, browser, asked):
    browser.find_elements(By.CSS_SELECTOR, ".gp-chip")[3].click()
    assert look("return state.token") == 3
    error = look("return state.reading.error.mean")
    assert near(shown(look), asked.heatmap(3).values, error)


def test_every_map_in_the_browser_is_the_true_one_within_the_stated_error(look, asked):
    for token in (0, 5, 9):
        for layer, head in ((0, 0), (3, 2), (1, 1)):
            chosen = [[head] if place == layer else [] for place in range(4)]
            got = look(f"return Array.from(state.reading.map({token}, {chosen}))")
            true = asked.attention[layer, head, token]
            assert near(np.array(got), true, look("return state.reading.error.head"))
            mass = float(true.sum())
            assert mass * 0.9999 <= look(f"return state.reading.headMass({token}, {layer}, {head})")
            assert mass * 1.0015 >= look(f"return state.reading.headMass({token}, {layer}, {head})")


def test_sliders_choose_layer_and_head(look, browser, asked):
    for name, steps in (("layer", 3), ("head", 2)):
        slider = browser.find_element(By.CSS_SELECTOR, f"input[data-name={name}]")
        slider.send_keys(*[Keys.ARROW_RIGHT] * steps)
    assert look("return state.selection") == [[], [], [1], []]
    token = look("return state.token")
    error = look("return state.reading.error.head")
    assert near(shown(look), asked.attention[2, 1, token], error)


def test_the_grid_chooses_by_dragging_and_by_label(look, browser, asked):
    grid = browser.find_element(By.CSS_SELECTOR, ".gp-grid")
    cell = look("return viewer.heads.grid.cell")
    middle = (grid.size["width"] / 2, grid.size["height"] / 2)

    def at(head, layer):
        """Where a cell is, from the middle of the grid; -1 is a label."""
        x = 10 if head < 0 else 34 + (head + 0.5) * cell
        y = 30 if layer < 0 else 38 + (layer + 0.5) * cell
        return round(x - middle[0]), round(y - middle[1])

    def drag(start, stop):
        chain = webdriver.ActionChains(browser)
        chain.move_to_element_with_offset(grid, *at(*start)).click_and_hold()
        chain.move_to_element_with_offset(grid, *at(*stop)).release().perform()

    drag((1, 1), (2, 3))
    assert look("return state.selection") == [[], [1, 2], [1, 2], [1, 2]]
    token = look("return state.token")
    true = asked.attention[1:4, 1:3, token].mean(dim=(0, 1))
    assert near(shown(look), true, look("return state.reading.error.head"))
    drag((-1, 2), (-1, 2))
    assert look("return state.selection") == [[], [], [0, 1, 2], []]
    true = asked.heatmap(token, layers=[2]).values
    assert near(shown(look), true, look("return state.reading.error.layer"))


def test_relative_maps_are_those_of_python(look, browser, asked, generic):
    browser.find_element(By.CSS_SELECTOR, "button[data-name=relative]").click()
    token = look("return state.token")
    base = generic.heatmap(token - len(asked.tokens))
    true = asked.heatmap(token).relative_to(base).values
    # An error in either map counts by the floor that keeps the ratio finite.
    error = look("return state.reading.error.mean") * (1 + float(true.max())) / RELATIVE_FLOOR
    assert near(shown(look), true, error)
    assert "times" in browser.find_element(By.CSS_SELECTOR, ".gp-unit").text


def test_a_token_without_counterpart_shows_raw_attention_and_says_so(look, browser):
    browser.find_element(By.CSS_SELECTOR, "button[data-name=relative]").click()
    browser.find_elements(By.CSS_SELECTOR, ".gp-chip")[0].click()
    assert not browser.find_element(By.CSS_SELECTOR, "button[data-name=relative]").is_enabled()
    assert look("return state.mode") == "raw"
    assert "no relative map" in browser.find_element(By.CSS_SELECTOR, ".gp-note").text


def test_before_and_after_show_the_two_readings(look, browser, asked, before):
    token = look("return state.token")
    error = 1e-6
    assert near(shown(look), asked.heatmap(token).values, error)
    browser.find_element(By.CSS_SELECTOR, "button[data-name=before]").click()
    assert near(shown(look), before.heatmap(token).values, error)


def test_arrow_keys_move_frames_and_tokens_and_space_plays(look, browser):
    browser.find_elements(By.CSS_SELECTOR, ".gp-chip")[2].click()
    look("viewer.stage.goTo(0)")
    press(browser, Keys.ARROW_RIGHT)
    press(browser, Keys.ARROW_RIGHT)
    press(browser, Keys.ARROW_LEFT)
    assert look("return state.frame") == 1
    press(browser, Keys.ARROW_DOWN)
    press(browser, Keys.ARROW_DOWN)
    press(browser, Keys.ARROW_UP)
    assert look("return state.token") == 3
    assert browser.switch_to.active_element.get_attribute("data-token") == "3"
    press(browser, Keys.SPACE)
    WebDriverWait(browser, 20).until(lambda _: look("return state.frame") not in (0, 1))
    press(browser, Keys.SPACE)
    assert look("return viewer.stage.playing") is None


def test_the_grid_is_used_by_keyboard(look, browser):
    look("viewer.heads.grid.element.focus()")
    for key in (Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_RIGHT):
        press(browser, key)
    assert look("return state.selection") == [[], [1], [], []]
    press(browser, Keys.SHIFT + Keys.ARROW_RIGHT)
    assert look("return state.selection") == [[], [1, 2], [], []]
    press(browser, "a")
    assert look("return state.allChosen")


def test_play_button_moves_on(look, browser):
    look("viewer.stage.goTo(0)")
    button = browser.find_element(By.CSS_SELECTOR, ".gp-play")
    button.click()
    WebDriverWait(browser, 20).until(lambda _: look("return state.frame") > 0)
    button.click()
    assert button.accessible_name == "Play"


@pytest.mark.usefixtures("look")
def test_every_control_has_a_name(browser):
    for control in browser.find_elements(By.CSS_SELECTOR, "button, input, canvas.gp-grid"):
        if control.is_displayed():
            assert control.accessible_name, control.get_attribute("outerHTML")


@pytest.mark.usefixtures("look")
def test_role_tokens_are_marked_in_words_too(browser):
    chips = browser.find_elements(By.CSS_SELECTOR, ".gp-chip")
    names = [chip.accessible_name for chip in chips]
    assert ["role token" in name for name in names] == [False] * 6 + [True] * 5
    assert sum("grounding token" in name for name in names) == 1


def test_the_page_draws_something_and_complains_of_nothing(look, browser):
    spread = look(
        "const canvas = viewer.stage.picture;"
        "const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);"
        "return Math.max(...data.slice(0, 40000)) - Math.min(...data.slice(0, 40000))"
    )
    assert spread > 50
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.mark.usefixtures("look")
def test_the_page_asks_no_network(browser):
    entries = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    addresses = [
        entry["params"]["request"]["url"]
        for entry in entries
        if entry["method"] == "Network.requestWillBeSent"
    ]
    assert addresses
    assert {address.split(":")[0] for address in addresses} <= {"file", "data", "blob"}


def test_what_a_user_wrote_stays_text(opened, browser, small_video, generic):
    words = ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "&amp;"]
    reading = staged_reading(small_video, words, layers=4, heads=3, side=5)
    video = replace(small_video, path=Path("<b>clip<b>.mp4"))
    look = opened(page(reading, video, generic=generic))
    assert browser.title == reading.prompt.question
    text = browser.find_element(By.CSS_SELECTOR, ".gp").text
    assert "<script>alert(1)</script>" in text
    assert "<b>clip<b>.mp4" in text
    assert look("return document.querySelectorAll('.gp script, .gp img, .gp b').length") == 0
    assert look("return document.querySelectorAll('.gp-chip .gp-text').length") == 9


@pytest.mark.slow
def test_twenty_frames_of_a_large_model_fit_and_are_decoded_within_the_error(opened):
    video = staged_video()
    asked = staged_reading(video, [f"word{i}" for i in range(34)])
    generic = staged_reading(video, ["Describe", "this", "video"], seed=1)
    assert asked.attention.shape == (32, 32, 40, 20, 12, 12)
    text = page(asked, video, generic=generic)
    assert len(text.encode()) < LIMIT
    look = opened(text)
    rng = np.random.default_rng(0)
    for layer, head, token in rng.integers(0, (32, 32, 40), (6, 3)):
        chosen = [[int(head)] if place == layer else [] for place in range(32)]
        got = look(f"return Array.from(state.reading.map({token}, {chosen}))")
        true = asked.attention[layer, head, token]
        assert near(np.array(got), true, look("return state.reading.error.head"))
        assert int(np.argmax(got)) == int(true.argmax())
    assert near(np.array(look("return Array.from(state.reading.meanMap(7))")),
                asked.heatmap(7).values, look("return state.reading.error.mean"))  # fmt: skip

    assert max(seconds_to_answer(look).values()) < SMOOTH


def seconds_to_answer(look):
    """How long the page takes to draw another token, head, set of heads or frame (median)."""
    ways = {
        "token": "viewer.pickToken(n)",
        "head": "viewer.select([n], [n])",
        "heads of four layers": "viewer.select([n, n + 1, n + 2, n + 3], [...Array(16).keys()])",
        "frame": "viewer.stage.goTo(n)",
    }
    timed = """
        const times = [];
        for (let n = 0; n < 9; n++) {
          const start = performance.now();
          %s;
          viewer.stage.picture.getContext("2d").getImageData(0, 0, 1, 1);  // wait until it is drawn
          times.push(performance.now() - start);
        }
        return times.sort((a, b) => a - b)[4] / 1000;
    """
    return {name: look(timed % way) for name, way in ways.items()}


def test_the_notebook_widget_mounts_the_same_page(browser, tmp_path, asked, small_video):
    widget = probe.show(asked, small_video)
    assert isinstance(widget, Viewer)
    source = json.dumps(load_script("widget.js")).replace("<", "\\u003c")
    scene = json.dumps(widget.scene).replace("<", "\\u003c")
    path = tmp_path / "notebook.html"
    path.write_text(
        f"<style>{load_style()}</style><div id=cell></div><script type=module>"
        f"const code = URL.createObjectURL(new Blob([{source}], {{type: 'text/javascript'}}));"
        "const widget = (await import(code)).default;"
        f"const model = {{ get: () => {scene} }};"
        "widget.render({ model, el: document.getElementById('cell') });"
        "</script>"
    )
    look = open_file(browser, path)
    assert look("return state.reading.tokens.length") == len(asked.tokens)
    browser.find_elements(By.CSS_SELECTOR, "#cell .gp-chip")[2].click()
    assert near(shown(look), asked.heatmap(2).values, look("return state.reading.error.mean"))


# With a model


@pytest.fixture(scope="module")
def learned(organism, clip, tmp_path_factory):
    """An answer with everything in it, saved next to its video."""
    folder = tmp_path_factory.mktemp("answer")
    clip.write(folder / "clip.mp4", scale=1)
    video = probe.read_video(folder / "clip.mp4", 8)
    config = replace(probe.PLAIN, layers=(1, 2), learn_where=Learning(), assembly="mean")
    answer = probe.ground(organism, video, clip.things[0].query, config=config)
    answer.save(folder / "answer.json")
    return answer, folder


@pytest.fixture(scope="module")
def scene(learned, organism):
    """The saved answer, read again with the model."""
    answer, folder = learned
    saved = open_answer(folder / "answer.json")
    return show_answer(saved, organism.watch(saved.video), truth=answer.whole_track)


def test_an_answer_looked_at_again_is_the_same_answer(learned, scene):
    answer, _ = learned
    where, when, back = scene.questions
    assert_equal_up_to_rounding(where.heatmap.values, answer.where.heatmap.values)
    same = [token - len(when.reading.tokens) for token in when.chosen]
    again = when.reading.heatmap(when.chosen, when.layers)
    again = again.relative_to(when.generic.heatmap(same, when.layers))
    assert_equal_up_to_rounding(again.values, answer.when.heatmap.values)
    assert where.before.reading.margin < where.reading.margin
    assert when.before is None
    # The answer read its attribute part in both frame orders, and joined them.
    assert back.name == "where, reversed"
    token = [place - len(where.reading.tokens) for place in where.chosen]
    forward = where.reading.heatmap(where.chosen, where.layers)
    forward = forward.relative_to(where.generic.heatmap(token, where.layers))
    joined = assemble([forward, back.heatmap.reversed()], "mean")
    assert_equal_up_to_rounding(joined.values, answer.where.heatmap.values)
    assert back.before.heatmap is None


def test_a_reversed_map_is_drawn_on_the_frames_that_it_is_of(learned, organism, opened):
    answer = probe.ground(organism, learned[0].video, learned[0].queries.whole)
    look = opened(page(answer, model=organism))
    assert look("return viewer.scene.questions.map(({ name }) => name)")[-1] == "when, reversed"
    look("viewer.openQuestion(2)")
    joined = as_scene(answer, model=organism).questions[2].heatmap
    assert joined is not None
    back = joined.reversed()
    for frame in range(len(answer.video)):
        drawn = look(f"return Array.from(state.frameValues({frame}))")
        assert_equal_up_to_rounding(np.array(drawn), back.values[frame].flatten())


def test_the_answers_page_shows_its_map_its_boxes_and_its_span(learned, scene, opened, browser):
    answer, _ = learned
    look = opened(page(scene))
    chosen = look("return state.selection.map((heads) => heads.length > 0)")
    assert [layer for layer, any_head in enumerate(chosen) if any_head] == [1, 2]
    assert look("return state.mode") == "answered"
    assert_equal_up_to_rounding(shown(look), answer.where.heatmap.values.flatten())
    assert look("return viewer.scene.answer.span") == pytest.approx(answer.seconds, abs=1e-3)
    labels = [row.text for row in browser.find_elements(By.CSS_SELECTOR, ".gp-check")]
    assert "Truth" in labels
    assert sum("track" in label for label in labels) == len(answer.candidates)
    assert sum("chosen" in label for label in labels) == 1
    boxes = browser.find_elements(By.CSS_SELECTOR, ".gp-boxes input")
    boxes[-1].click()
    assert look("return [...viewer.stage.boxes.candidates]") == [len(answer.candidates) - 1]
    boxes[0].click()
    assert look("return viewer.stage.boxes.tube") is False


@pytest.mark.parametrize("preset", ["plain", "causal", "paper"])
def test_the_page_of_a_picture_has_its_box_and_no_time(organism, clip, opened, browser, preset):
    picture = probe.read_image(clip.video().frames[4])
    answer = probe.ground(organism, picture, clip.things[0].query, config=preset)
    look = opened(page(answer, model=organism))
    assert look("return viewer.scene.questions.map(({ name }) => name)") == ["where"]
    assert look("return viewer.scene.answer.span") is None
    assert look("return viewer.scene.answer.tube.boxes") == answer.tube.boxes.round(2).tolist()
    assert_equal_up_to_rounding(shown(look), answer.where.heatmap.values.flatten())
    for part in (".gp-play", ".gp-strip", ".gp-transport"):
        assert not browser.find_elements(By.CSS_SELECTOR, part)
    text = browser.find_element(By.CSS_SELECTOR, ".gp").text
    assert "a picture" in text
    assert not re.search(r"\d s\b|[Pp]lay|[Ff]rame|track|undefined|object", text)
    before = look("return state.frame")
    look(
        "viewer.key({ target: document.body, key: ' ', preventDefault() {}, stopPropagation() {} })"
    )
    assert (look("return viewer.stage.playing"), look("return state.frame")) == (None, before)


@pytest.mark.parametrize("preset", ["plain", "causal", "best"])
def test_an_answer_in_hand_and_its_saved_run_open_on_the_same_map(
    preset, learned, organism, tmp_path, monkeypatch, opened, browser
):
    answer = probe.ground(organism, learned[0].video, learned[0].queries.whole, config=preset)
    answer.save(tmp_path / "answer.json")
    run = tmp_path / "run.html"
    monkeypatch.setattr("sys.argv", ["probe", "view", str(tmp_path), "--html", str(run)])
    main()
    state = "return [state.mode, state.token, state.frame, state.current.chosen, state.current.use]"
    look = open_file(browser, run)
    saved, first = [shown(look)], look(state)
    look("viewer.openQuestion(1)")
    saved.append(shown(look))
    for text in (page(answer), page(answer, model=organism)):
        look = opened(text)
        assert look(state) == first
        assert first[0] == "answered"
        for number, map_ in enumerate(saved):
            look(f"viewer.openQuestion({number})")
            assert_equal_up_to_rounding(shown(look), map_)


def test_relative_maps_are_there_for_every_answer_that_is_read_again(learned, organism, opened):
    answer, _ = learned
    for preset in ("plain", "causal"):
        found = probe.ground(organism, answer.video, answer.queries.whole, config=preset)
        look = opened(page(found, model=organism))
        look("viewer.state.pickMode('relative'); viewer.refresh()")
        where = look("return state.mode"), shown(look)
        (asked, generic) = organism.watch(answer.video).read(found.where.question, probe.GENERIC)
        token = look("return state.token")
        base = generic.heatmap(token - len(asked.tokens))
        true = asked.heatmap(token).relative_to(base).values
        error = look("return state.reading.error.mean") * (1 + float(true.max())) / RELATIVE_FLOOR
        assert where[0] == "relative"
        assert near(where[1], true, error)


def test_an_answer_in_hand_says_which_readings_it_does_not_hold(learned, organism, opened, browser):
    answer, _ = learned
    opened(page(answer))
    text = browser.find_element(By.CSS_SELECTOR, ".gp-missing").text
    assert "layers other than 1, 2" in text
    assert "generic prompt" in text
    assert "before re-attention" in text
    assert "reverse frame order" in text
    assert not browser.find_element(By.CSS_SELECTOR, "button[data-name=relative]").is_enabled()
    opened(page(answer, model=organism))
    assert not browser.find_element(By.CSS_SELECTOR, ".gp-missing").is_displayed()
    assert browser.find_element(By.CSS_SELECTOR, "button[data-name=relative]").is_enabled()


def test_what_belongs_to_a_reading_is_refused_of_an_answer(learned, asked, small_video, organism):
    answer, _ = learned
    with pytest.raises(ValueError, match="belong to a reading, not to this Answer"):
        page(answer, generic=asked)
    with pytest.raises(ValueError, match="to read an answer again"):
        page(asked, small_video, model=organism)


def test_the_truth_is_shown_for_whatever_is_shown(learned, asked, small_video):
    answer, _ = learned
    tube = answer.whole_track
    scenes = [as_scene(answer, truth=tube), as_scene(asked, small_video, truth=tube)]
    assert all(as_scene(scene, truth=tube).truth is tube for scene in scenes)
    assert all(scene.truth is tube for scene in scenes)


def test_the_page_says_what_chose_the_track(learned, organism, opened, browser):
    def read(config, query=learned[0].queries.whole):
        answer = probe.ground(organism, learned[0].video, query, config=config)
        opened(page(answer))
        parts = (".gp-scores", ".gp-note")
        return [browser.find_element(By.CSS_SELECTOR, part).text for part in parts]

    scores, note = read("causal")
    assert "the model's own answer, in logits over the root of their number" in scores
    assert "The track was not chosen by this map" in note
    scores, note = read("plain")
    assert "strongest cell of the map" in scores
    assert "The track was chosen by this map" in note
    # Where the model says no to everything, attention chooses after all.
    scores, note = read("causal", "the purple octopus that juggles")
    assert "strongest cell of the map" in scores
    assert "The track was chosen by this map" in note
    scores, note = read(replace(probe.PLAIN, track=prefer_last))
    assert "prefer_last" in scores
    assert "prefer_last" in note


def prefer_last(view, queries, where, candidates):  # noqa: ARG001  a rule of a user
    return range(len(candidates))


@pytest.fixture
def resize(browser):
    """Give the page another size; the size of before comes back after the test."""

    def set_size(width, height):
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    yield set_size
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def place(look, selector):
    """Left, top, right and bottom of the first such element, in pixels of the window."""
    inside = "const { left, top, right, bottom }"
    box = f"document.querySelector('{selector}').getBoundingClientRect()"
    return look(f"{inside} = {box}; return [left, top, right, bottom];")


def test_on_a_phone_nothing_sticks_out_and_the_video_is_on_the_first_screen(
    learned, organism, opened, resize
):
    answer, _ = learned
    doubts = ("the model says no to the whole query, its attributes and its action",) * 3
    long = replace(answer, doubts=doubts, queries=replace(answer.queries, whole="word " * 40))
    words = [f"word{number}" for number in range(53)] + ["Donaudampfschifffahrtsgesellschaft" * 3]
    video = staged_video()
    many = staged_reading(video, words, layers=32, heads=32, side=5)
    for text in (page(answer, model=organism), page(long), page(many, video)):
        look = opened(text)
        for width, height in ((390, 844), (320, 700), (800, 1000), (1400, 1000)):
            resize(width, height)
            look("viewer.show()")
            assert look("return document.documentElement.scrollWidth") <= width
            assert place(look, ".gp-picture")[3] < height
            if width > 400:
                continue
            order = (".gp-head", ".gp-stage", ".gp-tokens", ".gp-side", ".gp-foot")
            tops = [place(look, part)[1] for part in order]
            assert tops == sorted(tops)


def test_sixty_tokens_and_a_thousand_heads_scroll_in_their_own_boxes(opened, resize):
    video = staged_video()
    words = [f"word{number}" for number in range(54)]
    look = opened(page(staged_reading(video, words, layers=40, heads=64, side=5), video))
    resize(390, 844)
    look("viewer.show()")
    assert look("return viewer.heads.grid.cell") >= 9
    sizes = "const box = document.querySelector('{}'); return [box.scrollWidth, box.clientWidth]"
    wide, seen = look(sizes.format(".gp-scroll"))
    assert wide > seen
    assert look("return document.documentElement.scrollWidth") <= 390
    for token in (0, 30, 59, 2):
        look(f"viewer.pickToken({token})")
        _, top, _, bottom = place(look, f'.gp-chip[data-token="{token}"]')
        box = place(look, ".gp-tokens")
        assert box[1] <= top < bottom <= box[3]


def test_long_tokens_and_long_questions_are_clipped_where_they_are(opened, small_video, resize):
    words = ["Donaudampfschifffahrtsgesellschaft" * 3, "next"]
    readings = [
        staged_reading(small_video, [f"number{number}", *words], layers=2, heads=2, side=5)
        for number in range(4)
    ]
    look = opened(page(Scene(small_video, tuple(map(ShownQuestion, readings)))))
    for width in (390, 1400):
        resize(width, 844)
        look("viewer.show()")
        assert look("return document.documentElement.scrollWidth") <= width
        (_, _, right, _), (left, *_) = (
            place(look, f'.gp-chip[data-token="{token}"]') for token in (1, 2)
        )
        # Next to its neighbour, or on a line of its own.
        assert 0 < left - right < 20 or left < right
        title = look("return viewer.tokens.chips[1].title")
        assert words[0] in title
        for number in range(4):
            begin, _, end, _ = place(look, f'.gp-choice [data-name="{number}"]')
            assert end - begin > 100


def test_an_answer_in_hand_shows_its_own_maps_without_a_model(learned):
    answer, _ = learned
    where, when = as_scene(answer).questions
    assert where.heatmap is answer.where.heatmap
    assert when.chosen == answer.when.tokens
    assert isinstance(probe.show(answer), Viewer)


def test_an_answer_of_other_frames_is_refused(learned, organism):
    _, folder = learned
    saved = open_answer(folder / "answer.json")
    with pytest.raises(ValueError, match="as many frames sampled"):
        show_answer(saved, organism.watch(probe.read_video(folder / "clip.mp4", 4)))


def test_questions_are_compared_before_and_after_learning(organism, video):
    view = organism.watch(video)
    question = "Is there a red circle in this video?"
    (shown,) = ask_questions(view, question, learning=Learning(layer=1)).questions
    (plain,) = view.read(question)
    assert shown.before is not None
    assert_equal_up_to_rounding(shown.before.reading.attention, plain.attention)
    assert not torch.equal(shown.reading.attention[-1], plain.attention[-1])


def test_an_answer_under_an_intervention_is_read_again_under_it(learned, organism, tmp_path):
    answer, _ = learned
    config = replace(probe.PLAIN, interventions=(probe.Cut(layers=(1, 2)),))
    blind = probe.ground(organism, answer.video, answer.queries.whole, config=config)
    blind.save(tmp_path / "answer.json")
    saved = open_answer(tmp_path / "answer.json")
    _, when = show_answer(saved, organism.watch(saved.video)).questions
    assert_equal_up_to_rounding(when.reading.margin, blind.when.margin, scale=when.reading.logits)
    assert abs(when.reading.margin - answer.when.margin) > 0.01


def test_a_loaded_answer_in_hand_says_that_the_model_is_needed(learned):
    _, folder = learned
    with pytest.raises(ValueError, match=r"probe\.page\(answer, model=model\)"):
        as_scene(open_answer(folder / "answer.json"))


@pytest.fixture
def moved(learned, tmp_path):
    """A copy of the answer that says its video is somewhere else; gives a function for that."""
    _, folder = learned
    record = json.loads((folder / "answer.json").read_text())

    def move(source):
        video = {**record["video"], "path": source}
        (tmp_path / "answer.json").write_text(json.dumps({**record, "video": video}))
        return tmp_path / "answer.json"

    return move


def test_an_answer_that_was_moved_with_its_video_is_opened(learned, moved, tmp_path):
    answer, folder = learned
    shutil.copy(folder / "clip.mp4", tmp_path)
    opened = open_answer(moved("/gone/clip.mp4"))
    assert opened.video.path == tmp_path / "clip.mp4"
    assert (opened.video.frames == answer.video.frames).all()


@pytest.mark.parametrize(
    ("source", "complaint"), [("/gone/clip.mp4", r"clip\.mp4"), (None, "where its video is")]
)
def test_an_answer_whose_video_is_gone_says_so(moved, source, complaint):
    with pytest.raises(ValueError, match=complaint):
        open_answer(moved(source))


@pytest.mark.parametrize(
    ("written", "complaint"),
    [("[]", "not an answer"), ("{", "cannot be read as JSON"), ('{"video": 0}', "not an answer")],
)
def test_a_file_that_is_no_answer_says_so(tmp_path, written, complaint):
    (tmp_path / "answer.json").write_text(written)
    with pytest.raises(ValueError, match=complaint):
        open_answer(tmp_path / "answer.json")


@pytest.fixture
def command(monkeypatch, tmp_path):
    """Run `probe view`; gives the scene of the page that it wrote."""

    def run(*words):
        out = tmp_path / "pages" / "look.html"
        monkeypatch.setattr("sys.argv", ["probe", "view", *map(str, words), "--html", str(out)])
        main()
        found = re.search(r'id="scene">(.*?)</script>', out.read_text(), re.DOTALL)
        assert found is not None
        return json.loads(found[1])

    return run


@pytest.mark.slow
def test_the_command_makes_a_page_of_an_answer(learned, command):
    answer, folder = learned
    scene = command(folder)
    assert [question["name"] for question in scene["questions"]] == [
        "where",
        "when",
        "where, reversed",
    ]
    assert scene["title"] == answer.queries.whole


@pytest.mark.slow
def test_the_command_makes_a_page_of_a_question(learned, command):
    _, folder = learned
    question = "Is there a red circle in this video?"
    scene = command(folder / "clip.mp4", question, "--reattend", "1")
    assert scene["title"] == question
    assert scene["questions"][0]["before"] is not None


def test_the_command_refuses_questions_beside_an_answer(learned, command, capsys):
    _, folder = learned
    with pytest.raises(SystemExit) as stop:
        command(folder, "and this?")
    assert stop.value.code == 2
    assert "brings its own questions" in capsys.readouterr().err


def test_the_path_may_come_first_as_it_once_did(tmp_path, asked, small_video):
    text = page(asked, small_video)
    new, old, named = (tmp_path / name for name in ("new.html", "old.html", "named.html"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_page(text, new)
        save_page(text, str(new))
        save_page(text="not HTML", path=named)
    last = r"^save_page takes its path last now: save_page\(text, path\)$"
    # The arguments as they once were, which the types of today do not have.
    calls: list[tuple[Any, Any]] = [
        ((old, text), {}),
        ((str(old), text), {}),
        ((named,), {"text": text}),
    ]
    for arguments, names in calls:
        with pytest.warns(DeprecationWarning, match=last):
            save_page(*arguments, **names)
    assert new.read_text() == old.read_text() == named.read_text() == text


def test_a_page_is_not_saved_where_there_is_no_folder(tmp_path):
    with pytest.raises(ValueError, match="gone does not exist; make it first"):
        save_page("<p>", tmp_path / "gone" / "page.html")
