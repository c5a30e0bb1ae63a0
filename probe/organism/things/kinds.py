"""The kinds of things, the colours that some of them come in, and their sizes."""

from types import MappingProxyType

COLOURS = ("red", "yellow", "green", "blue", "purple")
"""Colours of the kinds that come in several."""

PAINTED = ("car", "balloon", "umbrella", "book", "teapot", "shirt", "bird", "backpack")
"""Kinds that come in every colour. The others have the colours of their picture alone, which no
question names."""

ANIMALS = (
    "dog cat horse pig cow lion tiger fox panda frog rooster penguin owl duck fish octopus turtle "
    "butterfly bee elephant rabbit crab bird"
)
VEHICLES = "car bus bicycle plane rocket boat train tractor helicopter"
FOOD = "apple banana strawberry melon pizza burger cake carrot mushroom"
OBJECTS = (
    "ball kite guitar drum umbrella balloon bell camera clock robot book teapot shirt backpack"
)
PEOPLE = "chef farmer doctor astronaut firefighter builder detective policeman"

KINDS = tuple(f"{ANIMALS} {VEHICLES} {FOOD} {OBJECTS} {PEOPLE}".split())
"""Every kind by its name, each of one word. The order is that of the sheet of sprites."""

SIZES = MappingProxyType({"small": (15, 18), "": (22, 26), "big": (31, 35)})
"""Sides of the square that a thing of each size fills at rest, in pixels: least and most. Between
the sizes are gaps, so that a size can be told without a thing to compare with."""


def list_looks(kind: str) -> tuple[str, ...]:
    """Return the names of a kind with each of its colours, which are the names of its sprites.

    >>> list_looks("dog"), list_looks("car")[:2]
    (('dog',), ('red car', 'yellow car'))
    """
    return tuple(f"{colour} {kind}" for colour in COLOURS) if kind in PAINTED else (kind,)


# The order is that of the sheet and of the tags: a change needs new pictures and new weights.
LOOKS = tuple(look for kind in KINDS for look in list_looks(kind))
"""The names of all sprites: of each kind, in each of its colours."""
