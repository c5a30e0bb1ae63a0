import pytest
import torch
from tolerances import assert_equal_up_to_rounding

from probe.organism.network import make_network
from probe.organism.patch_filters import FLOOR, cut_patches, set_patch_filters
from probe.organism.shapes import SHAPES
from probe.organism.things.world import THINGS
from probe.organism.tower_pretraining import normalise_frames


@pytest.mark.slow
def test_what_filters_pass_on_has_no_mean_no_shared_part_and_no_component_above_1():
    network = make_network(0, THINGS)
    set_patch_filters(network, THINGS)
    embeddings = network.model.vision_tower.embeddings
    assert not embeddings.patch_embedding.weight.requires_grad
    patches = cut_patches(network, THINGS)
    filters = embeddings.patch_embedding.weight.flatten(1)
    seen = patches @ filters.T
    found = seen.T.cov(correction=0)
    variances = torch.linalg.eigvalsh(patches.T.cov(correction=0))[-len(found) :]
    shares = torch.diag(variances / (variances + FLOOR))
    # Of the strongest component, 400 times the others in size, 1 is left.
    assert_equal_up_to_rounding(found, shares, scale=variances)
    # What the tower adds to each patch takes the mean away, up to the places' own embeddings.
    added = embeddings.position_embedding.weight[1:].mean(0)
    assert (seen.mean(0) + added).abs().max() < 0.02
    # A patch is cut as the tower cuts it.
    frame = torch.from_numpy(THINGS.make_clip((4_000_003, 1)).frame(1))[None, None]
    whole = embeddings.patch_embedding(normalise_frames(frame, network, THINGS))
    cells = THINGS.cells**2
    assert_equal_up_to_rounding(whole[0].flatten(1).T, seen[cells : 2 * cells])


def test_a_world_without_clips_for_filters_keeps_its_random_ones():
    network = make_network(0, SHAPES)
    before = network.state_dict()["model.vision_tower.embeddings.patch_embedding.weight"].clone()
    set_patch_filters(network, SHAPES)
    after = network.model.vision_tower.embeddings.patch_embedding.weight
    assert torch.equal(before, after)
    assert after.requires_grad
