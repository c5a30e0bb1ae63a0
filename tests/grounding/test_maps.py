from dataclasses import replace

import pytest

import probe
from probe.grounding.answers import Answer
from probe.grounding.presets import PLAIN
from probe.interpret.word_lens import word_lens
from probe.organism.world import make_clip

pytestmark = pytest.mark.slow  # each is quick; what they share takes seconds

QUERY = "the red circle that jumps"


def lens(view, text):
    return word_lens(view, text, 2)


def lowest(view, _):
    return word_lens(view, "red", 0)


@pytest.fixture(scope="module")
def model():
    return probe.load()


@pytest.fixture(scope="module")
def clip():
    return make_clip(6).video()


def test_a_rule_for_maps_takes_the_place_of_attention_in_both_parts(model, clip, tmp_path):
    asked = []

    def told(view, text):
        asked.append(text)
        return lens(view, text)

    answer = probe.ground(model, clip, QUERY, config=replace(PLAIN, maps=told))
    assert asked == [answer.queries.attribute, answer.queries.action]
    view = model.watch(clip)
    for look, text in ((answer.where, asked[0]), (answer.when, asked[1])):
        assert (look.heatmap.values == lens(view, text).values).all()
        assert look.tokens == ()
        assert look.reading is not None  # the model was asked all the same
    whole = replace(PLAIN, maps=told, ask_whole=True)
    probe.ground(model, clip, QUERY, config=whole)
    assert asked[2:] == [QUERY, QUERY]
    # What can be found again is named in a saved answer, and drawn as any other.
    named = probe.ground(model, clip, QUERY, config=replace(PLAIN, maps=lens))
    named.save(tmp_path / "answer.json")
    assert Answer.load(tmp_path / "answer.json", clip).config.maps is lens
    assert "no token" in repr(named.where)
    named.figure(tmp_path / "answer.png")
    assert "no attention, but that of" in probe.page(named, model=model)


def test_maps_of_both_frame_orders_are_joined_where_the_configuration_says_so(model, clip):
    both = replace(PLAIN, maps=lowest, assembly="mean")
    answer = probe.ground(model, clip, QUERY, config=both)
    # Embeddings do not depend on the order, so both maps are the same once one is turned back.
    assert answer.where.consistency == pytest.approx(1)


def test_what_is_no_map_of_the_view_is_refused_in_one_line(model, clip):
    config = replace(PLAIN, maps=lambda view, _: view.states(0))
    with pytest.raises(ValueError, match="gave a Tensor; give a Heatmap"):
        probe.ground(model, clip, QUERY, config=config)
