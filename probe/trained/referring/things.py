"""Things in pictures with the sentences that mean them, and the batches that training draws.

A batch is the same for the same seed and step, however often a run was stopped.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from probe.candidates.mask_proposals import (
    ProposalConfig,
    ProposalSource,
    choose_proposals,
    shrink_proposals,
)
from probe.trained.referring.encoders import ClipEncoders
from probe.trained.responses.texts import fit_cues
from probe.video.masks import Mask


@dataclass(frozen=True)
class Truth:
    """The place of a thing, which only the evaluation is given."""

    mask: Mask
    box: tuple[float, float, float, float]
    """Left, top, right and bottom edge, in pixels."""


@dataclass(frozen=True)
class DescribedThing:
    """A thing in a picture, and the sentences that mean it and nothing else there."""

    name: str
    """Its name, different from all others of the data."""

    picture: Path
    thing: int
    """Number of the thing: two entries of one picture with one number are the same thing."""

    sentences: tuple[str, ...]
    cues: tuple[tuple[str, ...], ...] = ()
    """Phrases about the thing for each sentence, the most general first; empty for none."""

    truth: Truth | None = None

    def __post_init__(self) -> None:
        if not self.sentences:
            raise ValueError(f"{self.name}: no sentence means it; give at least one")
        if self.cues and len(self.cues) != len(self.sentences):
            raise ValueError(
                f"{self.name}: {len(self.cues)} lists of cues for {len(self.sentences)} sentences; "
                "give one each, or none"
            )

    def fit_cues(self, sentence: int, stages: int) -> tuple[str, ...]:
        """Return the cue of each stage for a sentence, the last of which is the sentence."""
        given = self.cues[sentence] if self.cues else ()
        return fit_cues(given, self.sentences[sentence], stages)


@dataclass(frozen=True, eq=False)
class PictureBatch:
    """Pictures with a sentence each and, where there is one, a sentence about another thing."""

    pictures: Float[Tensor, "picture 3 side side"]
    sentences: tuple[str, ...]
    cues: tuple[tuple[str, ...], ...]
    """The cues of each sentence, one for each stage."""

    other_sentences: tuple[str, ...]
    """The further sentence of each picture; its own, where there is none."""

    other_cues: tuple[tuple[str, ...], ...]
    has_other: Bool[Tensor, " picture"]
    proposals: Float[Tensor, "picture proposal cell"]

    def to(self, device: torch.device) -> "PictureBatch":
        """Return the batch with its tensors on a device."""
        names = ("pictures", "has_other", "proposals")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})


@dataclass(frozen=True)
class BatchConfig:
    """The choices of batches; the defaults are PCNet's."""

    size: int
    """Pictures in a batch."""

    stages: int
    """Number of cues of a sentence."""

    seed: int = 0
    proposals: ProposalConfig = field(default_factory=ProposalConfig)
    proposal_side: int = 32
    """Rows and columns to which proposals are shrunk, and maps are enlarged, to be compared."""


class ThingBatches:
    """The batches of a training run: in each epoch, each thing once, with one of its sentences.

    It is mutable: the shrunk proposals of each picture are remembered, in 5 kB.
    """

    def __init__(
        self,
        things: Sequence[DescribedThing],
        encoders: ClipEncoders,
        proposals: ProposalSource | None,
        config: BatchConfig,
    ) -> None:
        """Find for each thing the others of its picture.

        Args:
            things: The things; two at least, since each sentence is told from the others'.
            encoders: What pictures are read for.
            proposals: The masks of each picture; None where no loss needs any.
            config: The choices.

        Raises:
            ValueError: if there are fewer than two things, or one holds a truth.
        """
        if len(things) < 2:
            raise ValueError(f"{len(things)} things: sentences are told apart; give two at least")
        # Training must not be able to see it, not even by mistake.
        if told := [one.name for one in things if one.truth is not None]:
            raise ValueError(f"{told[0]}: has a true mask; training is given none")
        self._things = tuple(things)
        self._encoders = encoders
        self._proposals = proposals
        self._config = config
        self._shrunk: dict[Path, UInt8[np.ndarray, " byte"]] = {}
        by_picture: dict[Path, list[int]] = defaultdict(list)
        for place, one in enumerate(things):
            by_picture[one.picture].append(place)
        self._others = tuple(
            tuple(
                place for place in by_picture[one.picture] if self._things[place].thing != one.thing
            )
            for one in things
        )

    @property
    def per_epoch(self) -> int:
        """Number of batches of an epoch; what is left over at its end is not used."""
        return max(1, len(self._things) // self._config.size)

    def choose(self, step: int) -> Iterator[tuple[int, int, tuple[int, int] | None]]:
        """Choose the things of a step, each with a sentence and, if there is one, a further one.

        Returns:
            Triples: place of the thing, place of its sentence, and both of the other thing.
        """
        config, (epoch, place) = self._config, divmod(step, self.per_epoch)
        # A generator for each purpose: the order of an epoch does not depend on the steps done.
        order = np.random.default_rng((config.seed, 0, epoch)).permutation(len(self._things))
        rng = np.random.default_rng((config.seed, 1, step))
        for thing in order[place * config.size : (place + 1) * config.size].tolist():
            sentence = int(rng.integers(len(self._things[thing].sentences)))
            # Drawn whether or not there is a choice, so that sentences do not depend on pictures.
            draw, further = rng.random(2)
            others = self._others[thing]
            if not others:
                yield thing, sentence, None
                continue
            other = others[int(draw * len(others))]
            count = len(self._things[other].sentences)
            yield thing, sentence, (other, int(further * count))

    def load(self, step: int) -> PictureBatch:
        """Read the batch of a step.

        Raises:
            ValueError: if a picture or its proposals cannot be read.
        """
        chosen = list(self.choose(step))
        stages = self._config.stages
        own = [(self._things[thing], sentence) for thing, sentence, _ in chosen]
        other = [
            pair if further is None else (self._things[further[0]], further[1])
            for pair, (_, _, further) in zip(own, chosen, strict=True)
        ]
        paths = [one.picture for one, _ in own]
        return PictureBatch(
            torch.stack([self._encoders.read_picture(path) for path in paths]),
            tuple(one.sentences[sentence] for one, sentence in own),
            tuple(one.fit_cues(sentence, stages) for one, sentence in own),
            tuple(one.sentences[sentence] for one, sentence in other),
            tuple(one.fit_cues(sentence, stages) for one, sentence in other),
            torch.tensor([further is not None for _, _, further in chosen]),
            torch.stack([self._read_proposals(path) for path in paths]),
        )

    def _read_proposals(self, path: Path) -> Float[Tensor, "proposal cell"]:
        config = self._config
        cells, most = config.proposal_side**2, config.proposals.most
        # To decode 40 masks takes longer than to read the picture, for each thing and epoch.
        if path not in self._shrunk:
            found = () if self._proposals is None else self._proposals.find(path)
            kept = choose_proposals(found, config.proposals)
            shrunk = shrink_proposals(kept, config.proposal_side, most)
            self._shrunk[path] = np.packbits(shrunk.numpy().astype(bool))
        bits = np.unpackbits(self._shrunk[path], count=most * cells)
        return torch.from_numpy(bits.reshape(most, cells)).float()
