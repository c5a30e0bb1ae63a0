"""A model that somebody has loaded: used as it is, whatever it is wrapped in, or refused."""

import copy
import warnings
from collections import namedtuple
from typing import Any

import nnsight
import pytest
import torch
import transformers
from accelerate import cpu_offload
from tolerances import assert_differ_beyond_rounding, assert_equal_up_to_rounding
from transformers import AutoModelForImageTextToText, AutoModelForMultimodalLM, AutoProcessor
from zoo import ZOO, moving, save_tiny

from probe.engine import fingerprint as fingerprints
from probe.engine.fingerprint import fingerprint
from probe.engine.kept_views import keep_views
from probe.engine.model import load

QUESTION = "What jumps?"


def read_checkpoint(folder):
    """Load a model and its processor as people do, by transformers alone."""
    module = AutoModelForMultimodalLM.from_pretrained(folder, dtype=torch.float32)
    return module, AutoProcessor.from_pretrained(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("memory") / "qwen"
    save_tiny("qwen2_5_vl", folder)
    return folder


@pytest.fixture(scope="module")
def held(folder):
    """A model and its processor, which no test changes."""
    return read_checkpoint(folder)


@pytest.fixture
def fresh(folder):
    """A model and its processor of a test's own."""
    return read_checkpoint(folder)


@pytest.fixture(scope="module")
def reading(folder):
    """What the same checkpoint says, opened from its files."""
    return read(load(folder, dtype="float32"))


def read(model):
    return model.watch(moving()).read(QUESTION)[0]


def compute_plain(model, forward, question=QUESTION):
    """Compute the last token's logits by the forward pass of what the user holds."""
    checkpoint = model.checkpoint
    inputs = checkpoint.process(moving(), checkpoint.writer(before=0).text(question))
    with torch.no_grad():
        return forward(**inputs).logits[0, -1].float()


@pytest.mark.slow
@pytest.mark.parametrize("family", ZOO)
def test_a_plain_pass_equals_the_users_own_bit_for_bit_in_every_family(family, tmp_path):
    save_tiny(family, tmp_path / family)
    module, processor = read_checkpoint(tmp_path / family)
    model = load(module, processor)
    # A model that also speaks has no forward pass as a whole.
    plain = compute_plain(model, getattr(module, "thinker", module))
    view = model.watch(moving())
    with view.trace(QUESTION):
        hidden = nnsight.save(view.decoder.traced.output.last_hidden_state)
    assert torch.equal(model.checkpoint.head(hidden[0])[-1].float(), plain)
    # After cached keys and values the sums are the same, in another order.
    assert_equal_up_to_rounding(view.read(QUESTION)[0].logits, plain)


def test_a_model_in_memory_reads_as_from_its_files(held, reading):
    found = read(load(*held))
    assert_equal_up_to_rounding(found.logits, reading.logits)
    assert_equal_up_to_rounding(found.attention, reading.attention)


def test_the_users_model_computes_what_it_did_before(fresh):
    module, processor = fresh
    model = load(module, processor)
    before = compute_plain(model, module)
    read(model)
    assert torch.equal(compute_plain(model, module), before)
    assert model.checkpoint.module is module
    assert module.config.get_text_config()._attn_implementation == "sdpa"


def test_a_model_can_be_given_again_and_again(held, reading):
    for _ in range(3):
        assert_equal_up_to_rounding(read(load(*held)).logits, reading.logits)


@pytest.mark.slow
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_any_attention_of_the_users_model_is_read(folder, reading, attention):
    module = AutoModelForImageTextToText.from_pretrained(
        folder, dtype=torch.float32, attn_implementation=attention
    )
    found = read(load(module, AutoProcessor.from_pretrained(folder)))
    assert_equal_up_to_rounding(found.logits, reading.logits)
    assert_equal_up_to_rounding(found.attention, reading.attention)
    assert module.config.get_text_config()._attn_implementation == attention


def compile_eagerly(module) -> Any:
    return torch.compile(module, backend="eager")


WRAPPED = {
    "DataParallel": torch.nn.DataParallel,
    "compiled": compile_eagerly,
    "both": lambda module: torch.nn.DataParallel(compile_eagerly(module)),
    "nnsight": nnsight.NNsight,
    "averaged": torch.optim.swa_utils.AveragedModel,
}


# Up to rounding here and below: weights of a copy lie elsewhere in memory, and on an AMD processor
# products with them had other last digits.
@pytest.mark.slow
@pytest.mark.parametrize("wrapper", WRAPPED)
def test_what_a_model_is_wrapped_in_is_taken_off(fresh, reading, wrapper):
    module, processor = fresh
    assert_equal_up_to_rounding(
        read(load(WRAPPED[wrapper](module), processor)).logits, reading.logits
    )


@pytest.mark.slow
def test_a_model_some_of_whose_weights_are_brought_when_needed_is_read(fresh, reading):
    module, processor = fresh
    for layer in module.model.language_model.layers[1:]:
        cpu_offload(layer, execution_device=torch.device("cpu"))
    assert module.model.language_model.layers[1].mlp.up_proj.weight.is_meta
    model = load(module, processor)
    assert_equal_up_to_rounding(read(model).logits, reading.logits)
    with pytest.raises(ValueError, match="no fingerprint; load it so that its devices hold all"):
        fingerprint(model)


def test_a_model_all_of_whose_weights_are_elsewhere_is_refused(fresh):
    module, processor = fresh
    cpu_offload(module, execution_device=torch.device("cpu"))
    with pytest.raises(ValueError, match="where no pass can begin; hold the weights in fewer"):
        load(module, processor)


def test_a_model_in_training_is_put_into_evaluation_and_frozen_and_that_is_said(fresh, reading):
    module, processor = fresh
    module.enable_input_require_grads()
    module.train()
    with pytest.warns(UserWarning, match="in evaluation mode now, and its weights are frozen"):
        model = load(module, processor)
    assert not module.training
    assert not any(weight.requires_grad for weight in module.parameters())
    view = model.watch(moving())
    assert not view.prefix.embeddings.requires_grad
    assert_equal_up_to_rounding(view.read(QUESTION)[0].logits, reading.logits)


def test_a_model_that_is_refused_is_left_as_it_was(fresh):
    module, processor = fresh
    module.train()
    module.lm_head.weight.requires_grad_(False)
    module.config.text_config.layer_types[1] = "chunked_attention"
    with pytest.raises(ValueError, match="chunked_attention"):
        load(module, processor)
    assert all(part.training for part in module.modules())
    learning = [name for name, weight in module.named_parameters() if weight.requires_grad]
    assert len(learning) == len(list(module.parameters())) - 1


def test_a_copy_leaves_the_users_model_in_training(fresh, reading):
    module, processor = fresh
    module.train()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = load(copy.deepcopy(module), processor)
    assert module.training
    assert all(weight.requires_grad for weight in module.parameters())
    assert_equal_up_to_rounding(read(model).logits, reading.logits)


def test_a_model_put_back_into_training_is_not_read(fresh):
    module, processor = fresh
    model = load(module, processor)
    module.train()
    with pytest.raises(RuntimeError, match=r"training mode, where dropout .* call eval"):
        model.watch(moving())


def test_the_identity_says_that_the_weights_are_in_memory(held, folder):
    model = load(*held)
    assert model.identity["name"] == str(folder)
    assert model.identity["weights"] == "in memory"
    assert model.identity["revision"] is None
    assert load(folder).identity["weights"] is None


def test_only_the_shipped_model_goes_by_its_name(fresh):
    module, processor = fresh
    module.config._name_or_path = "organism"
    model = load(module, processor)
    assert not model.is_shipped
    assert model.name == "Qwen2_5_VLForConditionalGeneration"


def test_the_fingerprint_is_of_the_weights_as_they_are_now(fresh, folder):
    module, processor = fresh
    model, again = load(module, processor), load(*read_checkpoint(folder))
    first = fingerprint(model)
    assert fingerprint(again) == first
    weight = module.model.language_model.layers[1].mlp.up_proj.weight
    with torch.no_grad():
        weight[3, 5] += 1e-6
    changed = fingerprint(model)
    with torch.no_grad():
        weight.copy_(weight.roll(1, 0))  # the same numbers in other places
    assert len({first, changed, fingerprint(model)}) == 3


def test_a_fingerprint_is_known_until_weights_change_in_whatever_way(fresh, monkeypatch):
    hashed, plain = [], fingerprints.fingerprint
    monkeypatch.setattr(
        fingerprints, "fingerprint", lambda model: hashed.append(model) or plain(model)
    )
    model = load(*fresh)
    weight = fresh[0].model.language_model.layers[1].mlp.up_proj.weight

    def train():
        with torch.no_grad():
            weight[3, 5] += 1e-6

    def merge_an_adapter():
        weight.data += 1e-3 * torch.randn(weight.shape)  # as peft does; torch counts no change

    def exchange():
        weight.data = weight.data.clone().roll(1, 0)

    shown, seen = model.watch(moving()), []
    for change in (train, merge_an_adapter, exchange):
        seen.append(shown.known_fingerprint.read())
        assert seen[-1] == keep_views(model).watch(moving()).known_fingerprint.read()
        assert shown.reversed().known_fingerprint.read() == seen[-1] == plain(model)
        change()
    seen.append(shown.known_fingerprint.read())
    assert len(set(seen)) == len(hashed) == 4


def test_the_fingerprint_knows_processor_and_template(held, folder):
    module, processor = held
    other = AutoProcessor.from_pretrained(folder)
    other.tokenizer.add_tokens(["<strange>"])
    own = processor.chat_template
    seen = {
        fingerprint(load(module, given, chat_template=template))
        for given, template in ((processor, None), (other, None), (processor, own + "{# #}"))
    }
    assert len(seen) == 3
    assert processor.chat_template == own


Half = namedtuple("Half", "make said")
Held = namedtuple("Held", "module processor folder")

HALVES = {
    "no processor": Half(lambda held: (held.module,), "in memory without its processor; give"),
    "a tokenizer": Half(
        lambda held: (held.module, held.processor.tokenizer), "is a tokenizer, which reads no pic"
    ),
    "a path of a processor": Half(
        lambda held: (held.module, str(held.folder)), "give the object: AutoProcessor"
    ),
    "an image processor": Half(
        lambda held: (held.module, held.processor.image_processor), "is no processor of text"
    ),
    "the other way round": Half(
        lambda held: (held.processor, held.module), "the model comes first"
    ),
    "a class": Half(
        lambda held: (type(held.module), held.processor), "is a class; give a model of it"
    ),
    "a configuration": Half(
        lambda held: (held.module.config, held.processor), "is a configuration and has no weig"
    ),
    "a state": Half(
        lambda held: (held.module.state_dict(), held.processor),
        "a table of .* weights is not a model",
    ),
    "a number": Half(lambda held: (7, held.processor), "found int"),
    "a plain module": Half(
        lambda held: (torch.nn.Linear(2, 2), held.processor), "no configuration of tran"
    ),
    "no head": Half(
        lambda held: (held.module.model, held.processor),
        "has no .*language_model.layers|has no a head",
    ),
    "the decoder": Half(
        lambda held: (held.module.model.language_model, held.processor), "reads text alone"
    ),
    "files and a processor": Half(
        lambda held: (held.folder, held.processor), "brings its own processor; leave it"
    ),
    "an open model": Half(
        lambda held: (load(held.module, held.processor),), "is open already, and needs no load"
    ),
}


@pytest.mark.parametrize("half", HALVES)
def test_a_half_right_object_is_refused_in_a_line_that_says_what_to_give(held, folder, half):
    module, processor = held
    given = HALVES[half].make(Held(module, processor, folder))
    with pytest.raises(ValueError, match=HALVES[half].said) as refused:
        load(*given)
    assert "\n" not in str(refused.value)


def test_a_pipeline_is_refused_with_what_is_in_it(held):
    module, processor = held
    pipe = transformers.pipeline("image-text-to-text", model=module, processor=processor)
    with pytest.raises(ValueError, match=r"probe\.load\(pipe\.model, processor=pipe\.processor\)"):
        load(pipe)


def test_a_model_of_text_alone_is_refused(held):
    config = transformers.LlamaConfig(
        hidden_size=16,
        intermediate_size=16,
        num_attention_heads=2,
        num_hidden_layers=1,
        vocab_size=9,
    )
    with pytest.raises(ValueError, match=r"LlamaForCausalLM \(llama\) reads text alone"):
        load(transformers.LlamaForCausalLM(config), held[1])


def test_a_model_of_an_unknown_family_is_refused(held):
    module: Any = torch.nn.Linear(1, 1)
    module.config = transformers.BlipConfig()
    with pytest.raises(ValueError, match="'blip' models are not supported; supported: "):
        load(module, held[1])


def test_a_model_without_numbers_is_refused(held):
    with torch.device("meta"):
        module = type(held[0])(held[0].config)
    with pytest.raises(ValueError, match="on the device meta, without a number in it"):
        load(module, held[1])


def test_weights_that_are_not_finite_are_refused(fresh):
    module, processor = fresh
    with torch.no_grad():
        module.lm_head.weight[0, 0] = float("nan")
    with pytest.raises(ValueError, match="not finite"):
        load(module, processor)


def test_a_model_compiled_in_place_is_refused(fresh):
    module, processor = fresh
    module.model.language_model.layers[0].compile(backend="eager")
    with pytest.raises(ValueError, match="was compiled in place"):
        load(module, processor)


@pytest.mark.slow
def test_a_processor_of_another_model_is_refused(held, tmp_path):
    for family in ("llava_onevision", "internvl", "qwen2_vl", "qwen3_vl"):
        save_tiny(family, tmp_path / family)
        processor = AutoProcessor.from_pretrained(tmp_path / family)
        with pytest.raises(ValueError, match=f"is the processor of .*{family}") as refused:
            load(held[0], processor)
        assert "\n" not in str(refused.value)


def test_more_words_than_the_model_knows_are_refused(held, folder):
    processor = AutoProcessor.from_pretrained(folder)
    processor.tokenizer.add_tokens([f"<strange {number}>" for number in range(200)])
    with pytest.raises(ValueError, match=r"writes \d+ words, but the model knows"):
        load(held[0], processor)


@pytest.mark.parametrize(
    "option", [{"device": "cpu"}, {"dtype": "float16"}, {"quantize": "4bit"}, {"adapter": "x"}]
)
def test_an_option_about_files_is_refused_for_a_model_in_memory(held, option):
    with pytest.raises(ValueError, match=f"{next(iter(option))}=.* a model in memory is used as"):
        load(*held, **option)


def test_a_model_in_half_precision_stays_in_it(folder):
    module = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.bfloat16)
    model = load(module, AutoProcessor.from_pretrained(folder))
    assert model.identity["dtype"] == "bfloat16"
    assert torch.isfinite(read(model).attention).all()


def test_two_models_of_one_name_answer_by_their_own_weights(folder, reading):
    module, processor = read_checkpoint(folder)
    with torch.no_grad():
        module.model.language_model.layers[0].mlp.down_proj.weight.mul_(2)
    assert_differ_beyond_rounding(read(load(module, processor)).logits, reading.logits)
