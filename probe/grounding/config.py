"""The choices that the grounder leaves open; `presets` has those that go by a name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import isnan
from numbers import Real
from typing import Any, TypeAlias

from probe.engine.attention import Assembly, Heatmap
from probe.engine.interventions import Intervention
from probe.engine.media import Medium, name_medium
from probe.engine.prompts import GENERIC
from probe.engine.requests import as_numbers
from probe.engine.view import View
from probe.grounding.again import AgainRule
from probe.grounding.queries import Queries, as_question
from probe.grounding.reattention import Learning
from probe.grounding.relevance import RelevanceRule
from probe.grounding.span_rules import SpanRule, TopHull
from probe.grounding.targets import TargetRule
from probe.grounding.track_rules import CausalEffect, FrameRule, PeakInTrack, TrackRule
from probe.interpret.head_rules import HeadRule
from probe.interpret.token_rules import EVERY_TOKEN, TokenRule
from probe.plain import from_plain, to_plain
from probe.video import Video

MapRule: TypeAlias = Callable[[View, str], Heatmap]
"""Makes a map of a question about a video, such as `probe.interpret.baseline_maps` has."""


@dataclass(frozen=True)
class Part:
    """One part of a query, and how it is looked for."""

    question: str
    """The question that its map is read with."""

    token: TokenRule
    """The rule for the tokens whose maps are read."""

    learned_for: str
    """The question that a latent prompt is learned for."""

    text: str = ""
    """The words that a rule for maps is given: the part itself, or the whole query."""

    learning: Learning | None = None
    """Learning of the latent prompt; None for none."""

    assembly: Assembly | None = None
    """Rule that joins the maps of both frame orders; None to read one order only."""

    heads: HeadRule | None = None
    """The rule for the heads whose maps are averaged; None for those of the configuration."""

    relevance: RelevanceRule | None = None
    """The rule that frees its map of what the model looks at whatever it is asked; None for the
    map of the configuration, relative or not."""


@dataclass(frozen=True)
class GrounderConfig:
    """The choices that the method leaves open: by default those of `CAUSAL`, as in `ground`.

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

    relative: bool = False
    """True to divide maps by the generic prompt's."""

    token: TokenRule = EVERY_TOKEN
    """The rule for the tokens whose maps are read."""

    token_when: TokenRule | None = None
    """The rule for those of the action branch, where it is another; None for the same."""

    heads_when: HeadRule | None = None
    """The rule for the heads whose maps are averaged for the action branch, such as
    `GatheredInTime()`; None for `layers_heads`."""

    relevance_when: RelevanceRule | None = None
    """The rule that frees the action map, in each frame order, of what the model looks at whatever
    it is asked, such as `OverGeneric()`; it is given the raw map, whatever `relative` is. None to
    leave that to `relative`."""

    maps: MapRule | None = None
    """Rule that makes the map of each part in place of attention, such as `Responses.load(FILE)`;
    it is given the view without latent prompts, and the part in the words of the query, or the
    whole query where `ask_whole` is set. The rules about tokens, heads and `relative` choose
    nothing then. None for attention."""

    fuse: MapRule | None = None
    """Rule for a map by which the attribute map is multiplied, cell by cell; None for none."""

    track: TrackRule = field(default_factory=CausalEffect)
    """The rule for scoring candidate tracks."""

    frames: FrameRule = field(default_factory=PeakInTrack)
    """The rule for scoring the frames of the chosen track."""

    span: SpanRule = field(default_factory=TopHull)
    """The rule for choosing consecutive frames by their scores."""

    again: AgainRule | None = None
    """The rule for a second reading of more frames inside the found span, such as `ReadAgain()`;
    None to read once."""

    targets: TargetRule | None = None
    """The rule for choosing several candidates, each of which is given a tube (`Answer.targets`),
    such as `probe.NearBest()`; None to choose the best alone."""

    learn_where: Learning | None = None
    """Learning of the attribute branch's latent prompt; None for none."""

    learn_when: Learning | None = None
    """Learning of the action branch's latent prompt; None for none."""

    assembly: Assembly | None = None
    """Rule that joins the attribute maps of both frame orders; None to read one order only."""

    assembly_when: Assembly | None = "mean"
    """Rule that joins the action maps of both frame orders; None to read one order only."""

    ask_whole: bool = False
    """True to read the final maps with the whole query; a latent prompt is always learned for the
    branch's own part of it."""

    prompt_generic: bool = False
    """True to read the generic prompt's map, too, on the prompted visual tokens."""

    require_presence: float | None = None
    """The least presence, yes minus no of the whole query in logits, with which a tube is looked
    for; None to look always."""

    interventions: tuple[Intervention, ...] = ()
    """Interventions on the model while it reads any question: to test what an answer rests on."""

    def __post_init__(self) -> None:
        required = self.require_presence
        # Nothing is below NaN: it would require nothing, and not say so.
        if required is not None and (not isinstance(required, Real) or isnan(required)):
            raise ValueError(f"require_presence is {required!r}; give a number of logits, or None")
        if self.layers is not None:
            object.__setattr__(self, "layers", as_numbers("layer", self.layers))
        if self.layers_heads is not None:
            pairs = tuple(as_numbers("layer and head number", pair) for pair in self.layers_heads)
            object.__setattr__(self, "layers_heads", pairs)
        several = self.interventions
        alone = isinstance(several, Intervention)
        object.__setattr__(self, "interventions", (several,) if alone else tuple(several))
        optional = (
            *("token_when", "heads_when", "relevance_when"),
            *("maps", "fuse", "again", "targets"),
        )
        for name in ("token", "track", "frames", "span", *optional):
            rule = getattr(self, name)
            if not callable(rule) and not (rule is None and name in optional):
                raise ValueError(
                    f"the {name} rule is {rule!r}; give a callable, such as one of "
                    f"probe.token_rules, probe.track_rules or probe.span_rules"
                )

    def worded_for(self, view: View) -> "GrounderConfig":
        """Return the same choices, with a generic prompt that calls a picture a picture."""
        return replace(self, generic=name_medium(self.generic, view.checkpoint.medium))

    def parts(
        self, asked: Queries, video: Video | None = None, medium: Medium = "video"
    ) -> tuple[Part, ...]:
        """Return how each part of a query is looked for: its attributes, and then its action.

        In a picture, which has no time, all of the query says which thing is meant: one part.

        Args:
            asked: The query.
            video: The video, or a picture; None for any video.
            medium: The form in which the model is shown it.
        """
        if video is not None and video.is_still:
            whole = as_question(asked.whole, medium)
            return (Part(whole, self.token, whole, asked.whole, self.learn_where),)
        where, when = as_question(asked.attribute, medium), as_question(asked.action, medium)
        whole = as_question(asked.whole, medium) if self.ask_whole else None
        texts = (asked.whole,) * 2 if self.ask_whole else (asked.attribute, asked.action)
        token_when = self.token_when or self.token
        return (
            Part(whole or where, self.token, where, texts[0], self.learn_where, self.assembly),
            Part(
                whole or when,
                token_when,
                when,
                texts[1],
                self.learn_when,
                self.assembly_when,
                self.heads_when,
                self.relevance_when,
            ),
        )

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
