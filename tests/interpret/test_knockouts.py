"""Knock-outs against eager attention with masks written by hand."""

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from tolerances import assert_differ_beyond_rounding, assert_equal_up_to_rounding

from probe.engine.interventions import Extent
from probe.engine.model import load
from probe.engine.readings import yes_minus_no
from probe.grounder import ground
from probe.grounding.config import GrounderConfig
from probe.grounding.presets import BEST, PLAIN
from probe.interpret.grounding_tokens import grounding_token
from probe.interpret.knockouts import (
    Cut,
    HeadRecord,
    MeanAblation,
    NoiseAblation,
    compare,
    knock_out,
    mean_outputs,
    swap_tokens,
)
from probe.metrics import tube_iou
from probe.organism.world import make_clip

QUESTION = "Is there a red circle in this video?"


@pytest.fixture(params=[True, False], ids=["organism", "random weights"])
def shipped(request):
    return request.param


@pytest.fixture
def view(shipped, organism, tiny, video):
    return (organism if shipped else tiny).watch(video)


@pytest.fixture
def view_of_tiny(tiny, video):
    return tiny.watch(video)


def eager(shipped, folder, view, hidden=None):
    """One plain pass with full matrices; `hidden` marks the edges that each layer's heads lose."""
    model = load() if shipped else load(folder, dtype="float32")
    checkpoint = model.checkpoint
    checkpoint.module.set_attn_implementation("eager")
    ids = checkpoint.writer(before=0).tokenizer(view.writer.text(QUESTION), return_tensors="pt")
    asked = view.writer.write(QUESTION).ids
    embeddings = torch.cat([view.prefix.embeddings, checkpoint.embed(asked)])
    assert ids["input_ids"][0, -len(asked) :].tolist() == list(asked)
    length = len(embeddings)
    mask = torch.ones(length, length, dtype=torch.bool).tril().repeat(checkpoint.heads, 1, 1)
    decoder = checkpoint.module.model.language_model
    handles = []
    for layer, lost in (hidden or {}).items():
        seen = mask.clone()
        seen[lost] = False
        additive = torch.zeros(seen.shape).masked_fill(~seen, float("-inf"))[None]
        handles.append(
            decoder.layers[layer].self_attn.register_forward_pre_hook(
                lambda _, args, options, additive=additive: (
                    args,
                    {**options, "attention_mask": additive},
                ),
                with_kwargs=True,
            )
        )
    with torch.no_grad():
        out = decoder(inputs_embeds=embeddings[None], output_attentions=True, use_cache=False)
        logits = checkpoint.module.lm_head(out.last_hidden_state[0, -1])
    rows = torch.stack([layer[0] for layer in out.attentions])
    return rows[:, :, len(view.prefix) :][..., view.grid.positions], logits


def edges(view, tokens, heads=None, cells=None):
    """The edges from tokens of the question to cells of the video, as a mask of all edges."""
    asked = len(view.writer.write(QUESTION))
    length = len(view.prefix) + asked
    lost = torch.zeros(view.checkpoint.heads, length, length, dtype=torch.bool)
    positions = view.grid.positions if cells is None else view.grid.positions[cells.flatten()]
    for head in range(view.checkpoint.heads) if heads is None else heads:
        for token in tokens:
            lost[head, len(view.prefix) + token, positions] = True
    return lost


def test_cutting_a_token_from_all_cells_equals_masking_it_in_plain_eager_attention(
    shipped, view, tiny_folder
):
    reading = view.under(Cut(tokens=(3,))).read(QUESTION)[0]
    lost = edges(view, [3])
    rows, logits = eager(
        shipped, tiny_folder, view, dict.fromkeys(range(view.checkpoint.depth), lost)
    )
    assert_equal_up_to_rounding(view.grid.unfold(reading.attention), rows)
    assert_equal_up_to_rounding(reading.logits, logits)
    assert reading.attention[:, :, 3].abs().max() == 0
    assert_differ_beyond_rounding(reading.logits, view.read(QUESTION)[0].logits)


def test_cutting_some_cells_at_one_head_of_one_layer_equals_the_same_in_eager_attention(
    shipped, view, tiny_folder
):
    cells = torch.zeros(view.grid.shape, dtype=torch.bool)
    cells[2:5, 1:3] = True
    cut = Cut(tokens=(4, -1), cells=cells, layers=(1,), heads=(0, 2))
    reading = view.under(cut).read(QUESTION)[0]
    last = len(reading.tokens) - 1
    lost = edges(view, [4, last], heads=[0, 2], cells=cells)
    rows, logits = eager(shipped, tiny_folder, view, {1: lost})
    assert_equal_up_to_rounding(view.grid.unfold(reading.attention), rows)
    assert_equal_up_to_rounding(reading.logits, logits)
    assert reading.attention[1, 0, 4][cells].abs().max() == 0
    assert (reading.attention[1, 1, 4][cells] > 0).all()


def test_an_empty_knock_out_changes_nothing_bit_for_bit(view):
    nothing = torch.zeros(view.grid.shape, dtype=torch.bool)
    (plain,) = view.read(QUESTION)
    for empty in (Cut(tokens=()), Cut(cells=nothing), Cut(layers=()), Cut(heads=()), HeadRecord()):
        (same,) = view.under(empty).read(QUESTION)
        assert torch.equal(same.logits, plain.logits)
        assert torch.equal(same.attention, plain.attention)
        assert same.margin == plain.margin


def test_knock_outs_of_one_pass_are_those_of_one_pass_each(view):
    cells = torch.rand(view.grid.shape, generator=torch.Generator().manual_seed(0)) < 0.3
    done = [
        Cut(tokens=(3,)),
        Cut(cells=cells, heads=(1,)),
        MeanAblation([(1, 0), (2, 1)]),
        [Cut(tokens=(2,), layers=(0,)), NoiseAblation([(1, 2)])],
        [],
    ]
    together = knock_out(view, QUESTION, done)
    alone = [knock_out(view, QUESTION, [one])[0] for one in done]
    by_twos = knock_out(view, QUESTION, done, batch_size=2)
    for one, packed, paired in zip(alone, together, by_twos, strict=True):
        for other in (packed, paired):
            assert_equal_up_to_rounding(other.after.attention, one.after.attention)
            assert_equal_up_to_rounding(other.after.logits, one.after.logits)
    assert_equal_up_to_rounding(together[-1].after.logits, together[-1].before.logits)
    margins = [effect.after.margin for effect in together]
    assert len({round(margin, 3) for margin in margins}) == len(done)


def test_what_is_left_of_a_row_sums_to_one_again(view_of_tiny):
    view = view_of_tiny
    every = torch.ones(view.grid.shape, dtype=torch.bool)
    every[0] = False
    plain, cut = (
        one.read(QUESTION)[0] for one in (view, view.under(Cut(cells=every, layers=(0,))))
    )
    kept, was = cut.attention[0, :, :, 0].sum((-2, -1)), plain.attention[0].sum((-3, -2, -1))
    before = plain.attention[0, :, :, 0].sum((-2, -1))
    assert_equal_up_to_rounding(kept, before / (1 - (was - before)))


def test_a_cut_reaches_only_the_layers_from_its_own_on(view_of_tiny):
    plain, cut = (
        one.read(QUESTION)[0] for one in (view_of_tiny, view_of_tiny.under(Cut(layers=(2,))))
    )
    assert_equal_up_to_rounding(cut.attention[:2], plain.attention[:2])
    assert cut.attention[2].abs().max() == 0
    assert_differ_beyond_rounding(cut.attention[3], plain.attention[3])


def test_a_cut_moves_only_the_token_it_cuts_and_those_after_it(view_of_tiny):
    plain, cut = (
        one.read(QUESTION)[0] for one in (view_of_tiny, view_of_tiny.under(Cut(tokens=(3,))))
    )
    assert_equal_up_to_rounding(cut.attention[:, :, :3], plain.attention[:, :, :3])
    assert_differ_beyond_rounding(cut.attention[1:, :, 4:], plain.attention[1:, :, 4:])


def test_a_cut_of_one_question_leaves_its_neighbours_in_the_pass_alone(view_of_tiny):
    plain = view_of_tiny.read(QUESTION)[0]
    first, _, third = view_of_tiny.read(
        QUESTION, QUESTION, QUESTION, interventions_per_question=[[], [Cut()], []]
    )
    for neighbour in (first, third):
        assert_equal_up_to_rounding(neighbour.attention, plain.attention)


def test_an_ablated_head_puts_out_its_mean_and_the_others_what_they_did(view):
    before, after = HeadRecord(), HeadRecord()
    view.under(before).answer_logits(QUESTION)
    view.under(MeanAblation([(1, 2)], tokens=(0, 5)), after).answer_logits(QUESTION)
    changed = (before.outputs[1] - after.outputs[1]).abs().amax(-1) > 0
    assert changed.nonzero().tolist() == [[0, 2], [5, 2]]
    assert_equal_up_to_rounding(after.outputs[1][0, 2], before.outputs[1][:, 2].mean(0))
    assert torch.equal(before.outputs[0], after.outputs[0])


def test_a_reference_mean_is_that_of_its_questions(view_of_tiny):
    records = [HeadRecord(), HeadRecord()]
    view_of_tiny.answer_logits(
        QUESTION, "What jumps?", interventions_per_question=[[record] for record in records]
    )
    means = mean_outputs(view_of_tiny, QUESTION, "What jumps?")
    every = torch.cat([record.outputs[2] for record in records])
    assert_equal_up_to_rounding(means[2], every.mean(0))
    after = HeadRecord()
    view_of_tiny.under(MeanAblation([(2, 1)], reference=means), after).answer_logits(QUESTION)
    assert_equal_up_to_rounding(
        after.outputs[2][:, 1], means[2, 1].expand_as(after.outputs[2][:, 1])
    )


@pytest.mark.slow
def test_noise_follows_its_seed_and_keeps_the_heads_mean_and_spread(view_of_tiny):
    def heard(seed):
        after = HeadRecord()
        view_of_tiny.under(NoiseAblation([(1, 0)], seed=seed), after).answer_logits(QUESTION)
        return after.outputs[1][:, 0]

    before = HeadRecord()
    view_of_tiny.under(before).answer_logits(QUESTION)
    own = before.outputs[1][:, 0]
    assert torch.equal(heard(0), heard(0))
    assert not torch.equal(heard(0), heard(1))
    many = torch.stack([heard(seed) for seed in range(40)])
    scaled = (many - own.mean(0)) / own.std(0, correction=0)
    assert abs(scaled.mean()) < 0.05
    assert abs(scaled.std() - 1) < 0.05


def test_with_all_tokens_swapped_the_other_clip_is_seen(organism, video):
    view, other = organism.watch(video), organism.watch(make_clip(11).video())
    (swapped,), (wanted,) = swap_tokens(view, other).read(QUESTION), other.read(QUESTION)
    assert_equal_up_to_rounding(swapped.logits, wanted.logits)
    (effect,) = compare(view, other, QUESTION)
    change = wanted.margin - effect.before.margin
    assert_equal_up_to_rounding(effect.margin_change, change, scale=wanted.logits)


def test_with_some_cells_swapped_only_those_tokens_are_anothers(view_of_tiny, tiny):
    other = tiny.watch(make_clip(11).video())
    cells = torch.zeros(view_of_tiny.grid.shape, dtype=torch.bool)
    cells[1, 2, 3] = cells[7, 0, 0] = True
    swapped = swap_tokens(view_of_tiny, other, cells)
    moved = (swapped.prefix.embeddings - view_of_tiny.prefix.embeddings).abs().amax(-1) > 0
    assert moved.nonzero()[:, 0].tolist() == view_of_tiny.grid.positions[cells.flatten()].tolist()
    back = swap_tokens(swapped, view_of_tiny, cells)
    assert torch.equal(back.prefix.embeddings, view_of_tiny.prefix.embeddings)


def test_tokens_of_another_grid_are_refused(tiny, video, clip):
    with pytest.raises(ValueError, match="do not fit"):
        swap_tokens(tiny.watch(video), tiny.watch(clip.video(4)))


def test_a_reversed_cut_hides_the_same_picture(tiny, video):
    cells = torch.zeros(tiny.watch(video).grid.shape, dtype=torch.bool)
    cells[1] = True
    turned = tiny.watch(video).under(Cut(cells=cells)).reversed()
    (reading,) = turned.read(QUESTION)
    assert reading.attention[..., 6, :, :].abs().max() == 0
    assert (reading.attention[..., 1, :, :] > 0).all()


def test_cutting_what_an_answer_rests_on_moves_its_tube(organism, clip, video):
    tracks = [thing.track() for thing in clip.things]

    def grounded(*interventions):
        config = replace(BEST, interventions=interventions)
        return ground(organism, video, clip.things[0].query, tracks, config=config)

    plain, same = grounded(), grounded(Cut(tokens=()))
    assert tube_iou(plain.tube, same.tube) == 1
    cells = torch.from_numpy(plain.where.heatmap.cells.coverage(plain.track)) > 0
    cut = grounded(Cut(cells=cells))
    assert cut.where.heatmap.values[cells].abs().max() == 0
    assert cut.track is not plain.track
    assert tube_iou(plain.tube, cut.tube) < 1
    (told,) = json.loads(json.dumps(cut.to_dict()))["config"]["interventions"]
    assert told["is"] == "probe.interpret.cuts:Cut"
    assert told["cells"]["values"] == cells.tolist()
    # Answers of earlier versions have the class where it was.
    record = json.loads(json.dumps(cut.to_dict()))
    record["config"]["interventions"][0]["is"] = "probe.interpret.knockouts:Cut"
    assert GrounderConfig.from_dict(record["config"]).interventions == (Cut(cells=cells),)


def test_a_grounder_may_look_through_some_heads_only(organism, clip, video):
    pairs = ((1, 2), (0, 0))
    config = replace(PLAIN, layers_heads=pairs)
    found = ground(organism, video, clip.things[0].query, config=config).where
    asked, generic = organism.watch(video).read(found.question, config.generic)
    (token,) = found.tokens
    assert token == grounding_token(asked.through(pairs))
    over = generic.heatmap(token - len(asked.tokens), layers_heads=pairs)
    wanted = asked.heatmap(token, layers_heads=pairs).relative_to(over)
    assert_equal_up_to_rounding(found.heatmap.values, wanted.values)


def test_a_cut_of_edges_that_no_model_has_is_refused(view_of_tiny):
    question = "Is there a red circle in this video?"
    with pytest.raises(ValueError, match=r"see none of the sources .*: a token sees only what"):
        knock_out(view_of_tiny, question, Cut(tokens="red", sources="circle"))
    with pytest.raises(ValueError, match="see none of the sources"):
        knock_out(view_of_tiny, question, Cut(tokens="red", sources="red"))
    (changed,) = knock_out(view_of_tiny, question, Cut(tokens="circle", sources="red"))
    assert changed.margin_change != 0


def test_an_effect_says_what_changed(view_of_tiny):
    nothing, blind = knock_out(view_of_tiny, QUESTION, [[], Cut()])
    assert_equal_up_to_rounding(nothing.margin_change, 0, scale=nothing.before.logits)
    assert_equal_up_to_rounding(nothing.heat_moved(-1), 0, scale=1)
    assert not nothing.peak_moved(-1)
    assert not nothing.answer_changed
    assert blind.heat_moved(-1) == 1
    assert blind.margin_change == blind.after.margin - blind.before.margin
    assert blind.answer_changed == (blind.answers[0] != blind.answers[1])
    margin = yes_minus_no(blind.after.logits, view_of_tiny.checkpoint.answers)
    assert_equal_up_to_rounding(blind.after.margin, margin, scale=blind.after.logits)


def test_an_effect_is_a_record_a_table_and_a_line(view_of_tiny):
    (effect,) = knock_out(view_of_tiny, f"{QUESTION[:-1]} {'or not ' * 20}?", Cut(tokens="circle"))
    record = effect.to_dict()
    assert record == json.loads(json.dumps(record))
    assert record["margin_change"] == record["margin_after"] - record["margin_before"]
    table = effect.to_frame()
    assert table["token"].tolist() == list(effect.before.tokens)
    (blind,) = effect.before.prompt.find("circle")
    assert table.loc[blind, "activation_after"] == 0
    assert table.loc[blind, "heat_moved"] == 1 == effect.heat_moved("circle")
    assert table["peak_moved"].tolist() == [effect.peak_moved(place) for place in table["index"]]
    assert_equal_up_to_rounding(table["heat_moved"][:blind], [0] * blind, scale=1)
    assert repr(effect).startswith("Effect('Is there a red circle")
    assert len(repr(effect)) < 300
    assert "\n" not in repr(effect)


def test_one_intervention_may_be_given_in_place_of_a_list(view_of_tiny):
    (one,), (listed,) = (
        knock_out(view_of_tiny, QUESTION, given) for given in (Cut(tokens=3), [Cut(tokens=(3,))])
    )
    assert one == listed
    assert hash(one) == hash(listed)
    assert one != knock_out(view_of_tiny, QUESTION, Cut(tokens=2))[0]


def test_words_are_found_in_the_question_in_every_intervention_also_a_users_own(view_of_tiny):
    @dataclass(frozen=True)
    class Mine:
        tokens: tuple[int | str, ...]

        def edits(self, extent):
            return Cut(tokens=self.tokens).edits(extent)

        def reversed(self):
            return self

    place = view_of_tiny.read(QUESTION)[0].prompt.find("circle")
    assert len(place) == 1
    for by_word, by_place in (
        (Cut(tokens="circle"), Cut(tokens=place)),
        (Cut(tokens=["circle", 2]), Cut(tokens=(2, *place))),
        (MeanAblation((1, 0), "circle"), MeanAblation([(1, 0)], place)),
        (NoiseAblation((1, 0), "circle"), NoiseAblation([(1, 0)], place)),
        (Mine(("circle",)), Mine(place)),
        ([Cut(tokens="red"), Cut(tokens="circle")], Cut(tokens=["red", "circle"])),
    ):
        found, wanted = knock_out(view_of_tiny, QUESTION, [by_word, by_place])
        assert_equal_up_to_rounding(found.after.attention, wanted.after.attention)
        assert_differ_beyond_rounding(found.after.attention, found.before.attention)


def test_a_word_that_cannot_be_found_is_named(view_of_tiny):
    with pytest.raises(ValueError, match=r"'square' in the question .* not there"):
        knock_out(view_of_tiny, QUESTION, Cut(tokens="square"))
    for ablation in (
        Cut("circle"),
        MeanAblation((1, 0), "circle"),
        NoiseAblation((1, 0), "circle"),
    ):
        with pytest.raises(
            ValueError, match="'circle' is a word, and only knock_out knows"
        ) as refused:
            view_of_tiny.under(ablation).read(QUESTION)
        assert "\n" not in str(refused.value)


def test_numbers_arrays_and_lists_are_taken_for_what_they_mean(view_of_tiny):
    cells = np.zeros(view_of_tiny.grid.shape, dtype=bool)
    cells[2:5, 1:3] = True
    wanted = Cut((3,), torch.from_numpy(cells), (2,), (1,))
    for same in (
        Cut(3, cells, 2, 1),
        Cut(np.int64(3), cells.tolist(), np.int64(2), [1]),
        Cut(np.array([3]), torch.from_numpy(cells), range(2, 3), np.array([1])),
        Cut(torch.tensor(3), cells, [2], {1}),
    ):
        assert same == wanted
        assert hash(same) == hash(wanted)
    cells[:] = False
    assert wanted.cells is not None
    assert wanted.cells.sum() == 3 * 2 * view_of_tiny.grid.shape[2]
    assert wanted == Cut(3, wanted.cells, 2, 1)
    assert MeanAblation((1, 0)) == MeanAblation([(1, 0)]) == MeanAblation(np.array([[1, 0]]))
    assert NoiseAblation([[1, 0], [2, 3]]) == NoiseAblation(((1, 0), (2, 3)))
    means = mean_outputs(view_of_tiny, QUESTION)
    assert MeanAblation((1, 0), reference=means.numpy()) == MeanAblation((1, 0), reference=means)
    assert Cut() != Cut(cells=wanted.cells) != Cut(cells=~wanted.cells)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Cut(tokens=2.5), "a token that is not a word is 2.5"),
        (lambda: Cut(tokens=[True, False]), "give a whole number"),
        (lambda: Cut(layers="last"), "layers are given as"),
        (lambda: Cut(heads=[0.5]), "heads are given as"),
        (lambda: Cut(cells=[[True]]), "give true or false by frame, row and column"),
        (lambda: Cut(cells=np.zeros((8, 4, 4))), "an array of float64 of shape"),
        (lambda: Cut(cells=[[[True]], [[True, False]]]), "give true or false by frame"),
        (lambda: MeanAblation([1, 2, 3]), "pairs of layer and head"),
        (lambda: NoiseAblation([(1, 0.5)]), "a head is 0.5"),
    ],
)
def test_a_choice_of_another_form_is_refused_in_one_line(make, said):
    with pytest.raises(ValueError, match=said) as refused:
        make()
    assert "\n" not in str(refused.value)


def test_interventions_survive_a_configurations_json(view_of_tiny):
    cells = torch.rand(view_of_tiny.grid.shape, generator=torch.Generator().manual_seed(0)) < 0.3
    done = (
        Cut(("circle", -1), cells, 2),
        MeanAblation([(1, 0)], 3, mean_outputs(view_of_tiny, QUESTION)),
        NoiseAblation([(1, 0), (2, 1)], seed=5),
    )
    config = replace(BEST, interventions=done)
    assert GrounderConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_interventions_are_shown_in_a_line(view_of_tiny):
    every = torch.ones(view_of_tiny.grid.shape, dtype=torch.bool)
    pairs = [(layer, head) for layer in range(40) for head in range(40)]
    means = mean_outputs(view_of_tiny, QUESTION)
    assert repr(Cut(tokens=3, layers=(1, 2))) == "Cut(tokens=(3,), layers=(1, 2))"
    assert repr(Cut(cells=every)) == f"Cut(cells={every.numel()} of {every.numel()})"
    assert repr(NoiseAblation((1, 0))) == "NoiseAblation(heads=((1, 0),), seed=0)"
    assert repr(HeadRecord()) == "HeadRecord(0 layers recorded)"
    for done in (
        Cut(range(900), every, range(99), range(99)),
        MeanAblation(pairs, "x" * 999, means),
    ):
        assert len(repr(done)) < 300


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (Cut(tokens=(99,)), r"no token \[99\]"),
        (Cut(layers=(4,)), r"no layer \[4\]"),
        (Cut(heads=(-5,)), r"no head \[-5\]"),
        (Cut(cells=torch.ones(1, 1, 1, dtype=torch.bool)), "do not fit a video"),
        (MeanAblation([(0, 7)]), r"no head \[7\]"),
        (NoiseAblation([(9, 0)]), r"no layer \[9\]"),
    ],
)
def test_what_is_not_there_is_named(wrong, said):
    with pytest.raises(ValueError, match=said):
        wrong.edits(Extent(layers=4, heads=4, tokens=14, shape=(8, 4, 4)))


def test_each_question_needs_its_list(view_of_tiny):
    with pytest.raises(ValueError, match="1 lists of interventions for 2 questions"):
        view_of_tiny.read(QUESTION, QUESTION, interventions_per_question=[[]])
