"""Checkpoints that are damaged, or made to harm: each is refused in one line, and runs no code.

A case is the whole tiny checkpoint of `tests/tiny.py` with one thing changed.
"""

import json
import os
import pickle
import re
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from zoo import ZOO, save_tiny

from probe.engine.model import load

pytestmark = pytest.mark.slow  # each of a hundred checkpoints is opened

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
MARKER = "code-of-the-checkpoint-ran"
Q_PROJ = "language_model.model.layers.0.self_attn.q_proj.weight"
NORM = "language_model.model.norm.weight"


# Damage to weights


def change_weights(change):
    """Rewrite the weights by a function of the dictionary of tensors."""

    def damage(folder):
        tensors = load_file(folder / WEIGHTS)
        save_file(change(dict(tensors)) or {}, folder / WEIGHTS, metadata={"format": "pt"})

    return damage


def without(*names):
    return change_weights(lambda weights: {k: v for k, v in weights.items() if k not in names})


def with_weight(name, tensor):
    return change_weights(lambda weights: weights | {name: tensor})


def filled(name, value):
    return change_weights(lambda weights: weights | {name: torch.full_like(weights[name], value)})


def in_8_bits(name):
    return change_weights(lambda weights: weights | {name: weights[name].to(torch.float8_e4m3fn)})


def written(file, content):
    """Write bytes or a text in the place of a file."""

    def damage(folder):
        (folder / file).write_bytes(content if isinstance(content, bytes) else content.encode())

    return damage


def cut(file, share):
    def damage(folder):
        content = (folder / file).read_bytes()
        (folder / file).write_bytes(content[: int(len(content) * share)])

    return damage


def header(entries, data=b"\0" * 64):
    """Write a safetensors file with this list of weights."""
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return written(WEIGHTS, struct.pack("<Q", len(text)) + text + data)


def weight(*offsets, kind="F32", shape=(8,)):
    return {"dtype": kind, "shape": list(shape), "data_offsets": list(offsets)}


# Damage to files


def removed(*files):
    def damage(folder):
        for file in files:
            (folder / file).unlink()

    return damage


def replaced(file, make):
    """Put something else in the place of a file."""

    def damage(folder):
        (folder / file).unlink()
        make(folder / file)

    return damage


def changed(place, value, file="config.json"):
    """Set an entry of a JSON file, such as "text_config.hidden_size"."""

    def damage(folder):
        whole = json.loads((folder / file).read_text())
        *path, last = place.split(".")
        part = whole
        for name in path:
            part = part[name]
        part[last] = value
        (folder / file).write_text(json.dumps(whole))

    return damage


def dropped(place, file="config.json"):
    def damage(folder):
        whole = json.loads((folder / file).read_text())
        *path, last = place.split(".")
        part = whole
        for name in path:
            part = part[name]
        del part[last]
        (folder / file).write_text(json.dumps(whole))

    return damage


def split(place=lambda _: "a.safetensors"):
    """Store the weights in two files; `place` says where the index looks for the first one."""

    def damage(folder):
        weights = load_file(folder / WEIGHTS)
        (folder / WEIGHTS).unlink()
        halves = {"a.safetensors": sorted(weights)[::2], "b.safetensors": sorted(weights)[1::2]}
        for file, names in halves.items():
            save_file({name: weights[name] for name in names}, folder / file)
        where = {name: file for file, names in halves.items() for name in names}
        first = place(folder)
        about = {name: first if file == "a.safetensors" else file for name, file in where.items()}
        (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": about}))

    return damage


def moved_out(how):
    """Put the first file of weights outside of the folder, and have the index lead there."""

    def place(folder):
        target = folder.parent / "outside.safetensors"
        shutil.move(folder / "a.safetensors", target)
        return how(folder, target)

    return split(place)


def link(folder, target):
    (folder / "a.safetensors").symlink_to(target)
    return "a.safetensors"


def both(*damages):
    def damage(folder):
        for one in damages:
            one(folder)

    return damage


class RunsCode:
    """An object whose unpickling leaves a marker."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def pickled(file):
    """Store pickled weights that run code when they are opened."""

    def damage(folder):
        (folder / file).write_bytes(pickle.dumps(RunsCode(folder.parent / MARKER)))

    return damage


def remote_code(folder):
    """Name classes of the folder's own Python files for each part of the checkpoint."""
    code = f"import pathlib; pathlib.Path({str(folder.parent / MARKER)!r}).touch()\n"
    for file in ("evil.py", "custom_generate/generate.py"):
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text(code + "class Evil: pass\ndef generate(*_, **__): pass\n")
    parts = ("AutoConfig", "AutoModel", "AutoModelForImageTextToText", "AutoProcessor",
             "AutoTokenizer", "AutoVideoProcessor", "AutoImageProcessor")  # fmt: skip
    for file in ("config.json", "processor_config.json", "tokenizer_config.json"):
        changed("auto_map", dict.fromkeys(parts, "evil.Evil"), file)(folder)


def text(entry, value):
    return changed(f"text_config.{entry}", value)


def template(text):
    return written("chat_template.jinja", text)


def quantized(**about):
    return changed("quantization_config", about)


MISSING_PACKAGE = r"quantized by {0}, which needs {1}: pip install {1}"
HOSTILE = {
    # The weights are not those of the configuration.
    "a weight is missing": (
        without(Q_PROJ), "1 weights are missing, the first .*layers.0.self_attn.q_proj.weight'"),
    "three weights are missing": (
        without(Q_PROJ, NORM, "image_newline"), "3 weights are missing"),
    "no head, and none is tied": (
        change_weights(lambda all_: {k: v for k, v in all_.items() if "lm_head" not in k}),
        "1 weights are missing, the first 'lm_head.weight'"),
    "seven layers asked of four": (text("num_hidden_layers", 7), "27 weights are missing, the "),
    "two layers asked of four": (
        text("num_hidden_layers", 2), "18 weights do not belong to the model, the first 'model."),
    "a weight too many": (
        with_weight("value_head.weight", torch.zeros(3)),
        "1 weights do not belong to the model, the first 'value_head.weight'"),
    "another shape": (
        with_weight(Q_PROJ, torch.zeros(3, 5)), r"1 weights have another shape, .* \(3 x 5 inst"),
    "another width": (text("intermediate_size", 256), "12 weights have another shape"),
    "no weights at all": (change_weights(lambda _: {}), "num_hidden_layers is 4, but only 0 weig"),
    "not a number": (filled(NORM, float("nan")), "1 weights hold numbers that are not finite"),
    "infinite": (filled(Q_PROJ, float("inf")), "1 weights hold numbers that are not finite"),
    # Sizes that would take all memory, or all time.
    "a billion layers": (text("num_hidden_layers", 10**9), "is 1000000000, but only 83 weights"),
    "a billion layers of vision": (
        changed("vision_config.num_hidden_layers", 10**9), "but only 83 weights are stored"),
    "a billion words": (text("vocab_size", 10**9), "weights have another shape"),
    "a width of a billion": (text("hidden_size", 2**30), "weights have another shape"),
    "a width beyond all numbers": (text("intermediate_size", 2**80), "cannot open|another shape"),
    "a picture of a million pixels": (
        changed("video_processor.size", {"shortest_edge": 10**6}, "processor_config.json"),
        "has 1000000 for shortest_edge in size, not a whole number from 1 to 8192"),
    "a long list": (changed("image_grid_pinpoints", [[1, 1]] * 20_000), "has 20000 entries"),
    # Files of weights.
    "cut in half": (cut(WEIGHTS, 0.5), "not a safetensors file, or damaged"),
    "cut in its header": (cut(WEIGHTS, 0.001), "not a safetensors file, or damaged"),
    "empty": (written(WEIGHTS, b""), "not a safetensors file, or damaged"),
    "an endless header": (
        written(WEIGHTS, struct.pack("<Q", 2**60) + b"{}"), "is said to have 1152921504606846976"),
    "a bomb for a header": (header(b'{"a":' + b"[" * 2**25), "is said to have 33554437 bytes"),
    "a nested header": (header(b'{"a":' + b"[" * 100_000), "not a safetensors file, or damaged"),
    "a header of words": (header(b"these are my weights"), "not a safetensors file, or damaged"),
    "weights that overlap": (
        header({"a": weight(0, 32), "b": weight(16, 48)}), "not a safetensors file, or damaged"),
    "weights beyond the end": (header({"a": weight(0, 2**50, shape=(2**48,))}), "or damaged"),
    "negative shapes": (header({"a": weight(0, 32, shape=(-8,))}), "or damaged"),
    "a folder": (replaced(WEIGHTS, Path.mkdir), "not an ordinary file; put the weights there"),
    "a pipe": (replaced(WEIGHTS, os.mkfifo), "not an ordinary file"),
    "a device": (replaced(WEIGHTS, lambda at: at.symlink_to("/dev/zero")), "not an ordinary file"),
    "pickled weights": (both(removed(WEIGHTS), pickled("pytorch_model.bin")), "pickled weights "),
    "pickled weights, as the configuration says": (
        both(pickled("adapter_model.bin"), changed("transformers_weights", "adapter_model.bin")),
        r"names files of weights itself \(transformers_weights\)"),
    "pickled weights under another name": (pickled(WEIGHTS), "damaged"),
    # The index of several files.
    "an index that goes up": (
        moved_out(lambda _, to: f"../{to.name}"), "leads out of its folder: .*outside.safetensors"),
    "an index that names a place": (
        moved_out(lambda _, to: str(to)), "leads out of its folder: .*outside.safetensors"),
    "a link that leads out": (moved_out(link), "a link that leads out of its folder"),
    "a file that is missing": (both(split(), removed("a.safetensors")), "is not complete"),
    "an index that names a pickle": (
        both(pickled("a.bin"), split(lambda _: "a.bin")), "'a.bin', which is not a safetensors f"),
    "an index without names": (
        both(split(), written(INDEX, "[]")), "no index of weights"),
    "an index of numbers": (
        both(split(), changed("weight_map", {"a": 1}, INDEX)), "the weight 'a' is said to be in 1"),
    "a weight in two files": (
        both(split(), lambda at: shutil.copy(at / "a.safetensors", at / "c.safetensors"),
             changed("weight_map", {"a": "a.safetensors", "c": "c.safetensors"}, INDEX)),
        "is both in a.safetensors and in c.safetensors"),
    # Configurations.
    "no configuration": (removed("config.json"), r"no config\.json in this folder"),
    "a configuration of words": (written("config.json", "hello"), "cannot be read as JSON"),
    "an empty configuration": (written("config.json", ""), "the file is empty"),
    "a configuration in UTF-16": (
        lambda at: (at / "config.json").write_text((at / "config.json").read_text(), "utf-16"),
        "cannot open the checkpoint"),
    "a nested configuration": (written("config.json", '{"a":' + "[" * 100_000), "nested too deep"),
    "a list": (written("config.json", "[]"), r"not the configuration of a model \(no model_type"),
    "a long configuration": (written("config.json", " " * 2**23), "8388608 bytes, but a config"),
    "no type": (dropped("model_type"), "no model_type"),
    "a type that is a list": (changed("model_type", ["llava_next_video"]), "no model_type"),
    "a number in words": (text("num_hidden_layers", "four"), "is 'four', not a whole number ab"),
    "a fraction": (text("num_attention_heads", 4.5), "is 4.5, not a whole number above 0"),
    "true for a number": (text("num_hidden_layers", True), "is True, not a whole number above 0"),
    "a list for a number": (text("hidden_size", [64]), r"is \[64\], not a whole number above 0"),
    "a width of a head in words": (text("head_dim", "wide"), "is 'wide', not a whole number"),
    "a negative number": (text("hidden_size", -64), "is -64, not a whole number above 0"),
    "no heads": (text("num_attention_heads", 0), "is 0, not a whole number above 0"),
    "no layers": (text("num_hidden_layers", 0), "is 0, not a whole number above 0"),
    "heads that cannot share": (
        changed("vision_config.num_attention_heads", 5), "a width of 32, which 5 heads cannot sha"),
    "a patch of nothing": (changed("vision_config.patch_size", 0), "is 0, not a whole number abo"),
    "a norm below zero": (text("rms_norm_eps", -0.5), "is -0.5, not a finite number above 0"),
    "angles without a base": (
        text("rope_parameters", {"rope_type": "default", "rope_theta": 0}),
        "rope_theta is 0, not a finite number above 0"),
    "angles that fill no head": (
        text("rope_parameters", {"rope_type": "default", "mrope_section": [4, 2]}),
        r"mrope_section is \[4, 2\], not three whole numbers that sum to half"),
    "a layer that the tower lacks": (
        changed("vision_feature_layer", 99), "is 99, but the tower has 2 layers"),
    "part of the wrong type": (changed("text_config", [1, 2]), "cannot open the checkpoint"),
    "part that is a text": (changed("vision_config", "clip"), "cannot open the checkpoint"),
    "part that is nothing": (changed("text_config", None), "weights"),
    "another language model": (text("model_type", "qwen2"), "weights"),
    "a language model nobody knows": (text("model_type", "evil"), "cannot open the checkpoint"),
    "an unknown activation": (text("hidden_act", "evil"), "cannot open the checkpoint"),
    "an unknown number type": (changed("dtype", "compile"), "cannot open the checkpoint"),
    "a number type of whole numbers": (changed("dtype", "int8"), "cannot open the checkpoint"),
    "a token that is a text": (changed("video_token_index", "<video>"), "cannot open the checkpo"),
    "a token beyond the vocabulary": (changed("video_token_index", 10**6), "checkpoint"),
    "a pooling of another size": (changed("spatial_pool_stride", 3), "visual tokens cannot tile"),
    "code of its own": (
        both(remote_code, changed("model_type", "evil")), "'evil' models are not supported"),
    # Tokenizers and processors.
    "no tokenizer": (removed("tokenizer.json"), r"tokenizer from one of: \(1\) "),
    "half a tokenizer": (cut("tokenizer.json", 0.5), "cannot open the checkpoint"),
    "a tokenizer of words": (written("tokenizer.json", "hello"), "cannot open the checkpoint"),
    "a tokenizer that is a list": (written("tokenizer.json", "[]"), "cannot open the checkpoint"),
    "a nested tokenizer": (written("tokenizer.json", "[" * 100_000), "cannot open the checkpoint"),
    "a tokenizer that is a pipe": (replaced("tokenizer.json", os.mkfifo), "not an ordinary file"),
    "settings of a tokenizer that are a list": (
        written("tokenizer_config.json", "[]"), "cannot open the checkpoint"),
    "no processor": (removed("processor_config.json"), "cannot open the checkpoint"),
    "a processor of words": (written("processor_config.json", "hello"), "cannot open the check"),
    "a processor without video": (
        dropped("video_processor", "processor_config.json"), "checkpoint|processor"),
    "a size in words": (
        changed("video_processor.size", "large", "processor_config.json"), "checkpoint|processor"),
    "a size below zero": (
        changed("video_processor.crop_size.height", -56, "processor_config.json"),
        "has -56 for height in crop_size"),
    "frames below zero": (
        changed("video_processor.num_frames", -3, "processor_config.json"), "samples -3 frames"),
    "a spread of nothing": (
        changed("video_processor.image_std", [0.2, 0, 0.2], "processor_config.json"),
        "has 0 in image_std, which no picture can be scaled by"),
    "pictures scaled beyond all numbers": (
        changed("video_processor.rescale_factor", float("inf"), "processor_config.json"),
        "has inf in rescale_factor, which no picture can be scaled by"),
    "patches of another size than the tower's": (
        changed("video_processor.patch_size", 14, "processor_config.json"),
        "has 14 for patch_size, but the vision tower has 4"),
    "a token that the model does not know": (
        changed("model.vocab.USER", 10**6, "tokenizer.json"), "writes token 1000000, but"),
    "patches of nothing": (
        changed("patch_size", 0, "processor_config.json"), "processor|visual tokens"),
    # Chat templates.
    "no template": (removed("chat_template.jinja"), "no chat template, .* --chat-template FILE"),
    "a broken template": (template("{% if %}"), "cannot be rendered .TemplateSyntaxError"),
    "a template that refuses": (
        template("{{ raise_exception('not today') }}"), "cannot be rendered .*not today"),
    "a template without words": (template("hello"), "without the user's words"),
    "a template without video": (
        template("{{ messages[0]['content'][1]['text'] }}"), "it must write one '<video>' there"),
    "a template that takes all memory": (template("{{ 'a' * 10**10 }}"), "too much memory"),
    "a template without end": (
        template("{% for i in range(99999) %}aaaaaaaaaa{% endfor %}"), "over 100000 characters"),
    "a template that runs away": (
        template("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"),
        "runs away: it was stopped after 1 s of work"),
    "a template that leaves its sandbox": (
        template("{{ cycler.__init__.__globals__.os.system('touch " + MARKER + "') }}"),
        "cannot be rendered .SecurityError"),
    "a template that reads Python": (
        template("{{ namespace(__class__=1) }}"), "cannot be rendered .SecurityError"),
    # Whole numbers, quantized weights without their package, and adapters.
    "whole numbers for weights": (
        with_weight(Q_PROJ, torch.ones(64, 64, dtype=torch.int32)),
        "1 weights are stored as torch.int32 and not as fractions"),
    "quantized by bitsandbytes": (
        quantized(quant_method="bitsandbytes", load_in_4bit=True),
        MISSING_PACKAGE.format("bitsandbytes", "bitsandbytes")),
    "quantized by an old bitsandbytes": (
        quantized(load_in_8bit=True), MISSING_PACKAGE.format("bitsandbytes", "bitsandbytes")),
    "quantized by awq": (
        quantized(quant_method="awq", bits=4), MISSING_PACKAGE.format("awq", "gptqmodel")),
    "quantized by gptq": (
        quantized(quant_method="gptq", bits=4),
        MISSING_PACKAGE.format("gptq", "optimum gptqmodel")),
    "quantized by compressed-tensors": (
        quantized(quant_method="compressed-tensors"),
        MISSING_PACKAGE.format("compressed-tensors", "compressed-tensors")),
    "said to be quantized in 8 bits": (
        quantized(quant_method="fp8"), "quantized by fp8, but none of them is"),
    "in 8 bits without scales": (
        both(quantized(quant_method="fp8"), in_8_bits(Q_PROJ)),
        "1 weights in 8 bits have no scale"),
    "quantized by nobody": (quantized(quant_method="evil"), "by 'evil', which is not known here"),
    "quantized by a list": (changed("quantization_config", [1]), "by None, which is not known"),
    "an adapter": (
        both(removed("config.json", WEIGHTS), written(
            "adapter_config.json", '{"base_model_name_or_path": "org/base"}')),
        "an adapter of 'org/base' .* not a whole model; give that model, and this as its adapter"),
}  # fmt: skip
"""Damage and what is said of it, by what is wrong with the checkpoint."""


SLOW = {"a template that runs away"}  # it is given a second


@pytest.fixture
def folder(tiny_folder, tmp_path):
    """A whole checkpoint to damage."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "checkpoint"))


def names(cases, slow):
    return [pytest.param(name, marks=pytest.mark.slow if name in slow else ()) for name in cases]


@pytest.mark.parametrize("name", names(HOSTILE, SLOW))
def test_a_hostile_checkpoint_is_refused_in_one_line(name, folder, monkeypatch):
    damage, said = HOSTILE[name]
    damage(folder)
    monkeypatch.chdir(folder.parent)  # where a template would leave its marker
    with pytest.raises(ValueError, match=said) as failure:
        load(folder)
    assert len(str(failure.value).splitlines()) == 1
    assert not (folder.parent / MARKER).exists()


@pytest.mark.parametrize(
    "name",
    ["a weight is missing", "cut in half", "an unknown activation", "no tokenizer", "no template",
     "quantized by awq", "an adapter", "not a number", "a processor of words"],
)  # fmt: skip
def test_the_command_line_refuses_it_with_bad_input_and_one_line(name, folder, command):
    damage, said = HOSTILE[name]
    damage(folder)
    code, out, err = command("check-model", folder)
    assert code == 2
    assert not out
    assert re.search(said, err)
    assert "Traceback" not in err
    lines = [line for line in err.splitlines() if line.startswith("probe:")]
    # What a model is and costs is told before its weights are read, and may be refused.
    assert len([line for line in lines if not line.startswith("probe: note:")]) == 1


def test_code_next_to_a_whole_checkpoint_does_not_run(folder, clip):
    remote_code(folder)
    pickled("pytorch_model.bin")(folder)
    reading = load(folder).watch(clip.video()).read("What jumps?")[0]
    assert np.isfinite(reading.margin)
    assert not (folder.parent / MARKER).exists()


def test_the_marker_would_be_seen(folder):
    pickled("weights.bin")(folder)
    pickle.loads((folder / "weights.bin").read_bytes())
    assert (folder.parent / MARKER).exists()


def test_weights_in_several_files_are_those_of_one(folder, tiny, clip):
    split()(folder)
    one, several = (m.watch(clip.video()).read("What jumps?")[0] for m in (tiny, load(folder)))
    assert one.attention.equal(several.attention)


def test_files_that_the_hub_keeps_apart_are_read(folder, tmp_path):
    """The hub's cache links from the folder of a revision to the folder of its files."""
    snapshot, blobs = tmp_path / "repo" / "snapshots" / "abc", tmp_path / "repo" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for number, file in enumerate(sorted(folder.iterdir())):
        shutil.copy(file, blobs / str(number))
        (snapshot / file.name).symlink_to(Path("../../blobs") / str(number))
    model = load(snapshot)
    assert model.revision == "abc"
    assert model.depth == 4


def test_a_checkpoint_in_the_hubs_cache_is_opened_by_its_name(folder, tmp_path, monkeypatch):
    commit = "0123456789" * 4
    repository = tmp_path / "cache" / "models--org--model"
    shutil.copytree(folder, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    model = load("org/model")
    assert (model.name, model.revision) == ("org/model", commit)
    without(Q_PROJ)(repository / "snapshots" / commit)
    with pytest.raises(
        ValueError, match=r"org/model: the weights are not .* 1 weights are missing"
    ):
        load("org/model")


@pytest.mark.slow
@pytest.mark.parametrize("family", ZOO)
def test_each_family_notices_a_weight_that_is_missing_or_too_many(family, tmp_path):
    save_tiny(family, tmp_path)
    whole = load_file(tmp_path / WEIGHTS)
    queries = ("q_proj", "qkv", "att_proj", "to_q")
    for name in (next(name for name in whole if any(map(name.count, queries))), "lm_head"):
        if missing := [stored for stored in whole if name in stored]:
            without(*missing)(tmp_path)
            with pytest.raises(ValueError, match="weights are missing"):
                load(tmp_path)
            save_file(whole, tmp_path / WEIGHTS, metadata={"format": "pt"})
    with_weight("extra.weight", torch.zeros(2))(tmp_path)
    with pytest.raises(ValueError, match="1 weights do not belong to the model"):
        load(tmp_path)


def test_a_tied_head_need_not_be_stored(folder):
    tied = both(changed("tie_word_embeddings", True), text("tie_word_embeddings", True))
    tied(folder)
    without("language_model.lm_head.weight")(folder)
    module = load(folder).checkpoint.module
    assert module.get_output_embeddings().weight is module.get_input_embeddings().weight


def test_buffers_that_older_versions_stored_are_no_surplus(folder):
    frequencies = "language_model.model.layers.0.self_attn.rotary_emb.inv_freq"
    with_weight(frequencies, torch.ones(8))(folder)
    with_weight("vision_tower.vision_model.embeddings.position_ids", torch.arange(65))(folder)
    assert load(folder).depth == 4
