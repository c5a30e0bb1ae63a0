"""The prefix carries every input of a decoder to its questions, or refuses it."""

from dataclasses import replace

import pytest
import torch
from tolerances import assert_differ_beyond_rounding, assert_equal_up_to_rounding
from transformers import AutoModelForImageTextToText
from zoo import moving, save_tiny

from probe.engine.checkpoint import Checkpoint
from probe.engine.decoder import Decoder
from probe.engine.families import FAMILIES
from probe.engine.layer_plan import FULL, SLIDING, LayerPlan
from probe.engine.model import VideoLM, load
from probe.engine.prefix import Prefix
from probe.engine.questions import PackedQuestions

QUESTION = "Is there a red circle in this video?"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A Qwen2-VL whose decoder also wants to know which tokens are visual, as newer families do."""
    folder = tmp_path_factory.mktemp("zoo") / "qwen2_vl"
    save_tiny("qwen2_vl", folder)
    processor = load(folder, dtype="float32").checkpoint.processor
    module = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    decoder = module.model.language_model
    torch.manual_seed(0)
    kinds = 0.5 * torch.randn(2, 64)
    plain, whole = type(decoder).forward, module.model.forward
    given = {}

    def forward(self, *, inputs_embeds, mm_token_type_ids=None, **inputs):
        if mm_token_type_ids is not None:
            # The two kinds of token are told apart by a vector each, so that what a question is
            # told about its own tokens and the video's changes what it reads.
            inputs_embeds = inputs_embeds + kinds[(mm_token_type_ids > 0).long()]
        return plain(self, inputs_embeds=inputs_embeds, **inputs)

    def pass_on(*args, mm_token_type_ids=None, **inputs):
        given["mm_token_type_ids"] = mm_token_type_ids
        return whole(*args, mm_token_type_ids=mm_token_type_ids, **inputs)

    class Telling(type(decoder)):
        """The real decoder, told the kinds of its tokens."""

        def __call__(self, *args, **inputs):
            if "mm_token_type_ids" not in inputs and given.get("mm_token_type_ids") is not None:
                inputs["mm_token_type_ids"] = given["mm_token_type_ids"]
            return super().__call__(*args, **inputs)

    Telling.forward = forward
    module.model.forward = pass_on
    decoder.__class__ = Telling  # before nnsight wraps what the module has by then
    family = FAMILIES["qwen2_vl"]
    return VideoLM("telling", None, Decoder(Checkpoint(module, processor, family))), given


def keywords(length=12, visual=range(3, 9), **more):
    """The call of a decoder with as many tokens, some of them visual."""
    marks = torch.zeros(1, length, dtype=torch.long)
    marks[:, list(visual)] = 1
    states = torch.arange(length * 4, dtype=torch.float32).reshape(1, length, 4)
    return {"inputs_embeds": states, "mm_token_type_ids": marks, "past_key_values": None, **more}


PLAN = LayerPlan(kinds=(FULL, FULL), attending=(0, 1), skippable=2)


def prefix(plan=PLAN, **more):
    return Prefix.of_call(keywords(**more), plan, torch.arange(3, 9))


def questions_after(found, lengths, plan=PLAN, **from_words):
    packed = PackedQuestions(lengths, len(found), apart=plan.is_recurrent)
    return found.questions_after(torch.zeros(sum(lengths), 4), packed, plan, from_words)


def test_inputs_with_an_entry_for_each_token_are_cut_to_the_prefix_and_go_on_as_text():
    found = prefix(per_layer_inputs=torch.arange(12.0)[None, :, None, None].expand(1, 12, 2, 3))
    assert len(found) == 9
    given = found.inputs()
    assert given["mm_token_type_ids"].tolist() == [[0, 0, 0, 1, 1, 1, 1, 1, 1]]
    assert given["per_layer_inputs"].shape == (1, 9, 2, 3)
    assert found.from_words == ("per_layer_inputs",)
    after = questions_after(found, (2, 3), per_layer_inputs=torch.ones(5, 2, 3))
    assert after.others["mm_token_type_ids"].tolist() == [0, 0, 0, 0, 0]
    assert after.positions.tolist() == [[9, 10, 9, 10, 11]]
    longer = found.followed_by(after, {})
    assert longer.inputs()["mm_token_type_ids"].shape == (1, 14)
    assert longer.others["per_layer_inputs"][:, 0, 0].tolist() == [*range(9), *[1] * 5]
    assert longer.positions.tolist() == [[*range(9), 9, 10, 9, 10, 11]]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mm_token_type_ids", torch.zeros(1, 12)),
        ("attention_mask", torch.tensor([[0] + [1] * 11])),
        ("attention_mask", torch.ones(1, 2, 12, 12)),
        ("something_new", torch.zeros(3)),
    ],
    ids=["no whole numbers", "padding", "a mask for each head", "unknown"],
)
def test_an_input_that_cannot_be_carried_exactly_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"takes '{name}' .*cannot carry"):
        prefix(**{name: value})


CAUSAL = torch.ones(12, 12, dtype=torch.bool).tril()


@pytest.mark.parametrize(
    "mask",
    [
        torch.ones(1, 12, dtype=torch.long),
        CAUSAL[None, None],
        torch.zeros(1, 1, 12, 12).masked_fill(~CAUSAL, -3e38),
        {FULL: None},
    ],
    ids=["padding", "causal", "causal, to be added", "none"],
)
def test_a_mask_that_hides_nothing_and_choices_of_the_pass_are_left_out(mask):
    found = prefix(attention_mask=mask, use_cache=True)
    assert set(found.others) == {"mm_token_type_ids"}
    assert not found.masks


def test_a_mask_of_the_models_own_is_kept_for_each_kind_of_layer_and_goes_on_for_questions():
    plan = LayerPlan((SLIDING, FULL), (0, 1), window=4, skippable=2, by_kind=True)
    block = CAUSAL.clone()
    block[3:9, 3:9] = True  # the visual tokens see one another in both directions
    added = torch.zeros(1, 1, 12, 12).masked_fill(~block, -3e38)
    found = prefix(plan, attention_mask={FULL: None, SLIDING: added})
    assert set(found.masks) == {SLIDING}
    assert torch.equal(found.masks[SLIDING], block[:9, :9])
    asked = questions_after(found, (2, 3), plan)
    # Each question goes on at place 9, and sees four tokens, its own included.
    assert asked.masks[SLIDING][:2].nonzero()[:, 1].tolist() == [6, 7, 8, 9, 7, 8, 9, 10]
    assert asked.masks[FULL][:2].sum(1).tolist() == [10, 11]
    whole = asked.packed.whole_mask(found.masks[SLIDING], plan.window)
    assert torch.equal(whole[:9, :9], block[:9, :9])
    assert torch.equal(whole[9:], asked.masks[SLIDING])


LAYOUTS = [(4,), (1, 6, 2), (3, 3), (2, 5, 1, 4)]


@pytest.mark.parametrize("lengths", LAYOUTS)
@pytest.mark.parametrize("before", [1, 3, 8])
@pytest.mark.parametrize("window", [None, 1, 2, 4, 9, 99])
def test_a_question_sees_what_it_would_see_alone_however_it_is_laid_out(lengths, before, window):
    packed = PackedQuestions(lengths, before)
    apart = PackedQuestions(lengths, before, apart=True)
    for part, length in zip(packed.parts, lengths, strict=True):
        alone = PackedQuestions((length,), before).mask(window)
        own = slice(before + part.start, before + part.stop)
        together = packed.mask(window)[part]
        assert torch.equal(torch.cat([together[:, :before], together[:, own]], 1), alone)
        assert together.sum() == alone.sum()
        separate = apart.mask(window)[part]
        assert torch.equal(separate[:, : before + length], alone)
        assert separate.sum() == alone.sum()
        # Alone, it is the end of one long causal row.
        places = torch.arange(before + length)
        distance = places[:, None] - places
        seen = (distance >= 0) & (distance < (window or before + length))
        assert torch.equal(alone, seen[before:])


@pytest.mark.parametrize("lengths", LAYOUTS)
def test_tokens_come_back_from_the_rows_of_a_batch_in_their_order(lengths):
    for apart in (False, True):
        packed = PackedQuestions(lengths, 5, apart)
        values = torch.arange(2 * sum(lengths)).reshape(-1, 2)
        rows = packed.spread(values, fill=-1.0)
        assert torch.equal(packed.gather(rows), values)
        assert (rows >= 0).sum() == values.numel()


def test_a_decoder_that_is_told_the_kinds_of_its_tokens_reads_as_in_a_plain_pass(model):
    opened, given = model
    video = moving()
    checkpoint = opened.checkpoint
    view = opened.watch(video)
    assert set(view.prefix.others) == {"mm_token_type_ids"}
    inputs = checkpoint.process(video, checkpoint.writer(before=0).text(QUESTION))
    given.clear()
    with torch.no_grad():
        expected = checkpoint.module(**inputs).logits[0, -1]
    given.clear()  # from here on the engine alone says what is what
    (reading,) = view.read(QUESTION)
    assert_equal_up_to_rounding(reading.logits, expected)
    untold = replace(view.prefix, others={}, text={})
    (other,) = view.with_prefix(untold).read(QUESTION)
    assert_differ_beyond_rounding(other.logits, expected)
