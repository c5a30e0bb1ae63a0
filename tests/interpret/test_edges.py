"""Edges cut, set and scaled, states steered and patched: each against a plain pass by hand."""

import operator
import sys
from contextlib import ExitStack

import numpy as np
import pytest
import torch
from tolerances import assert_differ_beyond_rounding, assert_equal_up_to_rounding
from transformers.models.llama.modeling_llama import repeat_kv
from zoo import moving, save_tiny

from probe.engine.model import load
from probe.grounding.config import GrounderConfig
from probe.interpret.cuts import Cut, CutVideo
from probe.interpret.knockouts import HeadRecord, knock_out
from probe.interpret.shares import Amplify, SetAttention
from probe.interpret.steering import Patch, PatchHeads, Steer, record_outputs, record_states

pytestmark = pytest.mark.slow  # each is quick; what they share takes seconds

QUESTION, OTHER = "Is there a red circle in this video?", "Is there a circle red in this video?"


@pytest.fixture(scope="module", params=["llava_next_video", "qwen3_vl", "qwen3_5", "gemma4"])
def folder(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo") / request.param
    save_tiny(request.param, folder)
    return folder


@pytest.fixture(scope="module")
def model(folder):
    return load(folder, dtype="float32")


@pytest.fixture(scope="module")
def view(model):
    return model.watch(moving())


@pytest.fixture(scope="module")
def plain_pass(folder, model):
    """Gives the logits of one plain pass of a copy of the model that nothing has looked into.

    Its attention is eager, and `change(layer, weights)` makes the weights that values are summed
    by.
    """
    kind = type(model.checkpoint.module)
    module = kind.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    path = model.checkpoint.family.language_model
    layers = operator.attrgetter(path)(module).layers
    found = {id(layers[i].self_attn): i for i in model.decoder.plan.attending}
    home = sys.modules[type(layers[model.decoder.plan.attending[0]].self_attn).__module__]
    original = home.eager_attention_forward

    def run(change=lambda _, weights: weights, question=QUESTION, hooks=()):
        def forward(part, query, key, value, *arguments, **options):
            _, weights = original(part, query, key, value, *arguments, **options)
            if id(part) in found:
                weights = change(found[id(part)], weights)
            values = repeat_kv(value, part.num_key_value_groups)
            return (weights @ values).transpose(1, 2).contiguous(), weights

        checkpoint = model.checkpoint
        inputs = checkpoint.process(moving(), checkpoint.writer(before=0).text(question))
        with pytest.MonkeyPatch.context() as patch, ExitStack() as stack, torch.no_grad():
            patch.setattr(home, "eager_attention_forward", forward)
            for layer, hook in hooks:
                handle = layers[layer].register_forward_pre_hook(hook, with_kwargs=True)
                stack.callback(handle.remove)
            return module(**inputs).logits[0, -1]

    return run


def renormalised(weights, kept):
    """The weights without some edges: what is left sums to one again, as after a mask."""
    left = weights * kept
    return left / left.sum(-1, keepdim=True)


def edges(view, looking=(), seen=()):
    """A square of all positions, true where those that look see what is seen."""
    total = len(view.prefix) + len(view.writer.write(QUESTION))
    square = torch.zeros(total, total, dtype=torch.bool)
    square[torch.as_tensor(looking)[:, None], torch.as_tensor(seen)] = True
    return square & ~torch.eye(total, dtype=torch.bool)


def test_the_plain_pass_by_hand_is_the_models_own(view, plain_pass):
    assert_equal_up_to_rounding(plain_pass(), view.read(QUESTION)[0].logits)


def test_words_hidden_from_a_token_equal_a_plain_pass_without_these_edges(view, plain_pass):
    prompt = view.writer.write(QUESTION)
    before, words = len(view.prefix), prompt.find("red circle")
    last = prompt.indices("role")
    hidden = edges(view, [before + i for i in last], [before + i for i in words])
    (effect,) = knock_out(view, QUESTION, Cut(tokens=last, sources="red circle"))
    expected = plain_pass(lambda _, weights: renormalised(weights, ~hidden))
    assert_equal_up_to_rounding(effect.after.logits, expected)
    assert_differ_beyond_rounding(effect.after.logits, effect.before.logits)
    # The video is seen as before, where nothing lower has changed.
    first = effect.before.attention[0].sum((-3, -2, -1))
    assert (effect.after.attention[0].sum((-3, -2, -1)) >= first - 1e-6).all()


def test_text_before_the_question_is_hidden_with_the_frames_left_to_see(view, plain_pass):
    before, visual = len(view.prefix), set(view.grid.positions.tolist())
    text = [place for place in range(before) if place not in visual]
    asked = range(before, before + len(view.writer.write(QUESTION)))
    hidden = edges(view, list(asked), text)
    (reading,) = view.under(Cut(text=True)).read(QUESTION)
    expected = plain_pass(lambda _, weights: renormalised(weights, ~hidden))
    assert_equal_up_to_rounding(reading.logits, expected)
    assert_differ_beyond_rounding(reading.logits, view.read(QUESTION)[0].logits)


@pytest.mark.parametrize("frames", ["all", "within", "across"])
def test_cutting_the_video_from_itself_equals_a_plain_pass_without_these_edges(
    model, view, frames, plain_pass
):
    positions, shape = view.grid.positions, view.grid.shape
    frame = torch.arange(shape[0]).repeat_interleave(shape[1] * shape[2])
    same = frame[:, None] == frame
    pairs = {"all": torch.ones_like(same), "within": same, "across": ~same}[frames]
    total = len(view.prefix) + len(view.writer.write(QUESTION))
    hidden = torch.zeros(total, total, dtype=torch.bool)
    hidden[positions[:, None], positions] = pairs
    hidden &= ~torch.eye(total, dtype=torch.bool)
    layers = model.decoder.plan.attending[:-1]
    cut = CutVideo(frames, layers=layers)

    def hide(layer, weights):
        return renormalised(weights, ~hidden) if layer in layers else weights

    expected = plain_pass(hide)
    (reading,) = view.under(cut).read(QUESTION)
    assert_equal_up_to_rounding(reading.logits, expected)
    assert_differ_beyond_rounding(reading.logits, view.read(QUESTION)[0].logits)
    (effect,) = knock_out(view, QUESTION, [cut])
    assert_equal_up_to_rounding(effect.after.logits, reading.logits)
    with pytest.raises(ValueError, match="CutVideo changes how the video is read"):
        view.read(QUESTION, interventions_per_question=[[cut]])


def test_video_cuts_act_with_latent_prompts_and_turn_round_with_the_video(model, view):
    cells = torch.zeros(view.grid.shape, dtype=torch.bool)
    cells[0] = True
    cut = CutVideo(looking=~cells, cells=cells, layers=model.decoder.plan.attending[0])
    there_and_back = view.under(cut).reversed().reversed()
    assert_equal_up_to_rounding(
        there_and_back.read(QUESTION)[0].logits, view.under(cut).read(QUESTION)[0].logits
    )
    assert cut.reversed().reversed() == cut
    assert GrounderConfig(interventions=(cut,)).interventions == (cut,)


def test_amplified_edges_are_scaled_before_the_softmax_or_after_it(model, view, plain_pass):
    prompt = view.writer.write(QUESTION)
    last, positions = len(view.prefix) + len(prompt) - 1, view.grid.positions
    cells = torch.rand(view.grid.shape, generator=torch.Generator().manual_seed(0)) < 0.4
    chosen = edges(view, [last], positions[cells.flatten()].tolist())
    layer = model.decoder.plan.attending[-1]
    for renormalise in (True, False):
        done = Amplify(3.0, tokens=-1, cells=cells, layers=layer, renormalise=renormalise)
        (reading,) = view.under(done).read(QUESTION)

        def scale(index, weights, again=renormalise):
            if index != layer:
                return weights
            scaled = torch.where(chosen, 3 * weights, weights)
            return scaled / scaled.sum(-1, keepdim=True) if again else scaled

        assert_equal_up_to_rounding(reading.logits, plain_pass(scale))
        (plain,) = view.read(QUESTION)
        assert_differ_beyond_rounding(reading.logits, plain.logits)
        ratio = (reading.heatmap(-1, layer).values / plain.heatmap(-1, layer).values)[cells]
        assert (ratio > 1).all() if not renormalise else (ratio <= 3 + 1e-4).all()


def test_attention_is_set_to_a_map_with_its_own_share_or_a_given_one(model, view, plain_pass):
    positions = view.grid.positions
    wanted = torch.rand(view.grid.shape, generator=torch.Generator().manual_seed(1))
    layer, heads = model.decoder.plan.attending[0], (0, 1)
    for share in (None, 0.5):
        done = SetAttention(wanted, tokens=(-1,), layers=layer, heads=heads, share=share)
        (reading,) = view.under(done).read(QUESTION)

        def put(index, weights, share=share):
            if index != layer:
                return weights
            weights = weights.clone()
            for head in heads:
                row = weights[0, head, -1]
                own = row[positions].sum()
                spent = own if share is None else share
                row *= (1 - spent) / (1 - own)
                row[positions] = spent * wanted.flatten() / wanted.sum()
            return weights

        assert_equal_up_to_rounding(reading.logits, plain_pass(put))
        shown = reading.attention[reading.layers.index(layer), 0, -1]
        assert_equal_up_to_rounding(shown / shown.sum(), wanted / wanted.sum())


def test_a_vector_steers_the_states_that_enter_layers(view, plain_pass):
    before, width = len(view.prefix), view.prefix.embeddings.shape[1]
    vector = torch.randn(width, generator=torch.Generator().manual_seed(0))
    (reading,) = view.under(Steer(vector, (1, 2), (0, -1), strength=0.5)).read(QUESTION)

    def add(_, arguments, options):
        states = arguments[0].clone()
        states[0, [before, -1]] += 0.5 * vector
        return (states, *arguments[1:]), options

    assert_equal_up_to_rounding(reading.logits, plain_pass(hooks=[(1, add), (2, add)]))
    nothing = view.under(Steer(vector, (1, 2), strength=0.0)).read(QUESTION)[0]
    assert torch.equal(nothing.logits, view.read(QUESTION)[0].logits)
    with pytest.raises(ValueError, match="does not fit 2 tokens"):
        view.under(Steer(vector[:-1], 1, (0, -1))).read(QUESTION)


def test_states_of_another_question_are_put_in_where_they_enter_a_layer(model, view, plain_pass):
    states = record_states(view, OTHER)
    assert sorted(states) == list(range(model.depth))
    (other,) = view.read(OTHER)
    whole = view.under(Patch({1: states[1]})).read(QUESTION)[0]
    # All tokens of the question have the other's states from there on, but what the keys below
    # hold is the question's own; from layer 1 on nothing of the question is left.
    assert_equal_up_to_rounding(whole.logits, other.logits)
    (some,) = view.under(Patch({2: states[2]}, tokens=(-2, -1))).read(QUESTION)

    def put(_, arguments, options):
        patched = arguments[0].clone()
        patched[0, -2:] = states[2][-2:]
        return (patched, *arguments[1:]), options

    assert_equal_up_to_rounding(some.logits, plain_pass(hooks=[(2, put)]))
    with pytest.raises(ValueError, match="2 tokens get states of places"):
        view.under(Patch({2: states[2]}, tokens=(-2, -1), of=(0,))).read(QUESTION)


def test_outputs_of_heads_of_another_question_are_put_in(model, view):
    theirs = record_outputs(view, OTHER)
    layer = model.decoder.plan.attending[-1]
    heads = [(layer, head) for head in range(model.checkpoint.heads)]
    record = HeadRecord()
    patched = view.under(PatchHeads(theirs, heads), record).read(QUESTION)[0]
    assert_equal_up_to_rounding(record.outputs[layer].detach(), theirs[layer])
    assert_differ_beyond_rounding(patched.logits, view.read(QUESTION)[0].logits)
    mine = PatchHeads(record_outputs(view, QUESTION), heads)
    assert_equal_up_to_rounding(
        view.under(mine).read(QUESTION)[0].logits, view.read(QUESTION)[0].logits
    )


def test_empty_changes_change_nothing_bit_for_bit(view):
    nothing = torch.zeros(view.grid.shape, dtype=torch.bool)
    (plain,) = view.read(QUESTION)
    for empty in (
        Cut(sources=()),
        Cut(tokens=(), text=True),
        Amplify(5.0, tokens=()),
        SetAttention(torch.ones(view.grid.shape), tokens=()),
        SetAttention(torch.ones(view.grid.shape), layers=()),
        Patch({}),
    ):
        (same,) = view.under(empty).read(QUESTION)
        assert_equal_up_to_rounding(same.logits, plain.logits)
        assert_equal_up_to_rounding(same.attention, plain.attention)
    (same,) = view.under(CutVideo(cells=nothing)).read(QUESTION)
    assert_equal_up_to_rounding(same.logits, plain.logits)


def test_gradients_pass_through_what_is_set_and_steered(view):
    width = view.prefix.embeddings.shape[1]
    vector = torch.zeros(width, requires_grad=True)
    wanted = torch.ones(view.grid.shape, requires_grad=True)
    layer = view.decoder.plan.attending[0]
    done = [Steer(vector, layer), SetAttention(wanted, tokens=-1, layers=layer)]
    (reading,) = view.under(*done).read_with_graph(QUESTION)
    by_vector, by_map = torch.autograd.grad(reading.yes_minus_no, (vector, wanted))
    assert by_vector.abs().max() > 0
    step, index = 0.1, np.unravel_index(int(by_map.abs().argmax()), by_map.shape)
    moved = []
    for sign in (1, -1):
        changed = wanted.detach().clone()
        changed[index] += sign * step
        there = SetAttention(changed, tokens=-1, layers=layer)
        moved.append(view.under(there).read(QUESTION)[0].margin)
    slope = (moved[0] - moved[1]) / (2 * step)
    assert slope == pytest.approx(float(by_map[index]), rel=0.05, abs=1e-4)


def test_many_changes_of_one_question_are_read_in_one_pass(view):
    cells = torch.rand(view.grid.shape, generator=torch.Generator().manual_seed(2)) < 0.3
    done = [
        Cut(sources="circle"),
        Amplify(4.0, cells=cells),
        SetAttention(cells.float() + 0.1, tokens=-1),
        [Cut(text=True), Amplify(0.0, cells=cells)],
        Steer(torch.ones(view.prefix.embeddings.shape[1]), 1),
    ]
    together = knock_out(view, QUESTION, done)
    for one, effect in zip(done, together, strict=True):
        (alone,) = knock_out(view, QUESTION, [one])
        assert_equal_up_to_rounding(effect.after.logits, alone.after.logits)
        assert_equal_up_to_rounding(effect.after.attention, alone.after.attention)


def test_wrong_values_are_refused_in_one_line(view):
    shape = view.grid.shape
    for make, words in (
        (lambda: Amplify(-1.0), "the factor is -1.0"),
        (lambda: CutVideo("beside"), "give all, within or across"),
        (lambda: SetAttention(-torch.ones(shape)), "numbers by frame"),
        (lambda: SetAttention(torch.ones(shape), share=2.0), "the share is 2.0"),
        (lambda: Steer(torch.ones(1, 2, 3), 0), "has 3 axes"),
    ):
        with pytest.raises(ValueError, match=words):
            make()
    with pytest.raises(ValueError, match="does not fit a video of"):
        view.under(SetAttention(torch.ones(1, 1, 1))).read(QUESTION)
