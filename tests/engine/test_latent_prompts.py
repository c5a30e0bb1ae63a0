import pytest
import torch
from tiny import save_tiny_llava
from tolerances import assert_differ_beyond_rounding, assert_equal_up_to_rounding

from probe import load
from probe.engine.latent_prompts import LatentPrompt, zero_prompt
from probe.engine.prompts import GENERIC
from probe.engine.readings import yes_minus_no
from probe.grounding.losses import contrast, entropy, exponential
from probe.grounding.reattention import Absolute, Learning, Relative, prompt_views, reattend
from probe.interpret.grounding_tokens import visual_activation

QUESTION = "Is there a red circle that jumps in this video?"


@pytest.fixture(scope="module")
def view(tiny, video):
    return tiny.watch(video)


def noise(view, layer, strength=0.3, seed=0):
    blank = zero_prompt(view.model, view.grid, view.prefix.embeddings.shape[1], layer)
    drawn = torch.randn(blank.vectors.shape, generator=torch.Generator().manual_seed(seed))
    return LatentPrompt(strength * drawn, layer, blank.model, blank.shape, QUESTION)


def by_hand(view, vectors, layer):
    """Compute the logits of one plain pass of the whole sequence, with a torch hook that adds."""
    checkpoint = view.checkpoint
    asked = checkpoint.embed(view.writer.write(QUESTION).ids)
    positions = view.grid.positions

    def add(_, arguments, options):
        hidden = arguments[0] if arguments else options.pop("hidden_states")
        changed = hidden.index_add(1, positions, vectors[None])
        return (changed, *arguments[1:]), options

    decoder_layer = checkpoint.module.model.language_model.layers[layer]
    hook = decoder_layer.register_forward_pre_hook(add, with_kwargs=True)
    try:
        out = checkpoint.module(
            inputs_embeds=torch.cat([view.prefix.embeddings, asked])[None], use_cache=False
        )
    finally:
        hook.remove()
    return out.logits[0, -1].float()


@pytest.mark.parametrize("layer", range(4))
def test_gradients_equal_plain_autograd_on_a_hand_written_pass(view, layer):
    latent = noise(view, layer)
    ours, plain = (latent.vectors.clone().requires_grad_() for _ in range(2))
    with_ours = view.with_latent(LatentPrompt(ours, layer, latent.model, latent.shape))
    logits, expected = with_ours.answer_logits(QUESTION)[0], by_hand(view, plain, layer)
    assert_equal_up_to_rounding(logits, expected)
    margin, true_margin = (yes_minus_no(one, view.checkpoint.answers) for one in (logits, expected))
    (gradient,) = torch.autograd.grad(margin, ours)
    (truth,) = torch.autograd.grad(true_margin, plain)
    assert truth.norm() > 0
    assert_equal_up_to_rounding(gradient, truth)


@pytest.mark.parametrize("layer", range(4))
def test_a_zero_latent_changes_nothing_bit_for_bit(view, layer):
    zero = zero_prompt(view.model, view.grid, view.prefix.embeddings.shape[1], layer)
    before, after = view.read(QUESTION)[0], view.with_latent(zero).read(QUESTION)[0]
    assert torch.equal(before.attention, after.attention)
    assert torch.equal(before.logits, after.logits)


@pytest.mark.parametrize("layer", range(4))
def test_a_latent_reaches_only_the_layers_it_enters_and_those_above(view, layer):
    before = view.read(QUESTION)[0].attention
    after = view.with_latent(noise(view, layer)).read(QUESTION)[0].attention
    assert torch.equal(before[:layer], after[:layer])
    assert_differ_beyond_rounding(after[layer], before[layer])


def test_latents_add_up(view):
    one, other = noise(view, 1, seed=1), noise(view, 1, seed=2)
    both = LatentPrompt(one.vectors + other.vectors, 1, one.model, one.shape)
    assert_equal_up_to_rounding(
        view.with_latent(one).with_latent(other).read(QUESTION)[0].attention,
        view.with_latent(both).read(QUESTION)[0].attention,
    )


def test_latents_at_two_layers_equal_them_one_after_the_other_in_any_order(view):
    low, high = noise(view, 1), noise(view, 3)
    assert_equal_up_to_rounding(
        view.with_latent(low).with_latent(high).read(QUESTION)[0].logits,
        view.with_latent(high).with_latent(low).read(QUESTION)[0].logits,
    )


def test_reversing_twice_is_the_identity(view):
    again = view.with_latent(noise(view, 1)).reversed().reversed()
    straight = view.with_latent(noise(view, 1))
    assert torch.equal(again.prefix.embeddings, straight.prefix.embeddings)
    assert again.grid.cells == straight.grid.cells
    assert torch.equal(again.read(QUESTION)[0].attention, straight.read(QUESTION)[0].attention)


def test_without_positional_encoding_reversal_commutes_with_reading(tmp_path, video):
    """On one layer: in the layers above, causal attention itself tells the order of frames."""
    save_tiny_llava(tmp_path, layers=1)
    model = load(tmp_path, dtype="float32")
    question = "Is there a red circle in this video?"

    def read_both():
        view = model.watch(video)
        return view.read(question)[0], view.reversed().read(question)[0]

    forth, back = read_both()
    assert_differ_beyond_rounding(back.attention.flip(-3), forth.attention)
    model.checkpoint.module.model.language_model.rotary_emb.inv_freq.zero_()
    forth, back = read_both()
    assert_equal_up_to_rounding(back.attention.flip(-3), forth.attention)
    assert_equal_up_to_rounding(back.logits, forth.logits)


def test_reversing_turns_frames_round_and_changes_what_is_read(view):
    turned = view.reversed()
    folded, other = (
        one.grid.fold(one.prefix.embeddings[one.grid.positions].T) for one in (view, turned)
    )
    assert torch.equal(folded.flip(1), other)
    assert turned.grid.cells.frames == view.grid.cells.frames[::-1]
    forth, back = (one.read(QUESTION)[0].attention for one in (view, turned))
    assert_differ_beyond_rounding(back.flip(-3), forth)


@pytest.mark.parametrize("layer", [0, 1, 3])
@pytest.mark.parametrize("rate", [Absolute(0.5), Relative(0.05)], ids=["absolute", "relative"])
def test_reattention_raises_the_yes_margin(view, layer, rate):
    (before,) = view.read(QUESTION)
    learned = reattend(view, QUESTION, layer=layer, steps=2, rate=rate, loss=contrast)
    (after,) = view.with_latent(learned.latent).read(QUESTION)
    assert after.margin > before.margin
    assert_equal_up_to_rounding(learned.steps[0].margin, before.margin, scale=before.logits)
    assert learned.steps[1].margin > learned.steps[0].margin


@pytest.mark.parametrize("size", [2.0**20, 2.0**-20])
def test_a_loss_beyond_the_range_of_float16_has_its_gradient(tmp_path, video, size):
    save_tiny_llava(tmp_path)
    view = load(tmp_path, dtype="float16").watch(video)

    def resized(asked, generic):
        return size * contrast(asked, generic)

    plain, scaled = (
        reattend(view, QUESTION, layer=1, loss=loss).steps[0].gradient_norm
        for loss in (contrast, resized)
    )
    assert scaled == pytest.approx(size * plain, rel=0.02)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_each_step_says_how_strongly_the_role_tokens_look_before_it(view, checkpointing):
    learned = reattend(view, QUESTION, layer=1, steps=2, checkpointing=checkpointing)
    once = reattend(view, QUESTION, layer=1, steps=1)
    for step, shown in zip(learned.steps, (view, view.with_latent(once.latent)), strict=True):
        reading = shown.read(QUESTION)[0]
        activation = visual_activation(reading)[list(reading.prompt.indices("role"))]
        assert_equal_up_to_rounding(step.peak, activation.max())
    assert_differ_beyond_rounding(learned.steps[1].peak, learned.steps[0].peak)


@pytest.mark.slow
@pytest.mark.parametrize("layer", [0, 2])
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("loss", [exponential, contrast])
def test_questions_learned_for_together_learn_what_each_learns_alone(
    view, layer, checkpointing, loss
):
    learning = Learning(layer, 2, Relative(0.05), loss, True, checkpointing)
    questions = [QUESTION, "Is there a blue cross?", "Does the square slide in this video?"]
    together = learning.learn(view, questions)
    for question, shared in zip(questions, together, strict=True):
        alone = reattend(view, question, learning)
        assert_equal_up_to_rounding(shared.latent.vectors, alone.latent.vectors)
        for step, other in zip(shared.steps, alone.steps, strict=True):
            assert vars(step) == pytest.approx(vars(other), rel=1e-3, abs=1e-5)
        assert shared.latent.question == question
    assert_differ_beyond_rounding(together[1].latent.vectors, together[0].latent.vectors)


@pytest.mark.parametrize("steps", [0, 1])
@pytest.mark.parametrize(
    ("questions", "words"),
    [([], "give at least one"), ([QUESTION, "a <video>"], "control token"), ([" "], "empty")],
)
def test_what_cannot_be_learned_for_is_refused_before_the_video_is_read(
    tiny, video, steps, questions, words
):
    view = tiny.watch(video)

    def learn():
        with pytest.raises(ValueError, match=words):
            Learning(steps=steps).learn(view, questions)

    assert not any(layers_run(view, learn))


def test_no_steps_give_the_prompt_that_changes_nothing(view):
    learned = reattend(view, QUESTION, steps=0)
    assert learned.latent.vectors.abs().max() == 0
    assert learned.steps == ()


def test_a_relative_step_is_as_long_as_asked(view):
    learned = reattend(view, QUESTION, steps=1, rate=Relative(0.25)).latent
    norm = view.prefix.embeddings[view.grid.positions].norm(dim=-1).mean()
    assert_equal_up_to_rounding(learned.vectors.norm(dim=-1).max(), 0.25 * norm)


def test_the_two_tap_average_applies_the_mean_of_the_last_two(view):
    once = reattend(view, QUESTION, steps=1, rate=Absolute(1.0)).latent.vectors
    tapped = reattend(
        view, QUESTION, steps=1, rate=Absolute(1.0), average_last_two=True
    ).latent.vectors
    assert_equal_up_to_rounding(tapped, once / 2)


def test_the_second_tapped_step_starts_from_the_newest_vectors_not_from_their_mean(view):
    first = reattend(view, QUESTION, steps=1, rate=Absolute(1.0)).latent.vectors
    tapped = reattend(view, QUESTION, steps=1, rate=Absolute(1.0), average_last_two=True).latent
    vectors = tapped.vectors.clone().requires_grad_()
    margin = yes_minus_no(by_hand(view, vectors, 0), view.checkpoint.answers)
    (gradient,) = torch.autograd.grad(-margin.exp(), vectors)
    second = reattend(
        view, QUESTION, steps=2, rate=Absolute(1.0), average_last_two=True
    ).latent.vectors
    assert_equal_up_to_rounding(second, (first + (first - gradient)) / 2)


def test_losses_are_what_they_say(view):
    asked, generic = view.read_with_graph(QUESTION, GENERIC)
    logits, ids = torch.stack([asked.logits, generic.logits]), view.checkpoint.answers
    margins = yes_minus_no(logits, ids)
    probability = logits[0].softmax(-1)
    yes, no = (probability[list(some)].sum() for some in (ids.yes, ids.no))
    assert_equal_up_to_rounding(exponential(asked, generic), -yes / no)
    raised = 1 - (margins[0] - margins[1])
    assert_equal_up_to_rounding(contrast(asked, generic), raised, scale=logits)
    assert_equal_up_to_rounding(
        entropy(asked, generic),
        torch.distributions.Categorical(logits=logits[0]).entropy(),
    )


def test_a_vanishing_gradient_says_which_step_and_layer(view):
    def flat(asked, *_):
        return 0.0 * asked.logits.sum()

    with pytest.raises(RuntimeError, match=r"step 0 at layer 2 has norm 0\.0"):
        reattend(view, QUESTION, layer=2, loss=flat)


def test_a_latent_survives_the_disk(view, tmp_path):
    latent = noise(view, 2)
    latent.save(tmp_path / "latent.safetensors")
    again = LatentPrompt.load(tmp_path / "latent.safetensors")
    assert torch.equal(again.vectors, latent.vectors)
    assert (again.layer, again.model, again.shape, again.question) == (
        2, latent.model, latent.shape, QUESTION,
    )  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["latent.safetensors"]


def test_a_latent_of_another_model_grid_or_layer_is_refused(view):
    latent = noise(view, 1)
    other_model = LatentPrompt(latent.vectors, 1, "another", latent.shape)
    other_grid = LatentPrompt(latent.vectors[:16], 1, latent.model, (1, 4, 4))
    no_layer = LatentPrompt(latent.vectors, 9, latent.model, latent.shape)
    for wrong, words in (
        (other_model, "learned on 'another' does not fit"),
        (other_grid, r"\(1, 4, 4\) frames, rows and columns does not fit"),
        (no_layer, r"no layer \[9\]"),
    ):
        with pytest.raises(ValueError, match=words):
            view.with_latent(wrong)


@pytest.mark.parametrize("content", [None, b"", b"text"])
def test_a_file_that_holds_no_latent_is_refused(tmp_path, content):
    path = tmp_path / "latent.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"latent\.safetensors: "):
        LatentPrompt.load(path)


def layers_run(view, step):
    """How many tokens each decoder layer works on during a step, pass by pass."""
    seen = [[] for _ in range(view.checkpoint.depth)]
    layers = view.checkpoint.module.model.language_model.layers
    # Within the layers: nnsight calls a skipped layer's hooks, but nothing in it.
    hooks = [
        layer.mlp.register_forward_pre_hook(
            lambda _, given, lengths=lengths: lengths.append(given[0].shape[1])
        )
        for layer, lengths in zip(layers, seen, strict=True)
    ]
    try:
        step()
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def test_a_second_step_runs_nothing_below_its_layer(tiny, video):
    view = tiny.watch(video)
    reattend(view, QUESTION, layer=2)
    seen = layers_run(
        view, lambda: view.with_latent(noise(view, 2)).answer_logits(QUESTION, GENERIC)
    )
    assert seen[0] == seen[1] == []
    assert len(seen[2]) == 2


def test_what_the_first_step_read_is_the_views_own_memory_without_its_graph(tiny, video):
    view, fresh = tiny.watch(video), tiny.watch(video)
    reattend(view, QUESTION, layer=1)
    seen = layers_run(view, lambda: view.read(QUESTION))
    assert all(length < len(view.prefix) for lengths in seen for length in lengths)
    for ours, theirs in zip(
        view.cache.past(view.checkpoint.depth),
        fresh.cache.past(fresh.checkpoint.depth),
        strict=True,
    ):
        for one, other in zip(ours, theirs, strict=True):
            assert torch.equal(one, other)
            assert not one.requires_grad


def test_one_step_reads_the_video_once(tiny, video):
    view = tiny.watch(video)
    seen = layers_run(view, lambda: reattend(view, QUESTION))
    whole = [length for length in seen[0] if length >= len(view.prefix)]
    assert whole == [len(view.prefix)]


def test_the_first_steps_of_several_questions_read_the_video_once(tiny, video):
    view = tiny.watch(video)
    seen = layers_run(view, lambda: Learning().learn(view, [QUESTION, "Is there a cross?"]))
    whole = [length for length in seen[0] if length >= len(view.prefix)]
    assert whole == [len(view.prefix)]


def test_questions_are_learned_for_as_each_says(view):
    asked = [(QUESTION, Learning()), ("Is there a cross?", None), (QUESTION, Learning(layer=1))]
    first, as_it_is, third = prompt_views(view, asked, GENERIC)
    assert as_it_is is view
    assert [one.latents[0].layer for one in (first, third)] == [0, 1]
    expected = reattend(view, QUESTION, layer=1).latent.vectors
    assert_equal_up_to_rounding(third.latents[0].vectors, expected)


def test_learning_on_top_of_learnable_vectors_leaves_them_learnable(tiny, video):
    plain = tiny.watch(video)
    below = noise(plain, 0)
    vectors = below.vectors.requires_grad_()
    view = plain.with_latent(LatentPrompt(vectors, 0, below.model, below.shape))
    reattend(view, QUESTION, layer=1)
    margin = yes_minus_no(view.answer_logits(QUESTION)[0], view.checkpoint.answers)
    assert torch.autograd.grad(margin, vectors)[0].norm() > 0
