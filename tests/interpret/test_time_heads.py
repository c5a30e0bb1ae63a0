"""Heads that tell frames apart, found without labels."""

import dataclasses

import pytest
import torch
from tolerances import assert_equal_up_to_rounding

from probe.interpret.head_rules import GatheredInTime, TheseHeads
from probe.interpret.time_heads import time_contrast, time_head_scores, time_heads

QUESTION = "Is there something that jumps in this video?"


@pytest.fixture(scope="module")
def reading(tiny, video):
    return tiny.watch(video).read(QUESTION)[0]


def slow_contrast(attention):
    """Find the best contrast, one interval at a time."""
    shares = (attention / attention.sum()).tolist()
    best, count = -1.0, len(shares)
    for first in range(count):
        for stop in range(first + 1, count + 1):
            inside, outside = shares[first:stop], shares[:first] + shares[stop:]
            if outside:
                gap = sum(inside) / len(inside) - sum(outside) / len(outside)
                best = max(best, gap * (len(inside) * len(outside) / count) ** 0.5)
    return best


@pytest.mark.parametrize("frames", [2, 3, 8, 21])
def test_the_contrast_is_that_of_all_intervals_and_knows_no_direction_and_no_scale(frames):
    rows = torch.rand(5, frames, generator=torch.Generator().manual_seed(frames)) ** 3
    found = time_contrast(rows)
    assert_equal_up_to_rounding(found, [slow_contrast(row) for row in rows], scale=1)
    assert_equal_up_to_rounding(time_contrast(rows.flip(-1) * 7), found, scale=1)
    assert ((found > 0) & (found < 1)).all()


def test_even_attention_has_no_contrast_and_that_to_one_frame_has_the_most():
    assert_equal_up_to_rounding(time_contrast(torch.ones(8)), 0.0, scale=1)
    one, two, apart = torch.zeros(3, 8)
    one[3], two[3:5], apart[[1, 6]] = 1, 1, 1
    contrasts = time_contrast(torch.stack([one, two, apart]))
    assert contrasts[0] > contrasts[1] > contrasts[2]
    assert float(time_contrast(torch.ones(1))) == float(time_contrast(torch.zeros(8))) == 0


def plant(reading, pairs, frames, *, idle=()):
    """The reading with heads that attend to a few frames alone; idle ones barely do."""
    attention = torch.full_like(reading.attention, 1e-3)
    for place, (layer, head) in enumerate((*pairs, *idle)):
        attention[layer, head] = 0
        attention[layer, head, :, frames] = 1e-2 if place < len(pairs) else 1e-6
    return dataclasses.replace(reading, attention=attention)


def test_heads_that_look_at_one_interval_are_found_unless_they_are_idle(reading):
    pairs, idle = {(1, 2), (3, 0)}, {(0, 0)}
    planted = plant(reading, pairs, slice(1, 3), idle=idle)
    scores = time_head_scores([planted, planted], shortlist=2)
    assert len(scores) == 16
    assert set(time_heads(scores, 2)) == set(GatheredInTime(2)(planted)) == pairs
    table = scores.set_index(["layer", "head"])
    assert (table.loc[[*pairs], "votes"] == 1).all()
    assert table.loc[(0, 0), "contrast"] == pytest.approx(table.loc[(1, 2), "contrast"])
    assert table.loc[(0, 0), "votes"] == 0


def test_the_order_of_frames_changes_no_score(reading):
    turned = dataclasses.replace(reading, attention=reading.attention.flip(3))
    one, other = (time_head_scores([each]) for each in (reading, turned))
    for name in ("attention", "contrast"):
        assert_equal_up_to_rounding(one[name].to_numpy(), other[name].to_numpy(), scale=1)


def test_what_chooses_no_head_is_refused(reading):
    assert TheseHeads([[1, 2], (0, 3)])(reading) == ((1, 2), (0, 3))
    with pytest.raises(ValueError, match="count is 0; choose at least 1 head"):
        GatheredInTime(0)
    with pytest.raises(ValueError, match="heads are pairs"):
        TheseHeads([(1, 2, 3)])
    with pytest.raises(ValueError, match="no reading"):
        time_head_scores([])
