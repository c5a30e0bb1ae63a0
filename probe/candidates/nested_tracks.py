"""Candidate tracks on textured grounds: many regions in each frame, and the best ways through them.

`propose_tracks` gives few candidates, of things that lie apart on a plain ground. This gives more
of them, also of things that touch, on grounds with texture and under a slowly moving camera.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from probe.candidates.areas import box_areas
from probe.candidates.nested_regions import Regions, find_nested_regions
from probe.candidates.proposals import ProposerConfig, reduce_frames
from probe.video import Tube, Video, box_iou

Way = tuple[tuple[int, int], ...]
"""Steps of a track: position of a frame among the sampled ones, and number of a region in it."""


@dataclass(frozen=True)
class NestedConfig:
    """Numbers of linking and choosing; those of `regions` hold for sizes, colours and gaps."""

    gate: float = 1.0
    """Greatest cost of a link: the move in object sizes, plus change of size, plus change of
    colour. A link earns up to 1, and nothing at the gate."""

    skip: float = 0.3
    """Cost of each sampled frame that a link leaves out."""

    same: float = 0.7
    """Mean box overlap (IoU) from which two tracks are one, of which the better is kept."""

    within: float = 0.9
    """Mean share of a track's boxes inside those of a longer and likelier one from which it is a
    fragment of that one and left out; above 1 all are kept. `CausalEffect` divides by the root of
    the size, and so takes a piece of the right thing for the thing. Tried on `things-val` alone."""

    limit: int = 20
    """Greatest number of tracks."""

    regions: ProposerConfig = field(default_factory=ProposerConfig)

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ValueError(f"limit is {self.limit}; it must be at least 1")
        for name in ("gate", "same", "within"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be above 0")


def propose_nested_tracks(
    video: Video, *, config: NestedConfig = NestedConfig()
) -> tuple[Tube, ...]:
    """Propose tracks of regions that differ from the ground's colours, likeliest things first.

    It assumes that most of each frame is ground, which has few colours, light and dark; that
    things differ from these in hue, or greatly in brightness; and that from one sampled frame to
    the next a thing moves by less than its size. It knows no kinds of things. Several candidates
    may be parts of one thing, or groups of things that touch: a rule has to choose. Without any
    region, the answer is one track of the whole frame. The same video always gives the same tracks.

    Returns:
        Tracks in the order of their score, at most `config.limit`. Between the first and the last
        frame in which a region was found, missing boxes are filled in on straight lines.
    """
    height, width = video.size
    pictures = reduce_frames(video.frames, config.regions.long_side)
    found = [find_nested_regions(picture, config=config.regions) for picture in pictures]
    ways = find_best_ways(found, config=config)
    scale = np.array([width / pictures.shape[2], height / pictures.shape[1]] * 2)
    tracks = [_make_track(way, found, scale, video) for way in ways]
    chosen: list[Tube] = []
    whole: list[Float[np.ndarray, "frame 4"]] = []
    for track in tracks:
        # Also in frames before and after it: two halves of a track are no two things.
        boxes = track.interpolated(video.indices).boxes
        if any(box_iou(boxes, known).mean() >= config.same for known in whole):
            continue
        if any(_measure_share_within(track, known) >= config.within for known in chosen):
            continue
        chosen.append(track)
        whole.append(boxes)
        if len(chosen) == config.limit:
            break
    everything = np.tile(np.array([0.0, 0.0, width, height]), (len(video.indices), 1))
    return tuple(chosen) or (Tube(video.indices, everything),)


def find_best_ways(found: Sequence[Regions], *, config: NestedConfig = NestedConfig()) -> list[Way]:
    """Find for each region the best way through the frames that contains it, best ways first.

    The score of a way is the likeness of its regions and what its links earn, summed. Each region
    has one best predecessor and one best successor (dynamic programming), but many may share one:
    a thing that is hidden in a group for a while leaves it again. Ways that few frames show are
    left out.
    """
    earned = _rate_links(found, config)
    before = [regions.likeness.copy() for regions in found]
    after = [regions.likeness.copy() for regions in found]
    came: dict[tuple[int, int], tuple[int, int]] = {}
    goes: dict[tuple[int, int], tuple[int, int]] = {}
    # In the order of time, so that the score of a way up to its last step is complete.
    for (first, then), links in sorted(earned.items(), key=lambda link: link[0][1]):
        score = before[first][:, None] + links + found[then].likeness
        _improve(before[then], score.max(0), came, then, first, score.argmax(0))
    for (first, then), links in sorted(earned.items(), key=lambda link: -link[0][0]):
        score = after[then] + links + found[first].likeness[:, None]
        _improve(after[first], score.max(1), goes, first, then, score.argmax(1))
    scores: dict[Way, float] = {}
    for frame, regions in enumerate(found):
        for number in range(len(regions)):
            step = frame, number
            way = (*_follow(step, came)[::-1], step, *_follow(step, goes))
            own = before[frame][number] + after[frame][number] - regions.likeness[number]
            scores[way] = float(own)
    least = round(config.regions.shortest * len(found))
    ways = [way for way in scores if len(way) >= least]
    return sorted(ways, key=lambda way: -scores[way])


def _rate_links(
    found: Sequence[Regions], config: NestedConfig
) -> dict[tuple[int, int], Float[np.ndarray, "old new"]]:
    """Compute what each link between two frames earns; minus infinity beyond the gate."""
    earned = {}
    for first in range(len(found)):
        last = min(len(found), first + config.regions.longest_gap + 2)
        for then in range(first + 1, last):
            if len(found[first]) and len(found[then]):
                cost = _cost_links(found[first], found[then], config.regions.colour_unit)
                gain = 1 - cost / config.gate - config.skip * (then - first - 1)
                earned[first, then] = np.where(gain > 0, gain, -np.inf)
    return earned


def _cost_links(old: Regions, new: Regions, unit: float) -> Float[np.ndarray, "old new"]:
    """Compute the cost of each link: move in object sizes, change of size, change of colour."""
    areas, others = box_areas(old.boxes)[:, None], box_areas(new.boxes)
    sides = old.boxes[:, None] - new.boxes
    moves = np.linalg.norm(sides[..., :2] + sides[..., 2:], axis=-1) / 2
    was, became = (regions.boxes[:, 2:] - regions.boxes[:, :2] for regions in (old, new))
    # The overlap of the boxes with their centres at one place: the move is counted already.
    shared = np.minimum(was[:, None], became).prod(-1)
    changes = np.linalg.norm(old.colours[:, None] - new.colours, axis=-1) / math.sqrt(3)
    return (
        moves / np.sqrt(np.maximum(areas, others))
        + (1 - shared / (areas + others - shared))
        + changes / unit
    )


def _improve(
    best: Float[np.ndarray, " region"],
    score: Float[np.ndarray, " region"],
    links: dict[tuple[int, int], tuple[int, int]],
    frame: int,
    linked: int,
    numbers: np.ndarray,
) -> None:
    """Take, in place, those links to another frame with which the score of a region is higher."""
    for region in np.flatnonzero(score > best).tolist():
        best[region] = score[region]
        links[frame, region] = linked, int(numbers[region])


def _follow(
    step: tuple[int, int], links: dict[tuple[int, int], tuple[int, int]]
) -> list[tuple[int, int]]:
    """Follow links from a step to the end."""
    steps = []
    while step in links:
        step = links[step]
        steps.append(step)
    return steps


def _measure_share_within(track: Tube, longer: Tube) -> float:
    """Measure the mean share of a track's boxes inside a longer track; 0 if that is not longer."""
    if len(track.frames) >= len(longer.frames) or not np.isin(track.frames, longer.frames).all():
        return 0.0
    own, other = track.boxes, longer.boxes[np.isin(longer.frames, track.frames)]
    sides = np.minimum(own[:, 2:], other[:, 2:]) - np.maximum(own[:, :2], other[:, :2])
    return float((np.maximum(sides, 0).prod(1) / box_areas(own)).mean())


def _make_track(
    way: Way, found: Sequence[Regions], scale: Float[np.ndarray, " 4"], video: Video
) -> Tube:
    indices = np.asarray(video.indices, dtype=np.int64)
    places = [frame for frame, _ in way]
    boxes = np.stack([found[frame].boxes[number] for frame, number in way]) * scale
    seen = Tube(indices[places], boxes)
    return seen.interpolated(indices[places[0] : places[-1] + 1])
