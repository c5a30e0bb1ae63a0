"""Actions of each kind of thing that a clip or a frame shows, read from visual tokens.

A clip shows a few things, each of which does something for a part of the time. Where nothing says
which tokens an action belongs to, a tag such as "jumps" is learned from all tokens of the clip, and
was not learned at all in 700 steps. A tower that has learned from tags of frames knows the kinds:
in each frame the cell nearest to a kind's word is where the thing is. So an action is read from
there alone, and only for kinds that the tags say are shown. No box, no mask and no time is used.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, normalize

from probe.organism.optimisers import ParameterGroup
from probe.organism.phrases import compare_phrases, encode_phrases
from probe.organism.worlds import Acts, World

Pairs = Float[Tensor, "item kind action"]

SHARPNESS = 30.0
"""Factor of the cosines with a kind's word, from which the weights of a frame's cells are computed:
a cosine that is less by 0.1 weighs a twentieth."""

SHOWN_WEIGHT = 5.0
"""Weight in the loss of an action that a kind does, relative to one that it does not: about one in
ten is done."""


@dataclass(frozen=True)
class ActScores:
    """Scores of the actions of each kind, in logits, if the kind is shown."""

    by_head: Pairs
    by_words: Pairs

    @classmethod
    def join(cls, parts: "Sequence[ActScores]") -> "ActScores":
        """Join the scores of the parts of a batch."""
        heads, words = ([getattr(part, way) for part in parts] for way in ("by_head", "by_words"))
        return cls(torch.cat(heads), torch.cat(words))

    def detach(self) -> "ActScores":
        """Return the scores without their graphs."""
        return ActScores(self.by_head.detach(), self.by_words.detach())

    def compute_loss(self, shown: Float[Tensor, "item kind"], done: Pairs) -> Float[Tensor, ""]:
        """Compute the sum of both ways' losses over the kinds that are shown.

        Args:
            shown: 1 for each kind that an item shows, else 0.
            done: 1 for each action of a kind, else 0.
        """
        there = shown > 0
        if not there.any():
            return self.by_head.sum() * 0 + self.by_words.sum() * 0
        weight = torch.tensor(SHOWN_WEIGHT, device=done.device)
        losses = [
            binary_cross_entropy_with_logits(by[there], done[there], pos_weight=weight)
            for by in (self.by_head, self.by_words)
        ]
        return torch.stack(losses).sum()

    def measure(self, done: Pairs) -> dict[str, float]:
        """Measure how often the highest score of a kind that acts is of an action that it does."""
        acting = done.any(-1)
        if not acting.any():
            return {}
        return {
            f"acts_{way}": _measure_highest(by[acting], done[acting])
            for way, by in (("head", self.by_head), ("words", self.by_words))
        }


def _measure_highest(scores: Float[Tensor, "kind action"], done: Tensor) -> float:
    return done.gather(1, scores.argmax(-1, keepdim=True)).mean().item()


class ActReader(nn.Module):
    """Reads what each kind does in two ways, as tags are read: by a linear head and by words."""

    def __init__(self, width: int, acts: Acts, world: World) -> None:
        super().__init__()
        self.kinds = encode_phrases(acts.kinds, world)
        self.actions = encode_phrases(acts.actions, world)
        self.cells = world.cells**2
        self.head = nn.Linear(width, len(acts.actions))
        self.scale = nn.Parameter(torch.tensor(5.0))
        self.biases = nn.Parameter(torch.full((2,), -1.5))

    def make_groups(self) -> list[ParameterGroup]:
        """Return the reader's own parameters with their rates, for an optimiser."""
        return [
            {"params": self.head.parameters(), "rate_scale": 1.0},
            # Single numbers have far to go at the rate of a matrix's entries.
            {"params": [self.scale, self.biases], "rate_scale": 10.0},
        ]

    def forward(
        self,
        seen: Float[Tensor, "item token width"],
        projected: Float[Tensor, "item token hidden"],
        embedded: Float[Tensor, "item token hidden"],
        words: Float[Tensor, "word hidden"],
    ) -> ActScores:
        """Read the actions of every kind, whether it is shown or not.

        Args:
            seen: Visual tokens after the layers that learn what is done, for the head.
            projected: The same in the space of the word embeddings.
            embedded: Visual tokens as they enter the decoder, by which kinds are found.
            words: The word embeddings.
        """
        # Where things are is taken as it is: else they would be moved to where actions are told.
        where = self._find_kinds(embedded.detach(), words.detach())
        cosine = normalize(projected, dim=-1) @ normalize(words, dim=-1).T
        by_words = self.scale * compare_phrases(cosine, self.actions)
        pooled = [_pool(where, by) for by in (self.head(seen), by_words)]
        by_head, by_words = (one + bias for one, bias in zip(pooled, self.biases, strict=True))
        return ActScores(by_head, by_words)

    def _find_kinds(self, embedded: Tensor, words: Tensor) -> Float[Tensor, "item token kind"]:
        """Compute the weight of each token for each kind: those of a frame sum to 1."""
        cosine = normalize(embedded, dim=-1) @ normalize(words, dim=-1).T
        near = SHARPNESS * compare_phrases(cosine, self.kinds)
        return near.unflatten(1, (-1, self.cells)).softmax(2).flatten(1, 2)


def _pool(
    where: Float[Tensor, "item token kind"], scores: Float[Tensor, "item token action"]
) -> Pairs:
    """Compute the log-mean-exp of scores over a kind's tokens: one of them is enough."""
    most = scores.amax(1, keepdim=True).detach()
    weights = where / where.sum(1, keepdim=True)
    mean = torch.einsum("itk,ita->ika", weights, (scores - most).exp())
    return mean.clamp_min(1e-30).log() + most
