"""Files of latent prompts that are of no use are refused in one line, which names the file."""

import re

import pytest
import torch

from probe.engine.latent_prompts import LATENT_FORMAT, LatentPrompt
from probe.files import write_tensors

VECTORS = torch.ones(24, 5)

ABOUT = {
    **LATENT_FORMAT.header,
    "layer": 1,
    "model": "tiny",
    "shape": [2, 3, 4],
    "question": "who?",
}

NO_SHAPE = {name: value for name, value in ABOUT.items() if name != "shape"}

BAD = {
    "no metadata": (VECTORS, None, "not a latent prompt"),
    "no shape": (VECTORS, NO_SHAPE, "damaged; .*'shape'"),
    "shape of two": (VECTORS, ABOUT | {"shape": [4, 6]}, r"the shape is \[4, 6\]; give frames"),
    "shape of text": (VECTORS, ABOUT | {"shape": "2x3x4"}, "the shape is '2x3x4'"),
    "shape of floats": (VECTORS, ABOUT | {"shape": [2.0, 3, 4]}, "the shape is"),
    "shape with a zero": (VECTORS, ABOUT | {"shape": [0, 3, 4]}, "the shape is"),
    "another shape": (VECTORS, ABOUT | {"shape": [2, 3, 5]}, "each of the 30 cells of 2 x 3 x 5"),
    "huge shape": (VECTORS, ABOUT | {"shape": [10**30, 3, 5]}, "the vectors are an array"),
    "negative layer": (VECTORS, ABOUT | {"layer": -1}, "the layer is -1; layers count from 0"),
    "half a layer": (VECTORS, ABOUT | {"layer": 1.5}, "the layer is 1.5"),
    "layer of text": (VECTORS, ABOUT | {"layer": "1"}, "the layer is '1'"),
    "layer is true": (VECTORS, ABOUT | {"layer": True}, "the layer is True"),
    "no layer": (VECTORS, ABOUT | {"layer": None}, "the layer is None"),
    "model of numbers": (VECTORS, ABOUT | {"model": 7}, "the model is 7; it is a text"),
    "no question": (VECTORS, ABOUT | {"question": None}, "the question is None; it is a text"),
    "NaN": (VECTORS * float("nan"), ABOUT, "a vector is NaN or infinite"),
    "infinite": (VECTORS / 0, ABOUT, "a vector is NaN or infinite"),
    "one axis": (VECTORS.flatten(), ABOUT, r"the vectors are an array of float32 of shape \(120,"),
    "three axes": (VECTORS.view(2, 12, 5), ABOUT, r"of shape \(2, 12, 5\); give one"),
    "integers": (VECTORS.int(), ABOUT, "the vectors are an array of int32"),
    "no vectors": (None, ABOUT, "damaged; .*'vectors'"),
}


@pytest.mark.parametrize(("vectors", "about", "said"), BAD.values(), ids=BAD)
def test_a_file_of_no_use_is_refused_in_one_line(tmp_path, vectors, about, said):
    path = tmp_path / "latent.safetensors"
    write_tensors(
        path,
        {"other" if vectors is None else "vectors": torch.ones(1) if vectors is None else vectors},
        about,
    )
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}: .*{said}") as refused:
        LatentPrompt.load(path)
    assert "\n" not in str(refused.value)


def test_a_good_file_is_read(tmp_path):
    path = tmp_path / "latent.safetensors"
    for vectors in (VECTORS, VECTORS.half(), VECTORS.double()):
        write_tensors(path, {"vectors": vectors}, ABOUT)
        assert LatentPrompt.load(path) == LatentPrompt(VECTORS, 1, "tiny", (2, 3, 4), "who?")
