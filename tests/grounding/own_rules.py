"""Rules as a user writes them, in a module of her own: nothing in the package knows of them."""

# ruff: noqa: ARG001, ARG002  rules take what they are given

from dataclasses import dataclass, replace

import torch

from probe.engine.interventions import Edit


def first_word(reading):
    """A token rule: the first word of the question."""
    return [reading.prompt.indices("word")[0]]


@dataclass(frozen=True)
class LastWords:
    """A token rule with a choice: the last words of the question."""

    count: int = 2

    def __call__(self, reading):
        return reading.prompt.indices("word")[-self.count :]


def first_half(scores):
    """A span rule: the first half of the frames."""
    return range(max(1, len(scores) // 2))


def smallest(view, queries, where, candidates):
    """A track rule: the candidate that covers the fewest cells."""
    return [-float(where.heatmap.cells.coverage(track).sum()) for track in candidates]


def later_is_better(view, queries, when, track):
    """A frame rule: the later, the higher."""
    return torch.arange(len(when.heatmap.values), dtype=torch.float32)


def look_away(asked, generic):
    """A loss on attention: the role tokens attend to the video as little as they can."""
    roles = list(asked.prompt.indices("role"))
    return asked.mean_attention()[roles].sum()


look_away.attention_layers = (2, 3)  # pyright: ignore[reportFunctionMemberAccess]


@dataclass(frozen=True)
class AskedLess:
    """A loss with a choice that mixes answer and attention."""

    attention_layers: tuple[int, ...] = (3,)
    weight: float = 2.0

    def __call__(self, asked, generic):
        return self.weight * asked.attention.sum() - (asked.yes_minus_no - generic.yes_minus_no)


@dataclass(frozen=True)
class HalfHeads:
    """A head edit: the outputs of one head, halved, at all tokens of the question."""

    layer: int
    head: int

    def edits(self, extent):
        def halve(outputs):
            return torch.cat(
                [
                    outputs[:, : self.head],
                    outputs[:, self.head : self.head + 1] / 2,
                    outputs[:, self.head + 1 :],
                ],
                dim=1,
            )

        return {self.layer: Edit(outputs=halve)}

    def reversed(self):
        return self


@dataclass(frozen=True, eq=False)
class Steer:
    """A residual edit: a vector added to the states that enter a layer, at all question tokens."""

    layer: int
    vector: torch.Tensor

    def edits(self, extent):
        return {self.layer: Edit(states=lambda states: states + self.vector.to(states))}

    def reversed(self):
        return replace(self)
