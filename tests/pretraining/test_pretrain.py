"""`probe pretrain` on small pictures, with the smallest towers that open_clip can make."""

import json

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from probe.pretraining.clip_towers import make_augmentation, make_clip_towers
from probe.pretraining.pair_files import (
    CLASS_COLUMNS,
    PAIR_COLUMNS,
    PicturePairs,
    read_table,
    read_teacher,
)
from probe.pretraining.picture_scores import read_templates

TINY = {
    "embed_dim": 8,
    "vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None},
    "text_cfg": {
        "context_length": 16,
        "vocab_size": 49408,
        "width": 8,
        "heads": 2,
        "layers": 1,
    },
}
NAMES = ("red", "green", "blue")

SHORT = (
    *("--episodes", 3, "--episode-pairs", 8, "--batch", 4, "--warm-steps", 2),
    *("--locked-episodes", 1, "--prototypes", 3, "--workers", 0),
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The name of the towers."""
    path = tmp_path_factory.mktemp("configs") / "RN-tiny.json"
    path.write_text(json.dumps(TINY))
    open_clip.add_model_config(path)
    return "RN-tiny"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder of twelve pictures in one of three colours, with pairs, classes and a teacher."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    pairs, classes = ["\t".join(PAIR_COLUMNS)], ["\t".join(CLASS_COLUMNS)]
    for index in range(12):
        pixels = rng.integers(0, 60, (40, 50, 3), dtype=np.uint8)
        pixels[..., index % 3] += 150
        Image.fromarray(pixels).save(folder / f"{index}.png")
        name = NAMES[index % 3]
        pairs.append(f'{index}.png\ta "{name} picture, of {index}')  # a quotation mark that is one
        classes.append(f"{index}.png\t{name}\t{'train' if index < 6 else 'test'}")
    (folder / "pairs.csv").write_text("\n".join(pairs) + "\n")
    (folder / "classes.csv").write_text("\n".join(classes) + "\n")
    np.save(folder / "teacher.npy", rng.normal(size=(12, 5)))
    return folder


@pytest.mark.slow
def test_pairs_of_a_user_become_towers_that_open_clip_opens(command, pictures, tiny, tmp_path):
    words = (
        *("pretrain", "--pairs", pictures / "pairs.csv", "--image-tower", tiny, "--out", tmp_path),
        *("--teacher", pictures / "teacher.npy", "--evaluate", pictures / "classes.csv"),
        *("--held-out", pictures / "pairs.csv", *SHORT),
    )
    code, out, err = command(*words, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["recipe"]["teacher_weight"] == 1
    scores = found["scores"]
    assert scores == json.loads((tmp_path / "scores.json").read_text())
    assert scores["linear_last"] <= scores["linear_best"]
    assert {"zero_shot", "ari", "ami", "recall", "gap"} < scores.keys()
    # open_clip's own reader and class give the learned weights back.
    model = open_clip.create_model(tiny, pretrained=str(tmp_path / "towers.safetensors"))
    stored = load_file(tmp_path / "state.safetensors")
    learned = stored["learner.towers.image.attnpool.c_proj.weight"]
    assert torch.equal(model.state_dict()["visual.attnpool.c_proj.weight"], learned)
    assert torch.equal(
        model.state_dict()["token_embedding.weight"],
        stored["learner.towers.text.token_embedding.weight"],
    )
    # A run that has ended is scored again, and learns nothing more.
    assert command(*words, "--json")[1] == out
    code, _, err = command(*words, "--seed", 1)
    assert code == 2
    assert "a run of another recipe" in err
    table = pictures / "pairs.csv"
    table.write_text(table.read_text().replace("picture, of 3", "picture, of three"))
    code, _, err = command(*words)
    assert (code, len(err.splitlines())) == (2, 1)
    assert "a run of other pairs" in err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "no column filepath and no column title in its first line (nothing)"),
        ("filepath,title\n0.png,a\n", "give a tab-separated file"),
        ("filepath\ttitle\n", "no row after the header"),
        (
            "filepath\ttitle\n0.png\ta\n1.png\t\ngone.png\tb\n2.png\n3.png\tc\td\n",
            "4 of 5 rows cannot be used: line 3 (empty title); line 4 (no such picture: gone.png); "
            "line 5 (1 missing); and 1 more; mend them, or give --leave-out-bad",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(command, pictures, tmp_path, content, said):
    path = pictures / "bad.csv"
    path.write_text(content)
    code, out, err = command("pretrain", "--pairs", path, "--out", tmp_path / "run")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
    assert not (tmp_path / "run").exists()


def test_an_option_that_cannot_be_is_refused_before_anything_is_learned(
    command, pictures, tiny, tmp_path
):
    path = pictures / "one_split.csv"
    path.write_text("filepath\tlabel\tsplit\n0.png\ta\ttrain\n1.png\tb\ttrain\n")
    words = ("pretrain", "--pairs", pictures / "pairs.csv", "--out", tmp_path / "run")
    for options, said in (
        (("--evaluate", path), "no row of split test; give some of both"),
        (("--device", "cuda:99"), "cannot use device 'cuda:99'"),
        (("--image-tower", tiny, "--teacher", path), "cannot be read as .npy"),
        (("--workers", -1), "--workers -1: give 0 to read"),
        (("--templates", path), "--templates: they name the classes of --evaluate"),
        (("--evaluate", pictures / "classes.csv", "--templates", path), "has not one {}"),
    ):
        code, out, err = command(*words, *options)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert said in err
        assert not (tmp_path / "run").exists()


def test_rows_that_are_left_out_are_listed_and_the_teacher_keeps_its_order(pictures):
    path = pictures / "some.csv"
    path.write_text("filepath\ttitle\n0.png\ta\ngone.png\tb\n2.png\tc\n")
    table = read_table(path, PAIR_COLUMNS)
    assert [row["title"] for row in table.rows] == ["a", "c"]
    assert table.left_out.endswith("1 of 3 rows cannot be used: line 3 (no such picture: gone.png)")
    np.save(pictures / "three.npy", np.arange(6.0).reshape(3, 2))
    assert read_teacher(pictures / "three.npy", table).tolist() == [[0, 1], [4, 5]]
    with pytest.raises(ValueError, match="12 rows for 3 pairs"):
        read_teacher(pictures / "teacher.npy", table)


def test_a_picture_is_augmented_as_its_seed_says(pictures, tiny):
    clip = make_clip_towers(tiny, 0)
    table = read_table(pictures / "pairs.csv", PAIR_COLUMNS)
    pairs = PicturePairs(table, clip.tokenise, make_augmentation(clip))
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, again, other = (pairs.read(3, (0, seed))[0] for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)  # the generator of others is not moved
    assert one.shape == (3, 32, 32)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_towers_and_templates_that_cannot_be_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no image tower is called 'RN5O'; did you mean RN50"):
        make_clip_towers("RN5O", 0)
    with pytest.raises(ValueError, match="its text tower would be downloaded"):
        make_clip_towers("roberta-ViT-B-32", 0)
    (tmp_path / "forms.txt").write_text("a photo of a {}.\na photo\n")
    with pytest.raises(ValueError, match="'a photo' has not one"):
        read_templates(tmp_path / "forms.txt")
