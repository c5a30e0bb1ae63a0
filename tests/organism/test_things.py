"""The world of things: what is drawn is where the truth says it is, and nowhere else."""

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from probe.organism.things.acting import LENGTH, MOVING, STATES
from probe.organism.things.benchmarks import THINGS_REPORT, THINGS_VAL
from probe.organism.things.casting import make_clip
from probe.organism.things.descriptions import RELATIONS
from probe.organism.things.facts import Facts, relate
from probe.organism.things.grounds import LIGHTS, SIDE, TEXTURES
from probe.organism.things.kinds import KINDS, LOOKS, SIZES
from probe.organism.things.scene import sample_indices
from probe.organism.things.sprites import draw_raster
from probe.video import read_video

CLIPS = [make_clip((6, index)) for index in range(24)]
FOLLOWED = [clip for clip in CLIPS if any(thing.led_by for thing in clip.things)]
FRAMES = sample_indices()


def bound(mask):
    rows, columns = np.nonzero(mask)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


@pytest.mark.slow
def test_masks_lie_in_boxes_share_no_pixel_and_fill_the_box_of_what_nothing_hides():
    exact = hidden = covered = 0
    for clip in CLIPS:
        for frame in FRAMES[::2]:
            masks = [clip.mask(thing, frame) for thing in clip.things]
            assert np.sum(masks, axis=0).max() <= 1
            for place, (thing, mask) in enumerate(zip(clip.things, masks, strict=True)):
                left, top, right, bottom = thing.boxes[frame].astype(int)
                inside = np.zeros_like(mask)
                inside[top:bottom, left:right] = True
                assert not (mask & ~inside).any()
                if thing.path.sunk[frame] == 1:
                    assert not mask.any(), "a thing that hides has no pixel"
                    hidden += 1
                elif not thing.path.sunk[frame] and place == len(masks) - 1:
                    assert bound(mask) == (left, top, right, bottom)
                    exact += 1
                else:
                    covered += mask.sum() < thing.draw(frame)[0].solid.sum()
    assert min(exact, hidden, covered) > 5


def test_a_thing_changes_the_picture_where_it_is_and_nowhere_else():
    for clip in CLIPS[:6]:
        thing = clip.things[-1]  # nothing covers it
        frame = next(f for f in FRAMES if thing.path.sunk[f] == 0)
        without = replace(clip, things=clip.things[:-1])
        changed = (clip.frame(frame) != without.frame(frame)).any(-1)
        left, top, right, bottom = thing.boxes[frame].astype(int)
        # The soft edge of the picture, the shadow on the ground, and the blocks of the compression.
        bottom = max(bottom, int(thing.path.floor[frame] + thing.path.side[frame] / 3))
        near = slice(max(0, top - 11) // 8 * 8, bottom + 11), slice(max(0, left - 11), right + 11)
        assert changed[clip.mask(thing, frame)].mean() > 0.8
        changed[near] = False
        assert not changed.any()


def test_a_frame_is_the_same_whatever_else_is_drawn_and_at_every_size():
    for clip in CLIPS[:4]:
        many = clip.frames((3, 40, 80))
        assert np.array_equal(many[1], clip.frame(40))
        assert np.array_equal(many[1], make_clip((6, CLIPS.index(clip))).frame(40))
        large = clip.frame(40, scale=2).reshape(SIDE, 2, SIDE, 2, 3).mean((1, 3))
        assert np.abs(large - many[1]).mean() < 12
        assert np.abs(large.mean((0, 1)) - many[1].mean((0, 1))).max() < 2


def test_the_clips_of_a_benchmark_are_the_same_forever():
    """A change of this needs a new `THINGS_VERSION`."""
    found = hashlib.sha256()
    for case in [*THINGS_VAL.cases(5), THINGS_REPORT.case(999)]:
        found.update(f"{case.query} {sorted(case.absent.items())} {case.truth.span}".encode())
        for thing in case.clip.things:
            path = thing.path
            for values in (path.x, path.y, path.side, path.angle, np.rint(path.sunk * 60)):
                found.update(np.asarray(values * 2, dtype=np.int64).tobytes())
    assert found.hexdigest()[:16] == "0af9504e6a66ebfe"


def test_a_span_is_when_something_is_done():
    def changes(thing, clip) -> tuple[Any, Any]:
        """Tell for each frame whether a thing is not as it was at first, but for the camera."""
        path = thing.path
        pose = np.stack([path.x - clip.camera[:, 0], path.y - clip.camera[:, 1],
                         path.side, path.angle, path.sunk])  # fmt: skip
        other, moves = np.abs(pose - pose[:, :1]) > 1e-9, np.diff(pose) != 0
        return np.any(other, axis=0), np.any(moves, axis=0)

    seen = set()
    for clip in CLIPS:
        for thing in clip.things:
            span = thing.span if thing.acts else None
            other, moves = changes(thing, clip)
            assert not moves[: max(0, span.start - 1) if span else LENGTH].any()
            assert not moves[span.stop if span else LENGTH :].any()
            for act in thing.acts:
                seen.add(act.name)
                inside = [frame for frame in FRAMES if frame in act.span]
                assert len(inside) >= 2, "each action is in two sampled frames at least"
                assert any(moves[act.span.start : act.span.stop - 1])
                if act.name in STATES and len(thing.acts) == 1 and act.span.start > 0:
                    assert other[act.span.start : act.span.stop].all(), "each frame shows it"
            stays = not any(act.name in (*MOVING, "follows") for act in thing.acts)
            if stays and thing.span.start > 0 and thing.span.stop < LENGTH:
                assert not other[-1], "it comes back"
    assert len(seen) == 10


def test_a_follower_goes_the_same_way_a_moment_later():
    pairs = [(clip, one) for clip in FOLLOWED for one in clip.things if one.led_by]
    assert len(pairs) >= 2
    for clip, follower in pairs:
        ways = [
            np.roll(thing.path.x - clip.camera[:, 0], 8)[8:]
            for thing in clip.things
            if thing.look == follower.led_by
        ]
        way = (follower.path.x - clip.camera[:, 0])[8:]
        assert any(np.ptp(way - other) == 0 and np.ptp(way) >= 29 for other in ways)


def test_relations_are_those_of_a_slow_look_at_every_frame():
    left, right, hides, hidden = (
        RELATIONS.index(name) for name in ("left of", "right of", "in front of", "behind")
    )
    for clip in CLIPS:
        related = Facts(clip.things).related
        assert np.array_equal(related[left], related[right].T)
        assert np.array_equal(related[hides], related[hidden].T)
        assert not ((related[left] > 0) & (related[right] > 0)).any()
        for one, first in enumerate(clip.things):
            for two, second in enumerate(clip.things):
                if related[left, one, two] > 0:
                    assert (first.path.x < second.path.x).all()
                if related[hidden, one, two] > 0:
                    assert first.depth < second.depth
                    assert (first.squares[:, 2] > second.squares[:, 0]).all()
    # The two ends of a scale: touching, and far apart; in between nothing is said.
    square = np.array([0.0, 0.0, 10.0, 10.0])
    for gap, judged in ((1, 1), (11, 0), (40, -1)):
        boxes = np.stack([square, square + np.array([10.0 + gap, 0, 10 + gap, 0])])[:, None]
        assert relate(boxes, [0, 1])[RELATIONS.index("next to"), 0, 1] == judged


def test_every_look_has_a_sprite_of_its_own_and_sizes_do_not_meet():
    shown = {look: draw_raster(look, 24, 0, False) for look in LOOKS}
    assert all(raster.solid.sum() > 100 for raster in shown.values())
    assert len({raster.light.tobytes() for raster in shown.values()}) == len(LOOKS) > len(KINDS)
    small, plain, big = (SIZES[name] for name in ("small", "", "big"))
    assert small[1] < plain[0] <= plain[1] < big[0]


def test_clips_are_of_every_light_and_texture_and_hold_three_to_eight_things():
    assert {clip.ground.light for clip in CLIPS} == set(LIGHTS)
    assert {clip.ground.texture for clip in CLIPS} == set(TEXTURES)
    assert {len(clip.things) for clip in CLIPS} == set(range(3, 9))
    means = {light: [] for light in LIGHTS}
    for clip in CLIPS[:12]:
        means[clip.ground.light].append(clip.frame(0).mean())
    assert max(means["dark"]) < min(means["bright"])


@pytest.mark.slow
def test_what_is_asked_about_is_seen_while_it_acts():
    cases: list[Any] = list(THINGS_VAL.cases(15))
    for case in cases:
        seen = case.clip.measure_visibility(case.thing)
        hides = any(act.name == "hides" for act in case.thing.acts)
        assert np.median(seen) > 0.4 or hides


def test_pairs_that_are_left_out_are_in_no_clip():
    painted = [(i, one) for i, clip in enumerate(CLIPS) for one in clip.things if one.colour]
    for index, thing in painted[:3]:
        clip = make_clip((6, index), ((thing.colour, thing.kind),))
        assert thing.look not in {one.look for one in clip.things}


@pytest.mark.slow
def test_a_clip_written_as_video_is_read_back(tmp_path):
    clip = CLIPS[0]
    clip.write(tmp_path / "clip.mp4")
    video = read_video(tmp_path / "clip.mp4", 12)
    assert video.indices == FRAMES
    assert video.size == (2 * SIDE, 2 * SIDE)
    small = video.frames.reshape(12, SIDE, 2, SIDE, 2, 3).mean((2, 4))
    assert np.abs(small - clip.video().frames).mean() < 10
