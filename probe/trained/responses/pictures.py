"""Batches of single frames with their sentences, cues and proposals, drawn from kept states."""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from probe.trained.responses.examples import Described, FrameRule
from probe.trained.responses.network import ReferringBatch
from probe.trained.responses.states import FrameStates, StateStore

KEPT_BYTES = 4 * 2**30
"""States that are held in memory; of more, the rest is read from disk each time it is drawn."""

SMALLEST_SPREAD = 1e-6
"""Least spread that a channel is divided by: one that never changes says nothing."""

SMALLEST_SHARE = 2**-10
"""Least spread as a share of the channel's mean. States are kept in 16 bits, which round a number
by about as much: divided by less, their rounding would become loud."""


@dataclass(frozen=True, eq=False)
class Scaling:
    """Mean and spread of each channel of some vectors, by which they are standardised.

    States of large models have channels that are a thousand times as large as the others; a
    network would see little else.
    """

    centre: Float[Tensor, " width"]
    spread: Float[Tensor, " width"]

    @classmethod
    def measure(cls, parts: Iterable[Float[Tensor, "_ width"]]) -> "Scaling":
        """Measure the mean and the standard deviation of each channel, part by part.

        Parts are read once, since all states of a large model do not fit in memory.
        """
        count, sums, squares = 0, 0.0, 0.0
        for vectors in parts:
            exact = vectors.double()  # sums of millions of numbers
            count += len(exact)
            sums, squares = sums + exact.sum(0), squares + exact.square().sum(0)
        centre = torch.as_tensor(sums / count)
        spread = (torch.as_tensor(squares / count) - centre.square()).clamp(min=0).sqrt()
        least = (centre.abs() * SMALLEST_SHARE).clamp(min=SMALLEST_SPREAD)
        return cls(centre.float(), spread.maximum(least).float())

    def apply(self, vectors: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        """Standardise vectors, in float32."""
        return (vectors.float() - self.centre) / self.spread


@dataclass(frozen=True, eq=False)
class DrawnBatch:
    """A batch to learn from: frames with one sentence each, and with a further one if there is."""

    own: ReferringBatch
    other: ReferringBatch
    """These frames with the further sentence; with their own where there is none."""

    has_other: Bool[Tensor, " picture"]
    proposals: Float[Tensor, "picture proposal cell"]


class Pictures:
    """The frames of all videos of a set, from which batches are drawn.

    It is mutable: states are read when they are first drawn, and kept while there is room.
    """

    def __init__(
        self,
        store: StateStore,
        videos: Sequence[Described],
        texts: Mapping[str, Float[Tensor, " width"]],
        cues: Mapping[str, Sequence[str]],
        frames: FrameRule,
        most_proposals: int,
    ) -> None:
        """Read the sizes of all videos, and group those of one grid.

        Args:
            store: The states of the videos.
            videos: The videos, all of which the store has.
            texts: The vector of each sentence and of each cue.
            cues: The cues of each sentence, one a stage.
            frames: The rule for the frames that are trained on.
            most_proposals: The largest proposals that are kept of each frame.

        Raises:
            ValueError: if no two videos have one grid.
        """
        self._store = store
        self._videos = videos
        self._texts = texts
        self._cues = cues
        self._frames = frames
        self._most_proposals = most_proposals
        self._kept: dict[str, FrameStates] = {}
        self._bytes = 0
        sizes = [self._read(one).cells.shape[1:] for one in videos]
        # A batch holds pictures of one size; videos of other shapes are in batches of their own.
        groups = [
            [place for place, size in enumerate(sizes) if size == one]
            for one in dict.fromkeys(sizes)
        ]
        # Alone in a batch, a sentence would be told from none, and learn nothing.
        self._groups = [group for group in groups if len(group) > 1]
        if not self._groups:
            raise ValueError(
                f"no two of {len(videos)} videos have frames of as many rows and columns of cells, "
                f"and sentences are told apart in frames of one size; give videos of equal sizes"
            )
        if alone := len(groups) - len(self._groups):
            warnings.warn(
                f"{alone} of {len(videos)} videos are left out: no other has frames of their size",
                stacklevel=3,
            )

    def draw(self, rng: np.random.Generator, count: int) -> DrawnBatch:
        """Draw pictures of different videos, each with a sentence and a frame in which it holds.

        Args:
            rng: Source of random numbers; the same numbers give the same batch.
            count: Number of pictures; fewer where fewer videos have one grid.
        """
        shares = np.array([len(group) for group in self._groups], dtype=float)
        group = self._groups[int(rng.choice(len(shares), p=shares / shares.sum()))]
        places = rng.choice(group, min(count, len(group)), replace=False)
        return self._collate([self._draw_one(rng, self._videos[place]) for place in places])

    def sample_states(self, count: int) -> Iterator[Float[Tensor, "_ width"]]:
        """Yield the states of all cells of at most `count` videos, evenly spread over the set."""
        step = -(-len(self._videos) // count)
        for one in self._videos[::step]:
            yield self._read(one).states.flatten(0, 1)

    def _draw_one(
        self, rng: np.random.Generator, one: Described
    ) -> tuple[Tensor, Tensor, str, str]:
        """Draw a frame of a video: its states, its proposals, its sentence and a further one."""
        # Another one each time: one sentence is drawn for each video and pass, as in the paper.
        order = rng.permutation(len(one.sentences))
        kept = self._read(one)
        frames = list(self._frames(kept.cells, kept.spans[order[0]]))
        if not frames:
            raise ValueError(f"{one.name}: the rule for frames gave none; give one at least")
        frame = int(rng.choice(frames))
        masks = kept.proposals[:, frame]
        largest = masks.sum(-1).argsort(descending=True, stable=True)[: self._most_proposals]
        own, other = (one.sentences[order[place % len(order)]] for place in (0, 1))
        return kept.states[frame].float(), masks[largest].float(), own, other

    def _collate(self, drawn: Sequence[tuple[Tensor, Tensor, str, str]]) -> DrawnBatch:
        states, masks, own, other = zip(*drawn, strict=True)
        cells = torch.stack(states)
        most = max(1, *(len(one) for one in masks))
        # Filled up with empty masks, which no map is strongest on.
        proposals = cells.new_zeros(len(cells), most, cells.shape[1])
        for place, one in enumerate(masks):
            proposals[place, : len(one)] = one
        return DrawnBatch(
            self._describe(cells, own),
            self._describe(cells, other),
            torch.tensor([a != b for a, b in zip(own, other, strict=True)]),
            proposals,
        )

    def _describe(self, cells: Tensor, sentences: Sequence[str]) -> ReferringBatch:
        """Add the vectors of a sentence and its cues to each picture."""
        return ReferringBatch(
            cells,
            torch.stack([self._texts[one] for one in sentences]),
            torch.stack([torch.stack([self._texts[c] for c in self._cues[s]]) for s in sentences]),
        )

    def _read(self, one: Described) -> FrameStates:
        if one.name in self._kept:
            return self._kept[one.name]
        found = self._store.read(one)
        size = found.states.nbytes
        if self._bytes + size <= KEPT_BYTES:
            self._kept[one.name] = found
            self._bytes += size
        return found
