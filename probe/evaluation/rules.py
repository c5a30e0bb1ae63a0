"""Rules by name that take the place of those in a grounder's configuration.

A name is that of a shipped rule, such as "TopHull", or `module:qualname` of a rule of yours.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from inspect import signature
from types import MappingProxyType
from typing import Any, TypeAlias

from probe.datasets.user_code import find_user_object, make_instance
from probe.grounding.again import ReadAgain
from probe.grounding.config import GrounderConfig
from probe.grounding.losses import contrast, entropy, exponential
from probe.grounding.noun_rule import Noun
from probe.grounding.relevance import MinusGeneric, OverGeneric
from probe.grounding.span_rules import BestContrast, GrowFromPeak, TopHull
from probe.grounding.track_rules import AttentionBySize, AttentionPeak, CausalEffect, PeakInTrack
from probe.interpret.baseline_maps import entropy_gradient
from probe.interpret.head_rules import GatheredInTime, TheseHeads
from probe.interpret.token_rules import AllOf, AnswerOpening, Fixed, MostActive
from probe.spelling import explain_unknown
from probe.trained.responses.responses import Responses
from probe.trained.responses.shipped import shipped_responses

FILE_SUFFIX = ".safetensors"
"""The end of the name of a file that a rule can be read from."""

Rule: TypeAlias = Callable[..., Any]


@dataclass(frozen=True)
class RuleKind:
    """One kind of rule: where it belongs in a configuration, and which of it are shipped."""

    put: Callable[[GrounderConfig, Rule], GrounderConfig]
    """Gives the configuration with a rule of this kind in place of its own."""

    shipped: tuple[Rule, ...]
    """The shipped rules; they go by the names of their classes or functions."""

    read: Callable[[str], Rule] | None = None
    """Reads a rule of this kind from a safetensors file; None where none is kept in files."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names that are enough to make a rule; a class that needs arguments has none."""
        return tuple(rule.__name__ for rule in self.shipped if not _needs_arguments(rule))


def _needs_arguments(rule: Rule) -> bool:
    # A function is a rule as it is: its parameters are what it will be called with.
    if not isinstance(rule, type):
        return False
    wanted = signature(rule).parameters.values()
    return any(one.default is one.empty for one in wanted)


def _put_in(field: str) -> Callable[[GrounderConfig, Rule], GrounderConfig]:
    """Make the function that puts a rule in one field of a configuration."""

    def put(config: GrounderConfig, rule: Rule) -> GrounderConfig:
        return replace(config, **{field: rule})

    return put


def _put_loss(config: GrounderConfig, loss: Rule) -> GrounderConfig:
    """Give the loss to each branch that learns; it is no field of the configuration itself."""
    # Both branches learn by one loss: which of them learns is the preset's choice, and stays.
    branches = {"learn_where": config.learn_where, "learn_when": config.learn_when}
    learned = {name: branch for name, branch in branches.items() if branch is not None}
    if not learned:
        raise ValueError(
            "--loss: this method learns no latent prompt that a loss could be for; choose one that "
            "does, such as paper"
        )
    changed: dict[str, Any] = {name: replace(one, loss=loss) for name, one in learned.items()}
    return replace(config, **changed)


TOKEN_RULES = (MostActive, AllOf, AnswerOpening, Noun, Fixed)
"""The shipped rules for the tokens of either part."""

RULE_KINDS: Mapping[str, RuleKind] = MappingProxyType(
    {
        # Those that go by their name alone come first; the help and errors list them in this order.
        "token": RuleKind(_put_in("token"), TOKEN_RULES),
        "token_when": RuleKind(_put_in("token_when"), TOKEN_RULES),
        "heads_when": RuleKind(_put_in("heads_when"), (GatheredInTime, TheseHeads)),
        "relevance_when": RuleKind(_put_in("relevance_when"), (OverGeneric, MinusGeneric)),
        "maps": RuleKind(_put_in("maps"), (shipped_responses,), Responses.load),
        "fuse": RuleKind(_put_in("fuse"), (entropy_gradient,)),
        "track": RuleKind(_put_in("track"), (AttentionPeak, AttentionBySize, CausalEffect)),
        "frame_scores": RuleKind(_put_in("frames"), (PeakInTrack,)),
        "span": RuleKind(_put_in("span"), (TopHull, GrowFromPeak, BestContrast)),
        "again": RuleKind(_put_in("again"), (ReadAgain,)),
        "loss": RuleKind(_put_loss, (exponential, contrast, entropy)),
    }
)
"""The kinds of rule, by the fields of `RuleNames`."""


@dataclass(frozen=True)
class RuleNames:
    """Names of rules for a grounder's configuration; None keeps the rule that it has."""

    token: str | None = None
    """Chooses the tokens whose attention maps are read."""

    token_when: str | None = None
    """Chooses those of the action part. Without a rule for it here or in the configuration, `token`
    chooses for both parts."""

    heads_when: str | None = None
    """Chooses the heads whose maps are averaged for the action part."""

    relevance_when: str | None = None
    """Frees the map of the action part of what the model looks at whatever it is asked."""

    maps: str | None = None
    """Makes the maps in place of attention; also a file of trained response maps."""

    fuse: str | None = None
    """Makes a map by which the attribute map is multiplied."""

    track: str | None = None
    """Scores the candidate tracks."""

    frame_scores: str | None = None
    """Scores the frames of the chosen track; the field `frames` of the configuration."""

    span: str | None = None
    """Chooses the span from one score for each frame."""

    again: str | None = None
    """Reads more frames inside the found span, and corrects it."""

    loss: str | None = None
    """Is made smaller when a latent prompt is learned."""

    @property
    def given(self) -> dict[str, str]:
        """The names that are not None, by the kind of rule."""
        return {one.name: name for one in fields(self) if (name := getattr(self, one.name))}

    @property
    def options(self) -> str:
        """The options of the command line that gave them, such as "--token and --span"."""
        return " and ".join(f"--{kind.replace('_', '-')}" for kind in self.given)

    def replace_in(self, config: GrounderConfig) -> GrounderConfig:
        """Return a configuration with these rules in place of its own.

        Raises:
            ValueError: if there is no such rule, or a loss is given where nothing is learned.
        """
        # Each has a place of its own in the configuration, so their order does not matter.
        for kind, name in self.given.items():
            config = RULE_KINDS[kind].put(config, find_rule(kind, name))
        return config


def find_rule(kind: str, name: str) -> Rule:
    """Return a rule of a kind in `RULE_KINDS`, such as "token" or "frame_scores".

    Raises:
        ValueError: if there is no such rule, it cannot be called, or it is a class that needs
            arguments.
    """
    called = kind.replace("_", "-")
    if ":" in name:
        rule = make_instance(name, find_user_object(name))
        if not callable(rule):
            raise ValueError(
                f"{name}: a {type(rule).__name__} is no {called} rule; give a callable"
            )
        return rule
    kind_of_rule = RULE_KINDS[kind]
    if kind_of_rule.read is not None and name.endswith(FILE_SUFFIX):
        return kind_of_rule.read(name)
    known = {rule.__name__: rule for rule in kind_of_rule.shipped}
    if name not in known:
        also = "rules of yours as module:name"
        if kind_of_rule.read is not None:
            also = f"a file of `probe responses train` as FILE{FILE_SUFFIX}, {also}"
        raise ValueError(explain_unknown(f"{called} rule", name, kind_of_rule.names, also))
    return make_instance(name, known[name])
