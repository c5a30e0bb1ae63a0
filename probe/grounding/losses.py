"""Losses of re-attention: what a gradient step on a latent prompt makes smaller."""

from collections.abc import Callable
from typing import TypeAlias

from jaxtyping import Float
from torch import Tensor

from probe.engine.prompts import AnswerIds
from probe.engine.readings import yes_minus_no

Logits: TypeAlias = Float[Tensor, " word"]
Loss: TypeAlias = Callable[[Logits, Logits, AnswerIds], Tensor]
"""Of the logits for the question and for the generic prompt; smaller is better."""


def exponential(asked: Logits, generic: Logits, ids: AnswerIds) -> Tensor:  # noqa: ARG001
    """The paper's: -exp(log p(yes) - log p(no)) at the first answer position."""
    return -yes_minus_no(asked, ids).exp()


def contrast(asked: Logits, generic: Logits, ids: AnswerIds) -> Tensor:
    """The released code's: 1 - [(yes - no) of the question - (yes - no) of the generic prompt]."""
    return 1 - (yes_minus_no(asked, ids) - yes_minus_no(generic, ids))


def entropy(asked: Logits, generic: Logits, ids: AnswerIds) -> Tensor:  # noqa: ARG001
    """How undecided the next token is, in nats: the paper's alternative, which gave no gain."""
    log_probability = asked.log_softmax(-1)
    return -(log_probability.exp() * log_probability).sum()
