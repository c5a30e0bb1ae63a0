"""Losses of response maps, as pure functions of the maps of all stages of a batch.

Each takes `StageMaps` and returns one number, so that a preset is a list of losses with weights.
Those of the paper and those of the authors' released code differ; both are here, under own names.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import multilabel_soft_margin_loss, one_hot, relu

FLOOR = 1e-5
"""Keeps quotients of empty maps finite; the released code adds it to the maximum of a map."""

FOCAL_POWER = 3
FOCAL_FLOOR = 0.01
"""Constants of the focal term of TRIS's pooling (its released code)."""


@dataclass(frozen=True, eq=False)
class StageMaps:
    """The maps of a batch of pictures, and the proposals that some losses compare them with."""

    scores: Float[Tensor, "stage picture text cell"]
    """Similarity of each cell of each picture with each sentence, any sign. Sentence i is about
    picture i."""

    proposals: Float[Tensor, "picture proposal cell"] | None = None
    """Masks of things that may be meant, 0 to 1; pictures with few are filled up with empty ones.
    None where no loss needs any."""

    others: Float[Tensor, "stage picture cell"] | Callable[[], Tensor] | None = None
    """Scores of each picture with a further sentence, about another thing in it, or a function that
    computes them, which costs nothing where no loss asks; None where there is none."""

    has_other: Bool[Tensor, " picture"] | None = None
    """True for pictures that have such a sentence; None for all."""

    foreground: Int[Tensor, " picture"] | None = None
    """The proposal that is taken for the thing, chosen without the map, such as by CLIP; None to
    take the one that the map is strongest on."""

    pair: int = 0
    """The earlier of the two stages that the released code compares; it draws it at random."""

    @cached_property
    def own(self) -> Float[Tensor, "stage picture cell"]:
        """The map of each picture for its own sentence, 0 to 1."""
        return normalise_maps(torch.diagonal(self.scores, dim1=1, dim2=2).movedim(-1, 1))

    def require_proposals(self) -> Float[Tensor, "picture proposal cell"]:
        """Return the proposals.

        Raises:
            ValueError: if there are none.
        """
        if self.proposals is None:
            raise ValueError("this loss compares maps with proposals; give masks of things")
        return self.proposals


Loss: TypeAlias = Callable[[StageMaps], Float[Tensor, ""]]
"""Computes one number that training makes small; a function of your own does as well."""


def normalise_maps(scores: Float[Tensor, "*batch cell"]) -> Float[Tensor, "*batch cell"]:
    """Cut scores at 0 and divide them by their maximum: maps between 0 and 1."""
    positive = relu(scores)
    return positive / (positive.amax(-1, keepdim=True) + FLOOR)


def pool_scores(scores: Float[Tensor, "picture text cell"]) -> Float[Tensor, "picture text"]:
    """Pool the cells of each pair of picture and sentence to one score, as TRIS does.

    The mean and the maximum over cells are added to a focal term, which is low for sentences that
    cover little of the picture in competition with the others and with a constant background.
    """
    # The background is a channel of ones: a sentence has to be stronger than it.
    channels = torch.cat([torch.ones_like(scores[:, :1]), scores], dim=1)
    covered = channels.softmax(1).mean(-1)[:, 1:]
    focal = (1 - covered) ** FOCAL_POWER * torch.log(FOCAL_FLOOR + covered)
    return scores.mean(-1) + scores.amax(-1) + focal


def classification_loss(maps: StageMaps) -> Float[Tensor, ""]:
    """Compute how badly pooled maps tell a picture's own sentence from the others of the batch.

    Binary cross-entropy over all pairs, averaged over stages (TRIS, ICCV 2023).
    """
    target = torch.eye(maps.scores.shape[1], device=maps.scores.device)
    # Sentences of the batch may be true of other pictures, too; the identity is TRIS's choice.
    losses = [multilabel_soft_margin_loss(pool_scores(one), target) for one in maps.scores]
    return torch.stack(losses).mean()


def align(
    maps: Float[Tensor, "*stage picture cell"], proposals: Float[Tensor, "picture proposal cell"]
) -> Float[Tensor, "*stage picture proposal"]:
    """Return the strongest value of a map inside each proposal, 0 to 1."""
    return (maps.unsqueeze(-2) * proposals).amax(-1)


def soft_iou(
    maps: Float[Tensor, "*batch cell"], masks: Float[Tensor, "*batch cell"]
) -> Float[Tensor, "*batch"]:
    """Compute the overlap of maps with masks over what either covers, 0 to 1."""
    shared = (maps * masks).sum(-1)
    return shared / (maps.sum(-1) + masks.sum(-1) - shared + FLOOR)


def half_dice(
    maps: Float[Tensor, "*batch cell"], masks: Float[Tensor, "*batch cell"]
) -> Float[Tensor, "*batch"]:
    """Compute the overlap over the sum of both sizes, 0 to 1/2: the released code's "IoU"."""
    shared = (maps * masks).sum(-1)
    return shared / (maps.sum(-1) + masks.sum(-1) + FLOOR)


def measure_ambiguity(
    maps: Float[Tensor, "*stage picture cell"], proposals: Float[Tensor, "picture proposal cell"]
) -> Float[Tensor, "*stage picture"]:
    """Compute how little maps tell one proposal from the rest, 0 (clear) to 2.

    One minus the difference of the soft IoU with the proposal that the map is strongest on, and
    with the union of all others (PCNet, the region-aware shrinking loss).
    """
    chosen = _select(align(maps, proposals).argmax(-1), proposals.shape[1])
    rest = (proposals * ~chosen.unsqueeze(-1)).amax(-2)
    return 1 - (soft_iou(maps, _pick(proposals, chosen)) - soft_iou(maps, rest))


def shrinking_loss(maps: StageMaps) -> Float[Tensor, ""]:
    """Compute by how much ambiguity rises from one stage to the next; a fall costs nothing.

    Region-aware shrinking as the paper prints it. A network of one stage has no loss.
    """
    ambiguity = measure_ambiguity(maps.own, maps.require_proposals())
    if len(ambiguity) < 2:
        return ambiguity.sum() * 0  # a number with a graph, as every other loss
    return relu(ambiguity[1:] - ambiguity[:-1]).mean(-1).sum() / (len(ambiguity) - 1)


def released_shrinking_loss(maps: StageMaps) -> Float[Tensor, ""]:
    """Compute the shrinking loss of the released code, for the stages `maps.pair` and the next.

    One minus the fall of the largest overlap with a single proposal other than the foreground,
    without a hinge. Pictures of which one of the two maps misses the foreground are left out.
    """
    proposals, own = maps.require_proposals(), maps.own
    if len(own) < 2:
        return own.sum() * 0
    # Both forms are here for comparison, so this one keeps its lack of a hinge.
    two = own[maps.pair : maps.pair + 2]
    chosen = _choose_foreground(maps, two)
    overlaps = half_dice(*torch.broadcast_tensors(two.unsqueeze(-2), proposals))
    background = overlaps.masked_fill(chosen, 0).amax(-1)
    met = (two * _pick(proposals, chosen)).sum(-1).gt(0).all(0)
    return _mean_where(1 - (background[0] - background[1]), met)


def anchor_loss(maps: StageMaps) -> Float[Tensor, ""]:
    """Compute how little maps overlap with the foreground, averaged over stages (released code).

    Maps that miss the foreground are left out.
    """
    masks = _pick(maps.require_proposals(), _choose_foreground(maps, maps.own))
    overlap = half_dice(maps.own, masks)
    return _mean_where(1 - overlap, overlap > 0)


def disambiguation_loss(maps: StageMaps) -> Float[Tensor, ""]:
    """Compute whether two sentences about two things point to one proposal: -1 apart, 1 together.

    Instance-aware disambiguation as the paper prints it, averaged over stages. The choice of a
    proposal is a one-hot vector with the gradient of the alignment (straight-through). **Where both
    choose the same proposal, this gradient is zero**: it can only confirm what is apart already.
    """
    mine, other = (_choose_through(found, found) for found in _align_both(maps))
    return _mean_where(1 - (mine - other).square().sum(-1), maps.has_other)


def released_disambiguation_loss(maps: StageMaps) -> Float[Tensor, ""]:
    """Compute the disambiguation loss of the released code: 0 apart, 1 together.

    With gradients through the softmax of the alignment, and the sum of absolute differences; its
    gradient, too, is zero where both choose the same proposal.
    """
    mine, other = (_choose_through(found, found.softmax(-1)) for found in _align_both(maps))
    return _mean_where(1 - (mine - other).abs().sum(-1) / 2, maps.has_other)


def _align_both(maps: StageMaps) -> tuple[Tensor, Tensor]:
    """Align the maps of both sentences of each picture with its proposals."""
    if maps.others is None:
        raise ValueError("this loss compares two sentences of a picture; give a further sentence")
    proposals = maps.require_proposals()
    # Computed only now: a second pass through the network, which other losses do not need.
    others = maps.others() if callable(maps.others) else maps.others
    return align(maps.own, proposals), align(normalise_maps(others), proposals)


def _choose_through(
    alignment: Float[Tensor, "*batch proposal"], soft: Float[Tensor, "*batch proposal"]
) -> Float[Tensor, "*batch proposal"]:
    """Choose the best aligned proposal as a one-hot vector that has the gradient of `soft`."""
    chosen = _select(alignment.argmax(-1), alignment.shape[-1]).to(soft)
    # In this order the added part is exactly zero. `chosen + soft - soft.detach()` rounds, and an
    # absolute value would then have a gradient of random sign where two choices are the same.
    return chosen + (soft - soft.detach())


def _choose_foreground(
    maps: StageMaps, own: Float[Tensor, "stage picture cell"]
) -> Bool[Tensor, "stage picture proposal"]:
    """Choose the foreground of each stage and picture: the given one, else by the map."""
    proposals = maps.require_proposals()
    if maps.foreground is None:
        return _select(align(own, proposals).argmax(-1), proposals.shape[1])
    return _select(maps.foreground.expand(len(own), -1), proposals.shape[1])


def _select(chosen: Int[Tensor, "*batch"], count: int) -> Bool[Tensor, "*batch proposal"]:
    return one_hot(chosen, count).bool()


def _pick(
    proposals: Float[Tensor, "picture proposal cell"],
    chosen: Bool[Tensor, "*stage picture proposal"],
) -> Float[Tensor, "*stage picture cell"]:
    """Return the mask of the chosen proposal."""
    return (proposals * chosen.unsqueeze(-1)).sum(-2)


def _mean_where(
    values: Float[Tensor, "*stage picture"], counted: Bool[Tensor, "*#stage picture"] | None
) -> Float[Tensor, ""]:
    """Return the mean of the values that count; 0 if none does."""
    if counted is None:
        return values.mean()
    # Weights in place of a selection, so that a batch in which nothing counts has a graph.
    weights = counted.expand_as(values).to(values)
    return (values * weights).sum() / weights.sum().clamp(min=1)
