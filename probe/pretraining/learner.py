"""Two towers that learn from pairs, with the heads and scales that serve learning only."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from probe.pretraining.clusters import EpisodeTasks, PrototypeTask
from probe.pretraining.losses import compute_info_nce, compute_prototype_loss
from probe.pretraining.recipe import PairRecipe

FIRST_SCALE, LARGEST_SCALE = 1 / 0.07, 100.0
"""Factor of cosines at the start, and its largest value; the smallest is 1."""

ParameterGroup: TypeAlias = dict[str, Any]


class Towers(nn.Module):
    """An image tower and a text tower that give embeddings of one width, not normalised."""

    def __init__(self, image: nn.Module, text: nn.Module, width: int) -> None:
        super().__init__()
        self.image, self.text, self.width = image, text, width


class PairLearner(nn.Module):
    """Towers with a head for each side and two learned scales."""

    def __init__(self, towers: Towers, recipe: PairRecipe) -> None:
        super().__init__()
        self.towers = towers
        # Heads are made in any case, so that runs with and without prototypes start from the same
        # weights; without prototypes they learn nothing.
        self.image_head = make_head(towers.width, recipe.head_hidden, recipe.head_width)
        self.text_head = make_head(towers.width, recipe.head_hidden, recipe.head_width)
        self.pair_scale = nn.Parameter(torch.tensor(math.log(FIRST_SCALE)))
        self.prototype_scale = nn.Parameter(torch.tensor(math.log(FIRST_SCALE)))

    def embed_images(self, images: Tensor) -> Float[Tensor, "pair width"]:
        """Compute the image tower's embeddings, not normalised."""
        return self.towers.image(images)

    def embed_texts(self, tokens: Tensor) -> Float[Tensor, "pair width"]:
        """Compute the text tower's embeddings, not normalised."""
        return self.towers.text(tokens)

    def project(
        self, images: Float[Tensor, "pair width"], texts: Float[Tensor, "pair width"]
    ) -> tuple[Float[Tensor, "pair narrow"], Float[Tensor, "pair narrow"]]:
        """Compute the unit outputs of both heads from embeddings before their normalisation."""
        return self.bring_to_unit(self.image_head(images), self.text_head(texts))

    def bring_to_unit(self, images: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
        """Bring vectors of both sides to unit length; a class of another geometry changes this."""
        return normalize(images.float(), dim=-1), normalize(texts.float(), dim=-1)

    def compute_loss(
        self,
        images: Tensor,
        tokens: Tensor,
        tasks: EpisodeTasks,
        places: Tensor,
    ) -> Float[Tensor, ""]:
        """Compute the loss of a batch: InfoNCE, and the tasks of the episode if it has any.

        Args:
            images: Pictures as the image tower takes them.
            tokens: Sentences as the text tower takes them.
            tasks: Tasks of the episode, on the learner's device.
            places: Place of each pair in the episode.
        """
        image, text = self.embed_images(images), self.embed_texts(tokens)
        guesses = tasks.images or tasks.texts
        sides = self.project(image, text) if guesses else (image, text)
        # In float32 whatever the towers compute in: a cosine times a scale of 100 is off by 0.4 in
        # bfloat16, which autocast would multiply in.
        with torch.autocast(images.device.type, enabled=False):
            loss = compute_info_nce(*self.bring_to_unit(image, text), self.pair_scale.exp())
            for students, side in zip(sides, (tasks.images, tasks.texts), strict=True):
                for task in side:
                    # Half of each side: the loss of a kind of prototype is the mean over both.
                    loss = loss + 0.5 * task.weight * self._compare(students, task, places)
        return loss

    def _compare(self, students: Tensor, task: PrototypeTask, places: Tensor) -> Tensor:
        targets = task.compute_targets(places)
        scale = self.prototype_scale.exp()
        return compute_prototype_loss(students, task.prototypes, targets, scale)

    @torch.no_grad()
    def clamp_scales(self) -> None:
        """Keep both scales between 1 and `LARGEST_SCALE`, after a step."""
        for scale in (self.pair_scale, self.prototype_scale):
            scale.clamp_(0.0, math.log(LARGEST_SCALE))


def make_head(width: int, hidden: int, narrow: int) -> nn.Sequential:
    """Make a head: linear, batch norm, ReLU, linear."""
    return nn.Sequential(
        nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, narrow)
    )


def make_adamw(learner: PairLearner, recipe: PairRecipe) -> list[torch.optim.Optimizer]:
    """Make AdamW with the published weight decay: on the towers' matrices only.

    Each group says in `side` whether it is of the image tower, whose rate ends earlier, and in
    `rate_scale` how its rate relates to the recipe's.
    """
    towers = learner.towers
    heads = [*learner.image_head.parameters(), *learner.text_head.parameters()]
    scales = [learner.pair_scale, learner.prototype_scale]
    groups = [
        *_split_by_decay(towers.image.parameters(), "image", recipe.decay),
        *_split_by_decay(towers.text.parameters(), "rest", recipe.decay),
        {"params": [*heads, *scales], "weight_decay": 0.0, "side": "rest", "rate_scale": 1.0},
    ]
    return [torch.optim.AdamW(groups, recipe.rate)]


def _split_by_decay(
    parameters: Iterable[nn.Parameter], side: str, decay: float
) -> list[ParameterGroup]:
    kinds: tuple[list[nn.Parameter], list[nn.Parameter]] = ([], [])
    for parameter in parameters:
        if parameter.requires_grad:
            kinds[parameter.ndim >= 2].append(parameter)
    return [
        {"params": some, "weight_decay": weight, "side": side, "rate_scale": 1.0}
        for some, weight in zip(kinds, (0.0, decay), strict=True)
        if some
    ]


def set_rates(
    optimisers: Sequence[torch.optim.Optimizer], image_rate: float, other_rate: float
) -> None:
    """Set the rates of a step: that of the image tower, and that of everything else."""
    for group in (group for optimiser in optimisers for group in optimiser.param_groups):
        rate = image_rate if group["side"] == "image" else other_rate
        group["lr"] = group["rate_scale"] * rate
