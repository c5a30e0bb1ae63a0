"""Statements about a part of a clip: phrases of its tags, true and false, which are read after it.

A question has fifteen words and one bit of answer, and asks about one of many kinds of things: from
questions alone no word learned to find its cells within 700 steps. A statement ("dog", "red car",
"dog jumps") has two or three words, and dozens of them are read after one part of a clip. From
these alone words of kinds told what is there with an AUROC of 0.97 after 160 steps. What is learned
of them are the tags of the clip, in other words: nothing says where or when they are true.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from probe.organism.tokens import encode
from probe.organism.worlds import RESTS, Tag, Tags, World

UNKNOWN_TRUTH = -1
"""The truth of a word that is not the last one of its statement."""

MOST_FALSE: Mapping[str, int] = MappingProxyType({"single": 9, "swapped": 10, "mixed": 8})
"""Most false statements of a part of a clip: of one phrase; of several, each of which is true of
something; and of several, only some of which are."""

STATEMENT_PADDING: Mapping[str, int] = MappingProxyType(
    {"ids": 0, "places": 0, "statements": -1, "truth": UNKNOWN_TRUTH}
)
"""Fields of a row of statements with one value a word, and the value that padding has in each."""


def pack_statements(
    tags: Tags, marks: Float[np.ndarray, " mark"], rng: np.random.Generator, world: World
) -> dict[str, list[int]]:
    """Pack true and false statements into a row of words, in random order.

    Args:
        tags: The tags of clips, whose phrases the statements are.
        marks: 1 for every tag and every act that is true, as `tags.mark` returns.
        rng: Generator of all random choices.
        world: The world of the clip.

    Returns:
        For each word its token, its place in its statement, the number of this, and 1 or 0 if it is
        the last word of one that is true or false.
    """
    row: dict[str, list[int]] = {name: [] for name in STATEMENT_PADDING}
    chosen = rng.permutation(list(choose_statements(tags, marks, rng)))
    for number, mark in enumerate(chosen.tolist()):
        ids = encode(" ".join(tags.marked[mark]), world)
        row["ids"] += ids
        row["places"] += range(len(ids))
        row["statements"] += [number] * len(ids)
        row["truth"] += [UNKNOWN_TRUTH] * (len(ids) - 1) + [int(marks[mark])]
    return row


def choose_statements(
    tags: Tags, marks: Float[np.ndarray, " mark"], rng: np.random.Generator
) -> Iterator[int]:
    """Choose all statements that are true, and some that are false; yield the numbers of the marks.

    Of false ones those are most, for their number, whose phrases are true of something each.
    """
    # There is no word for resting, and so no statement of it.
    spoken = [mark for mark, phrases in enumerate(tags.marked) if RESTS not in phrases]
    true = [mark for mark in spoken if marks[mark] > 0]
    yield from true
    said = {phrase for mark in true for phrase in tags.marked[mark]}
    false: dict[str, list[int]] = {name: [] for name in MOST_FALSE}
    for mark in spoken:
        if marks[mark] == 0 and (group := _group_false(tags.marked[mark], said)):
            false[group].append(mark)
    for group, found in false.items():
        yield from rng.permutation(found)[: MOST_FALSE[group]].astype(int).tolist()


def _group_false(phrases: Tag, said: set[str]) -> str:
    """Return the group of a false statement, given all phrases that are true of something."""
    if len(phrases) == 1:
        return "single"
    known = sum(phrase in said for phrase in phrases)
    # Of a statement without a true phrase nothing new is learned: "" for none.
    return "swapped" if known == len(phrases) else "mixed" if known else ""


class StatementReader(nn.Module):
    """Reads from the last word of any statement whether it is true.

    One direction for all words: what a word has to find out is whether what it names is there.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.head = nn.Linear(width, 1)

    def forward(
        self, states: Float[Tensor, "clip word hidden"], truth: Int[Tensor, "clip word"]
    ) -> "Judgements":
        """Read all statements.

        Args:
            states: The words after some layers, and a norm.
            truth: As `pack_statements` returns.
        """
        last = truth != UNKNOWN_TRUTH
        return Judgements(self.head(states[last])[:, 0], truth[last])


@dataclass(frozen=True)
class Judgements:
    """Scores of statements, in logits, and whether each is true."""

    scores: Float[Tensor, " statement"]
    truth: Int[Tensor, " statement"]

    def compute_loss(self) -> Float[Tensor, ""]:
        """Compute the mean loss."""
        return binary_cross_entropy_with_logits(self.scores, self.truth.float())

    def detach(self) -> "Judgements":
        """Return the scores without their graph."""
        return Judgements(self.scores.detach(), self.truth)

    @staticmethod
    def measure(parts: "Sequence[Judgements]") -> dict[str, float]:
        """Measure the share of statements judged rightly, true and false ones alike; {} if none."""
        if not any(len(one.truth) for one in parts):
            return {}
        scores = torch.cat([one.scores for one in parts])
        truth = torch.cat([one.truth for one in parts])
        shares = [((scores > 0) == wanted)[truth == wanted].float().mean() for wanted in (0, 1)]
        return {"stated": torch.stack(shares).mean().item()}
