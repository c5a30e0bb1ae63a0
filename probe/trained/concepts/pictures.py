"""Stage A on pictures, as published: a ResNet-101 tuned together with its map to attributes.

Pictures are resized to 512 on the shorter side and cropped to 448, at random and mirrored in
training, in the middle afterwards. The features of all pictures are then computed once, and the
second stage works on them. A GPU is needed in practice: `docs/how-to/concept-probes.md`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from torch.utils.data import DataLoader, Dataset

from probe.progress import make_bar
from probe.trained.concepts.learning import ClassSampler
from probe.trained.concepts.network import FIRST_SCALE
from probe.trained.concepts.recipes import SemanticStage

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class PictureRecipe:
    """Length and rates of stage A on pictures, sizes in pixels, and how pictures are loaded."""

    stage: SemanticStage = field(default_factory=SemanticStage)
    seed: int = 0
    resized: int = 512
    cropped: int = 448
    batch: int = 32
    """Pictures that are encoded at a time."""

    workers: int = 4
    """Processes that decode pictures."""


def open_resnet(weights: Path | None) -> nn.Module:
    """Open torchvision's ResNet-101 without its last layer: a picture becomes 2,048 numbers.

    Args:
        weights: File of torchvision's weights, such as resnet101-63fe2227.pth, which are those of
            the published features; None has torchvision fetch them.

    Raises:
        ValueError: if the file holds other weights.
    """
    from torchvision.models import ResNet101_Weights, resnet101  # takes a second to import

    if weights is None:
        network = resnet101(weights=ResNet101_Weights.IMAGENET1K_V1)
    else:
        network = resnet101()
        try:
            # Tensors only: a pickle of anything else could run code.
            network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        except (RuntimeError, OSError, ValueError, EOFError, KeyError) as failure:
            problem = str(failure).splitlines()[0]
            raise ValueError(f"{weights}: no weights of a ResNet-101 ({problem})") from failure
    network.fc = nn.Identity()  # type: ignore[assignment]
    return network


def find_pictures(files: Sequence[str], root: Path) -> list[Path]:
    """Find pictures in a folder by the paths that they had on their authors' machine.

    The longest end of a path that leads to a file is taken, so that it does not matter where the
    folder was.

    Raises:
        ValueError: if one is not there.
    """
    found = []
    for name in files:
        parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", "..")]
        ends = (root.joinpath(*parts[start:]) for start in range(len(parts)))
        path = next((end for end in ends if end.is_file()), None)
        if path is None:
            raise ValueError(f"{root}: no picture {'/'.join(parts[-2:])}; give the folder of them")
        found.append(path)
    return found


class _Pictures(Dataset[Any]):
    """Pictures as tensors."""

    def __init__(self, paths: Sequence[Path], read: Callable[[Image.Image], Tensor]) -> None:
        self.paths, self.read = paths, read

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        with Image.open(self.paths[index]) as picture:
            return self.read(picture.convert("RGB"))


def make_transform(recipe: PictureRecipe, *, augment: bool) -> Callable[[Image.Image], Tensor]:
    """Make the steps from a picture to a tensor; at random where it is to be learned from."""
    from torchvision import transforms as steps

    cut = (
        [steps.RandomCrop(recipe.cropped), steps.RandomHorizontalFlip()]
        if augment
        else [steps.CenterCrop(recipe.cropped)]
    )
    scaled = [steps.ToTensor(), steps.Normalize(IMAGENET_MEAN, IMAGENET_DEVIATION)]
    return steps.Compose([steps.Resize(recipe.resized), *cut, *scaled])


def tune_on_pictures(
    network: nn.Module,
    paths: Sequence[Path],
    classes: Int[Tensor, " picture"],
    attributes: Float[Tensor, "class attribute"],
    recipe: PictureRecipe,
) -> nn.Linear:
    """Tune a network so that attributes can be read from its features linearly (stage A).

    Args:
        network: Pictures to features; changed in place, on its own device.
        paths: Pictures of seen classes only.
        classes: The class of each.
        attributes: The attributes of all classes.
        recipe: Length, rates and recipe.

    Returns:
        The map from features to attributes.
    """
    device, stage = next(network.parameters()).device, recipe.stage
    rng, sampler = np.random.default_rng(recipe.seed), ClassSampler.of(classes)
    torch.manual_seed(recipe.seed)
    names = torch.from_numpy(sampler.names)
    wanted = normalize(attributes[names], dim=-1).to(device)
    episodes = [
        sampler.draw(stage.ways, stage.images, rng) for _ in range(stage.epochs * stage.steps)
    ]
    batches = iter(
        DataLoader(
            _Pictures(paths, make_transform(recipe, augment=True)),
            batch_sampler=[places.flatten().tolist() for places, _ in episodes],
            num_workers=recipe.workers,
        )
    )
    # The first pictures tell the width of the features, whatever the network.
    first = next(batches).to(device)
    with torch.no_grad():
        width = network.eval()(first).shape[1]
    to_attributes = nn.Linear(width, attributes.shape[1], bias=False).to(device)
    learned = [*network.parameters(), *to_attributes.parameters()]
    optimiser = stage.optimiser(learned, stage.rate, stage.decay)
    network.train()
    shown = zip(_start_with(first, batches), episodes, strict=True)
    for pictures, (places, drawn) in make_bar(shown, desc="tune", total=len(episodes)):
        said = normalize(to_attributes(network(pictures.to(device))), dim=-1)
        targets = torch.searchsorted(names, drawn).repeat(len(places)).to(device)
        loss = cross_entropy(FIRST_SCALE * said @ wanted.T, targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    network.eval()
    return to_attributes


def _start_with(first: Tensor, others: Iterator[Tensor]) -> Iterator[Tensor]:
    yield first
    yield from others


@torch.no_grad()
def encode_pictures(
    network: nn.Module, paths: Sequence[Path], recipe: PictureRecipe
) -> Float[Tensor, "picture feature"]:
    """Compute the features of the middle of each picture."""
    device = next(network.parameters()).device
    loader = DataLoader(
        _Pictures(paths, make_transform(recipe, augment=False)),
        batch_size=recipe.batch,
        num_workers=recipe.workers,
    )
    bar = make_bar(loader, desc="encode", total=len(loader))
    return torch.cat([network(some.to(device)).float().cpu() for some in bar])
