"""Losses of re-attention: what a gradient step on a latent prompt makes smaller.

A loss is any callable that takes two readings, of the question and of the generic prompt, and gives
a tensor with one number. The readings carry their graph: `reading.yes_minus_no` and
`reading.logits` always; `reading.attention` and the maps made of it if the loss has an attribute
`attention_layers` that names the decoder layers it looks at. The losses here look at none, which
costs nothing, but for `LookOutside`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from jaxtyping import Float
from torch import Tensor

from probe.engine.content import as_tensor, same_content
from probe.engine.readings import AttentionMaps, LayersHeads, Reading
from probe.engine.requests import as_numbers
from probe.interpret.targets import Tokens, as_numbers_or_all, as_tokens, describe

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


@dataclass(frozen=True, eq=False, init=False, repr=False)
class LookOutside:
    """The square of the share of tokens' look that falls outside a region, 0 to 1.

    The energy of ControlMLLM (Wu et al., NeurIPS 2024): (1 - Σ w a / Σ a)², a being the attention
    to each cell, averaged over tokens, layers and heads, and w the weight of the cell in the region
    (`probe.interpret.regions.weigh_cells`). Attention to text does not count.

    Args:
        region: The weights of the cells, from 0 to 1, by frame, row and column.
        layers: Decoder layers whose attention is averaged, one or several.
        tokens: The tokens that look: places in the question or words of it, one or several; all of
            the question's by default, role tokens included.
        heads: Heads of each of these layers; all by default.

    Raises:
        ValueError: if one of them is of another form.
    """

    region: Float[Tensor, "frame row column"]
    attention_layers: tuple[int, ...]
    tokens: Tokens | None
    heads: tuple[int, ...] | None

    def __init__(self, region: Any, layers: Any, tokens: Any = None, heads: Any = None) -> None:
        weights = as_tensor("the weights of a region", region).float()
        # Above 1 the share could pass 1, and the loss would grow again.
        if weights.dim() != 3 or not bool(((weights >= 0) & (weights <= 1)).all()):
            raise ValueError(
                "a region is weights from 0 to 1 by frame, row and column; weigh_cells makes them"
            )
        object.__setattr__(self, "region", weights)
        object.__setattr__(self, "attention_layers", as_numbers("layer", layers))
        object.__setattr__(self, "tokens", as_tokens(tokens))
        object.__setattr__(self, "heads", as_numbers_or_all("head", heads))

    def __eq__(self, other: object) -> bool:
        return same_content(self, other)

    def __hash__(self) -> int:
        return hash((self.attention_layers, self.tokens, self.heads))

    def __repr__(self) -> str:
        return describe(
            "LookOutside",
            region=f"{float(self.region.sum()):.3g} of {self.region.numel()} cells",
            layers=self.attention_layers,
            tokens=self.tokens,
            heads=self.heads,
        )

    def __call__(self, asked: Reading, generic: Reading) -> Tensor:  # noqa: ARG002  as a loss
        """Compute the loss, with its graph where the reading has one.

        Raises:
            ValueError: if the reading lacks one of the tokens, layers or heads.
        """
        return (1 - self.share(asked)) ** 2

    def share(self, asked: AttentionMaps) -> Float[Tensor, ""]:
        """Compute the share of the tokens' look at the video that falls in the region, 0 to 1.

        Raises:
            ValueError: if the reading lacks one of the tokens, layers or heads.
        """
        look = self.look(asked)
        # Of the look at the video: how much of it all goes to text is another question, and a token
        # that hardly looks at the video should not pull the hardest.
        return (look * self.region.to(look)).sum() / look.sum()

    def look(self, asked: AttentionMaps) -> Float[Tensor, "frame row column"]:
        """Average the attention of the tokens over them, over layers and over heads.

        Raises:
            ValueError: if the reading lacks one of the tokens, layers or heads.
        """
        # Not the tokens of an answer: the loss is of the question, before anything is answered.
        tokens = range(asked.prompt.asked) if self.tokens is None else self.tokens
        places = [place for token in tokens for place in asked.find(token)]
        if self.heads is None:
            return asked.mean_attention(self.attention_layers)[places].mean(0)
        pairs: LayersHeads = [
            (layer, head) for layer in self.attention_layers for head in self.heads
        ]
        return asked.mean_attention(layers_heads=pairs)[places].mean(0)
