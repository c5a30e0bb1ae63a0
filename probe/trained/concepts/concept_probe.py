"""The concept probe: learned on states of seen classes, it names samples among all classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from probe.engine.content import as_tensor
from probe.engine.provenance import library_versions
from probe.files import FileFormat, read_tensors, write_tensors
from probe.plain import from_plain, to_plain
from probe.pretraining.threads import use_few_threads
from probe.trained.concepts.attributes import ClassAttributes
from probe.trained.concepts.learning import (
    Guessing,
    Samples,
    check_learnable,
    learn_attributes,
    learn_prototypes,
)
from probe.trained.concepts.network import ConceptNetwork, NetworkSizes
from probe.trained.concepts.recipes import STATES, ConceptRecipe

CONCEPT_FORMAT = FileFormat(
    "grounding-probe/concept-probe", 1, "a concept probe", "ConceptProbe.save"
)

NETWORK = "network."
"""Start of the names of the network's tensors in a file."""

FLATTEST = 1e-5
"""Added to deviations: a number of a state that is always the same is not blown up."""


@dataclass(frozen=True, eq=False)
class Scaling:
    """Shift and scale of states before anything else."""

    mean: Float[Tensor, " width"]
    deviation: Float[Tensor, " width"]
    own: bool = False
    """True if each state's mean over its own numbers is subtracted first."""

    @classmethod
    def fit(cls, states: Float[Tensor, "sample width"], recipe: ConceptRecipe) -> "Scaling":
        """Measure the scaling that a recipe asks for on samples of seen classes."""
        unscaled = cls(
            torch.zeros(states.shape[1]), torch.ones(states.shape[1]), recipe.subtract_own_mean
        )
        if not recipe.standardise:
            return unscaled
        shown = unscaled(states)
        return cls(shown.mean(0), shown.std(0) + FLATTEST, unscaled.own)

    def __call__(self, states: Float[Tensor, "sample width"]) -> Float[Tensor, "sample width"]:
        """Scale states."""
        states = states.float()
        if self.own:
            states = states - states.mean(-1, keepdim=True)
        return (states - self.mean) / self.deviation


@dataclass(frozen=True, eq=False)
class ConceptProbe:
    """A reader of states that knows some classes by samples, and others by attributes alone."""

    attributes: ClassAttributes
    """All classes, seen ones and others."""

    seen: Bool[Tensor, " class"]
    """True for the classes that it learned from."""

    scaling: Scaling
    network: ConceptNetwork
    recipe: ConceptRecipe

    about: Mapping[str, Any] = field(default_factory=dict)
    """The provenance of the states, in plain values: model, layer, data."""

    versions: Mapping[str, str] = field(default_factory=library_versions)

    def __post_init__(self) -> None:
        object.__setattr__(self, "about", MappingProxyType(dict(self.about)))
        self.network.requires_grad_(False).eval()

    @classmethod
    def learn(  # noqa: PLR0913  each is another thing that is known of the samples
        cls,
        states: Float[Tensor, "sample width"],
        classes: Int[Tensor, " sample"],
        attributes: ClassAttributes | Float[Tensor, "class attribute"],
        seen: Any,
        recipe: ConceptRecipe = STATES,
        *,
        unlabelled: Float[Tensor, "some width"] | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> "ConceptProbe":
        """Learn from the samples of seen classes; those of others are left out.

        Args:
            states: A vector for each sample: states of a layer, or features of pictures.
            classes: The class of each sample, as the number of its row in the attributes.
            attributes: The attributes of all classes.
            seen: The classes to learn from: names, places, or True for each of them.
            recipe: The choices; see `probe.trained.concepts.recipes`.
            unlabelled: Samples of which nothing is known but that their classes are unseen; only
                for a recipe with a `Transduction`.
            about: Where the states come from, in plain values; it is saved with the probe.

        Raises:
            ValueError: if these do not fit each other, a state is not finite, fewer than three
                seen classes have samples, or unlabelled samples are given to an inductive recipe
                or lacking for a transductive one.
        """
        table = as_attributes(attributes)
        known = find_seen(table, seen)
        states, classes = _check_samples(states, classes, table)
        transduction = recipe.prototypes.transduction
        if (transduction is None) != (unlabelled is None):
            raise ValueError(
                "samples without labels belong to a recipe with a transduction, and to no other"
            )
        # Before anything is measured: scaling must not see samples of unseen classes either.
        own = known[classes]
        states, classes = states[own].detach(), classes[own]
        check_learnable(classes, known)
        scaling = Scaling.fit(states, recipe)
        # Apart from the generator of all, which a caller may have seeded for something else.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            sizes = NetworkSizes(
                states.shape[1],
                table.values.shape[1],
                recipe.semantic.encoder,
                recipe.prototypes.hidden,
                recipe.prototypes.rectify,
            )
            network = ConceptNetwork(sizes, recipe.prototypes.start)
        samples = Samples(scaling(states), classes, table.values)
        others = None if unlabelled is None else scaling(as_tensor("states", unlabelled))
        with use_few_threads(network):
            _learn_both_stages(network, samples, recipe, known, others)
        return cls(table, known, scaling, network, recipe, about or {})

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all classes."""
        return self.attributes.names

    @property
    def prototypes(self) -> Float[Tensor, "class feature"]:
        """The prototype of each class, of unit length."""
        return self.network.imagine(_scale_attributes(self.attributes.values, self.recipe))

    def __repr__(self) -> str:
        count = int(self.seen.sum())
        return (
            f"ConceptProbe({len(self.names)} classes, {count} of them seen; states of "
            f"{self.network.sizes.states})"
        )

    @torch.no_grad()
    def features(self, states: Float[Tensor, "sample width"]) -> Float[Tensor, "sample feature"]:
        """Compute the features of states, of unit length.

        Raises:
            ValueError: if states have another width than those that were learned from.
        """
        shown = as_tensor("states", states)
        if shown.dim() != 2 or shown.shape[1] != self.network.sizes.states:
            raise ValueError(
                f"states of {tuple(shown.shape)}; this probe reads samples of "
                f"{self.network.sizes.states} numbers"
            )
        return self.network.encode(self.scaling(shown))

    @torch.no_grad()
    def scores(self, states: Float[Tensor, "sample width"]) -> Float[Tensor, "sample class"]:
        """Compute the cosine of each sample with the prototype of each class, -1 to 1."""
        return self.features(states) @ self.prototypes.T

    @torch.no_grad()
    def semantic_scores(
        self, states: Float[Tensor, "sample width"]
    ) -> Float[Tensor, "sample class"]:
        """Compute the cosine of each sample's attributes with each class's: stage A alone."""
        said = self.network.describe(self.features(states))
        return said @ normalize(self.attributes.values, dim=-1).T

    def name(self, states: Float[Tensor, "sample width"], among: Any = None) -> list[str]:
        """Return the name of the nearest class for each sample.

        Args:
            states: The samples.
            among: The classes to choose from, as `learn` takes seen ones; all by default.
        """
        scores = self.scores(states)
        if among is not None:
            scores = scores.masked_fill(~find_seen(self.attributes, among), -torch.inf)
        return [self.names[place] for place in scores.argmax(-1).tolist()]

    def save(self, path: str | Path) -> None:
        """Write the probe as safetensors, with the recipe and the provenance of its states.

        Raises:
            ValueError: if the file cannot be written.
        """
        about = {
            **CONCEPT_FORMAT.header,
            "classes": list(self.names),
            "attributes": self.attributes.kind,
            "own_mean": self.scaling.own,
            "sizes": to_plain(self.network.sizes),
            "recipe": to_plain(self.recipe),
            "about": to_plain(self.about),
            "versions": dict(self.versions),
        }
        tensors = {NETWORK + name: one for name, one in self.network.state_dict().items()}
        # Attributes are kept, so that prototypes can be made of them, and other classes added.
        own = {"values": self.attributes.values, "seen": self.seen}
        scaling = {"mean": self.scaling.mean, "deviation": self.scaling.deviation}
        write_tensors(path, {**tensors, **own, **scaling}, about)

    @classmethod
    def load(cls, path: str | Path) -> "ConceptProbe":
        """Read the probe that `save` wrote.

        Raises:
            ValueError: if the file is missing or holds no concept probe, or its recipe has a
                function of yours whose module is not imported.
        """
        tensors, about = read_tensors(path)
        with CONCEPT_FORMAT.reading(path):
            record = CONCEPT_FORMAT.check(path, about)
            recipe, sizes = from_plain(record["recipe"]), from_plain(record["sizes"])
            if not isinstance(recipe, ConceptRecipe) or not isinstance(sizes, NetworkSizes):
                raise ValueError("its recipe or its sizes are not those of a concept probe")
            # Without memory until the file's own tensors are put in: its sizes may be made up.
            with torch.device("meta"):
                network = ConceptNetwork(sizes)
            own = {k.removeprefix(NETWORK): v for k, v in tensors.items() if k.startswith(NETWORK)}
            network.load_state_dict(own, assign=True)
            table = ClassAttributes(
                tuple(record["classes"]), tensors["values"], record["attributes"]
            )
            scaling = Scaling(tensors["mean"], tensors["deviation"], record["own_mean"])
            seen = find_seen(table, tensors["seen"])
            return cls(table, seen, scaling, network, recipe, record["about"], record["versions"])


def _learn_both_stages(
    network: ConceptNetwork,
    samples: Samples,
    recipe: ConceptRecipe,
    known: Bool[Tensor, " class"],
    others: Float[Tensor, "some width"] | None,
) -> None:
    """Learn attributes, then prototypes; `others` are samples of unseen classes without labels."""
    # All draws are of one generator, so that a recipe and its samples give one probe.
    rng = np.random.default_rng(recipe.seed)
    learn_attributes(network, samples, recipe.semantic, rng)
    transduction, guessing = recipe.prototypes.transduction, None
    with torch.no_grad():
        # Encoded once: stage B changes the map to prototypes alone, as published.
        features = replace(samples, vectors=network.encode(samples.vectors))
        if transduction is not None and others is not None:
            shown = _scale_attributes(samples.attributes, recipe)
            guessing = Guessing(network.encode(others), shown, known, transduction)
    learn_prototypes(network, features, recipe.prototypes, rng, guessing)


def as_attributes(attributes: Any) -> ClassAttributes:
    """Take a table of numbers for attributes of classes without names."""
    if isinstance(attributes, ClassAttributes):
        return attributes
    values = as_tensor("attributes", attributes)
    return ClassAttributes(tuple(f"class {number}" for number in range(len(values))), values)


def find_seen(table: ClassAttributes, seen: Any) -> Bool[Tensor, " class"]:
    """Mark the classes that are named, by names, by places, or by True for each of them.

    Raises:
        ValueError: if there is no such class, or none is marked.
    """
    if isinstance(seen, Tensor | np.ndarray) and torch.as_tensor(seen).dtype == torch.bool:
        mask = torch.as_tensor(seen)
        if mask.shape != (len(table),):
            raise ValueError(f"{tuple(mask.shape)} marks for {len(table)} classes; give one each")
    else:
        mask = torch.zeros(len(table), dtype=torch.bool)
        mask[[_find_class(table, one) for one in seen]] = True
    if not mask.any():
        raise ValueError("no class is marked; name at least one")
    return mask


def _find_class(table: ClassAttributes, one: Any) -> int:
    if isinstance(one, str):
        if one not in table.names:
            raise ValueError(f"there is no class {one!r} among the {len(table)} of the attributes")
        return table.names.index(one)
    place: Sequence[int] = range(len(table))
    if not 0 <= int(one) < len(place):
        raise ValueError(f"there is no class {int(one)}; places are 0 to {len(place) - 1}")
    return int(one)


def _check_samples(states: Any, classes: Any, table: ClassAttributes) -> tuple[Tensor, Tensor]:
    """Check that there is a finite state and a class for each sample."""
    states, classes = as_tensor("states", states), torch.as_tensor(classes).long()
    if states.dim() != 2 or classes.shape != states.shape[:1]:
        raise ValueError(
            f"states of {tuple(states.shape)} and {tuple(classes.shape)} classes; give one state "
            "and one class for each sample"
        )
    if not states.isfinite().all():
        raise ValueError("a state is NaN or infinite; leave out samples that no cell shows")
    if len(classes) and not 0 <= int(classes.min()) <= int(classes.max()) < len(table):
        raise ValueError(f"a class is not one of 0 to {len(table) - 1}; count them from 0")
    return states, classes


def _scale_attributes(
    values: Float[Tensor, "class attribute"], recipe: ConceptRecipe
) -> Float[Tensor, "class attribute"]:
    return normalize(values, dim=-1) if recipe.unit_attributes else values
