"""Rules by name that take the place of those in a grounder's configuration.

A name is that of a shipped rule, such as "TopHull", or `module:qualname` of a rule of yours.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any

from probe.datasets.user_code import find_user_object, make_instance
from probe.grounding.config import GrounderConfig
from probe.grounding.losses import contrast, entropy, exponential
from probe.grounding.reattention import Learning
from probe.grounding.span_rules import BestContrast, GrowFromPeak, TopHull
from probe.grounding.track_rules import AttentionPeak, CausalEffect
from probe.interpret.token_rules import AllOf, Fixed, MostActive

SHIPPED_RULES: Mapping[str, tuple[Callable[..., Any], ...]] = MappingProxyType(
    {
        "token": (MostActive, AllOf, Fixed),
        "track": (AttentionPeak, CausalEffect),
        "span": (TopHull, GrowFromPeak, BestContrast),
        "loss": (exponential, contrast, entropy),
    }
)
"""The shipped rules of each kind; they go by the names of their classes or functions."""


@dataclass(frozen=True)
class RuleNames:
    """Names of rules for a grounder's configuration; None keeps the rule that it has."""

    token: str | None = None
    """Chooses the tokens whose attention maps are read."""

    track: str | None = None
    """Scores the candidate tracks."""

    span: str | None = None
    """Chooses the span from one score for each frame."""

    loss: str | None = None
    """Is made smaller when a latent prompt is learned."""

    @property
    def given(self) -> dict[str, str]:
        """The names that are not None, by the kind of rule."""
        return {one.name: name for one in fields(self) if (name := getattr(self, one.name))}

    def replace_in(self, config: GrounderConfig) -> GrounderConfig:
        """Return a configuration with these rules in place of its own.

        Raises:
            ValueError: if there is no such rule, or a loss is given where nothing is learned.
        """
        changes: dict[str, Any] = {kind: find_rule(kind, name) for kind, name in self.given.items()}
        # The loss is no field of the configuration: each branch that learns has one.
        if (loss := changes.pop("loss", None)) is not None:
            changes |= _replace_loss(config, loss)
        return replace(config, **changes)


def find_rule(kind: str, name: str) -> Callable[..., Any]:
    """Return a rule of a kind: "token", "track", "span" or "loss".

    Raises:
        ValueError: if there is no such rule, it cannot be called, or it is a class that needs
            arguments.
    """
    if ":" in name:
        rule = make_instance(name, find_user_object(name))
        if not callable(rule):
            raise ValueError(f"{name}: a {type(rule).__name__} is no {kind} rule; give a callable")
        return rule
    known = {rule.__name__: rule for rule in SHIPPED_RULES[kind]}
    if name not in known:
        raise ValueError(
            f"no {kind} rule is called {name!r}; there are {', '.join(known)}, and rules of yours "
            "as module:name"
        )
    return make_instance(name, known[name])


def _replace_loss(config: GrounderConfig, loss: Callable[..., Any]) -> dict[str, Learning]:
    """Give the loss to each branch that learns."""
    branches = {"learn_where": config.learn_where, "learn_when": config.learn_when}
    learned = {name: branch for name, branch in branches.items() if branch is not None}
    if not learned:
        raise ValueError(
            "--loss: this method learns no latent prompt that a loss could be for; choose one that "
            "does, such as paper"
        )
    return {name: replace(branch, loss=loss) for name, branch in learned.items()}
