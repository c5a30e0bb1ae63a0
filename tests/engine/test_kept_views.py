"""One watching and one reading of a video for many queries, with the same answers bit for bit."""

import json
from dataclasses import replace

import pytest
import torch

from probe.engine.kept_views import KeptView, keep_views, make_room
from probe.grounder import ground
from probe.grounding.presets import PRESETS
from probe.interpret.knockouts import Cut

QUESTION = "Is there a red circle in this video?"
SHARED = ("best", "causal", "plain", "noun")


@pytest.fixture
def sharing(organism):
    return keep_views(organism)


@pytest.fixture
def passes(organism, monkeypatch):
    """The names of passes that read a video, in their order."""
    found = []
    decoder = type(organism.decoder)
    for name in ("read_video", "prefill"):
        plain = getattr(decoder, name)

        def counted(self, *args, _plain=plain, _name=name, **named):
            found.append(_name)
            return _plain(self, *args, **named)

        monkeypatch.setattr(decoder, name, counted)
    return found


def describe(answer):
    """All that an answer says, but for the time that it took."""
    return json.dumps({**answer.to_dict(), "timings": None})


def test_a_video_that_is_shown_again_is_neither_watched_nor_read(sharing, video, passes):
    first = sharing.watch(video).read(QUESTION)
    again = sharing.watch(video).read(QUESTION)
    assert passes == ["read_video", "prefill"]
    assert torch.equal(first[0].attention, again[0].attention)


def test_the_reversed_order_is_read_once_too(sharing, video, passes):
    view = sharing.watch(video)
    turned = [one.read(QUESTION)[0] for one in (view.reversed(), view.under().reversed())]
    assert passes == ["read_video", "prefill"]
    assert torch.equal(turned[0].attention, turned[1].attention)


def test_the_reversed_order_carries_what_is_done_to_one_query_and_gives_it_to_no_other(
    sharing, organism, video
):
    cells = torch.zeros(organism.watch(video).grid.shape, dtype=torch.bool)
    cells[0] = True
    cut = Cut(cells=cells)
    expected, plain = (
        view.reversed().read(QUESTION)[0].attention
        for view in (organism.watch(video).under(cut), organism.watch(video))
    )
    kept = sharing.watch(video).under(cut)
    assert torch.equal(kept.reversed().read(QUESTION)[0].attention, expected)
    assert torch.equal(sharing.watch(video).reversed().read(QUESTION)[0].attention, plain)


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_answers_about_a_kept_view_are_those_about_one_of_its_own_bit_for_bit(
    sharing, organism, clip, video, preset
):
    queries = [thing.query for thing in clip.things]
    alone = [describe(ground(organism, video, query, config=preset)) for query in queries]
    shared = [describe(ground(sharing, video, query, config=preset)) for query in queries]
    assert shared == alone
    # In another order, and after other presets have read the same video.
    ground(sharing, video, queries[0], config="plain")
    assert describe(ground(sharing, video, queries[-1], config=preset)) == alone[-1]


@pytest.mark.slow
@pytest.mark.parametrize("preset", SHARED)
def test_a_second_query_reads_nothing_of_the_video(sharing, clip, video, passes, preset):
    first, *others = [thing.query for thing in clip.things]
    ground(sharing, video, first, config=preset)
    del passes[:]
    for query in others:
        ground(sharing, video, query, config=preset)
    assert others
    assert passes == []


def test_a_view_that_is_left_is_freed_in_both_orders(sharing, video, passes):
    view = sharing.watch(video)
    assert isinstance(view, KeptView)
    turned = view.reversed()
    before = [one.read(QUESTION)[0].attention for one in (view, turned)]
    sharing.watch(replace(video))
    assert len(sharing.views) == 1
    assert sharing.views.find(video) is None
    del passes[:]
    after = [one.read(QUESTION)[0].attention for one in (view, turned)]
    assert passes == ["prefill"] * 2, "nothing was left of either"
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))


@pytest.mark.parametrize(("kept", "again"), [(False, ["prefill"]), (True, [])])
def test_room_is_made_in_views_of_one_query_only(sharing, organism, video, passes, kept, again):
    view = (sharing if kept else organism).watch(video)
    view.read(QUESTION)
    make_room(view)
    del passes[:]
    view.read(QUESTION)
    assert passes == again


def test_more_views_are_kept_if_more_are_asked_for(organism, video, passes):
    sharing, other = keep_views(organism, most=2), replace(video)
    for shown in (video, other, video, other):
        sharing.watch(shown)
    assert passes == ["read_video"] * 2
    with pytest.raises(ValueError, match="0 views cannot be kept"):
        keep_views(organism, most=0)
