"""Queries for things that are not in a clip of things, each of them wrong in one way."""

import numpy as np

from probe.organism.things.changes import CHANGES, list_false
from probe.organism.things.facts import Facts
from probe.organism.things.scene import Clip, Thing

ABSENT_DRAW = 3
"""Part of the seed of all draws made here, which no other draw of a benchmark has."""


def make_absent_queries(clip: Clip, thing: Thing, seed: tuple[int, int]) -> dict[str, str]:
    """Make one query of each kind that is true of nothing in a clip.

    Args:
        clip: The clip.
        thing: The thing in it whose query is changed.
        seed: Seed of the benchmark and index of the clip, from which the choice follows.

    Returns:
        A query for each kind, in the order of `CHANGES`. A kind is missing where it is impossible:
        a dog has no colour to change, and one act has no order.
    """
    facts, meant = Facts(clip.things), thing.description
    found = {}
    for place, kind in enumerate(CHANGES):
        # A generator for each kind, so that no kind depends on the number of options of another.
        rng = np.random.default_rng((*seed, ABSENT_DRAW, place))
        if options := list_false(facts, meant, kind):
            found[kind] = f"the {options[rng.integers(len(options))].plain}"
    return found
