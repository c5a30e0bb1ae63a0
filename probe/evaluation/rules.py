"""Rules by name that take the place of those in a grounder's configuration.

A name is that of a shipped rule, such as "TopHull", or `module:qualname` of a rule of yours.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType, ModuleType
from typing import Any

from probe.datasets.user_code import find_user_object, make_instance
from probe.grounding import losses, span_rules
from probe.grounding.config import GrounderConfig
from probe.grounding.reattention import Learning
from probe.interpret import token_rules

SHIPPED_IN: Mapping[str, ModuleType] = MappingProxyType(
    {"token": token_rules, "span": span_rules, "loss": losses}
)
"""The module that ships the rules of each kind."""


@dataclass(frozen=True)
class RuleNames:
    """Names of rules for a grounder's configuration; None keeps the rule that it has."""

    token: str | None = None
    """Chooses the tokens whose attention maps are read."""

    span: str | None = None
    """Chooses the span from one score for each frame."""

    track: str | None = None
    """Chooses the track among the candidates."""

    loss: str | None = None
    """The function that a learned latent prompt makes smaller."""

    @property
    def given(self) -> dict[str, str]:
        """The names that are not None, by the kind of rule."""
        return {one.name: name for one in fields(self) if (name := getattr(self, one.name))}

    def replace_in(self, config: GrounderConfig) -> GrounderConfig:
        """Return a configuration with these rules.

        Raises:
            ValueError: if there is no such rule, or a loss is given where nothing is learned.
        """
        changes: dict[str, Any] = {kind: find_rule(kind, name) for kind, name in self.given.items()}
        loss = changes.pop("loss", None)
        if loss is not None:
            changes |= _replace_loss(config, loss)
        return replace(config, **changes)


def find_rule(kind: str, name: str) -> Callable[..., Any]:
    """Return a rule of a kind: "token", "span" or "loss".

    Raises:
        ValueError: if there is no such rule, it is none, or it needs arguments.
    """
    if ":" in name:
        rule = make_instance(name, find_user_object(name))
        if not callable(rule):
            raise ValueError(f"{name}: a {type(rule).__name__} is no {kind} rule; give a callable")
        return rule
    known = dict(_list_shipped(SHIPPED_IN[kind]))
    if name not in known:
        raise ValueError(
            f"no {kind} rule is called {name!r}; there are {', '.join(known)}, and rules of yours "
            "as module:name"
        )
    return make_instance(name, known[name])


def _list_shipped(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """List the rules that a module defines: classes of callables, and functions that are losses."""
    for name, found in vars(module).items():
        own = getattr(found, "__module__", None) == module.__name__ and not name.startswith("_")
        is_class = inspect.isclass(found) and "__call__" in vars(found)
        if own and (is_class or (module is losses and inspect.isfunction(found))):
            yield name, found


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
