"""Baseline maps against plain eager passes and direct formulas."""

from dataclasses import replace

import pytest
import torch
from tolerances import assert_equal_up_to_rounding

from probe.drawing.figures import compare_maps
from probe.engine.latent_prompts import LatentPrompt, zero_prompt
from probe.engine.model import load
from probe.engine.readings import yes_minus_no
from probe.interpret.baseline_maps import (
    attention_gradients,
    attention_rollout,
    entropy_gradient,
    gradient_attention,
    last_token,
)
from probe.interpret.knockouts import Cut, MeanAblation
from probe.interpret.logit_lens import logit_lens

QUESTION = "Is there a red circle in this video?"


@pytest.fixture(params=[True, False], ids=["organism", "random weights"])
def shipped(request):
    return request.param


@pytest.fixture
def view(shipped, organism, tiny, video):
    return (organism if shipped else tiny).watch(video)


@pytest.fixture
def eager(shipped, tiny_folder, view):
    """Full attention matrices of one plain pass, with a graph from the margin to each of them."""
    checkpoint = (load() if shipped else load(tiny_folder, dtype="float32")).checkpoint
    checkpoint.module.set_attn_implementation("eager")
    asked = checkpoint.embed(view.writer.write(QUESTION).ids)
    embeddings = torch.cat([view.prefix.embeddings, asked]).requires_grad_()
    out = checkpoint.module.model.language_model(
        inputs_embeds=embeddings[None], output_attentions=True, use_cache=False
    )
    logits = checkpoint.module.lm_head(out.last_hidden_state[0, -1])
    return out.attentions, yes_minus_no(logits, checkpoint.answers)


def test_the_last_tokens_map_is_the_last_tokens(view):
    (reading,) = view.read(QUESTION)
    token = len(reading.tokens) - 1
    assert torch.equal(last_token(reading).values, reading.heatmap(token).values)


def test_rollout_equals_products_of_full_matrices(view, eager):
    attentions, _ = eager
    flow = torch.eye(attentions[0].shape[-1])
    for matrices in attentions:
        mixed = (matrices[0].mean(0) + torch.eye(len(flow))) / 2
        flow = mixed @ flow
    for token in (-1, 3):
        row = flow[range(len(view.prefix), len(flow))[token]]
        rolled = attention_rollout(view, QUESTION, token, block=100)
        assert_equal_up_to_rounding(view.grid.unfold(rolled.values), row[view.grid.positions])
        assert 0 < rolled.values.sum() < 1


def test_the_rollout_of_a_word_is_the_mean_over_its_tokens(tiny, video):
    view = tiny.watch(video)
    places = view.writer.write(QUESTION).find("red circle")
    assert len(places) == 2
    both = attention_rollout(view, QUESTION, "red circle").values
    alone = [attention_rollout(view, QUESTION, place).values for place in places]
    assert_equal_up_to_rounding(both, sum(alone) / 2)
    with pytest.raises(ValueError, match=r"no token \[99\]"):
        attention_rollout(view, QUESTION, 99)


def test_gradients_of_attention_equal_autograds_on_eager_attention(view, eager):
    attentions, margin = eager
    wanted = torch.stack([one[0] for one in torch.autograd.grad(margin, attentions)])
    wanted = wanted[:, :, len(view.prefix) :][..., view.grid.positions]
    found = view.grid.unfold(attention_gradients(view, QUESTION))
    assert wanted.abs().max() > 1e-2
    assert_equal_up_to_rounding(found, wanted)


def test_gradient_times_attention_is_its_positive_part_averaged(view):
    (reading,) = view.read(QUESTION)
    product = (reading.attention * attention_gradients(view, QUESTION)).clamp_min(0)
    circle = list(reading.prompt.find("circle"))
    for tokens, chosen in (
        (None, slice(None)),
        (3, [3]),
        ([3, -1], [3, -1]),
        ("circle", circle),
    ):
        assert_equal_up_to_rounding(
            gradient_attention(view, QUESTION, tokens).values,
            product[:, :, chosen].mean(dim=(0, 1, 2)),
        )


def test_at_the_last_layer_only_the_answers_token_has_a_gradient(view):
    gradients = attention_gradients(view, QUESTION)
    assert gradients[-1, :, :-1].abs().max() == 0
    assert gradients[-1, :, -1].abs().max() > 0


def test_the_gradient_sees_what_an_intervention_left(view):
    blinded = view.under(Cut(tokens=(3,)), MeanAblation([(1, 0)]))
    assert gradient_attention(blinded, QUESTION, 3).values.abs().max() == 0


def test_what_no_plain_pass_can_show_is_refused(tiny, video):
    view = tiny.watch(video)
    prompted = view.with_latent(
        zero_prompt(view.model, view.grid, view.prefix.embeddings.shape[1], 1)
    )
    for changed in (prompted, view.under(Cut())):
        with pytest.raises(ValueError, match="plain view"):
            attention_rollout(changed, QUESTION)


def test_maps_are_drawn_one_below_the_other(tiny, video, clip):
    view = tiny.watch(video)
    (reading,) = view.read(QUESTION)
    maps = {"last token": last_token(reading), "lens": logit_lens(view, "red", 2).heatmap()}
    figure = compare_maps(video, maps, clip.things[0].tube())
    drawn = [part for part in figure.subfigs if part.axes]
    assert len(drawn) == len(maps)
    assert all(sum(len(ax.images) for ax in part.axes) == len(video) for part in drawn)


def test_the_entropy_gradient_is_the_slope_of_the_next_token_entropy(tiny, video):
    """A step along the gradient at one cell changes the entropy by the norm there."""
    view = tiny.watch(video)
    norms = entropy_gradient(view, QUESTION)
    assert norms.cells == view.grid.cells
    assert float(norms.values.min()) >= 0

    width = view.prefix.embeddings.shape[1]
    vectors = torch.zeros(len(view.grid), width, requires_grad=True)
    blank = LatentPrompt(vectors, 0, view.model, view.grid.shape)

    def entropy(moved):
        logits = view.with_latent(replace(blank, vectors=moved)).answer_logits(QUESTION)[0]
        return torch.distributions.Categorical(logits=logits.double()).entropy()

    (gradient,) = torch.autograd.grad(entropy(vectors), vectors)
    cell = int(norms.values.argmax())
    step = torch.zeros_like(gradient)
    step[cell] = gradient[cell] / gradient[cell].norm()
    with torch.no_grad():
        slope = float(entropy(0.05 * step) - entropy(-0.05 * step)) / 0.1
    assert slope == pytest.approx(float(norms.values.flatten()[cell]), rel=0.02)


def test_the_entropy_gradient_leaves_the_view_as_it_was(organism, video):
    view = organism.watch(video)
    (before,) = view.read(QUESTION)
    entropy_gradient(view, QUESTION)
    (after,) = view.read(QUESTION)
    assert torch.equal(before.logits, after.logits)
