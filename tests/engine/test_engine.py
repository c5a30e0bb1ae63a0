"""The engine against the plain model: same attention, same logits, nothing leaks."""

import gc
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from tolerances import assert_equal_up_to_rounding

from probe.engine.latent_prompts import zero_prompt
from probe.engine.model import load
from probe.engine.prompts import GENERIC
from probe.grounding.reattention import reattend
from probe.video import Video

QUESTIONS = ("Is there a red circle in this video?", "What jumps?", GENERIC)


def eager(model_folder, video, question):
    """Attention and logits of one plain pass of the whole model with full matrices."""
    model = load(model_folder, dtype="float32") if model_folder else load()
    checkpoint = model.checkpoint
    inputs = checkpoint.process(video, checkpoint.writer(before=0).text(question))
    with torch.no_grad(), model.decoder.attending("eager"):
        out = checkpoint.module(**inputs, output_attentions=True)
    (visual,) = torch.nonzero(inputs["input_ids"][0] == checkpoint.placeholder, as_tuple=True)
    rows = torch.stack([layer[0] for layer in out.attentions])
    return rows[:, :, int(visual[-1]) + 1 :][..., visual], out.logits[0, -1]


@pytest.mark.parametrize("shipped", [True, False], ids=["organism", "random weights"])
def test_attention_rows_equal_eager_attention(shipped, organism, tiny, tiny_folder, video):
    view = (organism if shipped else tiny).watch(video)
    readings = view.read(*QUESTIONS)
    for question, reading in zip(QUESTIONS, readings, strict=True):
        rows, logits = eager(None if shipped else tiny_folder, video, question)
        assert rows.max() > 1e-3
        assert_equal_up_to_rounding(view.grid.unfold(reading.attention), rows)
        assert_equal_up_to_rounding(reading.logits, logits)


def test_a_question_reads_the_same_alone_and_in_company(tiny, video):
    view = tiny.watch(video)
    alone = [view.read(question)[0] for question in QUESTIONS]
    together = view.read(*QUESTIONS)
    for one, packed in zip(alone, together, strict=True):
        assert_equal_up_to_rounding(packed.attention, one.attention)
        assert_equal_up_to_rounding(packed.logits, one.logits)


def test_reading_twice_gives_the_same_bits(tiny, video):
    view = tiny.watch(video)
    first, second = view.read(QUESTIONS[0])[0], view.read(QUESTIONS[0])[0]
    assert torch.equal(first.attention, second.attention)
    assert torch.equal(first.logits, second.logits)


def test_attention_on_the_video_is_part_of_a_whole(tiny, video):
    share = tiny.watch(video).read(QUESTIONS[0])[0].attention.sum(dim=(-3, -2, -1))
    assert ((share > 0) & (share < 1)).all()


def test_chosen_layers_are_the_same_as_those_of_all_layers(tiny, video):
    view = tiny.watch(video)
    every = view.read(QUESTIONS[0])[0]
    some = view.read(QUESTIONS[0], layers=[-1, 1])[0]
    assert some.layers == (1, 3)
    assert torch.equal(some.attention, every.attention[[1, 3]])
    assert torch.equal(some.heatmap(2).values, every.heatmap(2, [1, 3]).values)


def test_chosen_heads_and_kinds_of_tokens_are_the_same_as_those_of_all(tiny, video):
    view = tiny.watch(video)
    every = view.read(*QUESTIONS)
    some = view.read(*QUESTIONS, layers=[1, 2], heads=[3, 0], kinds=("word", "role"))
    for whole, part in zip(every, some, strict=True):
        tokens = list(whole.prompt.indices("word", "role"))
        assert part.tokens == tuple(whole.tokens[token] for token in tokens)
        chosen = whole.attention[[1, 2]][:, [0, 3]][:, :, tokens]
        assert_equal_up_to_rounding(part.attention, chosen)
        assert_equal_up_to_rounding(
            part.heatmap(-1, layers_heads=[(2, 3)]).values,
            whole.heatmap(-1, layers_heads=[(2, 3)]).values,
        )
        assert torch.equal(part.logits, whole.logits)


def test_a_head_or_kind_that_is_not_there_is_named(tiny, video):
    view = tiny.watch(video)
    with pytest.raises(ValueError, match=r"no head \[4\]; this model has heads 0 to 3"):
        view.read("What jumps?", heads=[4])
    with pytest.raises(ValueError, match="no question has a stop token"):
        view.read("What jumps", kinds=("stop",))
    with pytest.raises(ValueError, match="no layer to read"):
        view.read("What jumps?", layers=[])
    (part,) = view.read("What jumps?", heads=[2])
    with pytest.raises(ValueError, match=r"no head \[0\] in this reading; it holds \(2,\)"):
        part.heatmap(0, layers_heads=[(1, 0)])


@contextmanager
def out_of_order(part):
    """A part that must not run."""

    def refuse(*_):
        raise AssertionError("this part ran")

    handle = part.register_forward_pre_hook(refuse)
    try:
        yield
    finally:
        handle.remove()


def test_a_gaze_is_the_attention_of_a_reading_and_nothing_above_it_runs(tiny, video):
    view = tiny.watch(video)
    latent = zero_prompt(view.model, view.grid, view.prefix.embeddings.shape[1], 1)
    moved = replace(latent, vectors=torch.ones_like(latent.vectors))
    prompted = view.with_latent(moved)
    expected = [one.read(*QUESTIONS, layers=[0, 2]) for one in (view, prompted)]
    fresh = tiny.watch(video)
    with out_of_order(tiny.checkpoint.module.model.language_model.layers[3].self_attn):
        found = [
            one.attention(*QUESTIONS, layers=[0, 2]) for one in (fresh, fresh.with_latent(moved))
        ]
        with pytest.raises(AssertionError, match="this part ran"):
            fresh.read(QUESTIONS[0])
    for readings, found_maps in zip(expected, found, strict=True):
        for reading, maps in zip(readings, found_maps, strict=True):
            assert torch.equal(reading.attention, maps.attention)
            assert maps.tokens == reading.tokens
    (later,) = fresh.read(QUESTIONS[0])
    assert torch.equal(later.logits, view.read(QUESTIONS[0])[0].logits)


def test_a_video_is_read_no_further_than_the_keys_and_values_of_the_last_layer(tiny, video):
    view = tiny.watch(video)
    with out_of_order(tiny.checkpoint.module.model.language_model.layers[-1].self_attn.o_proj):
        assert len(view.cache.past(view.checkpoint.depth)) == tiny.depth
        with pytest.raises(AssertionError, match="this part ran"):
            view.read(QUESTIONS[0])


def test_the_way_attention_is_computed_changes_nothing(tiny, tiny_folder, video):
    plain, eager_model = tiny.watch(video), load(tiny_folder, dtype="float32", attention="eager")
    view = eager_model.watch(video)
    for one, other in zip(plain.read(*QUESTIONS), view.read(*QUESTIONS), strict=True):
        assert_equal_up_to_rounding(other.attention, one.attention)
        assert_equal_up_to_rounding(other.logits, one.logits)
    text = eager_model.checkpoint.config.get_text_config()
    assert text._attn_implementation == eager_model.decoder.calls.attention == "eager"


@pytest.mark.parametrize("layer", [0, 2])
def test_checkpointing_keeps_less_and_learns_the_same(tiny, video, layer):
    view = tiny.watch(video)
    kept = 0

    def weigh(tensor):
        nonlocal kept
        kept += tensor.numel()
        return tensor

    vectors, numbers = [], []
    for checkpointing in (False, True):
        kept = 0
        with torch.autograd.graph.saved_tensors_hooks(weigh, lambda tensor: tensor):
            learned = reattend(
                view, QUESTIONS[0], layer=layer, steps=2, rate=0.5, checkpointing=checkpointing
            )
        vectors.append(learned.latent.vectors)
        numbers.append(kept)
    assert_equal_up_to_rounding(vectors[1], vectors[0])
    assert numbers[1] < numbers[0] / 3
    assert not any(module.training for module in tiny.checkpoint.module.modules())
    assert not tiny.checkpoint.embed([5]).requires_grad


def test_a_raw_trace_of_a_prompted_view_is_refused(tiny, video):
    view = tiny.watch(video)
    prompted = view.with_latent(
        zero_prompt(view.model, view.grid, view.prefix.embeddings.shape[1], 0)
    )
    with pytest.raises(ValueError, match="a raw trace adds no latent prompts"):
        prompted.trace(QUESTIONS[0])


def test_a_layer_that_is_not_there_or_was_not_read_is_named(tiny, video):
    view = tiny.watch(video)
    with pytest.raises(ValueError, match=r"no layer \[9\]"):
        view.read("What jumps?", layers=[9])
    with pytest.raises(ValueError, match=r"layers \[2\] were not read"):
        view.read("What jumps?", layers=[1])[0].heatmap(0, [2])


def test_a_painted_cell_moves_only_its_frame_and_most_of_all_itself(tiny, video):
    def visual_tokens(frames):
        view = tiny.watch(Video(frames, video.indices, video.source_times))
        return view.grid.fold(view.prefix.embeddings[view.grid.positions].T)

    before = visual_tokens(video.frames)
    _, rows, columns = before.shape[1:]
    height, width = video.size[0] // rows, video.size[1] // columns
    for frame, row, column in [(0, 0, 0), (3, 1, 2), (7, 3, 0), (5, 3, 3)]:
        painted = video.frames.copy()
        painted[
            frame, row * height : (row + 1) * height, column * width : (column + 1) * width
        ] ^= 255
        change = (visual_tokens(painted) - before).norm(dim=0)
        others = [i for i in range(len(video)) if i != frame]
        assert change[others].max() == 0
        peak = torch.unravel_index(change[frame].argmax(), (rows, columns))
        assert tuple(map(int, peak)) == (row, column)


def test_the_raw_trace_sees_what_the_reading_sees(tiny, video):
    view = tiny.watch(video)
    with torch.no_grad(), view.trace(QUESTIONS[0]):
        hidden = view.layers[2].output.save()
        logits = view.decoder.handle.lm_head.output[0, -1].save()
    reading = view.read(QUESTIONS[0])[0]
    assert hidden.shape[1] == len(view.prefix) + len(reading.tokens)
    assert_equal_up_to_rounding(logits, reading.logits)


def tensors_there():
    return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())


@pytest.mark.slow
def test_memory_does_not_grow_with_readings(tiny, video):
    view = tiny.watch(video)

    def tensors_after(count):
        for _ in range(count):
            view.read("What jumps?", layers=[1])
        gc.collect()
        return tensors_there()

    assert tensors_after(5) == tensors_after(55)


STEPS = {
    "watch": lambda model, video: model.watch(video),
    "entering": lambda model, video: model.watch(video).states(2),
    "read": lambda model, video: model.watch(video).read("What jumps?"),
    "gaze": lambda model, video: model.watch(video).attention("What jumps?", layers=[1]),
    "reattend": lambda model, video: reattend(model.watch(video), "What jumps?", layer=1),
    "reverse": lambda model, video: model.watch(video).reversed().answer_logits("What jumps?"),
}


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_what_is_done_with_is_let_go_of_without_collecting_cycles(tiny, video, step):
    STEPS[step](tiny, video)
    gc.collect()
    gc.disable()
    try:
        before = tensors_there()
        STEPS[step](tiny, video)
        assert tensors_there() == before
    finally:
        gc.enable()
