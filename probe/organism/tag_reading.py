"""Tags read from visual tokens, and learned: multiple-instance learning of what a picture carries.

The score of a tag is the log-mean-exp over visual tokens, so that one token is enough. Nothing says
which token: there is no box, no mask, no place and no time.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, normalize

from probe.organism.act_reading import ActReader, ActScores
from probe.organism.batches import TagBatch, move_batch, split_batch
from probe.organism.optimisers import Optimisers, ParameterGroup, take_step
from probe.organism.phrases import encode_phrases, sum_phrases
from probe.organism.worlds import Tags, World

Tagged = TypeVar("Tagged", bound=TagBatch)

# What is computed together on a CPU; on a GPU whole batches are.
FRAMES_AT_ONCE = 24
VISUAL_AT_ONCE = 1600
"""Visual tokens. On an EPYC four clips of shapes (1,568 tokens) take 0.75 of the CPU time of one by
one in stage two, and 0.87 in stage three; four clips of things (3,072) take 1.15 in stage three.
The price: of eight clips of shapes there are two parts, and more than two threads have no work."""


@dataclass(frozen=True)
class TagScores:
    """Scores of the tags of some items, in logits."""

    tags: Tags
    by_head: Float[Tensor, "item tag"]
    by_words: Float[Tensor, "item tag"]
    acts: ActScores | None
    """Scores of what each kind does, if these tags are read in their own way."""

    @classmethod
    def join(cls, parts: "Sequence[TagScores]") -> "TagScores":
        """Join the scores of the parts of a batch."""
        heads, words = ([getattr(part, way) for part in parts] for way in ("by_head", "by_words"))
        acts = [part.acts for part in parts if part.acts is not None]
        joined = ActScores.join(acts) if acts else None
        return cls(parts[0].tags, torch.cat(heads), torch.cat(words), joined)

    def detach(self) -> "TagScores":
        """Return the scores without their graphs."""
        acts = None if self.acts is None else self.acts.detach()
        return TagScores(self.tags, self.by_head.detach(), self.by_words.detach(), acts)

    def compute_loss(
        self, marks: Float[Tensor, "item mark"], plain_weight: float
    ) -> Float[Tensor, ""]:
        """Compute the sum of both ways' losses.

        Args:
            marks: 1 for each tag that an item carries, else 0.
            plain_weight: Weight of all tags but acts, if acts are read in their own way.
        """
        carried = marks[:, : len(self.tags.all)]
        weight = torch.tensor(self.tags.positive_weight, device=marks.device)
        losses = [
            binary_cross_entropy_with_logits(by, carried, pos_weight=weight)
            for by in (self.by_head, self.by_words)
        ]
        plain = torch.stack(losses).sum()
        if self.acts is None:
            return plain
        shown, done = self._divide(marks)
        return plain_weight * plain + self.acts.compute_loss(shown, done)

    def _divide(self, marks: Tensor) -> tuple[Tensor, Tensor]:
        """Return which kinds are shown, and which actions each of them does."""
        acts = self.tags.acts
        assert acts is not None, "only tags with acts are divided"
        done = marks[:, len(self.tags.all) :].unflatten(1, (len(acts.kinds), len(acts.actions)))
        places = [self.tags.all.index((kind,)) for kind in acts.kinds]
        return marks[:, places], done

    def measure(self, marks: Float[Tensor, "item mark"]) -> dict[str, float]:
        """Measure the loss, the F1 of each way, and how often an action is right."""
        marks = marks.to(self.by_head.device)
        carried = marks[:, : len(self.tags.all)]
        return {
            "loss": self.compute_loss(marks, self.tags.plain_weight).item(),
            "f1_head": _compute_f1(self.by_head, carried),
            "f1_words": _compute_f1(self.by_words, carried),
            **({} if self.acts is None else self.acts.measure(self._divide(marks)[1])),
        }


class TagReader(nn.Module):
    """Reads tags from visual tokens in two ways: by a linear head, and by word embeddings.

    The head teaches the layers below what to tell apart; the words align visual tokens with the
    embeddings, so that a cell's state is near the words for what lies in it.
    """

    def __init__(self, width: int, tags: Tags, world: World) -> None:
        super().__init__()
        # The tokens of each phrase of each axis, by which cells are compared with words.
        self.groups = [[encode_phrases(axis, world) for axis in axes] for axes in tags.groups]
        self.tags = tags
        self.head = nn.Linear(width, len(tags.all))
        with torch.no_grad():
            self.head.bias.add_(tags.head_bias)
        self.scale = nn.Parameter(torch.tensor(10.0))
        self.bias = nn.Parameter(torch.tensor(tags.word_bias))
        self.acts = None if tags.acts is None else ActReader(width, tags.acts, world)

    def make_groups(self) -> list[ParameterGroup]:
        """Return the reader's own parameters with their rates, for an optimiser."""
        return [
            {"params": self.head.parameters(), "rate_scale": 1.0},
            # Two single numbers of size 4 and 10 have far to go at the rate of a matrix's entries.
            {"params": [self.scale, self.bias], "rate_scale": 10.0},
            *([] if self.acts is None else self.acts.make_groups()),
        ]

    def forward(
        self,
        seen: Float[Tensor, "item token width"],
        projected: Float[Tensor, "item token hidden"],
        words: Float[Tensor, "word hidden"],
        embedded: Float[Tensor, "item token hidden"],
    ) -> TagScores:
        """Read tags in both ways.

        Args:
            seen: Visual tokens for the head.
            projected: Visual tokens in the space of the word embeddings.
            words: The word embeddings.
            embedded: Visual tokens as they enter the decoder.
        """
        by_head = _pool_tokens(self.head(seen))
        cosine = normalize(projected, dim=-1) @ normalize(words, dim=-1).T
        summed = torch.cat([sum_phrases(cosine, axes) for axes in self.groups], dim=-1)
        by_words = _pool_tokens(summed * self.scale) + self.bias
        acts = None if self.acts is None else self.acts(seen, projected, embedded, words)
        return TagScores(self.tags, by_head, by_words, acts)


def _pool_tokens(scores: Float[Tensor, "item token tag"]) -> Float[Tensor, "item tag"]:
    # Log-mean-exp: like the maximum it lets one token decide, but every token gets a gradient.
    return scores.logsumexp(1) - math.log(scores.shape[1])


def _compute_f1(logits: Tensor, tags: Tensor) -> float:
    found = (logits > 0).float()
    return (2 * (found * tags).sum() / (found.sum() + tags.sum())).item()


def learn_tags(
    optimisers: Optimisers,
    reader: TagReader,
    batch: Tagged,
    read: Callable[[Tagged], tuple[TagScores, Tensor | float]],
    at_once: int,
) -> TagScores:
    """Take a step that lowers the loss on tags, and return the scores of the whole batch.

    Args:
        optimisers: Optimisers of all that learns.
        reader: Reader of tags, whose loss it is.
        batch: Frames or clips with their tags.
        read: Computes the scores of a part of the batch, and a loss besides that on its tags.
        at_once: Items of a part on the CPU.
    """
    device = reader.head.weight.device

    def compute_loss(part: Tagged) -> tuple[Tensor, TagScores]:
        part = move_batch(part, device)
        scores, besides = read(part)
        share = len(part.tags) / len(batch.tags)
        loss = scores.compute_loss(part.tags, reader.tags.plain_weight)
        return share * (loss + besides), scores.detach()

    parts = split_batch(batch, choose_part(len(batch.tags), at_once, device))
    return TagScores.join(take_step(optimisers, parts, compute_loss))


def count_clips_at_once(world: World) -> int:
    """Return how many clips of a world are computed together on a CPU."""
    return max(1, VISUAL_AT_ONCE // world.visual_tokens)


def choose_part(items: int, at_once: int, device: torch.device) -> int:
    """Choose how many items of a batch are computed together: on a GPU, all of them."""
    return min(items, at_once) if device.type == "cpu" else items
