"""Mask proposals: what SAM's own pipeline finds, chosen by rules, kept, and read from folders."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_referring import save_tiny_sam
from torch.nn.functional import interpolate
from transformers import pipeline
from transformers.models.sam import image_processing_sam

from probe.candidates.mask_proposals import (
    MaskFolder,
    ProposalConfig,
    SegmentedPictures,
    choose_proposals,
    shrink_proposals,
)
from probe.candidates.segmenters import EverythingConfig, drop_repeated, open_segmenter
from probe.video.images import read_pixels
from probe.video.masks import Mask

LOOSE = EverythingConfig(points=4, quality=-9.0, stability=0.0, box_overlap=0.9)
"""With random weights, SAM is sure of nothing."""


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("picture") / "a.png"
    pixels = np.random.default_rng(0).integers(0, 256, (48, 70, 3)).astype(np.uint8)
    pixels[10:30, 10:30] = 255
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory):
    return open_segmenter(str(save_tiny_sam(tmp_path_factory.mktemp("sam"))))


def suppress_slowly(boxes, scores, idxs, iou_threshold):
    """What torchvision's compiled operator does, in words of its own."""
    assert not idxs.any()  # one class: all are rivals
    left = scores.argsort(descending=True, stable=True).tolist()
    kept = []
    while left:
        best = left.pop(0)
        kept.append(best)
        left = [one for one in left if overlap(boxes[best], boxes[one]) <= iou_threshold]
    return torch.tensor(kept, dtype=torch.long)


def overlap(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(float(width), 0) * max(float(height), 0)
    areas = [float((one[2] - one[0]) * (one[3] - one[1])) for one in (a, b)]
    return shared / (sum(areas) - shared) if sum(areas) > shared else 0.0


@pytest.mark.slow
def test_everything_in_a_picture_is_what_the_pipeline_of_transformers_finds(
    segmenter, picture, monkeypatch
):
    monkeypatch.setattr(image_processing_sam, "batched_nms", suppress_slowly)
    opened = segmenter.opened
    make: Any = pipeline
    generate = make(
        "mask-generation", model=opened.model, image_processor=opened.processor.image_processor
    )
    strict = EverythingConfig(points=4, quality=-9.0, stability=0.05, box_overlap=0.9)
    assert len(segmenter.find_everything(read_pixels(picture), strict)) < 5
    for config in (LOOSE, strict):
        expected = generate(
            Image.open(picture),
            points_per_crop=config.points,
            pred_iou_thresh=config.quality,
            stability_score_thresh=config.stability,
            crops_nms_thresh=config.box_overlap,
        )["masks"]
        found = segmenter.find_everything(read_pixels(picture), config)
        assert len(found) == len(expected) > 0
        for mask, pixels in zip(found, expected, strict=True):
            assert np.array_equal(mask.to_pixels(), np.asarray(pixels))


def test_the_mask_at_a_pixel_is_the_surest_of_sams_three(segmenter, picture):
    pixels = read_pixels(picture)
    row, column = 20, 41
    opened = segmenter.opened
    inputs = opened.processor(
        images=pixels, input_points=[[[column + 0.5, row + 0.5]]], return_tensors="pt"
    )
    with torch.no_grad():
        found = opened.model(**inputs)
    (masks,) = opened.processor.image_processor.post_process_masks(
        found.pred_masks, inputs["original_sizes"], inputs["reshaped_input_sizes"]
    )
    expected = masks[0, int(found.iou_scores.argmax())].numpy()
    mask = segmenter.mask_at(segmenter.look(pixels), row, column)
    assert np.array_equal(mask.to_pixels(), expected)
    assert 0 < mask.area < mask.size[0] * mask.size[1]


def test_suppression_keeps_the_surest_of_each_heap():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [20, 0, 30, 10], [5, 0, 15, 10.0]])
    sure = np.array([0.5, 0.9, 0.1, 0.7])
    assert drop_repeated(boxes, sure, 0.7) == [1, 3, 2]
    assert drop_repeated(boxes, sure, 0.2) == [1, 2]
    assert drop_repeated(np.zeros((0, 4)), np.zeros(0), 0.5) == []


def draw(top, left, height, width):
    pixels = np.zeros((60, 80), dtype=bool)
    pixels[top : top + height, left : left + width] = True
    return Mask.from_pixels(pixels)


def test_small_masks_repeated_ones_and_those_beyond_the_largest_are_left_out():
    large, nearly = draw(0, 0, 40, 40), draw(0, 0, 40, 36)  # IoU 0.9
    half, other, small = draw(0, 0, 40, 30), draw(10, 45, 30, 33), draw(50, 0, 9, 9)
    given = [small, nearly, other, half, large]
    config = ProposalConfig(area=100)
    assert choose_proposals(given, config) == (large, half, other)
    assert choose_proposals(given, ProposalConfig(area=100, most=2)) == (large, half)
    assert choose_proposals(given, ProposalConfig(area=81)) == (large, half, other, small)
    # The published numbers: 40 masks of at least 1,000 pixels.
    published = ProposalConfig()
    assert (published.area, published.overlap, published.most) == (1000, 0.8, 40)
    assert choose_proposals([draw(0, 0, 25, 40), draw(0, 0, 27, 37)]) == (draw(0, 0, 25, 40),)


def test_shrunk_masks_are_the_nearest_pixels_and_the_rest_is_empty():
    masks = [draw(0, 0, 30, 40), draw(31, 0, 29, 80)]
    shrunk = shrink_proposals(masks, side=4, count=3).reshape(3, 4, 4)
    assert shrunk[0].tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0] * 4, [0] * 4]
    # Row 2 of 4 shows row 30 of 60, which the second mask does not have.
    assert shrunk[1].sum(1).tolist() == [0, 0, 0, 4]
    assert not shrunk[2].any()
    odd = np.random.default_rng(0).random((37, 53)) < 0.5
    found = shrink_proposals([Mask.from_pixels(odd)], side=32, count=1)
    nearest = interpolate(torch.from_numpy(odd)[None, None].float(), (32, 32), mode="nearest")
    assert torch.equal(found, nearest.flatten(2)[0])
    assert shrink_proposals((), side=4, count=3).shape == (3, 16)


@pytest.mark.slow
def test_what_was_found_is_kept_and_found_again_without_the_segmenter(
    segmenter, picture, tmp_path, monkeypatch
):
    source = SegmentedPictures(segmenter, tmp_path / "kept", LOOSE)
    found = source.find(picture)
    assert len(found) > 1
    assert MaskFolder(tmp_path / "kept").find(picture) == found
    other = SegmentedPictures(
        segmenter, tmp_path / "kept", EverythingConfig(points=3, quality=-9.0)
    )
    with pytest.warns(UserWarning, match="another picture, segmenter or setting"):
        other.find(picture)
    with pytest.warns(UserWarning, match="made again"):
        assert source.find(picture) == found
    monkeypatch.setattr(type(segmenter), "find_everything", None)  # it is not asked again
    assert source.find(picture) == found


def test_a_folder_may_hold_lists_of_runs_or_black_and_white_pictures(picture, tmp_path):
    height, width = read_pixels(picture).shape[:2]
    pixels = np.zeros((2, height, width), dtype=bool)
    pixels[0, 5:20, 3:9], pixels[1, 30:40, 50:70] = True, True
    masks = tuple(Mask.from_pixels(one) for one in pixels)
    records = [mask.to_dict() for mask in masks]
    for content in (records, [{"segmentation": one, "area": 9} for one in records]):
        (tmp_path / "a.json").write_text(json.dumps(content))
        assert MaskFolder(tmp_path).find(picture) == masks
    (tmp_path / "a.json").unlink()
    with pytest.raises(ValueError, match=r"no masks of a\.png in it"):
        MaskFolder(tmp_path).find(picture)
    (tmp_path / "a").mkdir()
    for number, one in enumerate(pixels):
        Image.fromarray(one.astype(np.uint8) * 255).save(tmp_path / "a" / f"{number}.png")
    assert MaskFolder(tmp_path).find(picture) == masks
    Image.new("L", (3, 3)).save(tmp_path / "a" / "3.png")
    with pytest.raises(ValueError, match="at the picture's size"):
        MaskFolder(tmp_path).find(picture)
