"""The choices that the grounder leaves open, and the presets that make them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from probe.engine.attention import Assembly
from probe.engine.interventions import Intervention
from probe.engine.prompts import GENERIC, GENERIC_RELEASED
from probe.engine.requests import as_numbers
from probe.grounding.losses import contrast, exponential
from probe.grounding.queries import Queries, as_question
from probe.grounding.reattention import Absolute, Learning
from probe.grounding.span_rules import GrowFromPeak, SpanRule, TopHull
from probe.grounding.track_rules import (
    AttentionPeak,
    CausalEffect,
    FrameRule,
    PeakInTrack,
    TrackRule,
)
from probe.interpret.token_rules import AllOf, Fixed, MostActive, TokenRule
from probe.plain import from_plain, to_plain


@dataclass(frozen=True)
class GrounderConfig:
    """The choices that the method leaves open.

    A rule may be any callable of the stated form: a user's own function works wherever a shipped
    one does, and is saved under its `module:qualname`.
    """

    layers: tuple[int, ...] | None = None
    """Decoder layers whose attention is averaged, numbered from 0; negative numbers count from
    the last. None for all of them."""

    layers_heads: tuple[tuple[int, int], ...] | None = None
    """Pairs of layer and head to average instead, such as those of a `HeadList`, from `layers`;
    None for all heads of all of them."""

    generic: str = GENERIC
    """The prompt that shows where the model attends whatever it is asked."""

    relative: bool = True
    """True to divide maps by the generic prompt's."""

    token: TokenRule = field(default_factory=MostActive)
    """The rule for the tokens whose maps are read."""

    track: TrackRule = field(default_factory=AttentionPeak)
    """The rule for scoring candidate tracks."""

    frames: FrameRule = field(default_factory=PeakInTrack)
    """The rule for scoring the frames of the chosen track."""

    span: SpanRule = field(default_factory=TopHull)
    """The rule for choosing consecutive frames by their scores."""

    learn_where: Learning | None = None
    """Learning of the attribute branch's latent prompt; None for none."""

    learn_when: Learning | None = None
    """Learning of the action branch's latent prompt; None for none."""

    assembly: Assembly | None = None
    """Rule that joins the attribute maps of both frame orders; None to read one order only."""

    assembly_when: Assembly | None = None
    """Rule that joins the action maps of both frame orders; None to read one order only."""

    ask_whole: bool = False
    """True to read the final maps with the whole query; a latent prompt is always learned for the
    branch's own part of it."""

    prompt_generic: bool = False
    """True to read the generic prompt's map, too, on the prompted visual tokens."""

    interventions: tuple[Intervention, ...] = ()
    """Interventions on the model while it reads any question: to test what an answer rests on."""

    def __post_init__(self) -> None:
        if self.layers is not None:
            object.__setattr__(self, "layers", as_numbers("layer", self.layers))
        if self.layers_heads is not None:
            pairs = tuple(as_numbers("layer and head number", pair) for pair in self.layers_heads)
            object.__setattr__(self, "layers_heads", pairs)
        several = self.interventions
        alone = isinstance(several, Intervention)
        object.__setattr__(self, "interventions", (several,) if alone else tuple(several))
        for name in ("token", "track", "frames", "span"):
            if not callable(rule := getattr(self, name)):
                raise ValueError(
                    f"the {name} rule is {rule!r}; give a callable, such as one of "
                    f"probe.token_rules, probe.track_rules or probe.span_rules"
                )

    def branches(self, asked: Queries) -> list[tuple[str, Learning | None]]:
        """Return the question of each branch, and how its latent prompt is learned."""
        return [
            (as_question(asked.attribute), self.learn_where),
            (as_question(asked.action), self.learn_when),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the choices in plain values; rules carry their identity and their fields."""
        return to_plain(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "GrounderConfig":
        """Make the configuration that `to_dict` wrote.

        Raises:
            ValueError: if it is of another version, or a rule of it cannot be found again.
        """
        made = from_plain(dict(record))
        if not isinstance(made, cls):
            raise ValueError("this is no configuration of the grounder; give one that it wrote")
        return made


_PAPER_LEARNING = Learning(layer=0, steps=1, rate=Absolute(8.0), loss=exponential)
_RELEASED_LEARNING = Learning(steps=2, rate=Absolute(8.0), loss=contrast, average_last_two=True)

PAPER = GrounderConfig(
    learn_where=_PAPER_LEARNING,
    learn_when=_PAPER_LEARNING,
    assembly="mean",
    ask_whole=True,
)
"""The choices of the paper. Its rate of 8 belongs to the scale of a model of 7B."""

RELEASED_CODE = GrounderConfig(
    generic=GENERIC_RELEASED,
    token=Fixed(-5),
    span=GrowFromPeak(),
    learn_where=_RELEASED_LEARNING,
    learn_when=_RELEASED_LEARNING,
    assembly="mean",
    prompt_generic=True,
)
"""The choices of the authors' released code, if it ran: a fixed token (that of LLaVA-NeXT-Video),
its own generic prompt, loss and span. Its layers [-26:-6] belong to a model of 32."""

PLAIN = GrounderConfig()
"""Probes alone: grounding token, relative attention and sub-queries, with nothing learned."""

BEST = GrounderConfig(layers=(2,), token=AllOf(), relative=False)
"""The best choices on `shapes-val` with the shipped model (`analyses/choices.py`): layer 2 grounds,
and most of its role tokens do. Chosen for that model; on another, choose anew."""

CAUSAL = GrounderConfig(
    token=AllOf(("template", "word", "stop", "role")),
    relative=False,
    track=CausalEffect(),
    assembly_when="mean",
)
"""Asking by cause: the track is the candidate that the model's own answer hangs on; when is read
from the attention of all tokens of the action question, at all layers, in both frame orders. No
layer, head, token or label is chosen, and nothing is learned."""

PRESETS: Mapping[str, GrounderConfig] = MappingProxyType(
    {"plain": PLAIN, "best": BEST, "paper": PAPER, "released-code": RELEASED_CODE, "causal": CAUSAL}
)
"""The presets, by the names that command line and `ground` know them under."""


def as_config(config: GrounderConfig | str) -> GrounderConfig:
    """Return a configuration, or the preset of a name.

    Raises:
        ValueError: if there is no such preset.
    """
    if isinstance(config, GrounderConfig):
        return config
    if not isinstance(config, str) or config not in PRESETS:
        raise ValueError(f"no preset is called {config!r}; there are {', '.join(PRESETS)}")
    return PRESETS[config]
