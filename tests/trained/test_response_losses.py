import math
from typing import cast

import pytest
import torch
from torch import Tensor

from probe.trained.responses.losses import (
    StageMaps,
    align,
    anchor_loss,
    classification_loss,
    disambiguation_loss,
    measure_ambiguity,
    normalise_maps,
    released_disambiguation_loss,
    released_shrinking_loss,
    shrinking_loss,
)
from tests.tolerances import assert_equal_up_to_rounding

STAGES, PICTURES, CELLS, PROPOSALS = 3, 4, 9, 5


def make_maps(seed=0, dtype=torch.float64, **changes):
    """Random maps of a batch, with soft proposals, in double precision for finite differences."""
    rng = torch.Generator().manual_seed(seed)
    given = {
        "scores": torch.randn(STAGES, PICTURES, PICTURES, CELLS, generator=rng, dtype=dtype),
        "proposals": torch.rand(PICTURES, PROPOSALS, CELLS, generator=rng, dtype=dtype).round(),
        "others": torch.randn(STAGES, PICTURES, CELLS, generator=rng, dtype=dtype),
        "has_other": torch.tensor([True, True, False, True]),
        "pair": 1,
    }
    return StageMaps(**{**given, **changes})


def slow_classification(maps):
    total = 0.0
    for scores in maps.scores.tolist():
        pairs = []
        for i, picture in enumerate(scores):
            for j, cells in enumerate(picture):
                shares = []
                for cell in range(CELLS):
                    channels = [1.0, *(text[cell] for text in picture)]
                    shares.append(math.exp(cells[cell]) / sum(map(math.exp, channels)))
                covered = sum(shares) / CELLS
                score = sum(cells) / CELLS + max(cells)
                score += (1 - covered) ** 3 * math.log(0.01 + covered)
                right = 1 / (1 + math.exp(-score))
                pairs.append(-math.log(right if i == j else 1 - right))
        total += sum(pairs) / len(pairs)
    return total / STAGES


def slow_map(cells):
    positive = [max(0.0, value) for value in cells]
    return [value / (max(positive) + 1e-5) for value in positive]


def slow_overlap(one, other, subtract):
    shared = sum(a * b for a, b in zip(one, other, strict=True))
    return shared / (sum(one) + sum(other) - (shared if subtract else 0) + 1e-5)


def slow_own(maps, stage, picture):
    return slow_map(maps.scores[stage, picture, picture].tolist())


def slow_alignment(cells, proposals):
    return [max(a * b for a, b in zip(cells, mask, strict=True)) for mask in proposals]


def best(values):
    return values.index(max(values))


def slow_shrinking(maps):
    total = 0.0
    for picture, masks in enumerate(maps.proposals.tolist()):
        ambiguity = []
        for stage in range(STAGES):
            cells = slow_own(maps, stage, picture)
            chosen = best(slow_alignment(cells, masks))
            rest = [mask for number, mask in enumerate(masks) if number != chosen]
            union = [max(column) for column in zip(*rest, strict=True)]
            overlaps = [slow_overlap(cells, other, True) for other in (masks[chosen], union)]
            ambiguity.append(1 - (overlaps[0] - overlaps[1]))
        total += sum(max(0.0, ambiguity[n + 1] - ambiguity[n]) for n in range(STAGES - 1))
    return total / (STAGES - 1) / PICTURES


def slow_released_shrinking(maps):
    found = []
    for picture, masks in enumerate(maps.proposals.tolist()):
        falls, meets = [], True
        for stage in (maps.pair, maps.pair + 1):
            cells = slow_own(maps, stage, picture)
            chosen = best(slow_alignment(cells, masks))
            meets &= slow_overlap(cells, masks[chosen], False) > 0
            rest = [mask for number, mask in enumerate(masks) if number != chosen]
            falls.append(max(slow_overlap(cells, mask, False) for mask in rest))
        if meets:
            found.append(1 - (falls[0] - falls[1]))
    return sum(found) / len(found)


def slow_choices(maps):
    """The proposals that the picture's own sentence and its further one choose, by stage."""
    for stage in range(STAGES):
        for picture, masks in enumerate(maps.proposals.tolist()):
            if maps.has_other[picture]:
                other = slow_map(maps.others[stage, picture].tolist())
                yield tuple(
                    best(slow_alignment(cells, masks))
                    for cells in (slow_own(maps, stage, picture), other)
                )


def slow_disambiguation(maps):
    values = [-1.0 if one != other else 1.0 for one, other in slow_choices(maps)]
    return sum(values) / len(values)


def slow_released_disambiguation(maps):
    values = [float(one == other) for one, other in slow_choices(maps)]
    return sum(values) / len(values)


def slow_anchor(maps):
    values = []
    for stage in range(STAGES):
        for picture, masks in enumerate(maps.proposals.tolist()):
            cells = slow_own(maps, stage, picture)
            mask = masks[best(slow_alignment(cells, masks))]
            if (overlap := slow_overlap(cells, mask, False)) > 0:
                values.append(1 - overlap)
    return sum(values) / len(values)


SLOW = {
    classification_loss: slow_classification,
    shrinking_loss: slow_shrinking,
    released_shrinking_loss: slow_released_shrinking,
    anchor_loss: slow_anchor,
    disambiguation_loss: slow_disambiguation,
    released_disambiguation_loss: slow_released_disambiguation,
}


@pytest.mark.parametrize("loss", SLOW, ids=lambda loss: loss.__name__)
@pytest.mark.parametrize("seed", range(2))
def test_each_loss_is_what_a_slow_plain_version_computes(loss, seed):
    maps = make_maps(seed)
    assert_equal_up_to_rounding(loss(maps), SLOW[loss](maps))


@pytest.mark.slow
@pytest.mark.parametrize(
    "loss",
    [classification_loss, shrinking_loss, released_shrinking_loss, anchor_loss],
    ids=lambda loss: loss.__name__,
)
def test_gradients_are_those_of_finite_differences(loss):
    scores = make_maps(5).scores.requires_grad_()
    assert torch.autograd.gradcheck(lambda moved: loss(make_maps(5, scores=moved)), scores)


@pytest.mark.parametrize("released", [False, True])
def test_a_straight_through_gradient_is_that_of_its_soft_part_with_the_choice_held(released):
    maps = make_maps(1)
    loss = released_disambiguation_loss if released else disambiguation_loss
    scores = maps.scores.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(make_maps(1, scores=scores)), scores)

    def surrogate(moved):
        """The loss with the choices of the unmoved maps, and soft parts that move."""
        pairs = []
        for given in (maps, moved):
            own, other = given.own, normalise_maps(cast(Tensor, given.others))
            both = [align(one, maps.require_proposals()) for one in (own, other)]
            pairs.append([one.softmax(-1) if released else one for one in both])
        (a0, d0), (a, d) = pairs
        held = [
            torch.nn.functional.one_hot(align(one, maps.require_proposals()).argmax(-1), PROPOSALS)
            for one in (maps.own, normalise_maps(cast(Tensor, maps.others)))
        ]
        apart = (held[0] + a - a0) - (held[1] + d - d0)
        size = apart.abs().sum(-1) / 2 if released else apart.square().sum(-1)
        return (1 - size)[:, maps.has_other].mean()

    step = 1e-6
    for place in [(0, 0, 0, 4), (1, 1, 1, 2), (2, 3, 3, 7), (1, 3, 3, 1)]:
        ends = []
        for sign in (-1, 1):
            moved = maps.scores.clone()
            moved[place] += sign * step
            ends.append(surrogate(make_maps(1, scores=moved)))
        # Where two soft parts are equal, an absolute value has a kink, and no difference says more.
        assert float(gradient[place]) == pytest.approx(
            float(ends[1] - ends[0]) / 2 / step, abs=1e-6
        )


@pytest.mark.parametrize("loss", [disambiguation_loss, released_disambiguation_loss])
def test_where_both_sentences_choose_one_proposal_disambiguation_teaches_nothing(loss):
    """As printed and as released: the gradient is zero exactly where it would be needed."""
    same = make_maps(dtype=torch.float32)
    own = torch.diagonal(same.scores, dim1=1, dim2=2).movedim(-1, 1)
    scores = same.scores.clone().requires_grad_()
    moved = make_maps(dtype=torch.float32, scores=scores, others=own.clone())
    (gradient,) = torch.autograd.grad(loss(moved), scores)
    assert gradient.abs().max() == 0


def test_shrinking_costs_nothing_if_each_stage_is_clearer_than_the_one_before():
    thing, rest = torch.zeros(CELLS), torch.zeros(CELLS)
    thing[:3], rest[3:] = 1, 1
    shares = torch.tensor([0.9, 0.5, 0.1])  # of heat outside the thing
    own = thing + shares[:, None] * rest
    maps = StageMaps(own[:, None, None], torch.stack([thing, rest])[None])
    assert float(shrinking_loss(maps)) == 0
    back = StageMaps(own.flip(0)[:, None, None], maps.proposals)
    rise = measure_ambiguity(back.own, maps.require_proposals())[:, 0].diff()
    assert_equal_up_to_rounding(shrinking_loss(back), rise.mean())
    assert float(shrinking_loss(back)) > 0.1


def test_a_given_foreground_takes_the_place_of_the_strongest_proposal():
    maps = make_maps(2)
    chosen = align(maps.own, maps.require_proposals()).argmax(-1)[1]
    given = make_maps(2, foreground=chosen)
    alone = StageMaps(maps.scores[1:2], maps.proposals)
    given_alone = StageMaps(given.scores[1:2], given.proposals, foreground=chosen)
    assert_equal_up_to_rounding(anchor_loss(alone), anchor_loss(given_alone))
    other = StageMaps(maps.scores[1:2], maps.proposals, foreground=(chosen + 1) % PROPOSALS)
    assert float(anchor_loss(other)) > float(anchor_loss(alone))


def test_losses_say_what_they_lack():
    bare = StageMaps(make_maps().scores)
    with pytest.raises(ValueError, match="give masks of things"):
        shrinking_loss(bare)
    with pytest.raises(ValueError, match="give a further sentence"):
        disambiguation_loss(bare)
