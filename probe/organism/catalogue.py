"""The worlds by their names."""

from collections.abc import Mapping
from types import MappingProxyType

from probe.organism.shapes import SHAPES
from probe.organism.things.world import THINGS
from probe.organism.tokens import open_tokenizer
from probe.organism.worlds import World

WORLDS: Mapping[str, World] = MappingProxyType({world.name: world for world in (SHAPES, THINGS)})
"""Every world that is shipped, by its name."""


def find_world(vocabulary: Mapping[str, int]) -> World | None:
    """Find the world whose organism has this vocabulary; None if no organism has it."""
    return next(
        (world for world in WORLDS.values() if open_tokenizer(world).get_vocab() == vocabulary),
        None,
    )
