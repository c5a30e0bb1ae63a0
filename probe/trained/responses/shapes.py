"""Clips of moving shapes with a sentence about each thing: data for maps of an organism."""

from collections.abc import Callable, Sequence

from probe.candidates.proposals import propose_tracks
from probe.organism.world import Clip, make_clip
from probe.trained.responses.examples import Described, Material
from probe.video import Tube, Video

SHAPES_SEED = 777
"""Seed of the clips that are trained on; no benchmark has it."""

ProposalRule = Callable[[Clip, Video], Sequence[Tube]]
"""Finds the things of a clip that may be meant."""


def find_proposed(clip: Clip, video: Video) -> Sequence[Tube]:  # noqa: ARG001
    """Find tracks as the weight-free proposer does, which knows no more than the pictures."""
    return propose_tracks(video)


def find_true(clip: Clip, video: Video) -> Sequence[Tube]:  # noqa: ARG001
    """Return the true tracks of all things: an oracle, for comparison."""
    return [thing.track() for thing in clip.things]


def describe_shapes(
    count: int, *, seed: int = SHAPES_SEED, proposals: ProposalRule = find_proposed
) -> list[Described]:
    """Make clips of a seed, each with the sentence about each of its things.

    Args:
        count: Number of clips.
        seed: Seed of the clips.
        proposals: The rule for the things that may be meant.
    """
    return [_describe(seed, place, proposals) for place in range(count)]


def _describe(seed: int, place: int, proposals: ProposalRule) -> Described:
    clip = make_clip((seed, place))

    def read() -> Material:
        video = clip.video()
        spans = tuple(thing.span for thing in clip.things)
        return Material(video, spans, proposals(clip, video))

    sentences = tuple(thing.query for thing in clip.things)
    return Described(f"shapes-{seed}/{place:05d}", sentences, read)
