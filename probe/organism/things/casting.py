"""The choice of a clip: which things, what they do, where they are, and how they are called.

Everything follows from a seed. The benchmarks and the weights depend on every draw here, in this
order: a change needs a new `THINGS_VERSION`.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from probe.organism.things.acting import (
    CHANGE,
    DELAY,
    FOLLOWS,
    GROWN,
    HOP,
    LENGTH,
    MOTIONS,
    MOVING,
    PERIOD,
    PERIODIC,
    STATES,
    WAY,
    Act,
    measure_way,
    trace,
)
from probe.organism.things.descriptions import RELATIONS, Description
from probe.organism.things.facts import Facts, describe_fully
from probe.organism.things.grounds import DRIFT, SIDE, choose_ground
from probe.organism.things.kinds import COLOURS, KINDS, PAINTED, SIZES
from probe.organism.things.scene import Clip, Thing
from probe.organism.worlds import Pair
from probe.video import Span

COUNTS = (3, 4, 5, 6, 7, 8)
COUNT_SHARES = (0.12, 0.18, 0.2, 0.2, 0.16, 0.14)
"""Numbers of things that a clip is meant to have, and how frequent each is. A clip in which there
is no place for all has fewer, but at least three."""

RESTING = 0.25
"""Share of things that do nothing."""

TWO_ACTS = 0.15
"""Share of acting things that do two things, one after the other."""

FOLLOWING = 0.2
"""Share of clips in which something follows another thing, if there is room."""

COLOURFUL = 0.3
"""Share of things that are of a kind which comes in several colours, before these are shared."""

ALIKE, SAME_ACTION = 0.3, 0.4
"""Share of things of the same kind as an earlier one, and of those that do what another does."""

ROUND = ("ball", "fish")
"""Kinds that look nearly the same upside down."""

PAIRED = 0.6
"""Share of things that are placed next to a thing, or so that one covers a part of the other."""

MOST_SHARED, MOST_COVERED = 0.35, 0.55
"""Largest share of a thing's square that another may cover by chance, and on purpose."""

TRIES = 60
"""Places that are tried for a thing before it is left out."""

T = TypeVar("T")
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Role:
    """A thing before it has a place."""

    kind: str
    colour: str
    size: str
    acts: tuple[Act, ...]
    side: int
    flipped: bool

    @cached_property
    def reach(self) -> Box:
        """The box around all that it covers during the clip, if it rests at (0, 0)."""
        way = measure_way(self.acts, not self.flipped)
        names = {act.name for act in self.acts}
        half = self.side / 2
        side = half * (GROWN if "grows" in names else 1)
        # It grows upwards: its feet stay.
        up = max(2 * side - half, half + HOP if "jumps" in names else 0)
        return float(way.min()) - side, -up, float(way.max()) + side, half

    @property
    def room(self) -> float:
        """The area that it covers during the clip, in square pixels."""
        left, top, right, bottom = self.reach
        return (right - left) * (bottom - top)


@dataclass(frozen=True)
class Placed:
    """A role with its place: the centre of its square at rest, in pixels of the mean picture."""

    role: Role
    x: int
    y: int
    leader: int = -1
    """Place in the cast of the thing that it follows; -1 if it follows none."""

    partner: "Placed | None" = None
    """The thing that it was placed with, of which it may cover more than of others."""

    @property
    def square(self) -> Box:
        """Its square at rest."""
        half = self.role.side / 2
        return self.x - half, self.y - half, self.x + half, self.y + half

    @property
    def reach(self) -> Box:
        """The box around all that it covers during the clip."""
        left, top, right, bottom = self.role.reach
        return self.x + left, self.y + top, self.x + right, self.y + bottom


def make_clip(seed: int | Sequence[int], without: Collection[Pair] = ()) -> Clip:
    """Make the clip of a seed; the same seed always gives the same clip.

    Args:
        seed: Seed of everything in the clip.
        without: Colours with kinds that no thing of the clip has together.
    """
    rng = np.random.default_rng(seed)
    ground, camera = choose_ground(rng), choose_camera(rng)
    while True:
        placed = place_cast(rng, choose_cast(rng))
        if len(placed) < COUNTS[0] or any((r.colour, r.kind) in without for r in _roles(placed)):
            continue
        clip = Clip(name_things(rng, build_things(placed, camera)), ground, camera)
        if clip.asked:
            return clip


def _roles(placed: Sequence[Placed]) -> Iterator[Role]:
    return (one.role for one in placed)


def choose_camera(rng: np.random.Generator) -> Float[np.ndarray, "frame 2"]:
    """Choose a slow motion of the camera, in steps of half a pixel."""
    times = np.linspace(-1, 1, LENGTH)[:, None]
    drift = rng.uniform(-1, 1, 2) * (rng.random() < 0.7) * times * DRIFT * 0.7
    sway = rng.uniform(0, 1.2, 2) * np.sin(times * rng.uniform(2, 5, 2) + rng.uniform(0, 6, 2))
    camera = np.rint(np.clip(drift + sway, -DRIFT, DRIFT) * 2) / 2
    camera.flags.writeable = False
    return camera


def choose_cast(rng: np.random.Generator) -> list[Role]:
    """Choose what each thing is and does; many share a kind, a colour or an action."""
    cast: list[Role] = []
    for _ in range(int(rng.choice(COUNTS, p=COUNT_SHARES))):
        kind = _pick(rng, PAINTED if rng.random() < COLOURFUL else KINDS)
        colour = _pick(rng, COLOURS)
        if cast and rng.random() < ALIKE:
            other = _pick(rng, cast)
            kind, colour = other.kind, colour if rng.random() < 0.6 else other.colour or colour
        size = ("", "", "small", "big")[rng.integers(4)]
        low, high = SIZES[size]
        role = Role(
            kind,
            colour if kind in PAINTED else "",
            size,
            choose_acts(rng, kind, cast),
            int(rng.integers(low, high + 1)),
            bool(rng.random() < 0.5),
        )
        cast.append(replace(role, flipped=_choose_side(role)))
    # Those that need the most room are placed first.
    return sorted(cast, key=lambda role: -role.room)


def _choose_side(role: Role) -> bool:
    """Return whether a thing faces right: most pictures face left, and look where they go."""
    for act in role.acts:
        if act.name in ("slides left", "slides right"):
            return act.name == "slides right"
    return role.flipped


def choose_acts(rng: np.random.Generator, kind: str, cast: Sequence[Role]) -> tuple[Act, ...]:
    """Choose what a thing does, and when."""
    if rng.random() < RESTING:
        return ()
    possible = [name for name in (*STATES, *MOTIONS) if can_be_seen(name, kind)]
    done = [name for role in cast for name in (a.name for a in role.acts) if name in possible]
    first = _pick(rng, done if done and rng.random() < SAME_ACTION else possible)
    if rng.random() >= TWO_ACTS:
        length = choose_length(rng, first, LENGTH // 2)
        start = int(rng.integers(0, LENGTH - length + 1))
        return (Act(first, Span(start, start + length)),)
    second = _pick(rng, possible)
    # A thing that comes back up and goes down again, or grows to shrink, would look like one act.
    while second == first or {first, second} in ({"shrinks", "grows"}, {"spins", "rolls"}):
        second = _pick(rng, possible)
    lengths = [choose_length(rng, name, LENGTH // 3) for name in (first, second)]
    start = int(rng.integers(0, LENGTH - sum(lengths) + 1))
    middle, end = start + lengths[0], start + sum(lengths)
    return Act(first, Span(start, middle)), Act(second, Span(middle, end))


def can_be_seen(name: str, kind: str) -> bool:
    """Return whether an action can be seen: a ball that is upside down looks as before."""
    return not (name == "turns upside down" and kind in ROUND)


def choose_length(rng: np.random.Generator, name: str, most: int) -> int:
    """Choose the frames that an action lasts: whole periods if it repeats."""
    if name in PERIODIC:
        return PERIOD * int(rng.integers(1, most // PERIOD + 1))
    return int(rng.integers(4 * CHANGE, most + 1))


def place_cast(rng: np.random.Generator, cast: Sequence[Role]) -> list[Placed]:
    """Place things in the frame; one for which there is no place is left out."""
    placed: list[Placed] = []
    rest = cast
    if rng.random() < FOLLOWING:
        # First, as the two of them need most of the width.
        placed, rest = _place_followed(rng, cast[0]), cast[1:]
    for role in rest:
        for _ in range(TRIES):
            place = _choose_place(rng, role, placed)
            if place is not None and _fits(place, placed):
                placed.append(place)
                break
    return placed[: COUNTS[-1]]


def _moves(role: Role) -> bool:
    return any(act.name in MOVING for act in role.acts)


def _choose_place(rng: np.random.Generator, role: Role, placed: list[Placed]) -> Placed | None:
    """Choose a place in the frame, or one with a thing that is there already."""
    left, top, right, bottom = role.reach
    other = None
    if placed and rng.random() < PAIRED:
        other = _pick(rng, placed)
        apart = (role.side + other.role.side) / 2
        aside = _pick(rng, (-1, 1))
        if rng.random() < 0.4:  # next to it, on the same ground
            x = other.x + aside * (apart + rng.uniform(0, 4))
            y = other.y + (other.role.side - role.side) / 2 + rng.uniform(-2, 2)
        else:  # so that the nearer one covers a part of the other
            x = other.x + aside * apart * rng.uniform(0.4, 0.65)
            y = other.y + (other.role.side - role.side) / 2 + _pick(rng, (-1, 1)) * 4
    else:
        low, high = DRIFT - left, SIDE - DRIFT - right
        above, below = DRIFT - top, SIDE - DRIFT - bottom
        if low > high or above > below:
            return None
        x, y = rng.uniform(low, high), rng.uniform(above, below)
    # Two that stay where they are keep what they share; of others that would be said too early.
    stay = other is not None and not _moves(role) and not _moves(other.role)
    return Placed(role, round(x), round(y), partner=other if stay else None)


def _place_followed(rng: np.random.Generator, role: Role) -> list[Placed]:
    """Place a thing that moves and one that follows it; none of them if there is no room."""
    name = _pick(rng, MOVING)
    length = choose_length(rng, name, LENGTH // 2)
    start = int(rng.integers(0, LENGTH - length - DELAY + 1))
    leader = replace(role, acts=(Act(name, Span(start, start + length)),))
    leader = replace(leader, flipped=_choose_side(leader))
    for _ in range(TRIES):
        led = _choose_place(rng, leader, [])
        if led is not None and _fits(led, []):
            follower = _choose_follower(rng, led)
            if _fits(follower, []):
                return [led, follower]
    return []


def _choose_follower(rng: np.random.Generator, led: Placed) -> Placed:
    """Choose something, and a place for it after a thing that moves, on the same ground."""
    kind = _pick(rng, [kind for kind in KINDS if kind != led.role.kind])
    low, high = SIZES[""]
    span = led.role.acts[0].span
    # It acts when its leader does, a moment later.
    act = Act(FOLLOWS, Span(span.start + DELAY, span.stop + DELAY))
    colour = _pick(rng, COLOURS) if kind in PAINTED else ""
    side = int(rng.integers(low, high + 1))
    role = Role(kind, colour, "", (act,), side, led.role.flipped)
    apart = (side + led.role.side) / 2 + rng.uniform(1, 5)
    x = led.x - apart if led.role.flipped else led.x + apart
    return Placed(role, round(x), round(led.y + (led.role.side - side) / 2), leader=0)


def _fits(one: Placed, placed: Sequence[Placed]) -> bool:
    """Return whether a thing stays inside the frame and covers little of the others."""
    box = one.reach
    if one.leader >= 0:  # it goes as far as its leader
        left, top, right, bottom = box
        box = (left, top, right + WAY, bottom) if one.role.flipped else (left - WAY, *box[1:])
    if min(box[:2]) < DRIFT or max(box[2:]) > SIDE - DRIFT:
        return False
    return all(_shares_little(box, one, other) for other in placed)


def _shares_little(box: Box, one: Placed, other: Placed) -> bool:
    on_purpose = one.partner is other
    # Things that were placed together may part or meet as they move: only their rest counts.
    box, second = (one.square, other.square) if on_purpose else (box, other.reach)
    across = min(box[2], second[2]) - max(box[0], second[0])
    down = min(box[3], second[3]) - max(box[1], second[1])
    if across <= 0 or down <= 0:
        return True
    smaller = min(one.role.side, other.role.side)
    return across * down <= (MOST_COVERED if on_purpose else MOST_SHARED) * smaller**2


def build_things(placed: Sequence[Placed], camera: Float[np.ndarray, "frame 2"]) -> list[Thing]:
    """Build the things of a clip; those whose feet are lower in the picture are nearer."""
    feet = [one.y + one.role.side / 2 for one in placed]
    order = sorted(range(len(placed)), key=lambda i: (feet[i], i))
    things = []
    # The order of drawing is that of the things at rest, which no jump changes.
    for depth, i in enumerate(order):
        one, role = placed[i], placed[i].role
        led = placed[one.leader] if one.leader >= 0 else None
        way = None if led is None else measure_way(led.role.acts, not led.role.flipped)
        path = trace(role.acts, (one.x, one.y), role.side, camera, not role.flipped, way)
        things.append(
            Thing(
                role.kind,
                role.colour,
                role.size,
                role.acts,
                role.side,
                role.flipped,
                depth,
                path,
                "" if led is None else f"{led.role.colour} {led.role.kind}".strip(),
            )
        )
    return things


def name_things(rng: np.random.Generator, things: list[Thing]) -> tuple[Thing, ...]:
    """Call each thing by words that mean it alone, together with what it does."""
    facts = Facts(tuple(things))
    named = []
    for place, thing in enumerate(things):
        names = [
            name
            for name in list_names(facts, place)
            if facts.names(replace(name, action=thing.action), place)
        ]
        # One of each sort first, so that relations are frequent though they are many.
        sorts = sorted({(bool(name.other), bool(name.size)) for name in names})
        sort = _pick(rng, sorts) if sorts else None
        fitting = [name for name in names if (bool(name.other), bool(name.size)) == sort]
        name = _pick(rng, fitting) if fitting else describe_fully(thing)
        named.append(replace(thing, name=name, unique=bool(fitting)))
    return tuple(named)


def list_names(facts: Facts, place: int) -> Iterator[Description]:
    """Yield the ways to say which thing is meant, without what it does."""
    thing = facts.things[place]
    plain = Description(thing.kind)
    yield plain
    if thing.colour:
        yield replace(plain, colour=thing.colour)
    if thing.size:
        yield replace(plain, size=thing.size)
        yield describe_fully(thing)
    for index, relation in enumerate(RELATIONS):
        for other in np.flatnonzero(facts.related[index, place] > 0):
            called = facts.things[other]
            if called.kind == thing.kind:
                continue  # nobody says "the dog left of the dog"
            yield replace(plain, relation=relation, other=Description(called.kind, called.colour))


def _pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    return options[int(rng.integers(len(options)))]
