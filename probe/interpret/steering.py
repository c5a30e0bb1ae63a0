"""Steering and patching: vectors added to a question's states, and states of another put in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from probe.engine.content import as_tensor
from probe.engine.interventions import Edit, Extent, States
from probe.engine.view import View
from probe.interpret.knockouts import HeadRecord, replace_outputs
from probe.interpret.targets import (
    Tokens,
    as_numbers_or_all,
    as_pairs,
    as_tokens,
    choose,
    choose_tokens,
    describe,
)


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Steer:
    """A vector added to the states of a question's tokens where they enter layers.

    Args:
        vector: The vector, as wide as the model's states; it may carry a gradient. Or one for each
            of the tokens.
        layers: Decoder layers, one or several; negative numbers count from the last.
        tokens: The tokens that it is added to, as `Cut` takes them; all of the question's by
            default.
        strength: What the vector is multiplied by; 0 changes nothing.

    Raises:
        ValueError: if one of them is of another form.
    """

    vector: Float[Tensor, "*token hidden"]
    layers: tuple[int, ...] | None
    tokens: Tokens | None
    strength: float

    def __init__(
        self, vector: Any, layers: Any, tokens: Any = None, *, strength: float = 1.0
    ) -> None:
        given = as_tensor("a steering vector", vector)
        if given.dim() not in (1, 2):
            raise ValueError(
                f"a steering vector has {given.dim()} axes; give one vector, or one for each token"
            )
        object.__setattr__(self, "vector", given)
        object.__setattr__(self, "layers", as_numbers_or_all("layer", layers))
        object.__setattr__(self, "tokens", as_tokens(tokens))
        object.__setattr__(self, "strength", strength)

    def __repr__(self) -> str:
        return describe(
            "Steer",
            vector=tuple(self.vector.shape),
            layers=self.layers,
            tokens=self.tokens,
            strength=self.strength,
        )

    def edits(self, extent: Extent) -> dict[int, Edit]:
        """Return the states to change, by layer.

        Raises:
            ValueError: if a layer or token does not exist, or a token is a word.
        """
        places = list(choose_tokens(self.tokens, extent.tokens))

        def steer(states: States) -> States:
            added = self.vector.to(states) * self.strength
            _check_width(added, states, len(places))
            return states.index_add(0, torch.tensor(places), added.expand(len(places), -1))

        chosen = choose("layer", self.layers, extent.layers)
        return dict.fromkeys(chosen, Edit(states=steer))

    def reversed(self) -> "Steer":
        """Return the same value, which does not depend on the order of frames."""
        return self


@dataclass(frozen=True, eq=False, repr=False)
class StateRecord:
    """An intervention that changes nothing and records the states that enter layers.

    The record changes each time a question is read.
    """

    layers: tuple[int, ...] | None = None
    """The layers recorded; None for all."""

    states: dict[int, States] = field(default_factory=dict)
    """States by layer, of the question read last; empty until one was read."""

    def __repr__(self) -> str:
        return f"StateRecord({len(self.states)} layers recorded)"

    def edits(self, extent: Extent) -> dict[int, Edit]:
        """Return an edit for every layer that leaves its states as they are."""
        chosen = choose("layer", self.layers, extent.layers)
        return {layer: Edit(states=self._make_recorder(layer)) for layer in chosen}

    def _make_recorder(self, layer: int) -> Callable[[States], States]:
        def record(states: States) -> States:
            # A copy, since the engine passes a part of a larger tensor.
            self.states[layer] = states.clone()
            return states

        return record

    def reversed(self) -> "StateRecord":
        """Return the record itself, which does not depend on the order of frames."""
        return self


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Patch:
    """States of another reading, put in the place of a question's own where they enter layers.

    Args:
        states: By layer, the states that enter it: of another video, or another question
            (`record_states`).
        tokens: The tokens that get other states, as `Cut` takes them; all of them by default.
        of: The places in the other question whose states they get, in the same order; the same
            places by default.

    Raises:
        ValueError: if one of them is of another form, or there are not as many places as tokens.
    """

    states: Mapping[int, States]
    tokens: Tokens | None
    of: tuple[int, ...] | None

    def __init__(self, states: Mapping[int, Any], tokens: Any = None, of: Any = None) -> None:
        given = {layer: as_tensor("states", one) for layer, one in states.items()}
        object.__setattr__(self, "states", given)
        object.__setattr__(self, "tokens", as_tokens(tokens))
        object.__setattr__(self, "of", as_numbers_or_all("token", of))

    def __repr__(self) -> str:
        return describe("Patch", layers=tuple(self.states), tokens=self.tokens, of=self.of)

    def edits(self, extent: Extent) -> dict[int, Edit]:
        """Return the states to put in, by layer.

        Raises:
            ValueError: if a layer or token does not exist, a token is a word, or there are not as
                many places as tokens.
        """
        places = list(choose_tokens(self.tokens, extent.tokens))
        for layer in self.states:
            choose("layer", [layer], extent.layers)
        return {
            layer: Edit(states=self._make_patch(given, places))
            for layer, given in self.states.items()
        }

    def _make_patch(self, given: States, places: list[int]) -> Callable[[States], States]:
        theirs = places if self.of is None else list(choose("token", self.of, len(given)))
        if len(theirs) != len(places) or max(theirs, default=-1) >= len(given):
            raise ValueError(
                f"{len(places)} tokens get states of places {theirs} of {len(given)}; give as many "
                f"places as tokens, or questions of one length"
            )

        def patch(states: States) -> States:
            patched = states.clone()
            patched[places] = given.to(states)[theirs]
            return patched

        return patch

    def reversed(self) -> "Patch":
        """Return the same states, which do not depend on the order of frames."""
        return self


@dataclass(frozen=True, eq=False, init=False, repr=False)
class PatchHeads:
    """Outputs of heads of another reading, put in the place of a question's own.

    Args:
        outputs: By layer, the outputs of all heads, by token, head and width (`record_outputs`).
        heads: Pairs of layer and head, one or several.
        tokens: The tokens at which they are put in, as `Cut` takes them; all of them by default.

    Raises:
        ValueError: if one of them is of another form.
    """

    outputs: Mapping[int, Float[Tensor, "token head width"]]
    heads: tuple[tuple[int, int], ...]
    tokens: Tokens | None

    def __init__(self, outputs: Mapping[int, Any], heads: Any, tokens: Any = None) -> None:
        given = {layer: as_tensor("outputs", one) for layer, one in outputs.items()}
        object.__setattr__(self, "outputs", given)
        object.__setattr__(self, "heads", as_pairs(heads))
        object.__setattr__(self, "tokens", as_tokens(tokens))

    def __repr__(self) -> str:
        return describe("PatchHeads", heads=self.heads, tokens=self.tokens)

    def edits(self, extent: Extent) -> dict[int, Edit]:
        """Return the outputs to put in, by layer.

        Raises:
            ValueError: if a layer, head or token does not exist, a token is a word, or a layer was
                not recorded.
        """

        def theirs(layer: int, outputs: Tensor) -> Tensor:
            if layer not in self.outputs or len(self.outputs[layer]) != len(outputs):
                raise ValueError(
                    f"there are no outputs of layer {layer} for {len(outputs)} tokens; record a "
                    f"question of this length"
                )
            return self.outputs[layer].to(outputs)

        return replace_outputs(self.heads, self.tokens, extent, theirs)

    def reversed(self) -> "PatchHeads":
        """Return the same outputs, which do not depend on the order of frames."""
        return self


@torch.no_grad()
def record_states(view: View, question: str, layers: Any = None) -> dict[int, States]:
    """Return the states of a question's tokens where they enter layers, by layer.

    Args:
        view: The video.
        question: What to ask.
        layers: Decoder layers, one or several; all by default.
    """
    record = StateRecord(as_numbers_or_all("layer", layers))
    view.under(record).answer_logits(question)
    return {layer: states.detach() for layer, states in record.states.items()}


@torch.no_grad()
def record_outputs(view: View, question: str) -> dict[int, Float[Tensor, "token head width"]]:
    """Return the outputs of all heads at a question's tokens, by layer."""
    record = HeadRecord()
    view.under(record).answer_logits(question)
    return {layer: outputs.detach() for layer, outputs in record.outputs.items()}


def _check_width(added: Tensor, states: States, count: int) -> None:
    width = states.shape[-1]
    if added.shape[-1] != width or (added.dim() == 2 and len(added) != count):
        raise ValueError(
            f"a steering vector of {tuple(added.shape)} does not fit {count} tokens of {width}"
        )
