"""Queries for things that are not in a clip, each of them wrong in one way.

They are hard: each differs from a query that is true of the clip in a single word. In three of the
four kinds nothing in the clip has that word. In the fourth, "binding", something else has it, so
that every word is true of the clip and only their combination is not: the kinds do not overlap.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from probe.organism.questions import swap_words
from probe.organism.world import ACTIONS, COLOURS, SHAPES, Clip, Thing

ABSENT_VERSION = 1
"""Version of the absent queries, raised whenever their choice changes. It is not part of
`SHAPES_VERSION`, because the other figures do not follow from them."""

ABSENT_KINDS = ("colour", "shape", "action", "binding")
"""The ways of being absent. Each kind has a generator of its own, seeded by its place here: add new
ones at the end only."""

ABSENT_DRAW = 3
"""Part of the seed of all draws made here. A clip is drawn from a seed and an index alone, and the
thing that is asked about from these and 2: no two of the three share their random numbers."""


def make_absent_queries(clip: Clip, thing: Thing, seed: tuple[int, int]) -> dict[str, str]:
    """Make one query of each kind that is true of nothing in a clip.

    Args:
        clip: The clip.
        thing: The thing in it whose words are changed.
        seed: Seed of the benchmark and index of the clip, from which the choice follows.

    Returns:
        A query for each kind, in the order of `ABSENT_KINDS`. A kind is missing where it is
        impossible: every shape may be in the clip, or every combination of its words true.
    """
    # The order of the options is part of the benchmark: the choice is a place in it.
    options = {
        "colour": list(_change_colour(clip, thing)),
        "shape": list(_change_shape(clip, thing)),
        "action": list(_change_action(clip, thing)),
        "binding": list(_change_binding(clip, thing)),
    }
    found = {}
    for place, kind in enumerate(ABSENT_KINDS):
        # A generator for each kind, so that no kind depends on the number of options of another.
        rng = np.random.default_rng((*seed, ABSENT_DRAW, place))
        if things := options[kind]:
            found[kind] = things[rng.integers(len(things))].query
    return found


def _change_colour(clip: Clip, thing: Thing) -> Iterator[Thing]:
    there = {other.colour for other in clip.things}
    return (replace(thing, colour=colour) for colour in COLOURS if colour not in there)


def _change_shape(clip: Clip, thing: Thing) -> Iterator[Thing]:
    there = {other.shape for other in clip.things}
    return (replace(thing, shape=shape) for shape in SHAPES if shape not in there)


def _change_action(clip: Clip, thing: Thing) -> Iterator[Thing]:
    there = {other.action for other in clip.things}
    return (replace(thing, action=action) for action in ACTIONS if action not in there)


def _change_binding(clip: Clip, thing: Thing) -> Iterator[Thing]:
    """Yield the thing with a word of another thing, where no thing is like that."""
    there = {(other.colour, other.shape, other.action) for other in clip.things}
    for colour, shape, action in swap_words(clip, thing):
        if (colour, shape, action) not in there:
            yield replace(thing, colour=colour, shape=shape, action=action)
