"""The worlds by their names."""

from collections.abc import Mapping
from types import MappingProxyType

from probe.organism.shapes import SHAPES
from probe.organism.things.world import THINGS
from probe.organism.worlds import World

WORLDS: Mapping[str, World] = MappingProxyType({world.name: world for world in (SHAPES, THINGS)})
"""Every world that is shipped, by its name."""
