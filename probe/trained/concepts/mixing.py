"""Placeholders: classes that do not exist, mixed of seen ones, so that prototypes spread apart.

An episode has some classes ("ways"), with some samples of each ("shots"). A rule of mixing moves
samples and attributes of each way towards those of others, by the same weights: the network then
has to find a prototype between seen classes, where it could otherwise put anything. Equations 3
to 7 of LPL (Yang et al., arXiv 2207.14581), as its released code computes them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

NEVER = 1e4
"""Subtracted from a class's relation to itself: it is not to be mixed with itself."""


@dataclass(frozen=True, eq=False)
class Episode:
    """Samples of some classes, and the attributes of these; all vectors of unit length."""

    features: Float[Tensor, "shot way feature"]
    attributes: Float[Tensor, "way attribute"]


Mixing: TypeAlias = Callable[[Episode, np.random.Generator], Episode]
"""Makes the classes that are learned from of those that were drawn."""


def sparsemax(scores: Float[Tensor, "*lead way"]) -> Float[Tensor, "*lead way"]:
    """Project each row on the nearest point whose entries are at least 0 and sum to 1.

    Unlike softmax it gives 0 to all but the highest (Martins and Astudillo, 2016).

    >>> sparsemax(torch.tensor([1.0, 0.8, -3.0]))
    tensor([0.6000, 0.4000, 0.0000])
    """
    # A constant along the row changes nothing, but keeps float32 exact among large scores.
    scores = scores - scores.amax(-1, keepdim=True)
    ordered = scores.sort(-1, descending=True).values
    rank = torch.arange(1, scores.shape[-1] + 1, device=scores.device)
    sums = ordered.cumsum(-1)
    supporting = 1 + rank * ordered > sums
    count = supporting.sum(-1, keepdim=True)
    threshold = (sums.gather(-1, count - 1) - 1) / count
    return (scores - threshold).clamp_min(0)


def relate(vectors: Float[Tensor, "*lead way width"]) -> Float[Tensor, "*lead way way"]:
    """Compute how alike classes are: cosines, each row scaled to [0, 1]; 1 is added to each own."""
    unit = normalize(vectors, dim=-1)
    cosines = unit @ unit.mT
    low, high = cosines.amin(-1, keepdim=True), cosines.amax(-1, keepdim=True)
    # Classes of equal vectors would divide 0 by 0; they are all alike.
    scaled = (cosines - low) / (high - low).clamp_min(torch.finfo(cosines.dtype).tiny)
    return scaled + torch.eye(vectors.shape[-2], device=vectors.device)


def choose_partners(
    relations: Float[Tensor, "*lead way way"], alike: float, temperature: float
) -> Float[Tensor, "*lead way way"]:
    """Compute how much each class is mixed with each other one; a row sums to 1.

    Args:
        relations: How alike classes are, as `relate` gives them.
        alike: 0 to prefer unlike classes, 1 to prefer like ones, or a share between.
        temperature: Factor before sparsemax; with a higher one, fewer classes get a weight.
    """
    own = NEVER * torch.eye(relations.shape[-1], device=relations.device)
    wanted = (1 - alike) * (1 - relations) + alike * relations - own
    return sparsemax(wanted * temperature)


def draw_neighbours(ways: int, count: int, rng: np.random.Generator) -> Float[Tensor, "way way"]:
    """Draw other classes for each, with replacement: 1 for those that were drawn, else 0.

    The released code calls this a walk.
    """
    drawn = rng.integers(ways - 1, size=(ways, count))
    drawn += drawn >= np.arange(ways)[:, None]  # each way is left out of its own row
    mask = torch.zeros(ways, ways)
    return mask.scatter_(1, torch.from_numpy(drawn), 1.0)


def mix(episode: Episode, graph: Float[Tensor, "way way"], kept: Float[Tensor, "way 1"]) -> Episode:
    """Move each class towards those that its row of the graph names, and give all unit length.

    Args:
        episode: The classes that were drawn.
        graph: Weights of other classes.
        kept: Share of itself that each class keeps, the same for all of its shots.
    """
    features = kept * episode.features + (1 - kept) * (graph @ episode.features)
    attributes = kept * episode.attributes + (1 - kept) * (graph @ episode.attributes)
    return Episode(normalize(features, dim=-1), normalize(attributes, dim=-1))


def draw_shares(ways: int, beta: tuple[float, float], rng: np.random.Generator) -> Tensor:
    """Draw the share of itself that each class keeps, from a Beta distribution."""
    return torch.from_numpy(rng.beta(*beta, size=(ways, 1))).float()


@dataclass(frozen=True)
class NoMixing:
    """Plain prototypes: the classes are learned as they are."""

    def __call__(self, episode: Episode, rng: np.random.Generator) -> Episode:  # noqa: ARG002
        """Return the episode."""
        return episode


@dataclass(frozen=True)
class Mixup:
    """Each class mixed with the mean of a few others, whatever they are: the plain variant.

    The released code adds `strength` times the sum of the others instead of their mean; with five
    times as much of others as of itself, nothing of a class would be left.
    """

    neighbours: int = 4
    beta: tuple[float, float] = (5.0, 1.0)

    def __call__(self, episode: Episode, rng: np.random.Generator) -> Episode:
        """Mix the classes of an episode."""
        ways = len(episode.attributes)
        mask = draw_neighbours(ways, self.neighbours, rng).to(episode.features)
        kept = draw_shares(ways, self.beta, rng).to(episode.features)
        return mix(episode, mask / mask.sum(-1, keepdim=True), kept)


@dataclass(frozen=True)
class Placeholders:
    """Each class mixed with others that are chosen by its features and its attributes together."""

    alike: float = 0.2
    """0 to mix with unlike classes, 1 with like ones; the released code's gamma."""

    temperature: float = 5.0
    neighbours: int = 4
    """Draws of others, with replacement, for each class; the released code's walk."""

    beta: tuple[float, float] = (5.0, 1.0)
    """Parameters of the Beta distribution of the share that a class keeps."""

    strength: float = 20.0
    """Factor of the others: most of their weight falls on classes that were not drawn."""

    def graph(
        self, episode: Episode, neighbours: Float[Tensor, "way way"]
    ) -> Float[Tensor, "way way"]:
        """Compute the graph that features and attributes share: half of each, mean over shots."""
        seen = choose_partners(relate(episode.features), self.alike, self.temperature).mean(0)
        said = choose_partners(relate(episode.attributes), self.alike, self.temperature)
        others = 1 - torch.eye(len(said), device=said.device)
        return (seen + said) / 2 * others * neighbours

    def __call__(self, episode: Episode, rng: np.random.Generator) -> Episode:
        """Mix the classes of an episode."""
        ways = len(episode.attributes)
        neighbours = draw_neighbours(ways, self.neighbours, rng).to(episode.features)
        kept = draw_shares(ways, self.beta, rng).to(episode.features)
        return mix(episode, self.strength * self.graph(episode, neighbours), kept)
