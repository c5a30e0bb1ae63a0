import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from probe.trained.concepts.pictures import (
    PictureRecipe,
    encode_pictures,
    find_pictures,
    open_resnet,
    tune_on_pictures,
)
from probe.trained.concepts.recipes import SemanticStage, make_adamw

RECIPE = PictureRecipe(
    SemanticStage(ways=4, images=3, epochs=1, steps=50, rate=1e-3, decay=0.0, optimiser=make_adamw),
    resized=40,
    cropped=32,
    batch=5,
    workers=0,
)
"""Small pictures, decoded in this process."""

COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0))
ATTRIBUTES = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]])


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Noisy pictures of four colours, in folders as AWA2 has them."""
    root, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    names = []
    for number in range(24):
        noise = rng.normal(0, 40, size=(44, 60, 3))
        picture = np.clip(np.array(COLOURS[number % 4]) + noise, 0, 255).astype(np.uint8)
        path = root / "JPEGImages" / f"animal+{number % 4}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
        names.append(f"/authors/data/AWA2//JPEGImages/animal+{number % 4}/{number}.jpg")
    return root, names


def make_small_resnet():
    """The real class with one block a stage, which a CPU tunes in seconds."""
    from torchvision.models.resnet import BasicBlock, ResNet

    torch.manual_seed(0)
    network = ResNet(BasicBlock, [1, 1, 1, 1])
    network.add_module("fc", nn.Identity())
    return network


@pytest.mark.slow
def test_a_resnet_is_tuned_until_attributes_can_be_read_from_pictures(pictures):
    root, names = pictures
    paths, classes = find_pictures(names, root), torch.arange(24) % 4
    network = make_small_resnet()
    before = {name: one.clone() for name, one in network.named_parameters()}
    to_attributes = tune_on_pictures(network, paths, classes, ATTRIBUTES, RECIPE)
    features = encode_pictures(network, paths, RECIPE)
    assert features.shape == (24, 512)
    said = to_attributes(features) @ nn.functional.normalize(ATTRIBUTES, dim=-1).T
    assert (said.argmax(-1) == classes).float().mean() > 0.8
    moved = [name for name, one in network.named_parameters() if not torch.equal(one, before[name])]
    assert moved == list(before)  # the backbone is tuned with the map, down to its first layer
    again = encode_pictures(network, paths[:7], RECIPE)
    assert torch.equal(again, encode_pictures(network, paths[:7], RECIPE))  # nothing at random


def test_pictures_are_found_by_the_end_of_their_paths(pictures):
    root, names = pictures
    for given in (root, root / "JPEGImages"):
        assert [path.name for path in find_pictures(names, given)] == [
            f"{k}.jpg" for k in range(24)
        ]
    with pytest.raises(ValueError, match=r"no picture animal\+0/0.jpg"):
        find_pictures(names, root / "JPEGImages" / "animal+1")


def test_a_file_of_other_weights_is_refused(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"fc.bias": torch.zeros(3)}, path)
    with pytest.raises(ValueError, match=r"weights.pth: no weights of a ResNet-101"):
        open_resnet(path)
