"""The choices that the grounder leaves open, and the presets that make them."""

from dataclasses import dataclass, field

from probe.engine.attention import Assembly
from probe.engine.interventions import Intervention
from probe.engine.prompts import GENERIC, GENERIC_RELEASED
from probe.grounding.losses import contrast, exponential
from probe.grounding.queries import Queries, as_question
from probe.grounding.reattention import Absolute, Learning
from probe.grounding.span_rules import GrowFromPeak, SpanRule, TopHull
from probe.interpret.token_rules import AllOf, Fixed, MostActive, TokenRule


@dataclass(frozen=True)
class GrounderConfig:
    """The choices that the method leaves open."""

    layers: tuple[int, ...] | None = None
    """Decoder layers whose attention is averaged, numbered from 0; negative numbers count from
    the last. None for all of them."""

    layers_heads: tuple[tuple[int, int], ...] | None = None
    """Pairs of layer and head to average instead, such as those of a `HeadList`, from `layers`;
    None for all heads of all of them."""

    generic: str = GENERIC
    """The prompt that shows where the model looks whatever it is asked."""

    relative: bool = True
    """Whether maps are taken over the generic prompt's."""

    token: TokenRule = field(default_factory=MostActive)
    """Which token's map is read."""

    span: SpanRule = field(default_factory=TopHull)
    """How consecutive frames are chosen from their scores."""

    learn_where: Learning | None = None
    """How the latent prompt of the attribute branch is learned; None for none."""

    learn_when: Learning | None = None
    """How the latent prompt of the action branch is learned; None for none."""

    assembly: Assembly | None = None
    """How the attribute maps of both frame orders become one; None to read one order only."""

    ask_whole: bool = False
    """Whether the final maps are read with the whole query; a latent prompt is always learned
    for the branch's own part of it."""

    prompt_generic: bool = False
    """Whether the generic prompt's map, too, is read on the prompted visual tokens."""

    interventions: tuple[Intervention, ...] = ()
    """What is done to the model while it reads any question: to test what an answer rests on."""

    def branches(self, asked: Queries) -> list[tuple[str, Learning | None]]:
        """What is asked where, and when; and how the latent prompt is learned for it."""
        return [
            (as_question(asked.attribute), self.learn_where),
            (as_question(asked.action), self.learn_when),
        ]


_PAPER_LEARNING = Learning(layer=0, steps=1, rate=Absolute(8.0), loss=exponential)
_RELEASED_LEARNING = Learning(steps=2, rate=Absolute(8.0), loss=contrast, two_taps=True)

PAPER = GrounderConfig(
    learn_where=_PAPER_LEARNING,
    learn_when=_PAPER_LEARNING,
    assembly="mean",
    ask_whole=True,
)
"""As the paper describes it. Its rate of 8 belongs to the scale of a model of 7B."""

RELEASED_CODE = GrounderConfig(
    generic=GENERIC_RELEASED,
    token=Fixed(-5),
    span=GrowFromPeak(),
    learn_where=_RELEASED_LEARNING,
    learn_when=_RELEASED_LEARNING,
    assembly="mean",
    prompt_generic=True,
)
"""As the authors' released code would do it if it ran: a fixed token (that of LLaVA-NeXT-Video),
its own generic prompt, loss and span. Its layers [-26:-6] belong to a model of 32."""

PLAIN = GrounderConfig()
"""Probes alone: grounding token, relative attention and sub-queries, with nothing learned."""

BEST = GrounderConfig(layers=(2,), token=AllOf(), relative=False)
"""What does best on `shapes-val` with the shipped model (`analyses/choices.py`): layer 2 grounds,
and most of its role tokens do. Chosen for that model; on another, choose anew."""

PRESETS = {"plain": PLAIN, "best": BEST, "paper": PAPER, "released-code": RELEASED_CODE}
"""The presets by the names that the command line knows them under."""
