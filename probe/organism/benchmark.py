"""Benchmarks of drawn worlds: clips of an organism's world, each with a query and the truth."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from probe.organism.questions import ask_existence
from probe.organism.shapes import SHAPES, SHAPES_VERSION
from probe.organism.worlds import Clip, Thing, World
from probe.video import Tube

__all__ = [
    "SHAPES_REPORT_2",
    "SHAPES_TEST",
    "SHAPES_VAL",
    "SHAPES_VERSION",
    "Benchmark",
    "Case",
]


@dataclass(frozen=True)
class Case:
    """A clip, and the thing in it that is asked about."""

    name: str
    clip: Clip
    thing: Thing
    seed: tuple[int, int]
    """Seed of the benchmark and place in it, from which everything about the case follows."""

    world: World = SHAPES

    @property
    def query(self) -> str:
        """The sentence to ground."""
        return self.thing.query

    @property
    def question(self) -> str:
        """The yes-or-no question whether the queried thing is in the clip; the answer is yes."""
        return ask_existence(f"{self.thing.attribute} that {self.thing.action}", "the")

    @property
    def absent(self) -> Mapping[str, str]:
        """Hard queries by kind that are true of nothing in the clip: see the world's `absent`.

        >>> SHAPES_VAL.case(0).query
        'the red triangle that grows'
        >>> for kind, query in SHAPES_VAL.case(0).absent.items():
        ...     print(f"{kind:8}", query)
        colour   the blue triangle that grows
        shape    the red circle that grows
        action   the red triangle that glows
        binding  the red triangle that slides right
        """
        return MappingProxyType(self.world.make_absent_queries(self.clip, self.thing, self.seed))

    @property
    def truth(self) -> Tube:
        """The true tube: the thing's boxes while it acts."""
        return self.thing.tube()

    @property
    def tracks(self) -> tuple[Tube, ...]:
        """The true tracks of all things in the clip; the queried thing's is the first."""
        others = [thing for thing in self.clip.things if thing is not self.thing]
        return self.thing.track(), *(thing.track() for thing in others)


@dataclass(frozen=True)
class Benchmark:
    """A name, a seed and a number of clips, from which all cases follow."""

    name: str
    seed: int
    size: int
    world: World = SHAPES
    chosen_on: "Benchmark | None" = None
    """The benchmark on which is chosen what is reported on this one; None if that is itself."""

    def cases(self, limit: int | None = None) -> Iterator[Case]:
        """Yield the first `limit` cases, by default all; every call yields the same."""
        return map(self.case, range(self.size if limit is None else min(limit, self.size)))

    def case(self, index: int) -> Case:
        """Make one case; every call makes the same."""
        clip = self.world.make_clip((self.seed, index))
        which = int(np.random.default_rng((self.seed, index, 2)).integers(len(clip.asked)))
        thing, seed = clip.asked[which], (self.seed, index)
        return Case(self.case_name(index), clip, thing, seed, self.world)

    @property
    def version(self) -> str:
        """Its name with the version of its world: scores compare within it."""
        return f"{self.name}-v{self.world.version}"

    def case_name(self, index: int) -> str:
        """Return the name of a case without making the case."""
        return f"{self.version}/{index:04d}"


SHAPES_VAL = Benchmark("shapes-val", 90_001, 500)
"""The benchmark on which layers, rates and rules are chosen."""

SHAPES_TEST = Benchmark("shapes-test", 90_002, 1000, chosen_on=SHAPES_VAL)
"""The benchmark of the reports so far. The shipped model's recipe changed while it was used, so it
is no longer one on which nothing was chosen."""

SHAPES_REPORT_2 = Benchmark("shapes-report-2", 611_003, 1000, chosen_on=SHAPES_VAL)
"""The benchmark for reports from 26 November 2026 on: nothing is ever chosen on it."""
