"""Worlds as values: what holds for the tags of each of them."""

from itertools import product

import pytest
import torch
from tolerances import assert_equal_up_to_rounding

from probe.organism.catalogue import WORLDS
from probe.organism.phrases import sum_phrases
from probe.organism.tag_reading import TagReader
from probe.organism.tokens import encode
from probe.organism.worlds import RESTS


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_a_tag_is_marked_if_one_thing_has_all_of_its_phrases(world):
    for index in range(6):
        clip = world.make_clip((11, index))
        for tags, shown in (
            (world.frame_tags, world.list_frame_tags(clip, 40)),
            (world.clip_tags, world.list_clip_tags(clip, world.whole)),
        ):
            marked = {tag for tag, one in zip(tags.marked, tags.mark(shown), strict=True) if one}
            assert marked == {tag for tag in tags.marked if any(set(tag) <= set(t) for t in shown)}
            assert len(tags.marked) == len(set(tags.marked))
            # Each thing is in some tag, or the tower would learn not to see it.
            assert all(any(set(tag) <= set(thing) for tag in marked) for thing in shown)


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_the_score_of_a_tag_is_the_sum_of_its_phrases_by_their_words(world):
    tags = world.frame_tags
    reader = TagReader(8, tags, world)
    cosine = torch.rand(2, 3, 1000, generator=torch.Generator().manual_seed(1))
    found = torch.cat([sum_phrases(cosine, axes) for axes in reader.groups], dim=-1)

    def score(phrase, axis):
        if phrase == RESTS:
            return -torch.stack([score(one, axis) for one in axis if one != RESTS]).amax(0)
        return torch.stack([cosine[..., token] for token in encode(phrase, world)]).mean(0)

    slow = [
        torch.stack([score(phrase, axis) for phrase, axis in zip(tag, axes, strict=True)]).sum(0)
        for axes in tags.groups
        for tag in product(*axes)
    ]
    assert_equal_up_to_rounding(found, torch.stack(slow, dim=-1))


@pytest.mark.parametrize(("world", "pair"), [("shapes", "red cross"), ("things", "red car")])
def test_only_a_pair_that_some_thing_may_have_can_be_left_out(world, pair):
    without = WORLDS[world].leave_out([tuple(pair.split())])
    assert without.make_clip((5, 1)).things
    with pytest.raises(ValueError, match=f"no blue dog among the {world} to leave out"):
        WORLDS[world].leave_out([("blue", "dog")])


def test_an_action_is_listed_for_the_parts_of_a_clip_in_which_it_can_be_seen():
    world = WORLDS["things"]
    sampled = world.sample()
    for index in range(20):
        clip = world.make_clip((12, index))
        done = list_acts(world.list_clip_tags(clip, world.whole))
        assert done == {(thing.kind, act.name) for thing in clip.things for act in thing.acts}
        in_parts = set()
        for first in range(len(sampled) - 3):
            part = world.span_of(sampled[first : first + 4])
            seen = list_acts(world.list_clip_tags(clip, part))
            # None is listed before it begins or after it has ended.
            assert seen <= {
                (thing.kind, act.name)
                for thing in clip.things
                for act in thing.acts
                if act.span.start < part.stop and part.start < act.span.stop
            }
            in_parts |= seen
        assert in_parts == done


def list_acts(shown):
    return {(kind, action) for *_, kind, action in shown if action != RESTS}
