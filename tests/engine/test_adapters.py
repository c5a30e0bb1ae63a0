"""LoRA adapters, from files and in memory: what peft's own forward pass computes, or a refusal."""

import json
import shutil
from dataclasses import replace

import nnsight
import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from tolerances import assert_differ_beyond_rounding, assert_equal_up_to_rounding
from transformers import AutoModelForImageTextToText, AutoProcessor
from zoo import moving, save_tiny

from probe.engine.adapters import ADAPTER, ADAPTER_WEIGHTS, find_adapter
from probe.engine.fingerprint import fingerprint, identify_weights
from probe.engine.latent_prompts import zero_prompt
from probe.engine.model import load
from probe.engine.readings import yes_minus_no
from probe.interpret.knockouts import MeanAblation

QUESTION = "Is there a red circle in this video?"

TARGETS = {
    "qwen2_5_vl": ["q_proj", "v_proj", "o_proj", "qkv"],
    "llava_next_video": ["q_proj", "k_proj", "o_proj", "down_proj"],
}
"""Parts that the adapters of two families change: of the decoder, and of a vision tower."""


def adapt(folder, **settings):
    """Put a LoRA adapter that matters into a model, as training leaves it."""
    module = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    torch.manual_seed(1)
    wrapped = peft.get_peft_model(module, peft.LoraConfig(r=4, lora_alpha=16, **settings))
    for name, weight in wrapped.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.05)
    return wrapped.eval()


@pytest.fixture(scope="module", params=TARGETS)
def adapted(request, tmp_path_factory):
    """The folders of a checkpoint and of its adapter, and the model of peft that has both."""
    base = tmp_path_factory.mktemp("base") / request.param
    save_tiny(request.param, base)
    wrapped = adapt(base, target_modules=TARGETS[request.param], lora_dropout=0.1)
    adapter = base.parent / "lora"
    wrapped.save_pretrained(adapter)
    return base, adapter, wrapped


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """The folders of one checkpoint and of its adapter."""
    base = tmp_path_factory.mktemp("pair") / "qwen"
    save_tiny("qwen2_5_vl", base)
    adapt(base, target_modules=["q_proj", "v_proj"]).save_pretrained(base.parent / "lora")
    return base, base.parent / "lora"


@pytest.fixture
def copied(pair, tmp_path):
    """A copy of the adapter, to be damaged."""
    return shutil.copytree(pair[1], tmp_path / "lora")


def change_settings(folder, **settings):
    path = folder / ADAPTER
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


def compute_plain(model, forward):
    """Compute all logits by the forward pass of peft's own model."""
    checkpoint = model.checkpoint
    inputs = checkpoint.process(moving(), checkpoint.writer(before=0).text(QUESTION))
    with torch.no_grad():
        return forward(**inputs).logits[0]


def compute_traced(model):
    """Compute all logits by one plain pass of the engine."""
    view = model.watch(moving())
    with view.trace(QUESTION):
        hidden = nnsight.save(view.decoder.traced.output.last_hidden_state)
    return model.checkpoint.head(hidden[0])


@pytest.mark.slow
def test_an_adapter_from_files_computes_what_peft_does_bit_for_bit(adapted):
    base, adapter, wrapped = adapted
    model = load(base, dtype="float32", adapter=adapter)
    plain = compute_plain(model, wrapped)
    assert torch.equal(compute_traced(model), plain)
    # After cached keys and values the sums are the same, in another order.
    (reading,) = model.watch(moving()).read(QUESTION)
    assert_equal_up_to_rounding(reading.logits, plain[-1])
    without = load(base, dtype="float32").watch(moving()).read(QUESTION)[0]
    assert_differ_beyond_rounding(without.logits, reading.logits)


@pytest.mark.slow
def test_an_adapter_in_memory_computes_what_peft_does_bit_for_bit(adapted):
    base, _, wrapped = adapted
    model = load(wrapped, AutoProcessor.from_pretrained(base))
    assert torch.equal(compute_traced(model), compute_plain(model, wrapped))
    assert model.identity["adapter"] == "default"
    with wrapped.disable_adapter():
        assert load(wrapped, AutoProcessor.from_pretrained(base)).adapter is None


@pytest.mark.slow
def test_gradients_go_through_the_adapter_as_through_a_merged_model(adapted):
    base, adapter, wrapped = adapted
    merged = AutoModelForImageTextToText.from_pretrained(base, dtype=torch.float32)
    merged = peft.PeftModel.from_pretrained(merged, adapter).merge_and_unload()
    processor = AutoProcessor.from_pretrained(base)
    found = []
    for model in (load(wrapped, processor), load(merged, processor), load(base, dtype="float32")):
        view = model.watch(moving())
        blank = zero_prompt(view.model, view.grid, view.prefix.embeddings.shape[1], 1)
        vectors = blank.vectors.clone().requires_grad_()
        prompted = view.with_latent(replace(blank, vectors=vectors))
        margin = yes_minus_no(prompted.answer_logits(QUESTION), view.checkpoint.answers)
        found.append(torch.autograd.grad(margin.sum(), vectors)[0])
    assert_equal_up_to_rounding(found[0], found[1])
    assert_differ_beyond_rounding(found[0], found[2])


@pytest.mark.slow
def test_heads_of_an_adapted_layer_are_silenced_as_those_of_a_merged_model(adapted):
    base, adapter, wrapped = adapted
    merged = AutoModelForImageTextToText.from_pretrained(base, dtype=torch.float32)
    merged = peft.PeftModel.from_pretrained(merged, adapter).merge_and_unload()
    processor = AutoProcessor.from_pretrained(base)
    found = []
    for model in (load(wrapped, processor), load(merged, processor)):
        view = model.watch(moving())
        (silent,) = view.under(MeanAblation([(1, 0), (2, 1)])).read(QUESTION)
        assert_differ_beyond_rounding(silent.logits, view.read(QUESTION)[0].logits)
        found.append(silent.logits)
    assert_equal_up_to_rounding(*found)


def test_the_identity_and_the_fingerprint_name_the_adapter(pair):
    base, adapter = pair
    model, plain = load(base, adapter=adapter), load(base)
    assert model.identity["adapter"] == str(adapter)
    assert plain.identity["adapter"] is None
    assert identify_weights(model) == identify_weights(plain)
    assert fingerprint(model) != fingerprint(plain)


def test_other_weights_of_an_adapter_are_another_identity(pair, copied):
    path = copied / ADAPTER_WEIGHTS
    save_file({name: weight + 1 for name, weight in load_file(path).items()}, path)
    one, other = load(pair[0], adapter=pair[1]), load(pair[0], adapter=copied)
    assert one.identity["adapter_content"] != other.identity["adapter_content"]
    assert fingerprint(one) != fingerprint(other)


def test_a_folder_with_weights_and_an_adapter_says_which_was_read(pair, tmp_path):
    both = shutil.copytree(pair[0], tmp_path / "both")
    for file in (ADAPTER, ADAPTER_WEIGHTS):
        shutil.copy(pair[1] / file, both / file)
    with pytest.warns(UserWarning, match="read as it is, without the adapter; give the folder as"):
        plain = load(both, dtype="float32")
    expected = load(pair[0], dtype="float32").watch(moving()).read(QUESTION)[0]
    assert torch.equal(plain.watch(moving()).read(QUESTION)[0].logits, expected.logits)
    adapted = load(both, dtype="float32", adapter=both)
    with_adapter = load(pair[0], dtype="float32", adapter=pair[1])
    assert torch.equal(compute_traced(adapted), compute_traced(with_adapter))


def test_an_adapter_alone_is_no_model(pair):
    with pytest.raises(ValueError, match=r"an adapter of '.*qwen'.* not a whole model; give that"):
        load(pair[1])


def test_an_adapter_of_another_shape_is_refused_before_the_weights_are_read(pair, copied):
    path = copied / ADAPTER_WEIGHTS
    save_file({name: weight[:, :3].clone() for name, weight in load_file(path).items()}, path)
    with pytest.raises(ValueError, match=r"does not fit .*size mismatch for .*lora_") as refused:
        load(pair[0], adapter=copied)
    assert "\n" not in str(refused.value)


def test_an_adapter_of_parts_that_the_model_lacks_is_refused(pair, copied):
    change_settings(copied, target_modules=["no_such_part"])
    with pytest.raises(ValueError, match=r"does not fit .*no_such_part"):
        load(pair[0], adapter=copied)


@pytest.mark.parametrize("change", ["missing", "too many"])
def test_an_adapter_that_is_not_complete_is_refused(pair, copied, change):
    path = copied / ADAPTER_WEIGHTS
    weights = load_file(path)
    if change == "missing":
        del weights[next(iter(weights))]
        said = "1 of its weights are missing, the first '.*lora_A"
    else:
        name, weight = next(iter(weights.items()))
        weights[name.replace("layers.0", "layers.99")] = weight.clone()
        said = "1 of its weights have no place in this model, the first '.*layers.99"
    save_file(weights, path)
    with pytest.raises(ValueError, match=said):
        load(pair[0], adapter=copied)


@pytest.mark.parametrize("base", ["Qwen/Qwen2-VL-7B-Instruct", "/data/other-model"])
def test_an_adapter_of_another_model_is_told_if_a_folder_may_have_any_name(pair, copied, base):
    change_settings(copied, base_model_name_or_path=base)
    with pytest.warns(UserWarning, match=r"was trained on .*; if that is another model, its answ"):
        load(pair[0], adapter=copied)


@pytest.mark.parametrize(
    ("base", "model", "same"),
    [
        ("Qwen/Qwen2.5-VL-7B-Instruct", "Qwen/Qwen2.5-VL-7B-Instruct", True),
        ("unsloth/Qwen2.5-VL-7B-Instruct-bnb-4bit", "Qwen/Qwen2.5-VL-7B-Instruct", True),
        ("/home/me/Qwen2.5-VL-7B-Instruct", "Qwen/Qwen2.5-VL-7B-Instruct", True),
        ("Qwen/Qwen2-VL-7B-Instruct", "Qwen/Qwen2.5-VL-7B-Instruct", False),
        ("Qwen/Qwen2.5-VL-7B", "Qwen/Qwen2.5-VL-7B-Instruct", False),
        ("", "Qwen/Qwen2.5-VL-7B-Instruct", True),
    ],
)
def test_an_adapter_of_another_model_on_the_hub_is_refused(copied, base, model, same):
    change_settings(copied, base_model_name_or_path=base)
    found = find_adapter(str(copied))
    if same:
        found.check_base(model)
        return
    with pytest.raises(ValueError, match=r"was trained on 'Qwen/Qwen2.*write this one's name"):
        found.check_base(model)


def test_pickled_weights_of_an_adapter_are_not_read(pair, copied):
    (copied / ADAPTER_WEIGHTS).rename(copied / "adapter_model.bin")
    with pytest.raises(ValueError, match="pickled weights are not read"):
        load(pair[0], adapter=copied)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"peft_type": "PROMPT_TUNING"}, "of the kind 'PROMPT_TUNING'; only LORA is read"),
        ({"alora_invocation_tokens": [1, 2]}, "works only after certain words of a prompt"),
        ({"layer_replication": [[0, 2]]}, "repeats layers of the model"),
        ({"megatron_config": {"a": 1}}, "needs the program that it was trained with"),
    ],
)
def test_an_adapter_that_cannot_be_read_exactly_is_refused(pair, copied, settings, said):
    change_settings(copied, **settings)
    with pytest.raises(ValueError, match=said):
        load(pair[0], adapter=copied)


def test_what_is_no_adapter_is_refused(pair, tmp_path):
    with pytest.raises(ValueError, match="no such folder"):
        load(pair[0], adapter=tmp_path / "absent")
    with pytest.raises(ValueError, match="so this is no adapter; give the folder"):
        load(pair[0], adapter=pair[0])


def test_an_adapter_that_works_around_the_model_is_refused(pair):
    module = AutoModelForImageTextToText.from_pretrained(pair[0], dtype=torch.float32)
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    with pytest.raises(ValueError, match="kind PROMPT_TUNING, which works around the model"):
        load(peft.get_peft_model(module, config), AutoProcessor.from_pretrained(pair[0]))


def test_an_adapter_without_peft_is_refused(pair, monkeypatch):
    monkeypatch.setattr("probe.engine.adapters.find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"needs the package peft, .*pip install 'grounding-probe"):
        load(pair[0], adapter=pair[1])


@pytest.mark.slow
def test_an_adapter_of_a_model_that_is_spread_reads_the_same(pair):
    base, adapter = pair
    spread = load(base, dtype="float32", device="spread", adapter=adapter)
    assert torch.equal(
        compute_traced(spread), compute_traced(load(base, dtype="float32", adapter=adapter))
    )
