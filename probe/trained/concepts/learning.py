"""The two stages of a concept probe: features to attributes, then attributes to prototypes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from probe.trained.concepts.mixing import Episode
from probe.trained.concepts.network import FIRST_SCALE, ConceptNetwork
from probe.trained.concepts.recipes import PrototypeStage, SemanticStage, Transduction


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples of seen classes, and the attributes of all classes."""

    vectors: Float[Tensor, "sample width"]
    """Scaled states in the first stage, features of unit length in the second."""

    classes: Int[Tensor, " sample"]
    attributes: Float[Tensor, "class attribute"]


@dataclass(frozen=True, eq=False)
class ClassSampler:
    """Draws classes without replacement, and samples of each with replacement."""

    order: Int[np.ndarray, " sample"]
    """Places of the samples, those of one class together."""

    starts: Int[np.ndarray, " way"]
    counts: Int[np.ndarray, " way"]
    names: Int[np.ndarray, " way"]
    """The classes that have samples."""

    @classmethod
    def of(cls, classes: Int[Tensor, " sample"]) -> "ClassSampler":
        """Sort samples by class."""
        labels = classes.cpu().numpy()
        names, starts, counts = np.unique(np.sort(labels), return_index=True, return_counts=True)
        return cls(np.argsort(labels, kind="stable"), starts, counts, names)

    def draw(
        self, ways: int, shots: int, rng: np.random.Generator
    ) -> tuple[Int[Tensor, "shot way"], Int[Tensor, " way"]]:
        """Draw places of samples, and their classes; all classes if there are fewer than `ways`."""
        # One permutation and one multiplication: a choice for each class would take longer than
        # the network.
        chosen = rng.permutation(len(self.names))[:ways]
        within = (rng.random((shots, len(chosen))) * self.counts[chosen]).astype(np.int64)
        places = self.order[self.starts[chosen] + within]
        return torch.from_numpy(places), torch.from_numpy(self.names[chosen])


def learn_attributes(
    network: ConceptNetwork, samples: Samples, stage: SemanticStage, rng: np.random.Generator
) -> None:
    """Learn to read attributes from features (stage A), by the classes that have samples.

    The loss is the cross-entropy, over all of these classes, of 20 times the cosine between a
    sample's attributes and each class's.

    Args:
        network: Changed in place: its encoder and its map to attributes.
        samples: Scaled states of seen classes.
        stage: Length and rates.
        rng: Generator of the draws.
    """
    sampler = ClassSampler.of(samples.classes)
    # Over all seen classes, and not those of the episode: unlike stage B, as published.
    names = torch.from_numpy(sampler.names)
    wanted = normalize(samples.attributes[names], dim=-1)
    learned = [*network.encoder.parameters(), *network.to_attributes.parameters()]
    optimiser = stage.optimiser(learned, stage.rate, stage.decay)
    for _ in range(stage.epochs * stage.steps):
        places, drawn = sampler.draw(stage.ways, stage.images, rng)
        said = network.describe(network.encode(samples.vectors[places.flatten()]))
        targets = torch.searchsorted(names, drawn).repeat(len(places))
        loss = cross_entropy(FIRST_SCALE * said @ wanted.T, targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def learn_prototypes(
    network: ConceptNetwork,
    samples: Samples,
    stage: PrototypeStage,
    rng: np.random.Generator,
    guessing: "Guessing | None" = None,
) -> None:
    """Learn the map from attributes to prototypes (stage B), by episodes of mixed classes.

    Args:
        network: Changed in place: its map to prototypes, and the scale of cosines.
        samples: Features of seen classes; they do not change.
        stage: Length, rates and the rule of mixing.
        rng: Generator of the draws.
        guessing: Samples without labels that join the learning; None for the inductive task.
    """
    unit = normalize(samples.attributes, dim=-1)
    learned = [*network.to_prototypes.parameters(), network.log_scale]
    optimiser = stage.optimiser(learned, stage.rate, stage.decay)
    sampler, mixing, pool = ClassSampler.of(samples.classes), stage.mixing, samples.vectors
    for epoch in range(stage.epochs):
        if guessing is not None and guessing.is_due(epoch):
            # Anew each time: an early wrong guess is not kept.
            joining, guessed = guessing.choose(network)
            pool = torch.cat([samples.vectors, joining])
            sampler = ClassSampler.of(torch.cat([samples.classes, guessed]))
            mixing = guessing.rule.mixing
        for _ in range(stage.steps):
            places, drawn = sampler.draw(stage.ways, stage.shots, rng)
            mixed = mixing(Episode(pool[places], unit[drawn]), rng)
            loss = _prototype_loss(network, mixed)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()


def _prototype_loss(network: ConceptNetwork, episode: Episode) -> Tensor:
    """Compute the cross-entropy over an episode's classes of the scaled cosines to prototypes."""
    shots, ways, _ = episode.features.shape
    # Prototypes of placeholders, which the network makes of mixed attributes alone.
    cosines = episode.features @ network.imagine(episode.attributes).T
    targets = torch.arange(ways, device=cosines.device).repeat(shots)
    return cross_entropy(network.log_scale.exp() * cosines.flatten(0, 1), targets)


@dataclass(frozen=True, eq=False)
class Guessing:
    """Samples of unseen classes without labels, and the rule by which they join."""

    features: Float[Tensor, "sample feature"]
    attributes: Float[Tensor, "class attribute"]
    """The attributes of all classes, as they are given to the finished network."""

    seen: Bool[Tensor, " class"]
    rule: Transduction

    def is_due(self, epoch: int) -> bool:
        """Tell whether samples are chosen before an epoch."""
        since = epoch - self.rule.first
        return since >= 0 and since % self.rule.every == 0

    @torch.no_grad()
    def choose(
        self, network: ConceptNetwork
    ) -> tuple[Float[Tensor, "some feature"], Int[Tensor, " some"]]:
        """Choose the samples that join, and guess the class of each."""
        unseen = (~self.seen).nonzero()[:, 0]
        scores = self.features @ network.imagine(self.attributes[unseen]).T
        leading, places = scores.topk(min(2, len(unseen)), dim=-1)
        best, guessed = leading[:, 0], places[:, 0]
        joins = best > self.rule.ratio * leading[:, -1]
        for place in range(len(unseen)):
            own = (guessed == place).nonzero()[:, 0]
            joins[own[best[own].argsort(descending=True)[: self.rule.best]]] = True
        return self.features[joins], unseen[guessed[joins]]


def check_learnable(classes: Int[Tensor, " sample"], seen: Sequence[bool] | Tensor) -> None:
    """Refuse classes from which nothing can be learned.

    Raises:
        ValueError: if fewer than three seen classes have samples.
    """
    given = torch.as_tensor(seen)
    found = int(given[classes.unique()].sum())
    if found < FEWEST_CLASSES:
        raise ValueError(
            f"{found} seen classes have samples; give at least {FEWEST_CLASSES}, so that each has "
            "others to be mixed with"
        )


FEWEST_CLASSES = 3
"""Seen classes that are needed: with two, the cosines of an episode say nothing."""
