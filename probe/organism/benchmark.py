"""The shapes benchmark: clips of the organism's world with a query each, and the truth."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from probe.organism.questions import existence
from probe.organism.world import Clip, Thing, make_clip
from probe.video import Tube

VERSION = 2
"""Raised whenever the world or the choice of queries changes; scores compare within a version."""


@dataclass(frozen=True)
class Case:
    """A clip and the thing in it that is asked about."""

    name: str
    clip: Clip
    thing: Thing

    @property
    def query(self) -> str:
        """The sentence to ground."""
        return self.thing.query

    @property
    def question(self) -> str:
        """Whether the thing is there and does what it does."""
        return existence(f"{self.thing.attribute} that {self.thing.action}", "the")

    @property
    def truth(self) -> Tube:
        """The true tube: the thing's boxes while it acts."""
        return self.thing.tube()

    @property
    def tracks(self) -> tuple[Tube, ...]:
        """The true track of everything in the clip, the queried thing's first."""
        others = [thing for thing in self.clip.things if thing is not self.thing]
        return self.thing.track(), *(thing.track() for thing in others)


@dataclass(frozen=True)
class Benchmark:
    """A seed and a number of clips; everything else follows."""

    name: str
    seed: int
    size: int

    def cases(self, limit: int | None = None) -> Iterator[Case]:
        """The first `limit` cases, all by default; the same at every call."""
        return map(self.case, range(self.size if limit is None else min(limit, self.size)))

    def case(self, index: int) -> Case:
        """One case, the same at every call."""
        clip = make_clip((self.seed, index))
        which = int(np.random.default_rng((self.seed, index, 2)).integers(len(clip.things)))
        return Case(self.case_name(index), clip, clip.things[which])

    def case_name(self, index: int) -> str:
        """What a case is called, without making it."""
        return f"{self.name}-v{VERSION}/{index:04d}"


SHAPES_VAL = Benchmark("shapes-val", 90_001, 500)
"""For choosing: layers, rates, rules."""

SHAPES_TEST = Benchmark("shapes-test", 90_002, 1000)
"""For reporting what was chosen, and nothing else."""
