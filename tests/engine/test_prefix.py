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
from probe.engine.model import VideoLM, load
from probe.engine.prefix import TOKEN_AXES, Prefix

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


def prefix(**more):
    return Prefix.of_call(keywords(**more), torch.arange(3, 9))


def test_inputs_with_an_entry_for_each_token_are_cut_to_the_prefix_and_go_on_as_text():
    found = prefix(cache_position=torch.arange(12))
    assert len(found) == 9
    given = found.inputs(found.embeddings)
    assert given["mm_token_type_ids"].tolist() == [[0, 0, 0, 1, 1, 1, 1, 1, 1]]
    assert given["cache_position"].tolist() == list(range(9))
    after = found.others_after([2, 3])
    assert after["mm_token_type_ids"].tolist() == [[0, 0, 0, 0, 0]]
    assert after["cache_position"].tolist() == [9, 10, 9, 10, 11]
    longer = found.followed_by(torch.zeros(5, 4), [2, 3])
    assert longer.inputs(longer.embeddings)["mm_token_type_ids"].shape == (1, 14)
    assert longer.positions.tolist() == [[*range(9), 9, 10, 9, 10, 11]]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("per_layer_inputs", torch.zeros(1, 12, 2, 3)),
        ("mm_token_type_ids", torch.zeros(1, 12)),
        ("attention_mask", torch.ones(1, 1, 12, 12)),
        ("attention_mask", {"full_attention": torch.ones(1, 1, 12, 12)}),
        ("attention_mask", torch.tensor([[0] + [1] * 11])),
        ("something_new", torch.zeros(3)),
    ],
    ids=["computed from words", "no whole numbers", "mask", "masks", "padding", "unknown"],
)
def test_an_input_that_cannot_be_carried_exactly_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"takes '{name}' .*cannot carry"):
        prefix(**{name: value})


def test_a_mask_that_hides_nothing_and_choices_of_the_pass_are_left_out():
    found = prefix(attention_mask=torch.ones(1, 12, dtype=torch.long), use_cache=True)
    assert set(found.others) == {"mm_token_type_ids"}
    assert set(found.others) <= set(TOKEN_AXES)


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
    untold = replace(view.prefix, others={})
    (other,) = view.with_prefix(untold).read(QUESTION)
    assert_differ_beyond_rounding(other.logits, expected)
