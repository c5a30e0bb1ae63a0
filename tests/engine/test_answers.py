"""The look of the answer: read after the question, or written by the model, as in a plain pass."""

from typing import Any

import pytest
import torch
from tolerances import assert_differ_beyond_rounding, assert_equal_up_to_rounding
from zoo import moving, save_tiny

from probe.engine.answering import generate
from probe.engine.answers import answer_tokens
from probe.engine.interventions import Edit
from probe.engine.model import load
from probe.engine.readings import Reading
from probe.engine.thoughts import find_thoughts
from probe.interpret.knockouts import Cut, knock_out

pytestmark = pytest.mark.slow  # each is quick; what they share takes seconds

QUESTION, ANSWER = "What jumps?", "The red circle jumps."
FAMILIES = ("llava_next_video", "qwen2_5_vl", "qwen3_vl", "qwen3_5", "gemma4", "exaone4_5")


@pytest.fixture(scope="module", params=FAMILIES)
def model(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo") / request.param
    save_tiny(request.param, folder)
    return load(folder, dtype="float32")


@pytest.fixture(scope="module")
def view(model):
    return model.watch(moving())


def plain_inputs(model, ids=()):
    """What the processor makes of video and question, with tokens of an answer appended."""
    checkpoint = model.checkpoint
    inputs = checkpoint.process(moving(), checkpoint.writer(before=0).text(QUESTION))
    for name, value in inputs.items():
        if name in ("input_ids", "attention_mask", "mm_token_type_ids"):
            fill = {
                "input_ids": torch.tensor([list(ids)]),
                "attention_mask": torch.ones(1, len(ids)),
            }
            more = fill.get(name, torch.zeros(1, len(ids)))
            inputs[name] = torch.cat([value, more.to(value)], dim=1)
    return inputs


def test_tokens_of_an_answer_attend_as_in_an_eager_pass_over_the_whole_text(model, view):
    (reading,) = view.read(QUESTION, answer=ANSWER)
    (alone,) = view.read(QUESTION)
    said = reading.prompt.indices("answer")
    assert reading.prompt.answer == ANSWER
    assert [reading.prompt.ids[i] for i in said] == list(reading.prompt.answer_ids)
    assert said == tuple(range(len(alone.prompt), len(reading.prompt)))
    inputs = plain_inputs(model, reading.prompt.answer_ids)
    rows, last = model.decoder.eager_rows(inputs, len(view.prefix), view.grid.positions)
    assert_equal_up_to_rounding(view.grid.unfold(reading.attention), rows)
    with torch.no_grad():
        logits = model.checkpoint.module(**inputs).logits[0]
    predicting = len(view.prefix) + len(alone.prompt) - 1
    assert_equal_up_to_rounding(reading.answer_logits, logits[predicting:-1].float())
    assert_equal_up_to_rounding(reading.logits, alone.logits)
    assert_equal_up_to_rounding(last, logits[-1].float())
    found = logits[predicting:-1].log_softmax(-1)
    each = [found[i, id_] for i, id_ in enumerate(reading.prompt.answer_ids)]
    assert_equal_up_to_rounding(reading.answer_log_probabilities, torch.stack(each))


def test_the_model_writes_what_it_writes_by_its_own_generation(model, view):
    module = model.checkpoint.module
    never = 10**6  # random models end their answers at once, or never
    inputs = plain_inputs(model)
    written = module.generate(
        **inputs, max_new_tokens=8, do_sample=False, num_beams=1, eos_token_id=never
    )[0, inputs["input_ids"].shape[1] :]
    before, module.generation_config.eos_token_id = module.generation_config.eos_token_id, never
    try:
        reading = generate(view, QUESTION, max_new_tokens=8)
    finally:
        module.generation_config.eos_token_id = before
    assert list(reading.prompt.answer_ids) == written.tolist()
    assert chosen(reading) == written.tolist()
    # Recorded while it was written, or read in one pass: the same attention and logits.
    (again,) = view.read(QUESTION, answer=written.tolist())
    assert reading.prompt == again.prompt
    assert_equal_up_to_rounding(reading.attention, again.attention)
    assert_equal_up_to_rounding(reading.answer_logits, again.answer_logits)


def test_the_attention_of_some_tokens_layers_and_heads_of_what_is_written_is_kept(view):
    whole = generate(view, QUESTION, max_new_tokens=3)
    layer = whole.layers[-1]
    part = generate(view, QUESTION, max_new_tokens=3, layers=layer, heads=1, kinds=("answer",))
    said = list(whole.prompt.indices("answer"))
    assert part.layers == (layer,)
    assert_equal_up_to_rounding(part.attention, whole.attention[-1:, 1:2][:, :, said])


def test_the_first_thing_a_view_writes_has_the_look_of_what_is_read(model):
    view = model.watch(moving())
    written = generate(view, QUESTION, max_new_tokens=3)
    (read,) = view.read(QUESTION, answer=written.prompt.answer_ids or None)
    assert_equal_up_to_rounding(written.attention, read.attention)


def chosen(reading):
    """The most likely token at each place of the answer."""
    return reading.answer_logits.argmax(-1).tolist()


class Nothing:
    """An intervention that changes nothing, so that every step is read anew."""

    def edits(self, extent):
        return {layer: Edit(states=lambda states: states) for layer in range(extent.layers)}

    def reversed(self):
        return self


def test_written_step_by_step_or_read_anew_the_answer_is_the_same(view):
    plain = generate(view, QUESTION, max_new_tokens=5)
    anew = generate(view.under(Nothing()), QUESTION, max_new_tokens=5)
    assert anew.prompt == plain.prompt
    cut = generate(view.under(Cut()), QUESTION, max_new_tokens=5)
    (forced,) = view.under(Cut()).read(QUESTION, answer=cut.prompt.answer_ids or "Yes")
    assert float(forced.attention.sum()) == 0
    if cut.prompt.answer_ids:
        assert chosen(forced) == list(cut.prompt.answer_ids)


def test_edges_of_a_token_of_the_answer_are_cut_like_any_others(view):
    (reading,) = view.read(QUESTION, answer=ANSWER)
    place = reading.find("circle")
    (effect,) = knock_out(view, QUESTION, Cut(tokens="circle"), answer=ANSWER)
    lost, left = effect.after.attention, effect.before.attention
    assert float(lost[:, :, place].sum()) == 0
    assert torch.equal(lost[:, :, : place[0]], left[:, :, : place[0]])
    # What was said before it has not changed, what comes after it has.
    assert effect.after.answer_logits is not None
    assert effect.before.answer_logits is not None
    changed = (effect.after.answer_logits - effect.before.answer_logits).abs().amax(-1)
    told = place[-1] - reading.prompt.indices("answer")[0]
    assert_equal_up_to_rounding(changed[: told + 1], torch.zeros(told + 1), scale=1.0)
    assert_differ_beyond_rounding(changed[told + 1 :], 0 * changed[told + 1 :], scale=1.0)
    assert effect.answer_probability_change == pytest.approx(
        float((effect.after.answer_log_probabilities - reading.answer_log_probabilities).sum()),
        abs=1e-4,
    )


def test_several_questions_have_an_answer_each_or_none(view):
    together = view.read([QUESTION, "Is it red?", QUESTION], answer=[None, "Yes", ANSWER])
    assert [one.prompt.answer for one in together] == ["", "Yes", ANSWER]
    (alone,) = view.read(QUESTION, answer=ANSWER)
    assert_equal_up_to_rounding(together[2].answer_logits, alone.answer_logits)
    with pytest.raises(ValueError, match="2 answers for 3 questions"):
        view.read([QUESTION] * 3, answer=["Yes", "No"])


def test_an_answer_can_be_differentiated(view):
    latent = torch.zeros(len(view.grid), view.prefix.embeddings.shape[1], requires_grad=True)

    class Added:
        def edits(self, _):
            return {0: Edit(states=lambda states: states + latent.mean())}

        def reversed(self):
            return self

    (reading,) = view.under(Added()).read_with_graph(QUESTION, answer=ANSWER)
    (gradient,) = torch.autograd.grad(reading.answer_log_probabilities.sum(), latent)
    assert gradient.abs().max() > 0


def test_a_reading_with_an_answer_comes_back_from_its_file(view, tmp_path):
    (reading,) = view.read(QUESTION, answer=ANSWER, kinds=("answer",))
    assert len(reading.prompt) == len(reading.prompt.answer_ids)
    reading.save(tmp_path / "reading.safetensors")
    assert Reading.load(tmp_path / "reading.safetensors") == reading


def test_draws_follow_their_seed_and_wrong_numbers_are_refused(view):
    def draw(seed):
        return generate(
            view, QUESTION, max_new_tokens=6, temperature=50.0, seed=seed
        ).prompt.answer_ids

    assert draw(1) == draw(1)
    assert len({draw(seed) for seed in range(5)}) > 1
    wrongs: list[dict[str, Any]] = [{"max_new_tokens": 0}, {"temperature": -1.0}, {"top_p": 0.0}]
    for wrong in wrongs:
        (name,) = wrong
        with pytest.raises(ValueError, match=f"{name} is .*; give"):
            generate(view, QUESTION, **wrong)


def test_unsafe_and_empty_answers_are_refused(model, view):
    mark = model.checkpoint.placeholder
    for wrong, words in (("", "empty"), ([10**7], "has token 10000000"), ([mark], "stands for a")):
        with pytest.raises(ValueError, match=words):
            view.read(QUESTION, answer=wrong)
    with pytest.raises(ValueError, match="the query and its answer have"):
        view.read(QUESTION, answer="yes " * view.checkpoint.context)


def test_a_thought_is_a_part_of_its_own(model, view):
    tokenizer = view.writer.tokenizer
    if model.checkpoint.family.model_type == "llava_next_video":
        pytest.skip("a vocabulary of whole words that has none for a thought")
    text, tokens = answer_tokens(tokenizer, "<think> so </think> Yes", view.checkpoint.placeholder)
    kinds = [token.kind for token in tokens]
    assert kinds == sorted(kinds, reverse=True)
    assert set(kinds) == {"thought", "answer"}
    (thought,) = find_thoughts(text)
    ends = [one.characters[1] for one in tokens if one.kind == "answer" and one.characters]
    assert ends
    assert min(ends) > thought[1]
