"""Losses of re-attention: what a gradient step on a latent prompt makes smaller.

A loss is any callable that takes two readings, of the question and of the generic prompt, and gives
a tensor with one number. The readings carry their graph: `reading.yes_minus_no` and
`reading.logits` always; `reading.attention` and the maps made of it if the loss has an attribute
`attention_layers` that names the decoder layers it looks at. The losses here look at none, which
costs nothing.
"""

from collections.abc import Callable
from typing import TypeAlias

from torch import Tensor

from probe.engine.readings import Reading

Loss: TypeAlias = Callable[[Reading, Reading], Tensor]
"""Function of the readings of a question and of the generic prompt; smaller is better."""


def attention_layers(loss: Loss) -> tuple[int, ...]:
    """Return the decoder layers whose attention a loss looks at; none unless it names them."""
    layers = getattr(loss, "attention_layers", ())
    return (layers,) if isinstance(layers, int) else tuple(layers)


def exponential(asked: Reading, generic: Reading) -> Tensor:  # noqa: ARG001
    """Compute the paper's loss: -exp(log p(yes) - log p(no)) at the first answer position."""
    return -asked.yes_minus_no.exp()


def contrast(asked: Reading, generic: Reading) -> Tensor:
    """Compute the released code's loss: 1 - (margin of the question - that of the generic)."""
    return 1 - (asked.yes_minus_no - generic.yes_minus_no)


def entropy(asked: Reading, generic: Reading) -> Tensor:  # noqa: ARG001
    """Compute how undecided the next token is, in nats: the paper's alternative, without gain."""
    log_probability = asked.logits.log_softmax(-1)
    return -(log_probability.exp() * log_probability).sum()
