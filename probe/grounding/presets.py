"""The presets: choices of the grounder that go by a name."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from probe.engine.prompts import GENERIC_RELEASED
from probe.grounding.config import GrounderConfig
from probe.grounding.losses import contrast, exponential
from probe.grounding.noun_rule import Noun
from probe.grounding.reattention import Absolute, Learning
from probe.grounding.span_rules import GrowFromPeak
from probe.grounding.track_rules import AttentionPeak
from probe.interpret.baseline_maps import entropy_gradient
from probe.interpret.token_rules import EVERY_TOKEN, AnswerOpening, Fixed, MostActive
from probe.spelling import explain_unknown

_PAPER_LEARNING = Learning(layer=0, steps=1, rate=Absolute(8.0), loss=exponential)
_RELEASED_LEARNING = Learning(steps=2, rate=Absolute(8.0), loss=contrast, average_last_two=True)

PLAIN = GrounderConfig(token=MostActive(), relative=True, track=AttentionPeak(), assembly_when=None)
"""Probes alone: grounding token, relative attention and sub-queries, with nothing learned."""

PAPER = replace(
    PLAIN,
    learn_where=_PAPER_LEARNING,
    learn_when=_PAPER_LEARNING,
    assembly="mean",
    ask_whole=True,
)
"""The choices of the paper. Its rate of 8 belongs to the scale of a model of 7B."""

RELEASED_CODE = replace(
    PLAIN,
    generic=GENERIC_RELEASED,
    token=AnswerOpening(),
    span=GrowFromPeak(),
    learn_where=_RELEASED_LEARNING,
    learn_when=_RELEASED_LEARNING,
    assembly="mean",
    prompt_generic=True,
)
"""The choices of the authors' released code, if it ran: a fixed token (its -5 in LLaVA-NeXT-Video
and its -3 in Qwen2-VL both open the answer's turn), its own generic prompt, loss and span. Its
layers [-26:-6] belong to a model of 32."""

BEST = replace(PLAIN, layers=(2, 3), token=Fixed(-3), relative=False, span=GrowFromPeak())
"""The best choices on `shapes-val` with the shipped model (`analyses/choices.py`): a role token,
two layers at which role tokens ground, and the span grown from the peak. On another, choose anew.
"""

CAUSAL = GrounderConfig()
"""Asking by cause: the track is the candidate that the model's own answer hangs on; when is read
from the attention of all tokens of the action question, at all layers, in both frame orders. No
layer, head, token or label is chosen, and nothing is learned."""

NOUN = replace(
    PLAIN,
    token=Noun(),
    token_when=EVERY_TOKEN,
    relative=False,
    assembly="mean",
    assembly_when="mean",
)
"""Attention only, nothing learned and no layer or head chosen: the token of the query's noun says
where, all tokens of the action question say when, both in both frame orders. On the shipped model
it finds nearly as many tracks as `CAUSAL`, on most others raised here far fewer
(`docs/how-to/choose-a-preset.md`)."""

ENTROPY_GRADIENT = replace(BEST, fuse=entropy_gradient)
"""`BEST`, with its attribute map multiplied by the effect of each visual token on how undecided the
model is. Chosen, as `BEST`, for the shipped model."""

PRESETS: Mapping[str, GrounderConfig] = MappingProxyType(
    {
        "causal": CAUSAL,
        "noun": NOUN,
        "best": BEST,
        "entropy-gradient": ENTROPY_GRADIENT,
        "plain": PLAIN,
        "paper": PAPER,
        "released-code": RELEASED_CODE,
    }
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
        raise ValueError(explain_unknown("preset", config, PRESETS))
    return PRESETS[config]
