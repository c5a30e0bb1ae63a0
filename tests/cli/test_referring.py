"""`probe responses train refcoco+` and `evaluate`, from the folder as published to the table."""

import json
from dataclasses import replace

import pytest
from referring_formats import write_masks, write_refer
from tiny_referring import save_tiny_clip, save_tiny_sam

from probe.cli.referring import PictureOptions, PictureRun
from probe.cli.responses import TrainResponses
from probe.trained.responses import presets
from probe.trained.responses.network import NetworkConfig
from probe.trained.responses.presets import PAPER


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("coco")
    write_refer(folder, pictures=2)
    write_masks(folder, folder / "masks")
    return folder


@pytest.mark.slow
def test_maps_are_trained_and_judged_on_a_published_folder(root, tmp_path, capsys, monkeypatch):
    small = replace(PAPER, network=NetworkConfig(channels=32, stages=2))
    monkeypatch.setattr(presets, "PAPER", small)  # the published one has 28 million weights
    out = tmp_path / "maps.safetensors"
    clip, sam = save_tiny_clip(tmp_path / "clip"), save_tiny_sam(tmp_path / "sam")
    TrainResponses(
        "train",
        "refcoco+",
        root=root,
        out=out,
        published=PictureOptions(
            masks=root / "masks", clip=str(clip), epochs=1, batch=4, readers=1
        ),
    ).run()
    said = capsys.readouterr().out
    assert "PointM on val" in said
    assert f"--maps {out}" in said
    TrainResponses(
        "evaluate",
        "refcoco+",
        root=root,
        out=tmp_path / "scores.json",
        json=True,
        published=PictureOptions(masks=root / "masks", segmenter=str(sam), maps=out),
    ).run()
    told = json.loads(capsys.readouterr().out)
    assert set(told["rows"]) == {"map", "alone", "centre", "proposal", "segmenter", "oracle"}
    assert told["rows"]["map"]["sentences"] == 8
    assert told["rows"]["oracle"]["mean_iou"] > 0.9
    kept = json.loads((tmp_path / "scores.json").read_text())
    assert kept["rows"] == told["rows"]
    assert kept["about"]["data"] == "refcoco+ (unc), val"


def test_cues_come_from_a_file_from_rules_or_are_the_sentence(root, tmp_path):
    def read(cues):
        run = PictureRun("refcoco+", root, PictureOptions(), cues)
        return run.convert(run.read(), "train", truth=False)[0].cues

    path = root / "refer/refcoco+/cues.json"
    assert read(str(path)) == (("a square", "a red thing"),) * 2
    assert read("whole") == ()
    assert read("rules")[0] == ("the red square",)
    content = json.loads(path.read_text())
    content.popitem()
    (tmp_path / "cues.json").write_text(json.dumps(content))
    run = PictureRun("refcoco+", root, PictureOptions(), str(tmp_path / "cues.json"))
    with pytest.raises(ValueError, match="no phrases for 2 sentences, such as ref 5"):
        run.convert(run.read(), "val", truth=True)


def test_missing_pictures_are_told_before_training(tmp_path):
    write_refer(tmp_path, pictures=1)
    for picture in (tmp_path / "images/train2014").iterdir():
        picture.unlink()
    run = PictureRun("refcoco+", tmp_path, PictureOptions())
    with pytest.raises(ValueError, match=r"1 of 1 pictures: train2014/COCO_train2014_0"):
        run.convert(run.read(), "train", truth=False)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("train", "refcoco", "--root", ".", "--any-frame"), "--any-frame: only of videos"),
        (("train", "--epochs", "3"), "--epochs: only of pictures"),
        (("train", "--states", __file__), f"{__file__}: cannot write there"),
        (("train", "--seed", "-1"), "--seed -1: give 0 or more"),
        (("trian",), "no action is called 'trian'; did you mean train?"),
        (("evaluate",), "evaluate: name one of refcoco,"),
        ((), "responses: give train or evaluate"),
    ],
)
def test_what_has_no_effect_or_no_meaning_is_refused(command, words, problem):
    code, _, err = command("responses", *words)
    assert code == 2
    assert err.startswith(f"probe: {problem}")
    assert len(err.splitlines()) == 1
