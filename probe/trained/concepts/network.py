"""The network of a concept probe: an encoder, its map to attributes, and the map to prototypes."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize


@dataclass(frozen=True)
class NetworkSizes:
    """Widths of the layers."""

    states: int
    """Numbers in a state."""

    attributes: int
    """Numbers that describe a class."""

    encoder: tuple[int, ...] = ()
    """Widths of the encoder's layers, with a ReLU between two; none leaves states as they are."""

    hidden: int = 1600
    """Width of the hidden layer between attributes and prototypes."""

    rectify: bool = True
    """True for prototypes that end in a ReLU, as features of a ResNet do."""

    @property
    def features(self) -> int:
        """Numbers in a feature, and in a prototype."""
        return self.encoder[-1] if self.encoder else self.states


class ConceptNetwork(nn.Module):
    """States to features, features to attributes, attributes to prototypes."""

    def __init__(self, sizes: NetworkSizes, start: float | None = None) -> None:
        """Make the layers.

        Args:
            sizes: Their widths.
            start: Deviation of the truncated normal distribution that the weights of prototypes
                start from; None for torch's usual start.
        """
        super().__init__()
        self.sizes = sizes
        self.encoder = _make_encoder(sizes)
        # Without bias, so that a cosine with attributes is one with a direction of the features.
        self.to_attributes = nn.Linear(sizes.features, sizes.attributes, bias=False)
        ending = [nn.ReLU()] if sizes.rectify else []
        self.to_prototypes = nn.Sequential(
            nn.Linear(sizes.attributes, sizes.hidden),
            nn.ReLU(),
            nn.Linear(sizes.hidden, sizes.features),
            *ending,
        )
        # Its logarithm is learned, so that it stays positive.
        self.log_scale = nn.Parameter(torch.tensor(FIRST_SCALE).log())
        if start is not None:
            _spread_weights(self.to_prototypes, start)

    def encode(self, states: Float[Tensor, "sample width"]) -> Float[Tensor, "sample feature"]:
        """Compute features of unit length."""
        return normalize(self.encoder(states), dim=-1)

    def describe(
        self, features: Float[Tensor, "*lead feature"]
    ) -> Float[Tensor, "*lead attribute"]:
        """Compute attributes of unit length from features: the semantic stage."""
        return normalize(self.to_attributes(features), dim=-1)

    def imagine(
        self, attributes: Float[Tensor, "class attribute"]
    ) -> Float[Tensor, "class feature"]:
        """Compute the prototype of each class, of unit length, from its attributes."""
        return normalize(self.to_prototypes(attributes), dim=-1)


FIRST_SCALE = 20.0
"""Factor of cosines before the softmax; fixed in the first stage, learned in the second."""


def _make_encoder(sizes: NetworkSizes) -> nn.Sequential:
    widths = (sizes.states, *sizes.encoder)
    layers: list[nn.Module] = []
    for index, (before, after) in enumerate(pairwise(widths)):
        layers += [nn.ReLU()] if index else []
        layers.append(nn.Linear(before, after))
    # One layer that changes no width is an adapter: it starts as the identity, so that learning
    # begins with the features that were given.
    if sizes.encoder == (sizes.states,):
        nn.init.eye_(layers[0].weight)  # type: ignore[arg-type]
        nn.init.zeros_(layers[0].bias)  # type: ignore[arg-type]
    return nn.Sequential(*layers)


def _spread_weights(layers: nn.Sequential, deviation: float) -> None:
    """Draw the weights of linear layers from a normal distribution cut at twice its deviation."""
    for layer in layers:
        if isinstance(layer, nn.Linear):
            nn.init.trunc_normal_(layer.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
            nn.init.zeros_(layer.bias)
