"""Clips of a drawn world with a sentence about each thing: data for maps of an organism."""

from collections.abc import Callable, Sequence

from probe.candidates.proposers import PROPOSERS
from probe.organism.shapes import SHAPES
from probe.organism.worlds import Clip, World
from probe.trained.responses.examples import Described, Material
from probe.video import Tube, Video

DRAWN_SEED = 777
"""Seed of the clips that are trained on; no benchmark has it."""

ProposalRule = Callable[[World, Clip, Video], Sequence[Tube]]
"""Finds the things of a clip that may be meant."""


def find_proposed(world: World, clip: Clip, video: Video) -> Sequence[Tube]:  # noqa: ARG001
    """Find tracks as the world's weight-free proposer does: it knows no more than the pictures."""
    return PROPOSERS[world.proposer].propose(video)


def find_true(world: World, clip: Clip, video: Video) -> Sequence[Tube]:  # noqa: ARG001
    """Return the true tracks of all things: an oracle, for comparison."""
    return [thing.track() for thing in clip.things]


def describe_drawn(
    count: int,
    *,
    world: World = SHAPES,
    seed: int = DRAWN_SEED,
    proposals: ProposalRule = find_proposed,
) -> list[Described]:
    """Make clips of a seed, each with the sentence about each thing that one is true of alone.

    Args:
        count: Number of clips.
        world: The world of the clips.
        seed: Seed of the clips.
        proposals: The rule for the things that may be meant.
    """
    return [_describe(world, seed, place, proposals) for place in range(count)]


def _describe(world: World, seed: int, place: int, proposals: ProposalRule) -> Described:
    clip = world.make_clip((seed, place))

    def read() -> Material:
        video = clip.video()
        spans = tuple(thing.span for thing in clip.asked)
        return Material(video, spans, proposals(world, clip, video))

    sentences = tuple(thing.query for thing in clip.asked)
    return Described(f"{world.name}-{seed}/{place:05d}", sentences, read)
