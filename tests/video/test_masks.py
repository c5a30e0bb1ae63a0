"""Masks: pixels come back, whatever form the runs are in, and a damaged text never reaches C."""

from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from probe.video import Span, Tube
from probe.video.masks import Mask, _decompress, read_mask

HEIGHT, WIDTH = 40, 60


def draw(seed):
    """From single pixels to masks of thousands of runs, whose counts need several letters each."""
    rng = np.random.default_rng(seed)
    return rng.random((HEIGHT, WIDTH)) < rng.choice([0.0, 0.001, 0.01, 0.5, 1.0])


def list_runs(pixels):
    """Count the runs down the columns, one pixel after the other."""
    runs, inside = [0], False
    for pixel in pixels.ravel("F").tolist():
        if pixel != inside:
            runs.append(0)
            inside = pixel
        runs[-1] += 1
    return runs


@pytest.mark.parametrize("seed", range(20))
def test_a_mask_holds_its_pixels_whatever_its_counts_are_written_in(seed):
    pixels = draw(seed)
    record: Any = coco_mask.encode(np.asfortranarray(pixels.astype(np.uint8)))
    made = Mask.from_pixels(pixels)
    text = record | {"counts": record["counts"].decode()}
    listed = record | {"counts": list_runs(pixels)}
    for form in (record, text, listed, made.to_dict()):
        mask = read_mask("here", form, (HEIGHT, WIDTH))
        assert mask == made
        assert read_mask("here", form) == made
    assert np.array_equal(made.to_pixels(), pixels)
    assert made.area == pixels.sum()


@pytest.mark.parametrize("seed", range(20))
def test_its_box_goes_around_its_pixels(seed):
    pixels = draw(seed)
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    box = Mask.from_pixels(pixels).box
    if len(rows):
        assert box is not None
        assert box.tolist() == [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    else:
        assert box is None


def decompress_slowly(counts):
    """`rleFrString` of COCO's maskApi.c, line by line."""
    runs, place = [], 0
    while place < len(counts):
        value, letters, more = 0, 0, True
        while more:
            bits = ord(counts[place]) - 48
            value |= (bits & 0x1F) << 5 * letters
            more = bool(bits & 0x20)
            place, letters = place + 1, letters + 1
            if not more and bits & 0x10:
                value |= -1 << 5 * letters
        if len(runs) > 2:
            value += runs[-2]
        runs.append(value)
    return runs


@pytest.mark.parametrize("seed", range(20))
def test_counts_are_decompressed_as_cocos_own_code_does(seed):
    counts = Mask.from_pixels(draw(seed)).counts
    assert _decompress("here", counts).tolist() == decompress_slowly(counts)


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_text_is_refused_in_one_line_or_fills_the_frame(seed):
    rng = np.random.default_rng(seed)
    letters = [*Mask.from_pixels(draw(seed)).counts]
    for _ in range(rng.integers(1, 4)):
        letters[rng.integers(len(letters))] = chr(rng.integers(30, 130))
    record = {"size": [HEIGHT, WIDTH], "counts": "".join(letters)[: rng.integers(len(letters) + 1)]}
    try:
        read = read_mask("here", record, (HEIGHT, WIDTH)).to_pixels().shape
    except ValueError as refused:
        read = str(refused).partition(": ")[0], len(str(refused).splitlines())
    assert read in ((HEIGHT, WIDTH), ("here", 1))


@pytest.mark.parametrize("size", [None, [3], [0, 4], [2.0, 2], [True, 4], "4"])
def test_a_mask_of_no_size_is_refused(size):
    with pytest.raises(ValueError, match=r"here: a mask of size .*; give its height and width"):
        read_mask("here", {"size": size, "counts": "4"})


# Masks of a tube.


def masked_tube():
    masks = [Mask.from_pixels(draw(seed)) for seed in (3, 4)]
    return Tube([2, 6, 9], [[0, 0, 8, 8]] * 3, "man", [masks[0], None, masks[1]])


def test_a_tube_keeps_the_masks_of_the_frames_that_it_keeps():
    tube = masked_tube()
    assert tube.within(Span(0, 7)).masks == tube.masks[:2]
    assert tube.within(Span(6, 7)).masks == (), "a tube without a mask has no entry for any"
    shown = tube.interpolated(range(1, 10))
    assert [shown.mask_at(frame) for frame in (2, 9)] == [tube.masks[0], tube.masks[2]]
    assert sum(mask is not None for mask in shown.masks) == 2
    assert tube.mask_at(6) is None
    assert tube.mask_at(3) is None


def test_a_tube_with_masks_comes_back_and_differs_from_one_without():
    tube = masked_tube()
    again = Tube.from_dict(tube.to_dict())
    assert again == tube
    assert hash(again) == hash(tube)
    plain = Tube(tube.frames, tube.boxes, tube.label)
    assert plain != tube
    assert "masks" not in plain.to_dict()
    assert Tube(tube.frames, tube.boxes, tube.label, [None] * 3) == plain
    assert "2 with a mask" in repr(tube)


def test_a_tube_has_a_mask_for_each_box_or_none():
    with pytest.raises(ValueError, match="a tube of 3 boxes has 1 masks"):
        Tube([0, 1, 2], [[0, 0, 8, 8]] * 3, masks=[Mask.from_pixels(draw(3))])
