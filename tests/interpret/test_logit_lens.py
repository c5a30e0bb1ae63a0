"""The logit lens against one plain product of all states with the whole head."""

import pytest
import torch
from shown import image_of
from tolerances import assert_equal_up_to_rounding

from probe.engine.latent_prompts import zero_prompt
from probe.engine.prompts import surfaces
from probe.interpret import logit_lens as module
from probe.interpret.cuts import CutVideo
from probe.interpret.logit_lens import LogitLens, logit_lens


@pytest.fixture(params=["organism", "tiny"])
def view(request, video):
    return request.getfixturevalue(request.param).watch(video)


@pytest.fixture
def lens(view):
    return logit_lens(view, ["red circle", "jumps"], top=3)


def plain_logits(view, layer):
    """Logits of all cells at one layer, computed at once by the model's own parts."""
    states = view.states(layer)[view.grid.positions]
    network = view.checkpoint.module
    return network.lm_head(network.model.language_model.norm(states)).detach()


def test_it_equals_the_head_of_all_states_at_once_though_it_reads_in_blocks(
    view, lens, monkeypatch
):
    tokenizer = view.checkpoint.processor.tokenizer
    monkeypatch.setattr(module, "MOST_LOGITS", 7 * len(tokenizer))  # blocks of a few cells
    blocks = logit_lens(view, ["red circle", "jumps"], top=3)
    assert lens.words == ("red", "circle", "jumps")
    for layer in range(view.checkpoint.depth):
        logits = plain_logits(view, layer)
        said = logits.log_softmax(-1)
        for place, word in enumerate(lens.words):
            (token,) = tokenizer.encode(word, add_special_tokens=False)
            ours = lens.log_probabilities[place, layer].flatten()
            assert_equal_up_to_rounding(ours, said[:, token])
            rank = 1 + (logits > logits[:, [token]]).sum(-1)
            assert torch.equal(lens.ranks[place, layer].flatten(), rank)
        best = said.topk(3)
        assert_equal_up_to_rounding(lens.top_log_probabilities[layer].flatten(0, 2), best.values)
        texts = [lens.tokens[token] for token in lens.top[layer].flatten().tolist()]
        assert texts == [tokenizer.decode([token]) for token in best.indices.flatten().tolist()]
    assert_equal_up_to_rounding(blocks.log_probabilities, lens.log_probabilities)
    assert torch.equal(blocks.ranks, lens.ranks)


def test_a_word_is_its_forms_together_and_ranked_by_the_likeliest(organism, video):
    view = organism.watch(video)
    yes = {form: logit_lens(view, form, -1) for form in ("yes", "Yes")}
    assert yes["yes"].words == ("yes",)
    assert torch.equal(yes["yes"].ranks, yes["Yes"].ranks)
    forms = surfaces(view.checkpoint.processor.tokenizer, "yes")
    assert len(forms) > 1
    alone = logit_lens(view, forms, -1)
    assert len(alone.words) == len(forms)
    together = sum(alone.heatmap(word).values for word in alone.words)
    assert_equal_up_to_rounding(yes["yes"].heatmap().values, together)
    assert torch.equal(yes["yes"].ranks[0], alone.ranks.amin(0))


def test_a_map_is_a_probability_averaged_over_layers_and_a_cell_says_what_ranks_first(lens):
    red = lens.heatmap("red", (0, 2))
    assert_equal_up_to_rounding(red.values, lens.log_probabilities[0, [0, 2]].exp().mean(0))
    assert red.cells == lens.cells
    said = lens.top_words(red.peak)
    assert list(said.groupby("layer")["rank"].max()) == [3] * len(lens.layers)
    first = lens.ranks[(slice(None), slice(None), *red.peak)] == 1
    for word, layer in first.nonzero().tolist():
        row = said[(said.layer == layer) & (said["rank"] == 1)]
        assert row.word.item() == lens.words[word]
    # Probabilities of what is said are those of the map, and no more than one together.
    assert said.groupby("layer").probability.sum().max() <= 1 + 1e-5


def test_the_states_of_several_layers_are_those_of_each_alone_also_where_edges_are_cut(view):
    for seen in (view, view.under(CutVideo(layers=(0, 2)))):
        several = seen.cache.states_at((1, 3), view.grid.positions)
        for layer, states in zip((1, 3), several, strict=True):
            assert_equal_up_to_rounding(states, seen.states(layer)[view.grid.positions])
    assert not torch.equal(view.states(3), seen.states(3))


def test_it_is_kept_printed_and_drawn(lens, tmp_path):
    path = tmp_path / "lens.safetensors"
    lens.save(path)
    assert LogitLens.load(path) == lens
    assert "tensor" not in repr(lens)
    assert len(lens.to_frame()) == lens.ranks.numel()
    assert lens.to_frame().log_probability.max() <= 0
    image_of(lens._repr_html_())


def test_what_cannot_be_read_is_refused_in_one_line(view, lens):
    blank = zero_prompt(view.model, view.grid, view.prefix.embeddings.shape[1], 1)
    for ask, reason in (
        (lambda: logit_lens(view.with_latent(blank), "red"), "give the plain view"),
        (lambda: logit_lens(view, "zeppelin"), "'zeppelin' is unknown"),
        (lambda: logit_lens(view, "ASSISTANT"), "not one token of this model but 'A', '##SS'"),
        (lambda: logit_lens(view, 10**6), "there is no token 1000000"),
        (lambda: logit_lens(view, "red", 9), "no layer \\[9\\]"),
        (lambda: logit_lens(view, "red", top=0), "top=0: give"),
        (lambda: lens.heatmap("green"), "was not asked for the word 'green'"),
        (lambda: lens.heatmap("red", 9), "layers \\[9\\] were not all read"),
        (lambda: lens.top_words((0, 99, 0)), "there is no cell"),
    ):
        with pytest.raises(ValueError, match=reason) as refused:
            ask()
        assert "\n" not in str(refused.value)
