import json
import shutil
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from tiny import save_tiny_llava
from tolerances import assert_equal_up_to_rounding
from transformers.utils.import_utils import is_flash_attn_2_available

from probe.engine.model import load
from probe.video import Video


def still(frames):
    pictures = np.zeros((frames, 32, 32, 3), np.uint8)
    return Video(pictures, tuple(range(frames)), np.arange(frames) / 25)


def test_the_shipped_model_opens_without_a_name(organism):
    assert organism.is_shipped
    assert organism.identity["dtype"] == "float32"
    assert organism.preferred_frames == 8


def test_a_checkpoint_of_any_folder_opens(tiny):
    assert not tiny.is_shipped
    assert tiny.depth == 4


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_model_reads_in_half_precision(tiny_folder, video, dtype):
    model = load(tiny_folder, dtype=dtype)
    reading = model.watch(video).read("What jumps?")[0]
    assert model.identity["dtype"] == dtype
    assert torch.isfinite(reading.attention).all()
    assert np.isfinite(reading.margin)


def test_the_grid_knows_what_the_processor_cropped_away(tiny, video):
    wide = np.concatenate([video.frames] * 2, axis=2)
    view = tiny.watch(Video(wide, video.indices, video.source_times))
    assert view.grid.cells.region == (28.0, 0.0, 84.0, 56.0)
    assert tiny.watch(video).grid.cells.region == (0.0, 0.0, 56.0, 56.0)


def test_more_frames_than_fit_are_refused(tiny):
    with pytest.raises(ValueError, match=r"fit in the context .* sample fewer frames"):
        tiny.watch(still(40))


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match="no such folder"):
        load(tmp_path / "absent")


def test_a_file_is_not_a_checkpoint(tmp_path):
    (tmp_path / "weights.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match="a file; give the folder"):
        load(tmp_path / "weights.safetensors")


def test_a_folder_without_configuration_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no config\.json"):
        load(tmp_path)


def test_pickled_weights_are_not_read(tmp_path):
    save_tiny_llava(tmp_path, safe=False)
    with pytest.raises(ValueError, match="pickled weights are not read"):
        load(tmp_path)


@pytest.mark.parametrize("kind", ["llama", "no-such-thing"])
def test_an_architecture_without_a_family_is_named(tiny_folder, tmp_path, kind):
    shutil.copytree(tiny_folder, tmp_path / "other")
    (tmp_path / "other" / "config.json").write_text(json.dumps({"model_type": kind}))
    with pytest.raises(ValueError, match=f"'{kind}' models are not supported; .*llava_next_video"):
        load(tmp_path / "other")


def test_a_checkpoint_out_of_reach_is_one_line(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match="cannot open the checkpoint 'nobody/nothing'") as failure:
        load("nobody/nothing")
    assert "\n" not in str(failure.value)


def test_an_unknown_number_type_is_refused():
    with pytest.raises(ValueError, match="unknown dtype 'int4'"):
        load(dtype="int4")


def test_an_unknown_attention_or_quantization_is_refused():
    with pytest.raises(ValueError, match="unknown attention 'paged'; give one of sdpa, flash"):
        load(attention="paged")
    with pytest.raises(ValueError, match="cannot quantize to '2bit'; give one of 8bit, 4bit"):
        load(quantize="2bit")


@pytest.mark.skipif(is_flash_attn_2_available(), reason="flash-attn is installed")
def test_flash_attention_without_its_package_is_refused():
    with pytest.raises(ValueError, match="needs the package flash-attn"):
        load(attention="flash_attention_2")


@pytest.mark.parametrize("bits", ["8bit", "4bit"])
def test_fewer_bits_are_read_or_refused_without_their_package(video, bits):
    if find_spec("bitsandbytes") is None:
        with pytest.raises(ValueError, match=f"weights in {bits} need the package bitsandbytes"):
            load(quantize=bits)
    else:
        model = load(dtype="bfloat16", quantize=bits)
        assert model.identity["quantized"] == bits
        assert np.isfinite(model.watch(video).read("What jumps?")[0].margin)


def test_a_model_spread_over_what_there_is_reads_the_same(tiny, tiny_folder, video):
    spread = load(tiny_folder, dtype="float32", device="spread")
    one, other = (model.watch(video).read("What jumps?")[0] for model in (tiny, spread))
    assert_equal_up_to_rounding(other.attention, one.attention)


@pytest.mark.parametrize("device", ["nowhere", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(device):
    with pytest.raises(ValueError, match="cannot use device"):
        load(device=device)
