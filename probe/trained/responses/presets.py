"""The published choices of response maps: those of the paper, and those of the released code."""

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from probe.trained.responses.losses import (
    Loss,
    anchor_loss,
    classification_loss,
    disambiguation_loss,
    released_disambiguation_loss,
    released_shrinking_loss,
    shrinking_loss,
)
from probe.trained.responses.network import NetworkConfig


class Term(NamedTuple):
    """A loss and its weight in the sum."""

    weight: float
    loss: Loss


@dataclass(frozen=True)
class Schedule:
    """The length and the rate of training."""

    steps: int
    """Number of batches."""

    batch: int = 36
    """Pictures in a batch; each sentence is told from those of the others."""

    rate: float = 5e-5
    """First learning rate of AdamW, which falls with (1 - step / steps) ** power."""

    encoder_rate: float = 0.1
    """Learning rate of the encoders, where they are tuned, over that of the network."""

    decay: float = 0.01
    """Weight decay."""

    power: float = 0.9


@dataclass(frozen=True)
class ResponseConfig:
    """The choices of response maps: the network and what it is trained with."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    terms: tuple[Term, ...] = (Term(1.0, classification_loss),)


PAPER = ResponseConfig(
    NetworkConfig(),
    (
        Term(1.0, classification_loss),
        Term(1.0, shrinking_loss),
        Term(1.0, disambiguation_loss),
    ),
)
"""The equations of the paper: the cue stays in the attended cue, updates have the weight 1, the
shrinking loss has a hinge and takes the proposal that the map is strongest on for the thing."""

RELEASED_CODE = ResponseConfig(
    NetworkConfig(cue_residual=0.0, sentence_update=0.1, cell_update=0.1, look_again=0.1),
    (
        Term(5.0, classification_loss),
        Term(1.0, released_shrinking_loss),
        Term(1.0, anchor_loss),
        Term(1.0, released_disambiguation_loss),
    ),
)
"""The forms of the authors' released code. It has 0 for the weights of the last three unless they
are set by hand, and the values of the paper's tables are not published: 1 is the paper's. Its two
terms that need CLIP's picture encoder for masked pictures are not here."""

PROPOSAL_WEIGHT = 0.05
"""Weight of the terms that compare maps with proposals, for the states of a video model."""

VIDEO = ResponseConfig(
    NetworkConfig(channels=128, sentence_update=0.1, cell_update=0.1),
    (
        Term(1.0, classification_loss),
        Term(PROPOSAL_WEIGHT, shrinking_loss),
        Term(PROPOSAL_WEIGHT, anchor_loss),
    ),
)
"""A small network for the states of a video model. The cue stays in the attended cue, as in the
paper; updates have the weight of the released code, from which the anchor term is, too: without
it, the strongest cell often lies next to the thing, since in the model's states the cells around a
thing know of it. At a weight of 1, maps covered things best, but no longer told when a thing acts.
Disambiguation is left out: it doubles the time, and its gradient is zero where
two sentences choose the same proposal (`losses`)."""

VIDEO_DISAMBIGUATED = replace(
    VIDEO, terms=(*VIDEO.terms, Term(PROPOSAL_WEIGHT, disambiguation_loss))
)
"""`VIDEO` with the disambiguation loss of the paper."""

VIDEO_SCHEDULE = Schedule(steps=2000, batch=32, rate=2e-3)
"""The schedule of the small network: some minutes of one core on clips of the shapes. It was chosen
on shapes-val, before the anchor term was there."""
