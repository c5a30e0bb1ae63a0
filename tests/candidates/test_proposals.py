"""Candidate tracks from the picture alone, on clips whose objects are known."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from probe.candidates.proposals import (
    ProposerConfig,
    Region,
    heatmap_tracks,
    link_regions,
    measure_noise,
    propose_tracks,
)
from probe.engine.attention import Heatmap
from probe.engine.grids import Cells
from probe.organism.world import make_clip
from probe.video import Tube, Video, read_image

FRAMES, SIZE, SOURCE_LENGTH = 8, 56, 64
COLOURS = [
    (220, 40, 40),
    (40, 180, 60),
    (50, 80, 220),
    (230, 210, 50),
    (160, 60, 190),
    (235, 235, 235),
]
PALE, DARK = (255, 250, 180), (15, 15, 15)
SHAPES = ("circle", "square", "triangle", "cross")
ACTIONS = ("rest", "glow", "grow", "shrink", "wink", "jump", "slide")


@dataclass(frozen=True)
class Thing:
    shape: str
    colour: tuple[int, int, int]
    action: str
    x: float
    y: float
    radius: float

    def during(self, frame: int) -> tuple[float, float, float]:
        """Where it is, and how large; it acts in the sampled frames 2 to 5."""
        acting = 2 <= frame < 6
        radius = self.radius * {"grow": 1.45, "shrink": 0.6}.get(self.action, 1) ** acting
        x = self.x + 4 * np.clip(frame - 1, 0, 4) * (self.action == "slide")
        y = self.y - 6 * (acting and frame % 2 and self.action == "jump")
        return x, y, radius

    def box(self, frame: int) -> np.ndarray:
        x, y, radius = self.during(frame)
        return np.array([x - radius, y - radius, x + radius, y + radius])

    def swept(self) -> np.ndarray:
        boxes = np.stack([self.box(frame) for frame in range(FRAMES)])
        return np.array([*boxes[:, :2].min(0), *boxes[:, 2:].max(0)])


def outside(thing: Thing, frame: int, scale: float, size: tuple[int, int]) -> np.ndarray:
    """Distance in clip pixels to the thing's outline, below 0 inside."""
    x, y, radius = thing.during(frame)
    down, across = np.mgrid[0 : size[0], 0 : size[1]]
    dx, dy = (across + 0.5) / scale - x, (down + 0.5) / scale - y
    long, short = np.maximum(abs(dx), abs(dy)), np.minimum(abs(dx), abs(dy))
    return {
        "circle": np.hypot(dx, dy) - radius,
        "square": long - radius,
        "triangle": np.maximum(abs(dx) - (dy + radius) / 2, dy - radius),
        "cross": np.maximum(long - radius, short - 0.38 * radius),
    }[thing.shape]


def things(rng: np.random.Generator) -> list[Thing]:
    """Two to four things that never come within 2 px of one another, whatever they do."""
    wanted, placed = int(rng.integers(2, 5)), []
    for _ in range(2000):
        new = Thing(
            shape=str(rng.choice(SHAPES)),
            colour=COLOURS[rng.integers(len(COLOURS))],
            action=str(rng.choice(ACTIONS)),
            x=rng.uniform(7, SIZE - 7),
            y=rng.uniform(7, SIZE - 7),
            radius=rng.uniform(4, 6),
        )
        now = new.swept()
        apart = [
            (now[:2] > old[2:] + 2).any() or (old[:2] > now[2:] + 2).any()
            for old in (thing.swept() for thing in placed)
        ]
        if (now >= 0).all() and (now <= SIZE).all() and all(apart):
            placed.append(new)
        if len(placed) == wanted:
            break
    return placed


def painted(
    clip: list[Thing], rng: np.random.Generator, size: tuple[int, int] = (SIZE, SIZE)
) -> np.ndarray:
    """Frames of a clip, enlarged to fill the height of the picture."""
    scale = size[0] / SIZE
    down, across = np.mgrid[-1 : 1 : size[0] * 1j, -1 : 1 : size[1] * 1j]
    slope = rng.uniform(-14, 14, (2, 3))
    texture = ndimage.gaussian_filter(rng.normal(size=size), 2 * scale)
    backdrop = rng.uniform(20, 110, 3) + down[..., None] * slope[0] + across[..., None] * slope[1]
    backdrop = backdrop + (texture / texture.std())[..., None] * 4
    frames = []
    for frame in range(FRAMES):
        picture = backdrop.copy()
        for thing in clip:
            distance = outside(thing, frame, scale, size)
            acting = 2 <= frame < 6
            if acting and thing.action == "glow":
                halo = np.clip(1 - abs(distance - 2.2) / 1.6, 0, 1)[..., None]
                picture += halo * (np.array(PALE) - picture)
            picture += np.clip(0.5 - distance * scale, 0, 1)[..., None] * (
                np.array(thing.colour) - picture
            )
            if acting and thing.action == "wink":
                pupil = outside(
                    replace(thing, shape="circle", radius=0.42 * thing.radius), frame, scale, size
                )
                picture += np.clip(0.5 - pupil * scale, 0, 1)[..., None] * (
                    np.array(DARK) - picture
                )
        frames.append(picture + rng.normal(0, rng.uniform(4, 8), picture.shape))
    return np.clip(frames, 0, 255).astype(np.uint8)


def video_of(frames: np.ndarray) -> Video:
    step = SOURCE_LENGTH // FRAMES
    indices = tuple(step // 2 + step * frame for frame in range(len(frames)))
    return Video(frames, indices, source_times=np.arange(SOURCE_LENGTH) / 25)


def truth(thing: Thing, video: Video, scale: float = 1.0) -> Tube:
    boxes = np.stack([thing.box(frame) * scale for frame in range(FRAMES)])
    return Tube(np.array(video.indices), boxes)


def mean_iou(track: Tube, target: Tube) -> float:
    """Box by box, in plain Python; a missing box counts as 0."""
    total = 0.0
    for frame, (a1, b1, a2, b2) in zip(target.frames.tolist(), target.boxes.tolist(), strict=True):
        box = track.box_at(frame)
        if box is not None:
            c1, d1, c2, d2 = box.tolist()
            shared = max(0, min(a2, c2) - max(a1, c1)) * max(0, min(b2, d2) - max(b1, d1))
            total += shared / ((a2 - a1) * (b2 - b1) + (c2 - c1) * (d2 - d1) - shared)
    return total / len(target)


def best_overlap(thing: Thing, video: Video, tracks: tuple[Tube, ...], scale: float = 1.0) -> float:
    return max(mean_iou(track, truth(thing, video, scale)) for track in tracks)


@pytest.mark.slow
def test_nearly_every_object_has_a_candidate():
    found, extra = [], []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        clip = things(rng)
        video = video_of(painted(clip, rng))
        tracks = propose_tracks(video)
        found += [best_overlap(thing, video, tracks) > 0.5 for thing in clip]
        extra.append(len(tracks) - len(clip))
    assert np.mean(found) >= 0.95
    assert np.mean(extra) <= 0.5


@pytest.mark.slow
def test_nearly_every_object_of_the_organisms_world_has_a_candidate():
    found = []
    for seed in range(30):
        clip = make_clip(seed)
        video = clip.video()
        tracks = propose_tracks(video)
        truths = [thing.track().interpolated(video.indices) for thing in clip.things]
        found += [max(mean_iou(track, target) for track in tracks) > 0.5 for target in truths]
    assert np.mean(found) >= 0.95


@pytest.mark.parametrize("action", ACTIONS)
def test_an_object_has_one_track_whatever_it_does(action):
    thing = Thing("square", COLOURS[0], action, 20, 28, 5)
    video = video_of(painted([thing], np.random.default_rng(1)))
    (track,) = propose_tracks(video)
    assert len(track) == FRAMES
    assert mean_iou(track, truth(thing, video)) > 0.6


@pytest.mark.slow
def test_large_pictures_are_answered_in_their_own_pixels():
    clip = [
        Thing("circle", COLOURS[0], "slide", 20, 15, 5),
        Thing("cross", COLOURS[3], "rest", 70, 40, 6),
    ]
    video = video_of(painted(clip, np.random.default_rng(2), (360, 640)))
    tracks = propose_tracks(video)
    assert all(best_overlap(thing, video, tracks, 360 / SIZE) > 0.8 for thing in clip)


def test_an_object_that_crosses_clutter_is_found_by_its_motion():
    rng = np.random.default_rng(3)
    coarse = np.kron(rng.uniform(0, 255, (14, 14, 3)), np.ones((4, 4, 1)))
    frames = np.tile(coarse, (FRAMES, 1, 1, 1)) + rng.normal(0, 3, (FRAMES, SIZE, SIZE, 3))
    for frame in range(FRAMES):
        frames[frame, 20:30, 2 + 6 * frame : 12 + 6 * frame] = (250, 0, 250)
    video = video_of(np.clip(frames, 0, 255).astype(np.uint8))
    boxes = np.array([[2 + 6 * frame, 20, 12 + 6 * frame, 30] for frame in range(FRAMES)], float)
    target = Tube(np.array(video.indices), boxes)
    assert max(mean_iou(track, target) for track in propose_tracks(video)) > 0.5


def test_objects_that_touch_keep_their_own_tracks():
    frames = np.full((FRAMES, SIZE, SIZE, 3), 60, np.uint8)
    for frame in range(FRAMES):
        left = 5 + 2 * min(frame, 4)
        frames[frame, 20:30, left : left + 10] = COLOURS[0]
        frames[frame, 20:30, 23:33] = COLOURS[1]
    left, right = sorted(propose_tracks(video_of(frames)), key=lambda track: track.boxes[0, 0])
    assert left.boxes[-1, 2] < 25
    assert right.boxes[-1, 0] > 21


def test_the_same_video_always_gives_the_same_tracks():
    rng = np.random.default_rng(4)
    video = video_of(painted(things(rng), rng))
    one, other = propose_tracks(video), propose_tracks(video)
    assert [track.to_dict() for track in one] == [track.to_dict() for track in other]


@pytest.mark.parametrize("count", [1, FRAMES])
@pytest.mark.parametrize("size", [(1, 1), (2, 5), (SIZE, SIZE)])
def test_a_blank_video_gives_the_whole_frame(count, size):
    video = video_of(np.full((count, *size, 3), 90, np.uint8))
    (track,) = propose_tracks(video)
    assert track.frames.tolist() == list(video.indices)
    assert (track.boxes == [0, 0, size[1], size[0]]).all()


@pytest.mark.parametrize("size", [(SIZE, SIZE), (31, 300)])
def test_noise_gives_boxes_within_the_frame(size):
    rng = np.random.default_rng(5)
    tracks = propose_tracks(video_of(rng.integers(0, 256, (4, *size, 3), dtype=np.uint8)))
    assert 1 <= len(tracks) <= ProposerConfig().limit
    for track in tracks:
        assert (track.boxes >= 0).all()
        assert (track.boxes <= [size[1], size[0]] * 2).all()


def test_tracks_come_by_persistence_times_area_and_no_more_than_the_limit():
    clip = [Thing("square", COLOURS[0], "rest", 12 + 16 * k, 28, 4 + k) for k in range(3)]
    video = video_of(painted(clip, np.random.default_rng(6)))
    tracks = propose_tracks(video)
    volumes = [sum((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in t.boxes.tolist()) for t in tracks]
    assert volumes == sorted(volumes, reverse=True)
    (largest,) = propose_tracks(video, config=ProposerConfig(limit=1))
    assert largest.to_dict() == tracks[0].to_dict()


def region(x: float, colour: int) -> Region:
    return Region(np.array([x, 10.0, x + 10, 20.0]), np.full(3, float(colour)))


def test_links_are_the_cheapest_over_all_pairs_and_bridge_a_gap():
    seen = [[region(0, 50), region(12, 200)], [region(6, 200), region(4, 50)], [], [region(5, 50)]]
    dark, light = link_regions(seen)
    assert [item.colour[0] for item in dark.values()] == [50, 50, 50]
    assert list(dark) == [0, 1, 3]
    assert list(light) == [0, 1]


def test_a_chain_ends_after_the_longest_gap():
    gap: list[list[Region]] = [[]]
    config = ProposerConfig(longest_gap=2)
    assert len(link_regions([[region(0, 50)], *gap * 2, [region(0, 50)]], config=config)) == 1
    assert len(link_regions([[region(0, 50)], *gap * 3, [region(0, 50)]], config=config)) == 2


def test_a_piece_continues_a_chain_but_begins_none():
    piece = replace(region(0, 50), piece_of=0)
    assert len(link_regions([[region(3, 90), piece], [region(3, 90), piece]])) == 1
    whole = Region(np.array([0.0, 0.0, 40.0, 40.0]), np.full(3, 90.0))
    (chain,) = link_regions([[region(0, 50)], [whole, piece]])
    assert chain[1] is piece


@pytest.mark.parametrize("change", [{"limit": 0}, {"shortest": 0.0}, {"largest": 1.5}])
def test_a_number_out_of_range_is_named(change):
    (name,) = change
    with pytest.raises(ValueError, match=f"^{name} is "):
        ProposerConfig(**change)


def heatmap(values: torch.Tensor) -> Heatmap:
    frames, rows, columns = values.shape
    sources = tuple((4 * frame, 4 * frame + 1, 4 * frame + 2) for frame in range(frames))
    return Heatmap(values, Cells(sources, rows, columns, (0.0, 0.0, 10.0 * columns, 5.0 * rows)))


def test_the_bright_parts_of_a_map_are_boxed_brightest_first():
    values = torch.zeros(3, 4, 5)
    values[0, 1, 1:3] = 0.7
    values[1, 1:3, 2] = 0.8
    values[2, 3, 4] = 1.0
    brightest, other = heatmap_tracks(heatmap(values))
    assert brightest.frames.tolist() == [9]
    assert brightest.boxes.tolist() == [[40, 15, 50, 20]]
    assert other.frames.tolist() == [1, 5]
    assert other.boxes.tolist() == [[10, 5, 30, 10], [20, 5, 30, 15]]
    assert len(heatmap_tracks(heatmap(values), limit=1)) == 1


def test_scaling_a_map_or_reversing_it_leaves_its_parts_where_they_are():
    values = torch.rand(4, 6, 6, generator=torch.Generator().manual_seed(0)) ** 8
    parts = [track.to_dict() for track in heatmap_tracks(heatmap(values))]
    assert [track.to_dict() for track in heatmap_tracks(heatmap(values * 3e-5))] == parts
    assert [track.to_dict() for track in heatmap_tracks(heatmap(values).reversed())] == parts


def test_a_map_of_zeros_has_no_parts():
    assert heatmap_tracks(heatmap(torch.zeros(2, 3, 3))) == ()


def test_things_that_touch_in_a_picture_are_boxed_together_and_alone():
    picture = np.full((90, 160, 3), 200, np.uint8)
    picture[30:60, 20:60], picture[30:60, 60:90] = COLOURS[0], COLOURS[2]
    picture[60:80, 110:140] = COLOURS[1]
    found = [track.boxes[0].tolist() for track in propose_tracks(read_image(picture))]
    both, alone = [20, 30, 90, 60], [[20, 30, 60, 60], [60, 30, 90, 60], [110, 60, 140, 80]]
    assert sorted(found) == sorted([both, *alone])


def test_a_picture_without_anything_in_it_is_one_box():
    even = read_image(np.full((40, 60, 3), 99, np.uint8))
    assert [track.boxes.tolist() for track in propose_tracks(even)] == [[[0, 0, 60, 40]]]


def test_the_noise_of_a_background_is_measured_and_not_that_of_what_lies_on_it():
    noise = np.random.default_rng(0).normal(0, 20, (80, 120, 3))
    slope = np.linspace(60, 160, 120)[None, :, None] + np.zeros((80, 120, 3))
    smooth = slope.astype(np.uint8)
    smooth[20:40, 20:50] = (255, 0, 0)
    assert measure_noise(smooth) < 1
    # Single pixels of noise are smoothed away first; blocks of it are not.
    rough = (slope + np.kron(noise[::8, ::8], np.ones((8, 8, 1)))).clip(0, 255).astype(np.uint8)
    assert 12 < measure_noise(rough) < 28
