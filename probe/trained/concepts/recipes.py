"""Recipes of concept probes: the constants of LPL's released code, and those for model states.

What the code's two files disagree on is taken from the script that would have run (`AWA2`): a
temperature of 5, gamma 0.2, and 6 neighbours; its configuration file says 0.2, 0 and 4.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from torch import optim
from torch.nn import Parameter

from probe.trained.concepts.mixing import Mixing, Mixup, NoMixing, Placeholders

OptimiserMaker: TypeAlias = Callable[[Iterable[Parameter], float, float], optim.Optimizer]
"""Makes an optimiser of parameters, a learning rate and a weight decay."""


def make_sgd(parameters: Iterable[Parameter], rate: float, decay: float) -> optim.Optimizer:
    """Make stochastic gradient descent with a momentum of 0.9, as stage A was published."""
    return optim.SGD(parameters, rate, momentum=0.9, weight_decay=decay)


def make_adam(parameters: Iterable[Parameter], rate: float, decay: float) -> optim.Optimizer:
    """Make Adam with L2 decay, as stage B was published."""
    return optim.Adam(parameters, rate, weight_decay=decay)


def make_adamw(parameters: Iterable[Parameter], rate: float, decay: float) -> optim.Optimizer:
    """Make Adam with decoupled decay."""
    return optim.AdamW(parameters, rate, weight_decay=decay)


@dataclass(frozen=True)
class SemanticStage:
    """Stage A: features are moved to where attributes can be read from them linearly."""

    encoder: tuple[int, ...] = ()
    """Widths of the layers that take the place of a tuned backbone, where states are given and not
    pictures; none to learn the map to attributes alone."""

    ways: int = 8
    """Classes in an episode."""

    images: int = 2
    """Samples of each class in an episode."""

    epochs: int = 20
    steps: int = 100
    """Episodes in an epoch."""

    rate: float = 5e-4
    decay: float = 1e-3
    optimiser: OptimiserMaker = make_sgd


@dataclass(frozen=True)
class Transduction:
    """Test samples of unseen classes that join the learning, with the classes guessed for them.

    They have no labels, but it is known that their classes are unseen: an easier task, never to be
    compared with the inductive one.
    """

    first: int = 60
    """Epoch after which samples are first chosen."""

    every: int = 20
    """Epochs between two choices; each replaces the one before."""

    ratio: float = 1.1
    """A sample joins if its best score is so many times the second best."""

    best: int = 10
    """The samples of each class with the highest scores, which join in any case."""

    mixing: Mixing = field(default_factory=NoMixing)
    """Rule of mixing from then on; the released code keeps all of each class nearly always."""


@dataclass(frozen=True)
class PrototypeStage:
    """Stage B: a map from attributes to prototypes of features."""

    ways: int = 20
    shots: int = 4
    """Samples of each class in an episode."""

    epochs: int = 200
    steps: int = 50
    hidden: int = 1600
    rectify: bool = True
    """True for prototypes that end in a ReLU, as features of a ResNet do and states do not."""

    rate: float = 5e-4
    decay: float = 1e-3
    optimiser: OptimiserMaker = make_adam
    start: float | None = 0.02
    """Deviation of the truncated normal start of weights; None for torch's usual one."""

    mixing: Mixing = field(default_factory=Placeholders)
    """Rule of mixing: `Placeholders`, `Mixup`, `NoMixing`, or a function of your own."""

    transduction: Transduction | None = None


@dataclass(frozen=True)
class ConceptRecipe:
    """All choices of a concept probe."""

    semantic: SemanticStage = field(default_factory=SemanticStage)
    prototypes: PrototypeStage = field(default_factory=PrototypeStage)

    subtract_own_mean: bool = False
    """True to subtract from each state the mean over its own numbers, as for AWA2."""

    standardise: bool = False
    """True to scale each number of a state to mean 0 and deviation 1 over seen samples."""

    unit_attributes: bool = True
    """True to give attributes unit length when prototypes of all classes are made. The released
    code does so for AWA2 (and says that it decides), and not for CUB."""

    seed: int = 0
    """Seed of the weights and of all draws."""

    def with_mixing(self, mixing: Mixing) -> "ConceptRecipe":
        """Return the recipe with another rule of mixing."""
        return replace(self, prototypes=replace(self.prototypes, mixing=mixing))


AWA2 = ConceptRecipe(
    prototypes=PrototypeStage(mixing=Placeholders(0.2, 5.0, 6, (5.0, 1.0))),
    subtract_own_mean=True,
)
"""The constants of the released code for AWA2."""

CUB = ConceptRecipe(
    semantic=SemanticStage(epochs=3, steps=3000, decay=5e-7),
    prototypes=PrototypeStage(
        epochs=300, steps=500, decay=5e-7, start=None, mixing=Placeholders(1.0, 1.0, 6, (5.0, 2.0))
    ),
    unit_attributes=False,
)
"""The constants of the released code for CUB. SUN, aPY and FLO have none there."""

STATES = ConceptRecipe(
    semantic=SemanticStage(
        encoder=(256, 256),
        ways=128,
        epochs=1,
        steps=250,
        rate=1e-3,
        optimiser=make_adamw,
    ),
    prototypes=PrototypeStage(
        epochs=1,
        steps=600,
        hidden=512,
        rectify=False,
        decay=1e-4,
        start=None,
        mixing=Placeholders(0.2, 5.0, 4, (5.0, 1.0)),
    ),
    standardise=True,
)
"""Constants for states of a video model: seconds on a CPU. They come from a first look at other
clips, and were not changed for `analyses/concepts.py`."""

RECIPES = {"awa2": AWA2, "cub": CUB, "states": STATES}
"""The recipes by name."""

MIXINGS: dict[str, Mixing] = {
    "placeholders": Placeholders(),
    "mixup": Mixup(),
    "none": NoMixing(),
}
"""The rules of mixing by name."""
