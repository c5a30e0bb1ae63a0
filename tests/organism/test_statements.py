"""Statements about parts of clips: which are made, what their words see, and what is learned."""

from collections import Counter

import numpy as np
import pytest
import torch
from tolerances import assert_equal_up_to_rounding

from probe.organism.attention_masks import make_neighbourhood_mask, make_statement_mask
from probe.organism.batches import make_clip_batches
from probe.organism.catalogue import WORLDS
from probe.organism.growth import measure_growth
from probe.organism.statements import (
    MOST_FALSE,
    UNKNOWN_TRUTH,
    Judgements,
    StatementReader,
    choose_statements,
    pack_statements,
)
from probe.organism.tokens import encode
from probe.organism.worlds import RESTS

WORLD = WORLDS["things"]
TAGS = WORLD.clip_tags


def mark(seed):
    clip = WORLD.make_clip(seed)
    return TAGS.mark(WORLD.list_clip_tags(clip, WORLD.whole))


@pytest.mark.parametrize("seed", range(6))
def test_all_that_is_true_is_said_and_what_is_false_has_true_words(seed):
    marks = mark(seed)
    chosen = list(choose_statements(TAGS, marks, np.random.default_rng(seed)))
    assert len(set(chosen)) == len(chosen)
    assert {one for one in chosen if marks[one]} == set(np.flatnonzero(marks).tolist())
    said = {phrase for one in np.flatnonzero(marks) for phrase in TAGS.marked[one]}
    false = [TAGS.marked[one] for one in chosen if not marks[one]]
    single = [one for one in false if len(one) == 1]
    known = Counter(sum(phrase in said for phrase in one) for one in false if len(one) == 2)
    assert len(single) == MOST_FALSE["single"]
    assert not said & {phrase for (phrase,) in single}
    assert set(known) <= {1, 2}
    assert known[1] == MOST_FALSE["mixed"]
    assert 0 < known[2] <= MOST_FALSE["swapped"]


def test_a_row_of_statements_has_their_words_and_their_truth():
    marks = mark(3)
    row = pack_statements(TAGS, marks, np.random.default_rng(0), WORLD)
    ids, numbers, truth = (np.array(row[name]) for name in ("ids", "statements", "truth"))
    by_words = {tuple(encode(" ".join(one), WORLD)): marks[i] for i, one in enumerate(TAGS.marked)}
    for number in range(numbers.max() + 1):
        words = tuple(ids[numbers == number].tolist())
        *before, last = truth[numbers == number].tolist()
        assert last == by_words[words]
        assert set(before) <= {UNKNOWN_TRUTH}
        assert np.array(row["places"])[numbers == number].tolist() == list(range(len(words)))


def test_the_words_of_a_statement_see_the_video_and_no_other_statement():
    statements = torch.tensor([[0, 0, 1, -1]])
    (mask,) = make_statement_mask(statements, WORLD)
    visual = WORLD.visual_tokens
    assert torch.equal(mask[:visual, :visual], make_neighbourhood_mask(WORLD))
    assert not mask[:visual, visual:].any()
    assert mask[visual:, :visual].all()
    expected = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]).bool()
    assert torch.equal(mask[visual:, visual:], expected)


def test_the_last_word_of_each_statement_is_judged():
    torch.manual_seed(0)
    reader, states = StatementReader(4), torch.randn(1, 3, 4)
    truth = torch.tensor([[UNKNOWN_TRUTH, 1, 0]])
    scores = reader.head(states[0, 1:])[:, 0]
    expected = -(scores[0].sigmoid().log() + (1 - scores[1].sigmoid()).log()) / 2
    judged = reader(states, truth)
    assert_equal_up_to_rounding(judged.compute_loss(), expected)
    assert judged.truth.tolist() == [1, 0]
    right = Judgements(torch.tensor([2.0, -1, 3]), torch.tensor([1, 0, 0]))
    # Half of those that are false, and all that are true.
    assert Judgements.measure([right]) == {"stated": 0.75}
    assert Judgements.measure([]) == {}


def test_rows_are_as_long_as_the_longest_of_a_part_and_empty_where_nothing_is_stated():
    (batch,) = make_clip_batches(5, 0, 1, 2, WORLD, stated=True)
    assert batch.ids.shape == batch.truth.shape
    lengths = (batch.statements >= 0).sum(1)
    assert batch.ids.shape[1] == lengths.max()
    first = type(batch)(**{name: getattr(batch, name)[:1] for name in vars(batch)})
    assert first.shorten(stated=True).ids.shape == (1, lengths[0])
    assert batch.shorten(stated=False).ids.shape == (2, 0)
    (plain,) = make_clip_batches(5, 0, 1, 2, WORLD)
    assert plain.ids.shape == (2, 0)
    assert torch.equal(plain.tags, batch.tags)
    assert torch.equal(plain.frames, batch.frames)


def test_growth_is_what_each_layer_adds_to_words_and_video_and_their_scale():
    torch.manual_seed(0)
    start, first, second = torch.randn(3, 2, 5, 8)
    states, video = [start, start + first, start + first + second], slice(1, 4)
    outside = [0, 4]
    expected = sum(
        one[:, video].square().mean() + one[:, outside].square().mean() for one in (first, second)
    )
    scale = (start[:, video].square().mean() - 1).square()
    assert_equal_up_to_rounding(measure_growth(states, video), expected + scale)
    # What one layer adds and the next one takes away is not nothing.
    assert measure_growth([start, start + first, start], video) > 1
    # A video alone has no words.
    assert torch.isfinite(measure_growth([start, start], slice(0, 5)))


def test_shapes_have_statements_too_and_none_of_resting():
    shapes = WORLDS["shapes"]
    (batch,) = make_clip_batches(5, 0, 1, 4, shapes, stated=True)
    assert ((batch.truth == 1).any(1) & (batch.truth == 0).any(1)).all()
    spoken = set(
        choose_statements(shapes.clip_tags, batch.tags[0].numpy(), np.random.default_rng(0))
    )
    assert not any(RESTS in shapes.clip_tags.marked[mark] for mark in spoken)
