"""Choice of recipe, length and calibration on validation classes; test classes choose nothing.

The released code of LPL reports the best test epoch, and not even the same one for T1 and for H.
Here a part of the seen classes is held out as if it were unseen, and the choice is made there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from probe.metrics.zero_shot import ZeroShotReport, choose_constant, zero_shot_report
from probe.trained.concepts.attributes import ClassAttributes
from probe.trained.concepts.concept_probe import ConceptProbe, find_seen
from probe.trained.concepts.recipes import ConceptRecipe

HELD_CLASSES, HELD_SAMPLES = 0.2, 0.2
"""Shares of the seen classes, and of the samples of the others, that are held out."""


@dataclass(frozen=True)
class Selection:
    """The recipe of the highest H on validation classes, and the constant for its scores."""

    name: str
    recipe: ConceptRecipe

    constant: float
    """The number that calibrated stacking subtracts from the scores of seen classes."""

    reports: Mapping[str, ZeroShotReport]
    """The figures of every recipe on validation classes."""


@dataclass(frozen=True, eq=False)
class ValidationSplit:
    """Samples to learn from and to choose on; none is of a class that is unseen."""

    learned: Bool[Tensor, " sample"]
    named: Bool[Tensor, " sample"]
    taught: Bool[Tensor, " class"]
    """The classes that are learned from: seen, and not held out."""

    candidates: Bool[Tensor, " class"]
    """The classes that may be named: all seen ones."""

    @classmethod
    def draw(
        cls,
        classes: Int[Tensor, " sample"],
        seen: Bool[Tensor, " class"],
        held: Any = None,
        *,
        seed: int = 0,
    ) -> "ValidationSplit":
        """Hold out classes and samples.

        Args:
            classes: The class of each sample.
            seen: True for the classes that may be used at all.
            held: Names or places of seen classes to hold out, where a data set has them; by
                default a fifth of them, drawn by the seed.
            seed: Seed of the draws.

        Raises:
            ValueError: if a class that is to be held out is not a seen one.
        """
        rng = np.random.default_rng(seed)
        taught = seen.clone()
        if held is None:
            places = seen.nonzero()[:, 0].numpy()
            held = rng.permutation(places)[: max(2, round(HELD_CLASSES * len(places)))]
        elif not bool(seen[list(held)].all()):
            raise ValueError("a validation class is not a seen one; test classes choose nothing")
        taught[torch.as_tensor(held)] = False
        kept = torch.from_numpy(rng.random(len(classes)) >= HELD_SAMPLES)
        own = taught[classes]
        return cls(own & kept, seen[classes] & ~(own & kept), taught, seen)


def select_recipe(
    states: Float[Tensor, "sample width"],
    classes: Int[Tensor, " sample"],
    attributes: ClassAttributes,
    seen: Any,
    recipes: Mapping[str, ConceptRecipe],
    *,
    held: Any = None,
) -> Selection:
    """Choose among recipes, such as lengths of training, by H on validation classes.

    Args:
        states: A vector for each sample. Those of unseen classes are not looked at.
        classes: The class of each sample.
        attributes: The attributes of all classes.
        seen: The classes that may be used, as `ConceptProbe.learn` takes them.
        recipes: The choices by name.
        held: As in `ValidationSplit.draw`.

    Raises:
        ValueError: if there is no recipe, or what `ConceptProbe.learn` refuses.
    """
    if not recipes:
        raise ValueError("there is no recipe to choose; give at least one")
    split = ValidationSplit.draw(classes, find_seen(attributes, seen), held)
    found: dict[str, tuple[ZeroShotReport, float]] = {}
    for name, recipe in recipes.items():
        # States of unseen classes are left out here, whatever is in them.
        probe = ConceptProbe.learn(
            states[split.learned], classes[split.learned], attributes, split.taught, recipe
        )
        # Classes that are unseen in truth may not be named: they are no part of the validation.
        scores = probe.scores(states[split.named]).masked_fill(~split.candidates, -1.0)
        shown = scores, classes[split.named], split.taught
        constant = choose_constant(*shown)
        found[name] = zero_shot_report(*shown, constant=constant), constant
    best = max(found, key=lambda name: found[name][0].harmonic)
    reports = {name: report for name, (report, _) in found.items()}
    return Selection(best, recipes[best], found[best][1], reports)
