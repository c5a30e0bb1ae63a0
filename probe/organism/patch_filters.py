"""The first filters of a vision tower: the main components of a world's patches, equally strong.

Light and slow changes of the ground make up nearly all of what differs between patches. Random
filters pass them on as they are, so that visual tokens of one frame are nearly alike, and what is
drawn in them hardly shows. Filters that make all components equally strong (whitening, as in
https://arxiv.org/abs/2404.00498) show small things from the first step. They are learned from
pixels alone, and stay as they are.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from transformers import LlavaNextVideoForConditionalGeneration

from probe.organism.tower_pretraining import normalise_frames
from probe.organism.worlds import World

FILTER_CLIPS_SEED = 4_000_003
"""Seed of the clips whose patches set the filters, which no stage and no benchmark has."""

FLOOR = 0.1
"""Variance that is added to each component's, in squares of normalised pixels: components of the
grounds' noise have about as much, and would else be as strong as the others."""


@torch.no_grad()
def set_patch_filters(network: LlavaNextVideoForConditionalGeneration, world: World) -> None:
    """Set the tower's first filters to the main components of a world's patches, and fix them.

    Args:
        network: The untrained organism, changed in place.
        world: The world; one whose `filter_clips` is 0 leaves the network as it is.
    """
    if not world.filter_clips:
        return
    embeddings = network.model.vision_tower.embeddings
    filters = embeddings.patch_embedding.weight
    patches = cut_patches(network, world)
    variances, components = torch.linalg.eigh(patches.T.cov(correction=0))
    # The largest come last.
    strongest = slice(-len(filters), None)
    scaled = (components[:, strongest] / (variances[strongest] + FLOOR).sqrt()).T
    filters.copy_(scaled.view_as(filters))
    # Filters have no bias: the position embeddings, after the class token's, take its place.
    embeddings.position_embedding.weight[1:] -= scaled @ patches.mean(0)
    filters.requires_grad_(False)


def cut_patches(
    network: LlavaNextVideoForConditionalGeneration, world: World
) -> Float[Tensor, "patch value"]:
    """Return the normalised pixels of all patches of a frame of each clip, as filters have them."""
    frames = [
        world.make_clip((FILTER_CLIPS_SEED, index)).frame(index % world.length)
        for index in range(world.filter_clips)
    ]
    drawn = torch.from_numpy(np.stack(frames))[:, None].to(network.device)
    pixels = normalise_frames(drawn, network, world)
    side = world.body.patch
    tiles = pixels.unfold(2, side, side).unfold(3, side, side)
    return tiles.permute(0, 2, 3, 1, 4, 5).reshape(-1, pixels.shape[1] * side**2)
