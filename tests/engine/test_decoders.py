"""Decoders that are built otherwise: layers without attention, windows, shared keys, own masks."""

from contextlib import contextmanager

import pytest
import torch
from tolerances import assert_differ_beyond_rounding, assert_equal_up_to_rounding
from zoo import moving, save_tiny

from probe.engine.interventions import Edit
from probe.engine.latent_prompts import LatentPrompt
from probe.engine.layer_plan import SLIDING, LayerPlan
from probe.engine.model import load
from probe.interpret.baseline_maps import attention_gradients, attention_rollout
from probe.interpret.knockouts import Cut, MeanAblation, knock_out, mean_outputs

pytestmark = pytest.mark.slow  # each is quick; what they share takes seconds

QUESTIONS = ("Is there a red circle in this video?", "What jumps?", "Describe this video.")
BUILDS = {
    "qwen3_5": "layers without attention, with a state of their own",
    "gemma4": "windows in which a frame sees all of itself",
    "gemma4_small": "inputs of every layer made of the words; layers that share keys",
    "exaone4_5": "windows shorter than the video",
}


class Always:
    """The same edits, whatever is asked."""

    def __init__(self, edits):
        self.edits = lambda _: edits

    def reversed(self):
        return self


@pytest.fixture(scope="module", params=BUILDS)
def model(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo") / request.param
    save_tiny(request.param, folder)
    return load(folder, dtype="float32")


@pytest.fixture(scope="module")
def view(model):
    return model.watch(moving())


def plain_logits(model, question):
    checkpoint = model.checkpoint
    inputs = checkpoint.process(moving(), checkpoint.writer(before=0).text(question))
    with torch.no_grad():
        return checkpoint.module(**inputs).logits[0, -1]


def test_questions_read_together_are_answered_as_each_is_in_a_plain_pass(model, view):
    for question, reading in zip(QUESTIONS, view.read(*QUESTIONS), strict=True):
        assert_equal_up_to_rounding(reading.logits, plain_logits(model, question))


def test_maps_exist_for_the_layers_that_attend_under_their_own_numbers(model, view):
    plan = model.decoder.plan
    (reading,) = view.read(QUESTIONS[0])
    assert reading.layers == plan.attending
    assert len(reading.attention) == len(plan.attending)
    last = plan.attending[-1]
    assert torch.equal(
        reading.heatmap(-1, last).values,
        view.attention(QUESTIONS[0], layers=last)[0].heatmap(-1).values,
    )


def test_a_window_shorter_than_the_video_hides_what_lies_before_it(model, view):
    plan = model.decoder.plan
    if SLIDING not in plan.kinds:
        pytest.skip("this decoder has no windows")
    assert plan.window < len(view.prefix)
    (maps,) = view.attention(QUESTIONS[0])
    reach = (
        view.grid.positions
        > len(view.prefix) + torch.arange(len(maps.prompt))[:, None] - plan.window
    )
    for layer, rows in zip(maps.layers, view.grid.unfold(maps.attention), strict=True):
        seen = rows.amax(0) > 0
        assert (seen <= reach).all() if plan.kinds[layer] == SLIDING else seen.all()


@contextmanager
def hooked(modules, change, *, after=False):
    """Let a function change what enters or leaves modules, by plain torch."""
    handles = [
        module.register_forward_hook(change)
        if after
        else module.register_forward_pre_hook(change, with_kwargs=True)
        for module in modules
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def test_latent_prompts_at_every_layer_equal_the_same_vectors_in_a_plain_pass(model, view):
    grid, hidden = view.grid, view.prefix.embeddings.shape[1]
    vectors = torch.randn(len(grid), hidden, generator=torch.Generator().manual_seed(0))
    (untouched,) = view.read(QUESTIONS[0])
    last = model.decoder.plan.last_read
    for layer in range(last + 1, model.depth):
        with pytest.raises(ValueError, match=f"reaches no question: above layer {last}"):
            view.with_latent(LatentPrompt(vectors, layer, view.model, grid.shape))
    for layer in range(last + 1):

        def add(_, arguments, options):
            states = arguments[0].clone()
            states[0, grid.positions] += vectors
            return (states, *arguments[1:]), options

        latent = LatentPrompt(vectors, layer, view.model, grid.shape)
        ours = view.with_latent(latent).read(*QUESTIONS)
        with hooked([model.checkpoint.decoder.layers[layer]], add):
            expected = [plain_logits(model, question) for question in QUESTIONS]
        for reading, logits in zip(ours, expected, strict=True):
            assert_equal_up_to_rounding(reading.logits, logits)
        # With a graph, questions enter where the prompt does.
        graph = view.with_latent(latent).answer_logits(*QUESTIONS)
        assert_equal_up_to_rounding(graph, torch.stack(expected))
        # What enters the last layer of all is seen by nobody but through its own keys.
        if layer < model.depth - 1:
            assert_differ_beyond_rounding(ours[0].logits, untouched.logits)


def test_cut_edges_equal_a_plain_pass_in_which_attention_may_not_go_there(model, view):
    """By an independent way: eager attention with minus infinity where edges are cut."""
    ours = knock_out(view, QUESTIONS[0], Cut(tokens=-1))[0].after.logits
    first, positions = len(view.prefix), view.grid.positions
    total = first + len(view.writer.write(QUESTIONS[0]))
    hidden = torch.zeros(total, total, dtype=torch.bool)
    hidden[-1, positions] = True

    def hide(_, arguments, options):
        mask = options["attention_mask"]
        least = torch.finfo(mask.dtype).min
        return arguments, {**options, "attention_mask": mask.masked_fill(hidden, least)}

    layers = [model.checkpoint.decoder.layers[i].self_attn for i in model.decoder.plan.attending]
    with hooked(layers, hide), model.decoder.attending("eager"):
        expected = plain_logits(model, QUESTIONS[0])
    assert_equal_up_to_rounding(ours, expected)
    assert_differ_beyond_rounding(ours, plain_logits(model, QUESTIONS[0]))


def test_what_would_change_attention_where_there_is_none_is_refused(model, view):
    plan = model.decoder.plan
    blind = sorted(set(range(len(plan))) - set(plan.attending))
    if not blind:
        pytest.skip("every layer of this decoder attends")
    for wrong in (Cut(layers=blind[0]), MeanAblation(heads=(blind[0], 0))):
        with pytest.raises(ValueError, match=r"layers without attention in this model: 0; it att"):
            knock_out(view, QUESTIONS[0], wrong)
    with pytest.raises(ValueError, match="it attends in layers 1, 3"):
        view.read(QUESTIONS[0], layers=blind)

    # The residual stream may be changed at every layer.
    doubling = Always({blind[0]: Edit(states=lambda states: 2 * states)})
    (doubled,) = view.under(doubling).read(QUESTIONS[0])
    assert_differ_beyond_rounding(doubled.logits, view.read(QUESTIONS[0])[0].logits)


def test_heads_without_outputs_equal_a_plain_pass_without_their_layers_attention(model, view):
    layer, first = model.decoder.plan.attending[-1], len(view.prefix)
    readings = view.under(Always({layer: Edit(outputs=torch.zeros_like)})).read(*QUESTIONS)

    def silence(_, __, output):
        mixed = output[0].clone()
        mixed[:, first:] = 0  # no mixing matrix here has a bias, so that nothing stays nothing
        return (mixed, *output[1:])

    with hooked([model.checkpoint.decoder.layers[layer].self_attn], silence, after=True):
        expected = [plain_logits(model, question) for question in QUESTIONS]
    for reading, logits in zip(readings, expected, strict=True):
        assert_equal_up_to_rounding(reading.logits, logits)


def test_means_of_head_outputs_are_a_reference_where_heads_are_alike(model, view):
    plan, heads = model.decoder.plan, model.checkpoint.heads
    layer = plan.attending[-1]
    if model.checkpoint.family.model_type == "gemma4":  # heads of windows are narrower
        with pytest.raises(ValueError, match=r"different widths \(\[16, 32\]\), .* ablate without"):
            mean_outputs(view, *QUESTIONS)
        return
    means = mean_outputs(view, *QUESTIONS)
    assert means.shape[:2] == (model.depth, heads)
    silent = MeanAblation([(layer, head) for head in range(heads)], reference=means)
    (effect,) = knock_out(view, QUESTIONS[0], silent)
    assert_differ_beyond_rounding(effect.after.logits, effect.before.logits)


def test_rival_maps_know_the_layers(model, view):
    assert attention_rollout(view, QUESTIONS[0]).values.shape == view.grid.shape
    plan = model.decoder.plan
    if plan.sharing:
        with pytest.raises(ValueError, match="attend with the values of another layer"):
            attention_gradients(view, QUESTIONS[0])
        return
    gradients = attention_gradients(view, QUESTIONS[0])
    assert len(gradients) == len(plan.attending)


@pytest.mark.parametrize("kind", ["chunked_attention", "hybrid"])
def test_a_kind_of_layer_that_is_not_read_exactly_is_refused_by_its_name(model, kind):
    decoder, config = model.checkpoint.decoder, model.checkpoint.decoder.config
    kinds = config.layer_types
    config.layer_types = [kind, *kinds[1:]]
    try:
        with pytest.raises(ValueError, match=f"layer 0 of its decoder is of the kind '{kind}'"):
            LayerPlan.of(decoder, config)
    finally:
        config.layer_types = kinds
