"""The world of things as a value: its tags, and the network that learns it."""

from collections.abc import Mapping

from probe.organism.things.absent import make_absent_queries
from probe.organism.things.acting import ACTIONS, LENGTH, RATE, SAMPLED_FRAMES, STATES
from probe.organism.things.casting import make_clip
from probe.organism.things.grounds import SIDE
from probe.organism.things.kinds import LOOKS
from probe.organism.things.questions import make_questions
from probe.organism.things.scene import Clip
from probe.organism.things.tokenizer import (
    BEFORE_ANSWER,
    BEFORE_VIDEO,
    CHAT_TEMPLATE,
    END_OF_TURN,
    TURN,
    make_tokenizer,
)
from probe.organism.worlds import RESTS, Body, Sizes, Tag, Tags, World

THINGS_VERSION = 1
"""Version of the benchmarks, raised whenever the world or the choice of queries changes."""

ABSENT_VERSION = 1
"""Version of the absent queries, raised whenever their choice changes."""


def list_frame_tags(clip: Clip, frame: int) -> set[Tag]:
    """List the look and the visible state of each thing in a source frame.

    A thing that is wholly hidden shows nothing, and has no tag.
    """
    return {
        (thing.look, thing.state(frame) or RESTS)
        for thing in clip.things
        if thing.path.sunk[frame] < 1
    }


def list_clip_tags(clip: Clip) -> set[Tag]:
    """List the look and each action of every thing in a clip."""
    return {
        (thing.look, name)
        for thing in clip.things
        for name in ([act.name for act in thing.acts] or [RESTS])
    }


def group_clip(clip: Clip) -> Mapping[str, str]:
    """Name the groups of brightness and texture that a clip belongs to."""
    return {"light": clip.ground.light, "texture": clip.ground.texture}


THINGS = World(
    name="things",
    side=SIDE,
    length=LENGTH,
    rate=RATE,
    sampled_frames=SAMPLED_FRAMES,
    make_clip=make_clip,
    make_questions=make_questions,
    make_absent_queries=make_absent_queries,
    frame_tags=Tags((LOOKS, (RESTS, *STATES)), positive_weight=10.0, pooling_share=0.5),
    list_frame_tags=list_frame_tags,
    clip_tags=Tags((LOOKS, (RESTS, *ACTIONS)), positive_weight=10.0, pooling_share=0.5),
    list_clip_tags=list_clip_tags,
    body=Body(
        patch=14,
        tower=Sizes(width=160, hidden=480, layers=4, heads=5),
        decoder=Sizes(width=256, hidden=704, layers=6, heads=4),
        make_tokenizer=make_tokenizer,
        chat_template=CHAT_TEMPLATE,
        before_video=BEFORE_VIDEO,
        before_answer=BEFORE_ANSWER,
        begin=TURN,
        end=END_OF_TURN,
    ),
    version=THINGS_VERSION,
    absent_version=ABSENT_VERSION,
    group=group_clip,
    frames_a_clip=6,
)
"""The world of pictures of things on textured grounds."""
