"""What is known of a checkpoint before its weights are read, and where a model goes."""

import json

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from zoo import moving, save_tiny

from probe.engine.model import load, open_files
from probe.engine.model_files import SPREAD, OpeningOptions, choose_device, find_model
from probe.engine.model_names import ORGANISM
from probe.engine.opening import find_device
from probe.video import Video

DESCRIBED = ("llava_next_video", "qwen2_5_vl", "internvl", "smolvlm", "llava_onevision")
"""Families whose vision towers and decoders differ: with heads that share keys, windows, and
tokens that are merged or pooled."""


@pytest.fixture(scope="module", params=DESCRIBED)
def folder(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("described") / request.param
    save_tiny(request.param, folder)
    return folder


def test_finding_a_model_reads_none_of_its_weights(tiny_folder):
    files = find_model(tiny_folder, OpeningOptions())
    assert all(weight.is_meta for weight in files.empty.module.parameters())
    opened = open_files(files)
    assert not any(weight.is_meta for weight in opened.checkpoint.module.parameters())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"device": "nowhere"}, "cannot use device 'nowhere'"),
        ({"dtype": "int4"}, "unknown dtype"),
        ({"attention": "paged"}, "unknown attention"),
        ({"quantize": "2bit"}, "cannot quantize"),
        ({"adapter": "./absent"}, "no such folder"),
        ({"chat_template": "{{ 1 / 0 }}"}, "cannot be rendered"),
        ({"chat_template": "{{ 'no words' }}"}, "without the user's words"),
    ],
)
def test_a_wrong_option_is_refused_before_weights_are_read(tiny_folder, wrong, said):
    with pytest.raises(ValueError, match=said):
        find_model(tiny_folder, OpeningOptions(**wrong))


def test_a_model_is_described_before_its_weights_are_read_as_it_is_afterwards(tiny_folder):
    files = find_model(tiny_folder, OpeningOptions(device="cpu"))
    before, model = files.describe(), open_files(files)
    after = model.describe()
    assert before.to_dict() | {"weights": 0} == after.to_dict() | {"weights": 0}
    assert before.weights == pytest.approx(after.weights, rel=0.01)  # a few buffers are not stored
    assert str(before) == str(after)
    assert "\n" not in str(after)
    assert json.loads(json.dumps(after.to_dict())) == after.to_dict()


@pytest.mark.slow
def test_described_weights_and_keys_are_those_that_are_held(folder):
    model, video = load(folder, dtype="float32"), moving()
    found = model.describe(video)
    weights = list(model.checkpoint.module.parameters())
    assert found.numbers == pytest.approx(sum(weight.numel() for weight in weights), rel=0.02)
    assert found.weights >= sum(weight.nbytes for weight in weights)
    view = model.watch(video)
    assert found.grid == view.grid.shape
    with torch.no_grad():
        checkpoint = model.checkpoint
        inputs = checkpoint.process(video, checkpoint.writer(before=0).text("?"))
        cache = checkpoint.module(**inputs, use_cache=True).past_key_values
    kept = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    assert found.tokens == inputs["input_ids"].shape[1]
    assert found.keys_and_values == kept


@pytest.mark.slow
def test_described_flops_are_about_those_that_torch_counts(folder):
    model, video = load(folder, dtype="float32"), moving(8, (96, 160))
    checkpoint = model.checkpoint
    inputs = checkpoint.process(video, checkpoint.writer(before=0).text("?"))
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, torch.no_grad():
        checkpoint.module(**inputs, use_cache=False, logits_to_keep=1)
    assert model.describe(video).flops == pytest.approx(counter.get_total_flops(), rel=0.15)


def test_more_frames_cost_more_and_the_weights_the_same(tiny_folder):
    files = find_model(tiny_folder, OpeningOptions())
    few, many = (
        files.describe(Video(np.zeros((n, 32, 32, 3), np.uint8), tuple(range(n)), np.arange(n) / 9))
        for n in (4, 8)
    )
    assert many.keys_and_values > few.keys_and_values
    assert many.flops > few.flops
    assert many.weights == few.weights


@pytest.mark.parametrize(
    ("there", "best"), [((True, True), "cuda"), ((False, True), "mps"), ((False, False), "cpu")]
)
def test_auto_is_the_best_device_there_is(monkeypatch, there, best):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there[0])
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: there[1])
    assert find_device("auto").type == best
    assert choose_device("some/model", "auto") == torch.device(best)
    # Its numbers are published, and it is too small to gain from a GPU.
    assert choose_device(ORGANISM, "auto") == torch.device("cpu")


def test_spread_is_no_single_device():
    assert choose_device("some/model", SPREAD) is None
