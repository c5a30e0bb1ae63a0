"""Facts about the things of a clip: of which of them a description is true.

A relation such as "next to" has a sure yes, a sure no, and cases between, about which people would
argue: these are never asked about.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int8

from probe.organism.things.acting import FOLLOWS
from probe.organism.things.descriptions import RELATIONS, Description
from probe.organism.things.scene import Thing

NEAR, NOT_NEAR = 7.0, 15.0
"""Gap between two things up to which one is next to the other, and from which on it is not."""

COVERED = 0.1
"""Share of a thing's box that the thing before it must cover to be said to hide a part of it."""

EVERY = 4
"""Relations are compared in every frame of this distance: a third of a second at most is missed."""


def describe_fully(thing: Thing) -> Description:
    """Describe a thing by its kind, colour and size."""
    return Description(thing.kind, thing.colour, thing.size)


def list_doings(thing: Thing) -> frozenset[str]:
    """List every action phrase that is true of a thing.

    A thing that does two things does each of them, and a thing that follows a red car follows a
    car.
    """
    whole = thing.action
    single = {act.name for act in thing.acts if act.name != FOLLOWS}
    led = {f"{FOLLOWS} the {thing.led_by}"} if thing.led_by else set[str]()
    led |= {f"{FOLLOWS} the {thing.led_by.rsplit(' ', 1)[-1]}"} if thing.led_by else set()
    # A thing that rests has no action at all, not one without a name.
    return frozenset({whole} | single | led) - {""}


@dataclass(frozen=True, eq=False)
class Facts:
    """All that is true of a few things: what each is, what it does, how they are related."""

    things: tuple[Thing, ...]

    @cached_property
    def doings(self) -> tuple[frozenset[str], ...]:
        """The action phrases that are true of each thing."""
        return tuple(map(list_doings, self.things))

    @cached_property
    def related(self) -> Int8[np.ndarray, "relation thing thing"]:
        """1 where the first thing is surely so related to the second, -1 where surely not."""
        return relate(
            np.stack([thing.squares[::EVERY] for thing in self.things]),
            [thing.depth for thing in self.things],
        )

    def find(self, meant: Description) -> tuple[int, ...]:
        """Return the places of the things of which a description is surely true."""
        return tuple(i for i in range(len(self.things)) if self.judge(i, meant) > 0)

    def is_true(self, meant: Description) -> bool:
        """Return whether a description is surely true of something."""
        return any(self.judge(i, meant) > 0 for i in range(len(self.things)))

    def is_false(self, meant: Description) -> bool:
        """Return whether a description is surely true of nothing."""
        return all(self.judge(i, meant) < 0 for i in range(len(self.things)))

    def names(self, meant: Description, place: int) -> bool:
        """Return whether a description means one thing and surely no other."""
        return all((self.judge(i, meant) > 0) == (i == place) and self.judge(i, meant) != 0
                   for i in range(len(self.things)))  # fmt: skip

    def judge(self, place: int, meant: Description) -> int:
        """Return 1 if a description is surely true of a thing, -1 if surely not, 0 in between."""
        thing = self.things[place]
        if meant.kind not in ("", thing.kind) or meant.colour not in ("", thing.colour):
            return -1
        if meant.size not in ("", thing.size):
            return -1
        if meant.action and meant.action not in self.doings[place]:
            return -1
        # A relation comes last: it is the only part that may be in doubt.
        if meant.other is None:
            return 1
        # The best of all things that the other may be: one that is surely related is enough.
        rows = self.related[RELATIONS.index(meant.relation), place]
        others = [
            int(rows[i])
            for i in range(len(self.things))
            if i != place and self.judge(i, meant.other) > 0
        ]
        return max(others, default=-1)


def relate(
    boxes: Float[np.ndarray, "thing frame 4"], depths: Sequence[int]
) -> Int8[np.ndarray, "relation thing thing"]:
    """Judge every relation of every two things.

    Args:
        boxes: Their squares in each frame.
        depths: Order in which they are drawn.

    Returns:
        1 where a relation holds in every frame, -1 where it holds in none, not even nearly; else 0.
        A thing is related to itself in no way.
    """
    left, top, right, bottom = (boxes[:, None, :, side] for side in range(4))
    left2, top2, right2, bottom2 = (boxes[None, :, :, side] for side in range(4))
    gap = np.maximum(left2 - right, left - right2)
    rise = np.minimum(bottom, bottom2) - np.maximum(top, top2)
    height = np.minimum(bottom - top, bottom2 - top2)
    # Not next to each other at different heights: half of the lower one's height must be shared.
    level = rise > 0.5 * height
    apart = (gap > NOT_NEAR) | (rise < -2)
    middle = (left + right - left2 - right2) / 2
    shared = np.clip(-gap, 0, None) * np.clip(rise, 0, None)
    area = (right - left) * (bottom - top)
    before = np.asarray(depths)[:, None, None] < np.asarray(depths)[None, :, None]
    behind = before & (shared > COVERED * area)
    not_behind = ~before | (shared <= 0)
    sure = [
        (level & (gap <= NEAR) & (gap > -3), apart),
        (level & (right - left2 < 3), middle > 0),
        (level & (right2 - left < 3), middle < 0),
        (behind, not_behind),
        (behind.transpose(1, 0, 2), not_behind.transpose(1, 0, 2)),
    ]
    found = np.stack([yes.all(-1).astype(np.int8) - no.all(-1).astype(np.int8) for yes, no in sure])
    found[:, np.arange(len(boxes)), np.arange(len(boxes))] = -1
    return found
