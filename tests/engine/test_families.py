"""Every family against the plain model: same tokens, attention, answers and gradients."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch
from documented import documented_ids, leave_one_pair
from tolerances import assert_differ_beyond_rounding, assert_equal_up_to_rounding
from zoo import ZOO, moving, save_tiny

from probe.engine.families import PICTURES
from probe.engine.latent_prompts import LatentPrompt, zero_prompt
from probe.engine.model import load
from probe.engine.prompts import GENERIC
from probe.engine.readings import yes_minus_no
from probe.video import Video

pytestmark = pytest.mark.slow  # each is quick; what they share takes seconds

QUESTIONS = ("Is there a red circle in this video?", "What jumps?", GENERIC)


def frames_together(model):
    """How many frames a visual token shows: the processor's temporal patch."""
    return getattr(model.checkpoint.processor.video_processor, "temporal_patch_size", 1)


@pytest.fixture(scope="module", params=ZOO)
def model(request, tmp_path_factory):
    """A tiny checkpoint of one family, opened like any other."""
    folder = tmp_path_factory.mktemp("zoo") / request.param
    save_tiny(request.param, folder)
    return load(folder, dtype="float32")


@pytest.fixture(scope="module")
def view(model):
    return model.watch(moving())


def plain_inputs(model, question, video=None):
    """What the processor makes of the whole prompt, the question in its place."""
    checkpoint = model.checkpoint
    return checkpoint.process(video or moving(), checkpoint.writer(before=0).text(question))


def decoder_of(model):
    inner = model.checkpoint.module.model
    return inner.text_model if hasattr(inner, "text_model") else inner.language_model


@contextmanager
def hooked(module, change):
    """Let a function change what enters a module, by plain torch."""
    handle = module.register_forward_pre_hook(change, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def test_questions_are_written_as_the_processor_writes_them(model, view):
    for question in QUESTIONS:
        ids = plain_inputs(model, question)["input_ids"][0]
        (marked,) = torch.nonzero(ids == model.checkpoint.placeholder, as_tuple=True)
        behind = ids[int(marked[-1]) + 1 + view.prefix.closing :].tolist()
        prompt = view.writer.write(question)
        assert list(prompt.ids) == behind
        assert len(view.prefix) == len(ids) - len(behind)
        spoken = [prompt.tokens[i].text for i in prompt.indices("word", "stop")]
        assert "".join(spoken) == question.replace(" ", "")
        kinds = [token.kind for token in prompt.tokens]
        assert kinds == sorted(kinds, key=["template", "word", "stop", "role"].index)
        assert kinds[-1] == "role"


def test_our_input_is_the_documented_one_token_for_token(model):
    """But for the vision marks that a processor writes twice (`Family.frame_marks`)."""
    checkpoint = model.checkpoint
    for question in QUESTIONS:
        theirs = documented_ids(checkpoint, moving(), question)
        ours = plain_inputs(model, question)["input_ids"][0].tolist()
        assert ours == leave_one_pair(checkpoint, theirs)


def test_rows_equal_eager_attention_and_answers_a_plain_pass(model, view):
    readings = view.read(*QUESTIONS)
    with model.decoder.attending("eager"), torch.no_grad():
        plain = [
            model.checkpoint.module(**plain_inputs(model, question), output_attentions=True)
            for question in QUESTIONS
        ]
    for out, reading in zip(plain, readings, strict=True):
        rows = torch.stack([layer[0] for layer in out.attentions])
        rows = rows[:, :, len(view.prefix) :][..., view.grid.positions]
        assert rows.max() > 1e-3
        assert_equal_up_to_rounding(view.grid.unfold(reading.attention), rows)
        assert_equal_up_to_rounding(reading.logits, out.logits[0, -1])


@pytest.mark.parametrize("layer", [0, 1, 3])
def test_latent_gradients_equal_those_of_plain_hooks(model, view, layer):
    if layer >= model.decoder.plan.skippable:
        pytest.skip("no layer from here on reads keys of its own: nothing that is added is seen")
    generator = torch.Generator().manual_seed(0)
    blank = zero_prompt(view.model, view.grid, view.prefix.embeddings.shape[1], layer)
    drawn = 0.1 * torch.randn(blank.vectors.shape, generator=generator)
    ours, plain = (drawn.clone().requires_grad_() for _ in range(2))

    def add(_, arguments, options):
        states = arguments[0] if arguments else options.pop("hidden_states")
        return (states.index_add(1, view.grid.positions, plain[None]), *arguments[1:]), options

    prompted = view.with_latent(LatentPrompt(ours, layer, blank.model, blank.shape))
    margin = yes_minus_no(prompted.answer_logits(QUESTIONS[0])[0], model.checkpoint.answers)
    with hooked(decoder_of(model).layers[layer], add):
        out = model.checkpoint.module(**plain_inputs(model, QUESTIONS[0]))
    expected = yes_minus_no(out.logits[0, -1], model.checkpoint.answers)
    assert_equal_up_to_rounding(margin, expected, scale=out.logits[0, -1])
    (gradient,) = torch.autograd.grad(margin, ours)
    (truth,) = torch.autograd.grad(expected, plain)
    assert truth.norm() > 0
    assert_equal_up_to_rounding(gradient, truth)


def test_reversal_turns_the_visual_tokens_round_where_they_enter_the_decoder(model, view):
    places, order = view.grid.positions, view.grid.positions[view.grid.reversal()]

    def turn(_, arguments, options):
        embeddings = options["inputs_embeds"].clone()
        embeddings[:, places] = embeddings[:, order]
        options["inputs_embeds"] = embeddings
        if levels := options.get("deepstack_visual_embeds"):
            turned = view.grid.reversal()
            options["deepstack_visual_embeds"] = [level[turned] for level in levels]
        return arguments, options

    with torch.no_grad(), hooked(decoder_of(model), turn):
        out = model.checkpoint.module(**plain_inputs(model, QUESTIONS[0]))
    (reading,) = view.reversed().read(QUESTIONS[0])
    assert_equal_up_to_rounding(reading.logits, out.logits[0, -1])
    assert_differ_beyond_rounding(reading.logits, view.read(QUESTIONS[0])[0].logits)
    (again,) = view.reversed().reversed().read(QUESTIONS[0])
    assert torch.equal(again.attention, view.read(QUESTIONS[0])[0].attention)


def test_the_raw_trace_sees_what_the_reading_sees(model, view):
    with torch.no_grad(), view.trace(QUESTIONS[0]):
        last = model.decoder.handle.lm_head.input[0, -1:].save()
    (logits,) = model.checkpoint.logits(last)
    assert_equal_up_to_rounding(logits, view.read(QUESTIONS[0])[0].logits)


def test_a_cell_knows_every_source_frame_it_covers(model, view):
    frames = view.grid.cells.frames
    merged = ((0, 2), (4, 6), (8,)), ((0,), (2,), (4,), (6,), (8,))
    assert frames == merged[frames_together(model) == 1]


def test_cells_tile_what_the_processor_leaves_of_the_frame(view, model):
    cropped = model.checkpoint.family.model_type in ("llava_next_video", "video_llava")
    region = (16.0, 0.0, 64.0, 48.0) if cropped else (0.0, 0.0, 80.0, 48.0)
    assert view.grid.cells.region == region


def test_a_single_frame_is_read_as_a_picture_or_as_a_video_of_one_frame(model):
    single = Video(moving().frames[:1], (0,), np.zeros(1))
    view = model.watch(single)
    pictured = model.checkpoint.family.model_type in PICTURES
    assert view.checkpoint.medium == ("image" if pictured else "video")
    (reading,) = view.read(QUESTIONS[0])
    assert reading.grid.cells.frames == ((0,),)


@pytest.mark.parametrize("family", ["qwen3_vl", "smolvlm"])
def test_times_written_among_the_frames_are_those_of_the_video(family, tmp_path):
    save_tiny(family, tmp_path)
    model = load(tmp_path)
    slow = Video(moving().frames, (0, 4, 8, 12, 16), np.arange(20) / 2)
    text = model.checkpoint.processor.tokenizer.decode(
        plain_inputs(model, "What jumps?", slow)["input_ids"][0]
    )
    times = ("<1.0 seconds>", "<5.0 seconds>", "<8.0 seconds>")
    if family == "smolvlm":
        times = tuple(f"Frame from 00:0{second}:" for second in (0, 2, 4, 6, 8))
    assert all(text.count(time) == 1 for time in times)


def test_m_rope_time_runs_with_the_clock(tmp_path):
    save_tiny("qwen2_5_vl", tmp_path)
    model = load(tmp_path)

    def time_of_cells(rate):
        video = Video(moving().frames, (0, 2, 4, 6, 8), np.arange(10) / rate)
        view = model.watch(video)
        return view.prefix.positions[0][view.grid.positions].unflatten(0, (3, -1))[:, 0].diff()

    # Two positions a second; a cell of two sampled frames spans four source frames.
    assert time_of_cells(4.0).tolist() == [2, 2]
    assert time_of_cells(1.0).tolist() == [8, 8]
