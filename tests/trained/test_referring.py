"""Response maps of pictures: CLIP's encoders, batches, training that goes on, and the judging."""

import json
from dataclasses import dataclass, replace
from math import log
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from referring_formats import HEIGHT, WIDTH, write_masks, write_refer
from tiny_referring import TINY_CLIP, save_tiny_clip, save_tiny_sam
from tolerances import assert_equal_up_to_rounding

from probe.candidates.mask_proposals import MaskFolder
from probe.candidates.segmenters import open_segmenter
from probe.cli.referring import PictureOptions, PictureRun
from probe.trained.referring import training
from probe.trained.referring.encoders import (
    CLIP_NAME,
    ClipEncoders,
    InputConfig,
    normalise_picture,
    open_clip_encoders,
)
from probe.trained.referring.evaluation import ROWS, Judge
from probe.trained.referring.model import (
    EnlargedMaps,
    ReferringMaps,
    ReferringModel,
    compute_losses,
    enlarge_maps,
)
from probe.trained.referring.things import BatchConfig, ThingBatches
from probe.trained.referring.training import ReferringRecipe, TrainingSet, train_referring
from probe.trained.responses.losses import StageMaps, classification_loss
from probe.trained.responses.network import Bank, NetworkConfig
from probe.trained.responses.presets import PAPER, RELEASED_CODE, ResponseConfig, Term

SMALL = InputConfig(side=96, tokens=8)
NETWORK = NetworkConfig(channels=32, stages=2, sentence_update=0.1, cell_update=0.1)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("coco")
    write_refer(folder, pictures=4)
    write_masks(folder, folder / "masks")
    return folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return save_tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def encoders(clip):
    return open_clip_encoders(str(clip), inputs=SMALL)


@pytest.fixture(scope="module")
def taught(root):
    return convert(root, "train", truth=False)


@pytest.fixture(scope="module")
def checked(root):
    return convert(root, "val", truth=True)


def convert(root, part, *, truth):
    run = PictureRun("refcoco+", root, PictureOptions(), str(root / "refer/refcoco+/cues.json"))
    return run.convert(run.read(), part, truth=truth)


def test_cells_and_texts_are_those_of_open_clip(clip, encoders):
    model: Any = open_clip.create_model(f"local-dir:{clip}").eval()
    pictures = torch.randn(2, 3, 96, 96)
    (expected,) = model.visual.forward_intermediates(
        pictures, indices=[4], intermediates_only=True
    )["image_intermediates"]
    assert_equal_up_to_rounding(encoders.encode_pictures(pictures), expected.flatten(2).mT)
    texts = ["the red circle", "a"]
    padded = torch.zeros(2, TINY_CLIP["text_cfg"]["context_length"], dtype=torch.long)
    padded[:, : SMALL.tokens] = encoders.tokenise(texts)
    assert_equal_up_to_rounding(encoders.encode_texts(texts), model.encode_text(padded))
    # The last token that is read is the end, however long a text is.
    assert encoders.tokenise(["red " * 50])[0, -1] == encoders.tokenise(["red"])[0].max()


def test_pictures_are_squeezed_and_normalised_as_imagenet_is():
    grey = np.full((40, 90, 3), 128, dtype=np.uint8)
    found = normalise_picture(grey, 64)
    assert found.shape == (3, 64, 64)
    expected = (128 / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    assert_equal_up_to_rounding(found[:, 5, 5], expected)


def test_means_of_batch_normalisation_stay_while_its_weights_learn(encoders):
    before = encoders.clip.visual.bn1.running_mean.clone()
    encoders.train().encode_pictures(torch.randn(2, 3, 96, 96)).sum().backward()
    assert torch.equal(encoders.clip.visual.bn1.running_mean, before)
    assert encoders.clip.visual.bn1.weight.grad.abs().sum() > 0


def test_an_epoch_has_each_thing_once_with_a_further_sentence_about_another_one(
    taught, encoders, root
):
    config = BatchConfig(size=4, stages=2)
    batches = ThingBatches(taught, encoders, MaskFolder(root / "masks"), config)
    for epoch in range(3):
        steps = range(epoch * batches.per_epoch, (epoch + 1) * batches.per_epoch)
        chosen = [one for step in steps for one in batches.choose(step)]
        assert sorted(thing for thing, _, _ in chosen) == list(range(len(taught)))
        for thing, _, further in chosen:
            assert further is not None
            assert taught[further[0]].picture == taught[thing].picture
            assert taught[further[0]].thing != taught[thing].thing
    drawn = {(thing, text) for step in range(40) for thing, text, _ in batches.choose(step)}
    assert len(drawn) == 2 * len(taught)  # both sentences of each come, in one epoch or another
    loaded, again = batches.load(3), batches.load(3)
    assert torch.equal(loaded.pictures, again.pictures)
    assert loaded.sentences == again.sentences
    assert loaded.proposals.sum(-1).gt(0).sum(1).tolist() == [2] * 4  # both things, the rest empty
    assert all(cues[-1] == text for cues, text in zip(loaded.cues, loaded.sentences, strict=True))
    alone = ThingBatches(taught[::2], encoders, None, config).load(0)
    assert not alone.has_other.any()
    assert alone.other_sentences == alone.sentences


def test_training_is_given_no_truth(checked, encoders):
    with pytest.raises(ValueError, match="has a true mask; training is given none"):
        ThingBatches(checked, encoders, None, BatchConfig(4, 2))


def test_enlarged_maps_are_the_maps_where_nothing_is_enlarged():
    scores = torch.rand(2, 3, 3, 16)
    scores[0, :, :, 7], scores[1, :, :, 0] = 3.0, 3.0
    own = StageMaps(scores).own
    assert_equal_up_to_rounding(EnlargedMaps(scores, side=4).own, own, roundings=1000)
    finer = EnlargedMaps(scores, side=32).own
    assert finer.shape == (2, 3, 32 * 32)
    # The strongest cell is still the strongest place.
    place = finer.argmax(-1)
    coarse = (place // 32 // 8) * 4 + place % 32 // 8
    assert torch.equal(coarse, own.argmax(-1))


@pytest.mark.parametrize("preset", [PAPER, RELEASED_CODE], ids=["paper", "released code"])
def test_every_term_teaches_both_encoders(preset, taught, encoders, root):
    batches = ThingBatches(taught, encoders, MaskFolder(root / "masks"), BatchConfig(4, 2))
    model = ReferringModel(encoders, replace(preset.network, channels=32, stages=2))
    losses = compute_losses(model, batches.load(0), preset, pair=0)
    assert len(losses) == len(preset.terms)
    torch.stack(list(losses.values())).sum().backward()
    for weight in (encoders.clip.visual.conv1.weight, encoders.clip.token_embedding.weight):
        assert weight.grad.isfinite().all()
        assert weight.grad.abs().sum() > 0


@pytest.fixture(scope="module")
def recipe():
    terms = (Term(1.0, classification_loss), *PAPER.terms[1:])
    return ReferringRecipe(ResponseConfig(NETWORK, terms), epochs=3, batch=4, rate=1e-3)


@pytest.mark.slow
def test_a_stopped_run_ends_as_the_whole_one(recipe, taught, clip, root, tmp_path, monkeypatch):
    data = TrainingSet(taught, MaskFolder(root / "masks"))

    def train(folder, judge=None):
        encoders = open_clip_encoders(str(clip), inputs=SMALL)
        return train_referring(encoders, data, recipe, folder, judge=judge)

    whole = train(tmp_path / "whole")
    taken = []

    def stop_in_the_second_epoch(*given):
        if len(taken) == 3:
            raise KeyboardInterrupt
        taken.append(given)
        return compute_losses(*given)

    monkeypatch.setattr(training, "compute_losses", stop_in_the_second_epoch)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "stopped")
    monkeypatch.undo()
    going = train(tmp_path / "stopped")
    assert going.about == whole.about
    for (name, one), (_, other) in zip(
        going.model.state_dict().items(), whole.model.state_dict().items(), strict=True
    ):
        assert torch.equal(one, other), name
    assert torch.equal(going.bank.cues, whole.bank.cues)
    # Of epochs with a score, the best is kept, not the last.
    scores = iter([0.2, 0.9, 0.4])
    best = train(tmp_path / "judged", judge=lambda _: next(scores))
    assert best.about["steps"] == 2 * 2
    assert best.about["scores"] == [0.2, 0.9, 0.4]
    with pytest.raises(ValueError, match="a run of other things; give another folder"):
        train_referring(
            open_clip_encoders(str(clip), inputs=SMALL),
            TrainingSet(taught[1:]),
            recipe,
            tmp_path / "whole",
        )


@pytest.mark.slow
def test_it_learns_which_sentence_belongs_to_which_picture(encoders, tmp_path, monkeypatch):
    monkeypatch.setattr(training._Run, "save", lambda _: None)  # 80 states of an embedding matrix
    monkeypatch.setattr(training, "LOGGED_STEPS", 1)
    write_refer(tmp_path, parts=("train", "val"), pictures=8)
    # One thing a picture: the sentence of another thing in it would count as wrong, and is not.
    things = tuple(
        replace(one, sentences=one.sentences[:1], cues=one.cues[:1])
        for one in convert(tmp_path, "train", truth=False)[::2]
    )
    config = ResponseConfig(NETWORK, (Term(1.0, classification_loss),))
    recipe = ReferringRecipe(config, epochs=80, batch=8, rate=3e-3)
    train_referring(encoders, TrainingSet(things), recipe, tmp_path / "run", judge=lambda _: 0.0)
    lines = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    # A model that tells nothing apart has at best the entropy of one sentence in eight.
    entropy = -(log(1 / 8) / 8 + 7 / 8 * log(7 / 8))
    assert losses[0] > 1
    assert np.mean(losses[-5:]) < entropy - 0.1


@pytest.fixture(scope="module")
def maps(clip):
    torch.manual_seed(0)
    encoders = open_clip_encoders(str(clip), inputs=SMALL)
    model = ReferringModel(encoders, NETWORK).eval().requires_grad_(False)
    bank = Bank(torch.randn(2, 5, 32), torch.randn(2, 5, 32))
    return ReferringMaps(model, bank, {"data": "none"})


def test_maps_come_back_from_their_file_and_sentences_do_not_compete(maps, tmp_path):
    maps.save(tmp_path / "maps.safetensors")
    again = ReferringMaps.load(tmp_path / "maps.safetensors")
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3)).astype(np.uint8)
    texts, cues = ["the red circle", "a dog"], [("a circle", "the red circle"), ("a dog", "a dog")]
    found = again.respond(pixels, texts, cues)
    assert found.shape == (2, 2, 9)
    assert torch.equal(found, maps.respond(pixels, texts, cues))
    assert_equal_up_to_rounding(found[1:], maps.respond(pixels, texts[1:], cues[1:]))
    alone = maps.respond(pixels, texts, cues, Bank.empty(NETWORK))
    assert not torch.allclose(alone, found)  # the stored texts change the maps
    assert again.about["data"] == "none"
    with pytest.raises(ValueError, match="response maps of pictures"):
        ReferringMaps.load(save_other(tmp_path))


def save_other(folder):
    from probe.files import write_tensors

    write_tensors(folder / "other.safetensors", {"a": torch.zeros(1)}, {"format": "other"})
    return folder / "other.safetensors"


GRID = 13
"""Rows and columns of cells of maps that are made up."""


@dataclass(frozen=True, eq=False)
class KnownMaps(ReferringMaps):
    """Maps that are strongest in the cell of the true thing, by its sentence."""

    cells: Any = None

    def respond(self, pixels, sentences, cues, bank=None):  # noqa: ARG002
        found = torch.zeros(len(sentences), 2, GRID**2)
        # Where nothing competes, it finds the opposite cell, so that the rows differ.
        alone = bank is not None and not len(bank)
        for place, sentence in enumerate(sentences):
            cell = self.cells[sentence]
            found[place, :, GRID**2 - 1 - cell if alone else cell] = 1.0
        return found


def test_the_judge_tells_a_map_that_is_right_from_one_that_is_not(
    maps, checked, root, tmp_path_factory, tmp_path
):
    cells = {}
    for one in checked:
        left, top, right, bottom = one.truth.box
        column = int((left + right) / 2 / WIDTH * GRID)
        row = int((top + bottom) / 2 / HEIGHT * GRID)
        cells |= dict.fromkeys(one.sentences, GRID * row + column)
    known = KnownMaps(maps.model, maps.bank, {}, cells)
    sam = open_segmenter(str(save_tiny_sam(tmp_path_factory.mktemp("sam"))))
    judge = Judge(MaskFolder(root / "masks"), sam)
    result = judge.judge(known, checked)
    rows = result.summarise()
    assert list(rows) == list(ROWS)
    assert rows["map"]["sentences"] == 2 * len(checked)
    assert rows["map"]["point_m"] == rows["map"]["point_it"] == 1.0
    assert rows["alone"]["point_m"] < 0.5
    # The proposal under a right peak is the thing, as well as any can be.
    assert rows["proposal"]["mean_iou"] == rows["oracle"]["mean_iou"] > 0.9
    assert 0 < rows["map"]["mean_iou"] < 0.9
    assert "point_m" not in rows["segmenter"]
    assert "mean_iou" not in rows["centre"]
    low, high = rows["map"]["mean_iou_interval"]
    assert low - 1e-9 <= rows["map"]["mean_iou"] <= high + 1e-9

    # A picture that cannot be read counts as zero in every row, and is told.
    moved = tmp_path / checked[0].picture.name
    Image.new("RGB", (30, 30)).save(moved)
    broken = [replace(one, picture=moved) for one in checked[:2]]
    partly = judge.judge(known, [*broken, *checked[2:]])
    assert len(partly.failures) == 4
    assert "original size" in partly.failures[0].failure
    for name, row in partly.summarise().items():
        kept = [one.scores[name] for one in result.judged[4:]]
        if "mean_iou" in row:
            share = sum(one.iou for one in kept) / len(result.judged)
            assert row["mean_iou"] == pytest.approx(share)
    partly.save(tmp_path / "scores.json", {"data": "drawn"})
    content = json.loads((tmp_path / "scores.json").read_text())
    assert len(content["sentences"]) == len(result.judged)
    with pytest.raises(ValueError, match="its place is not known"):
        judge.judge(known, [replace(checked[0], truth=None)])


@pytest.mark.slow
def test_the_published_shapes():
    architecture: Any = open_clip.get_model_config(CLIP_NAME)
    encoders = ClipEncoders.make(architecture).eval()
    with torch.no_grad():
        assert encoders.encode_pictures(torch.zeros(1, 3, 320, 320)).shape == (1, 100, 2048)
        assert encoders.encode_texts(["the dog"]).shape == (1, 1024)
    assert (encoders.width, encoders.text_width, encoders.grid) == (2048, 1024, 10)


@pytest.mark.parametrize("name", ["RN51", "ViT-B-32"])
def test_another_clip_is_refused_in_one_line(name):
    with pytest.raises(ValueError, match=r"give a folder, or one of|not read by a ResNet") as told:
        open_clip_encoders(name, None)
    assert "\n" not in str(told.value)


def test_peaks_are_found_at_the_size_of_the_picture():
    peaked = torch.zeros(9)
    peaked[5] = 1.0
    enlarged = enlarge_maps(peaked, (60, 90)).reshape(60, 90)
    assert enlarged.max() <= 1
    row, column = divmod(int(enlarged.argmax()), 90)
    assert (row // 20, column // 30) == (1, 2)
