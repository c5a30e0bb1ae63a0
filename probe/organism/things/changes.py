"""Descriptions that are true of nothing in a clip, each a small change of one that is true.

A hard change takes its word from another thing of the clip; an easy one takes any word. Both the
questions that are to be denied and the absent queries of the benchmarks are chosen from these.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from types import MappingProxyType

from probe.organism.things.acting import FOLLOWS, MOTIONS, STATES
from probe.organism.things.descriptions import RELATIONS, Description
from probe.organism.things.facts import Facts
from probe.organism.things.kinds import COLOURS, KINDS, PAINTED, SIZES

Changes = Iterator[Description]


def change_kind(facts: Facts, meant: Description) -> Changes:
    """Yield the description with a kind that is not in the clip."""
    there = {thing.kind for thing in facts.things}
    # A colour is said only of kinds that come in several: else it would give the answer away.
    kinds = PAINTED if meant.colour else KINDS
    return (replace(meant, kind=kind) for kind in kinds if kind not in there)


def change_colour(facts: Facts, meant: Description) -> Changes:
    """Yield the description with a colour that no thing of a painted kind has."""
    there = {thing.colour for thing in facts.things}
    # Also of a kind that was not said to have a colour, if it has one: a wrong word is added.
    wrong = [colour for colour in COLOURS if colour not in there]
    return (replace(meant, colour=colour) for colour in wrong if meant.kind in PAINTED)


def change_size(facts: Facts, meant: Description) -> Changes:
    """Yield the description with a size that nothing of its kind has."""
    there = {thing.size for thing in facts.things if thing.kind == meant.kind}
    return (replace(meant, size=size) for size in SIZES if size and size not in there)


def change_action(facts: Facts, meant: Description) -> Changes:
    """Yield the description with an action that nothing in the clip does."""
    done = frozenset[str]().union(*facts.doings)
    return (replace(meant, action=name) for name in (*STATES, *MOTIONS) if name not in done)


def swap_words(facts: Facts, meant: Description) -> Changes:
    """Yield the description with one part of it exchanged for that of another thing.

    Every word is true of something in the clip.
    """
    for place, other in enumerate(facts.things):
        if meant.colour and other.colour:
            yield replace(meant, colour=other.colour)
            yield replace(meant, kind=other.kind)
        elif not meant.colour and meant.kind:
            yield replace(meant, kind=other.kind)
        if meant.size and other.size:
            yield replace(meant, size=other.size)
        if meant.action:
            # In a fixed order: a set has none.
            yield from (replace(meant, action=name) for name in sorted(facts.doings[place]))


def change_relation(facts: Facts, meant: Description) -> Changes:
    """Yield the description with another relation, or with another thing that it is related to."""
    if meant.other is None:
        return
    yield from (replace(meant, relation=name) for name in RELATIONS if name != meant.relation)
    for other in facts.things:
        if other.kind not in (meant.kind, meant.other.kind):
            yield replace(meant, other=Description(other.kind, other.colour))


def change_order(facts: Facts, meant: Description) -> Changes:  # noqa: ARG001
    """Yield the description of two things done in a row in the other order."""
    first, joint, second = meant.action.partition(" and then ")
    if joint:
        yield replace(meant, action=f"{second}{joint}{first}")


CHANGES: MappingProxyType[str, Callable[[Facts, Description], Changes]] = MappingProxyType(
    {
        "kind": change_kind,
        "colour": change_colour,
        "size": change_size,
        "action": change_action,
        "binding": swap_words,
        "relation": change_relation,
        "order": change_order,
    }
)
"""The ways of being absent. Each kind has a generator of its own in the benchmarks, seeded by its
place here: add new ones at the end only."""


def list_false(facts: Facts, meant: Description, kind: str) -> list[Description]:
    """List the changes of one kind that are surely true of nothing, each once, in a fixed order."""
    found = dict.fromkeys(change for change in CHANGES[kind](facts, meant))
    return [change for change in found if facts.is_false(change) and not _follows_itself(change)]


def _follows_itself(meant: Description) -> bool:
    # "the dog that follows the dog", "the dog next to the dog": nobody would ask.
    led = meant.action.removeprefix(f"{FOLLOWS} the ") if FOLLOWS in meant.action else ""
    related = meant.other.kind if meant.other else ""
    return bool(meant.kind) and meant.kind in (led.rsplit(" ", 1)[-1], related)
