"""The word lens against cosines computed by hand, and the laws that follow from a cosine."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tolerances import assert_differ_beyond_rounding, assert_equal_up_to_rounding, tolerance
from zoo import ZOO, moving, save_tiny

from probe.engine.latent_prompts import zero_prompt
from probe.engine.model import load
from probe.interpret.knockouts import Cut
from probe.interpret.word_lens import knows_word, word_lens
from probe.organism.world import make_clip


@pytest.fixture(params=["organism", "tiny"])
def view(request, video):
    return request.getfixturevalue(request.param).watch(video)


def cosines(view, layer, ids):
    """Cosine of each cell's state with the mean embedding of some tokens, by NumPy alone."""
    table = view.checkpoint.module.get_input_embeddings().weight.double().numpy()
    word = table[list(ids)].mean(axis=0)
    states = view.states(layer)[view.grid.positions].detach().double().numpy()
    norms = np.linalg.norm(states, axis=1) * np.linalg.norm(word)
    return (states @ word / norms).reshape(view.grid.shape)


def ids_of(view, *tokens):
    return view.checkpoint.processor.tokenizer.convert_tokens_to_ids(list(tokens))


def test_the_lens_is_a_sum_of_cosines_averaged_over_layers(organism, video):
    view = organism.watch(video)
    red, circle = ids_of(view, "red", "circle")
    for layers, used in ((0, (0,)), ((1, -1), (1, 4)), (None, range(5))):
        expected = np.mean(
            [cosines(view, layer, [red]) + cosines(view, layer, [circle]) for layer in used], axis=0
        )
        assert_equal_up_to_rounding(word_lens(view, ["red", "circle"], layers).values, expected)


def test_a_word_of_several_tokens_has_their_mean_embedding(organism, video):
    view = organism.watch(video)
    parts = ids_of(view, "A", "##SS", "##IST", "##ANT")
    assert_equal_up_to_rounding(
        word_lens(view, "ASSISTANT", 2).values, cosines(view, 2, parts), scale=[1]
    )


def test_each_word_adds_its_own_map_and_a_text_is_its_words(view):
    alone = [word_lens(view, word, 1).values for word in ("red", "circle", "jumps")]
    for words in ("red circle jumps", ["red", "circle", "jumps"], ("red circle", "jumps")):
        assert_equal_up_to_rounding(word_lens(view, words, 1).values, sum(alone))
    assert_differ_beyond_rounding(alone[0], alone[1])


def test_the_scale_of_states_and_embeddings_does_not_matter(view):
    larger = replace(view.prefix, embeddings=7 * view.prefix.embeddings)
    plain = word_lens(view, "red", 0).values
    assert_equal_up_to_rounding(word_lens(view.with_prefix(larger), "red", 0).values, plain)
    negative = replace(view.prefix, embeddings=-view.prefix.embeddings)
    assert_equal_up_to_rounding(word_lens(view.with_prefix(negative), "red", 0).values, -plain)


def test_a_cell_that_is_a_words_embedding_has_the_greatest_value_and_its_opposite_the_least(view):
    (token,) = (one for one in view.writer.write("a red").tokens if one.text == "red")
    embeddings = view.prefix.embeddings.clone()
    embeddings[view.grid.positions[0]] = view.checkpoint.embed([token.id])[0]
    embeddings[view.grid.positions[1]] = -view.checkpoint.embed([token.id])[0]
    shown = view.with_prefix(replace(view.prefix, embeddings=embeddings))
    for count in (1, 3):
        values = word_lens(shown, ["red"] * count, 0).values.flatten()
        assert_equal_up_to_rounding(values[:2], [count, -count])
        assert values.abs().max() <= count + tolerance(count)


def test_it_turns_with_the_frames_at_the_input(view):
    turned = word_lens(view.reversed(), "red", 0)
    assert_equal_up_to_rounding(turned.reversed().values, word_lens(view, "red", 0).values)


def test_what_is_done_while_questions_are_read_does_not_reach_it(view):
    assert torch.equal(word_lens(view.under(Cut()), "red").values, word_lens(view, "red").values)


@pytest.mark.slow
@pytest.mark.parametrize("family", ZOO)
def test_in_every_family_the_word_is_the_one_within_a_sentence(family, tmp_path):
    save_tiny(family, tmp_path)
    view = load(tmp_path, dtype="float32").watch(moving())
    tokenizer = view.checkpoint.processor.tokenizer
    before, both = (tokenizer(text).input_ids for text in ("circle", "circle red"))
    word = both[len(before) :]
    assert_equal_up_to_rounding(word_lens(view, "red", 1).values, cosines(view, 1, word), scale=[1])


@pytest.mark.slow
def test_in_the_organism_a_thing_is_like_its_own_words_and_not_like_anothers(organism):
    right = []
    for seed in range(7, 15):
        clip = make_clip(seed)
        view = organism.watch(clip.video())
        for thing in clip.things:
            heatmap = word_lens(view, thing.attribute)
            right.append(heatmap.points_at(thing.track()))
    assert np.mean(right) > 0.8


def test_what_cannot_be_read_is_refused_in_one_line(view, organism, video):
    blank = zero_prompt(view.model, view.grid, view.prefix.embeddings.shape[1], 1)
    depth = view.checkpoint.depth
    for changed, words, layers, reason in (
        (view.with_latent(blank), "red", 0, "give the plain view"),
        (view, "", None, "there is no word to look for"),
        (view, [], None, "there is no word to look for"),
        (view, "red", depth, f"no layer \\[{depth}\\]"),
        (organism.watch(video), "red zeppelin", None, "'zeppelin' is unknown"),
    ):
        with pytest.raises(ValueError, match=reason) as refused:
            word_lens(changed, words, layers)
        assert "\n" not in str(refused.value)


def test_a_word_is_known_if_all_of_its_tokens_are(organism, video):
    view = organism.watch(video)
    known = {word: knows_word(view, word) for word in ("red", "RED", "ASSISTANT", "ASSIST-x")}
    assert known == {"red": True, "RED": False, "ASSISTANT": True, "ASSIST-x": False}
