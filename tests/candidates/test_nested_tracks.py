"""Candidate tracks on textured grounds, on clips whose things are known."""

from itertools import pairwise

import numpy as np
import pytest

from probe.candidates.ground_colours import fit_colours, measure_ground_distance
from probe.candidates.nested_regions import Regions
from probe.candidates.nested_tracks import NestedConfig, find_best_ways, propose_nested_tracks
from probe.candidates.proposals import ProposerConfig
from probe.metrics import spatial_iou
from probe.organism.things.benchmarks import THINGS_VAL
from probe.video import Tube, Video

FRAMES, SIDE = 6, 64
RED, BLUE = (220, 40, 40), (40, 60, 210)


def textured(seed: int = 0) -> np.ndarray:
    """Frames of a ground whose brightness varies a lot from place to place, and with noise."""
    rng = np.random.default_rng(seed)
    light = np.kron(rng.uniform(0.7, 1.3, (16, 16)), np.ones((4, 4)))[..., None]
    frames = np.tile(light * (90, 120, 60), (FRAMES, 1, 1, 1))
    return frames + rng.normal(0, 3, frames.shape)


def video_of(frames: np.ndarray) -> Video:
    pixels = np.clip(frames, 0, 255).astype(np.uint8)
    return Video(pixels, tuple(range(FRAMES)), np.arange(FRAMES) / 5)


def moved(left: int, step: int) -> Tube:
    """The true track of a square that moves to the right."""
    starts = [left + step * frame for frame in range(FRAMES)]
    return Tube(range(FRAMES), [[x, 24, x + 14, 40] for x in starts])


def paint(frames: np.ndarray, track: Tube, colour: tuple[int, int, int]) -> None:
    for frame, (x1, y1, x2, y2) in enumerate(track.boxes.astype(int).tolist()):
        frames[frame, y1:y2, x1:x2] = colour


@pytest.mark.slow
def test_things_of_two_colours_that_touch_and_part_are_two_candidates_on_a_texture():
    frames, left, right = textured(), moved(18, -3), moved(32, 3)
    paint(frames, left, RED)
    paint(frames, right, BLUE)
    tracks = propose_nested_tracks(video_of(frames))
    for truth in (left, right):
        assert max(spatial_iou(track.interpolated(range(FRAMES)), truth) for track in tracks) > 0.8
    assert len(tracks) <= NestedConfig().limit


def test_a_hue_is_farther_from_a_ground_than_any_light_on_it():
    frames = textured()
    paint(frames, moved(20, 0), (60, 60, 160))
    picture = frames[0].astype(np.float32)
    distance = measure_ground_distance(picture, config=ProposerConfig())
    inside = np.zeros((SIDE, SIDE), bool)
    inside[25:39, 21:33] = True
    near = np.zeros((SIDE, SIDE), bool)
    near[22:42, 18:36] = True
    assert np.quantile(distance[inside], 0.05) > np.quantile(distance[~near], 0.99)


def test_a_second_ground_along_one_side_is_ground():
    frames = textured()
    frames[:, :14] = (150, 190, 235)  # the sky
    paint(frames, moved(20, 0), RED)
    distance = measure_ground_distance(frames[0].astype(np.float32), config=ProposerConfig())
    assert np.median(distance[:12]) < 3
    assert np.median(distance[26:38, 22:32]) > 15


def test_colours_are_fitted_to_most_pixels_whatever_the_others_are():
    rng = np.random.default_rng(1)
    spread = np.array([[20.0, 18, 12], [0, 3, 1], [0, 0, 2]])
    ground = rng.normal(size=(700, 3)) @ spread + (90, 120, 60)
    alone = fit_colours(ground, 0.1)
    mixed = fit_colours(np.concatenate([ground, np.full((200, 3), 250.0)]), 0.1)
    assert np.linalg.norm(mixed.mean - (90, 120, 60)) < 5
    ratios = np.linalg.eigvals(np.linalg.solve(alone.covariance, mixed.covariance)).real
    assert (ratios > 0.4).all()
    assert (ratios < 2.5).all()


def region(*lefts: float, colour: float = 100.0) -> Regions:
    """Regions of one frame, all alike but for their place."""
    boxes = np.array([[x, 0, x + 10, 10] for x in lefts], float).reshape(-1, 4)
    return Regions(boxes, np.full((len(lefts), 3), colour), np.full(len(lefts), 0.5))


def test_a_way_bridges_frames_in_which_nothing_is_found():
    found = [region(0), region(), region(), region(1), region(2)]
    assert find_best_ways(found) == [((0, 0), (3, 0), (4, 0))]


def test_two_ways_may_lead_through_the_region_of_a_group():
    apart, together = region(0, 8), region(4)
    ways = find_best_ways([apart, together, apart], config=NestedConfig(skip=2.0))
    # One group is the best next step of both, and each has its own way to it.
    assert {way[0] for way in ways if (1, 0) in way} == {(0, 0), (0, 1)}


def test_no_way_is_better_than_the_best_of_all_that_there_are():
    rng = np.random.default_rng(2)
    found = [region(*rng.uniform(0, 30, 3)) for _ in range(4)]
    config = NestedConfig()

    def best_from(frame: int, x: float) -> float:
        """The best score of a way from a region on, by trying all of them."""
        further = [0.0]
        for then in range(frame + 1, 4):
            for to in found[then].boxes[:, 0].tolist():
                gain = 1 - abs(to - x) / 10 - config.skip * (then - frame - 1)
                further += [gain + best_from(then, to)] if gain > 0 else []
        return 0.5 + max(further)

    def score(way) -> float:
        total = 0.5 * len(way)
        for (frame, number), (then, to) in pairwise(way):
            step = abs(found[then].boxes[to, 0] - found[frame].boxes[number, 0]) / 10
            total += 1 - step - config.skip * (then - frame - 1)
        return total

    best = max(best_from(f, x) for f, one in enumerate(found) for x in one.boxes[:, 0].tolist())
    ways = find_best_ways(found, config=config)
    assert score(ways[0]) == pytest.approx(best)
    assert [score(way) for way in ways] == sorted(map(score, ways), reverse=True)


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (40, 60)])
def test_an_even_video_gives_the_whole_frame(size):
    video = video_of(np.full((FRAMES, *size, 3), 90.0))
    (track,) = propose_nested_tracks(video)
    assert track.frames.tolist() == list(video.indices)
    assert (track.boxes == [0, 0, size[1], size[0]]).all()


def test_noise_gives_boxes_within_the_frame_and_always_the_same():
    noise = np.random.default_rng(3).integers(0, 256, (FRAMES, 31, 90, 3)).astype(float)
    one, other = (propose_nested_tracks(video_of(noise)) for _ in range(2))
    assert one == other
    for track in one:
        assert (track.boxes >= 0).all()
        assert (track.boxes <= [90, 31, 90, 31]).all()


@pytest.mark.parametrize("change", [{"limit": 0}, {"gate": 0.0}, {"same": -1.0}, {"within": 0.0}])
def test_a_number_out_of_range_is_named(change):
    (name,) = change
    with pytest.raises(ValueError, match=f"^{name} is "):
        NestedConfig(**change)


def test_a_track_within_a_longer_and_likelier_one_is_left_out_unless_all_are_kept():
    video = next(iter(THINGS_VAL.cases(1))).clip.video()
    kept, every = (
        propose_nested_tracks(video, config=NestedConfig(within=within)) for within in (0.9, 1.1)
    )
    assert count_fragments(kept) == 0
    assert count_fragments(every) > 5


def count_fragments(tracks):
    """Count the tracks that lie within a longer one before them."""
    return sum(
        any(lies_within(track, longer) for longer in tracks[:place])
        for place, track in enumerate(tracks)
    )


def lies_within(track, longer):
    boxes = dict(zip(longer.frames.tolist(), longer.boxes.tolist(), strict=True))
    if len(track.frames) >= len(boxes) or not set(track.frames.tolist()) <= set(boxes):
        return False
    shares = []
    for frame, (x1, y1, x2, y2) in zip(track.frames.tolist(), track.boxes.tolist(), strict=True):
        left, top, right, bottom = boxes[frame]
        wide, high = min(x2, right) - max(x1, left), min(y2, bottom) - max(y1, top)
        shares.append(max(wide, 0) * max(high, 0) / ((x2 - x1) * (y2 - y1)))
    return np.mean(shares) >= 0.9


@pytest.mark.slow
def test_nearly_every_thing_asked_about_in_the_world_of_things_has_a_candidate():
    found = []
    for case in THINGS_VAL.cases(16):
        video = case.clip.video()
        tracks = propose_nested_tracks(video)
        whole = [track.interpolated(range(video.source_length)) for track in tracks]
        found.append(max(spatial_iou(track, case.truth) for track in whole) > 0.5)
    assert np.mean(found) >= 0.85
