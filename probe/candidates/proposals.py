"""Candidate tracks without a detector: regions unlike their background, linked over time.

This needs no weights and knows no object names. It suits clips with a plain background or a still
camera. On textured grounds, or where things touch, `probe.propose_nested_tracks` finds more; for
real videos in general, give the tracks of a detector (`probe.load_tracks`).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image, ImageFilter
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from probe.candidates.areas import box_areas, label_colours, label_components, pairwise_iou
from probe.candidates.detections import box_around
from probe.engine.attention import Heatmap
from probe.video import Tube, Video

MAD_TO_SIGMA = 1.4826
"""A Gaussian's standard deviation over its median absolute deviation."""


@dataclass(frozen=True)
class ProposerConfig:
    """Every number of the proposer. Colours are levels from 0 to 255."""

    long_side: int = 128
    """Greatest width or height of the pictures searched: finer detail costs time and finds no
    more."""

    fitted: int = 2000
    """Greatest number of pixels, roughly, on an even grid, to which the background is fitted."""

    background_degree: int = 2
    """Degree of the surface fitted to each colour: a gradient and a vignette, but not an object."""

    background_share: float = 0.6
    """Share of the pixels, the nearest, to which the surface is fitted; the others may be
    objects."""

    background_rounds: int = 5
    """Number of times that the surface is fitted and its pixels are chosen again, until it hardly
    changes."""

    noise_floor: float = 2.0
    """Least noise in levels: with less, compression steps of a clean picture would be found."""

    threshold: float = 7.0
    """Distance from the background, in noise scales, from which a pixel may belong to an object:
    one pixel of texture in 10^4 is that far, pixels of objects always are."""

    smallest: float = 0.002
    """Least area as a share of the frame: less than that of a shrunken object, more than that of a
    grain of noise."""

    largest: float = 0.5
    """Greatest box area as a share of the frame: a larger region is background."""

    colour_step: float = 40.0
    """Distance of two neighbouring colours, in levels, at which a region may be divided."""

    colour_unit: float = 80.0
    """Change of mean colour, in levels, that counts as much as a move by one object size."""

    gate: float = 3.0
    """Greatest cost of a link: the move in object sizes, plus lost overlap, plus change of
    colour."""

    longest_gap: int = 3
    """Sampled frames that a track may miss before it ends: its object may be hidden, or touch
    another, for a moment."""

    shortest: float = 0.3
    """Least share of the sampled frames in which a track must be seen: objects do not flicker."""

    limit: int = 20
    """Greatest number of tracks: with more, the noise of the heatmap would choose among them."""

    def __post_init__(self) -> None:
        for name in ("long_side", "fitted", "background_rounds", "limit"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("background_share", "smallest", "largest", "shortest"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; a share is above 0, at most 1")


@dataclass(frozen=True, eq=False)
class Region:
    """A connected part of one sampled frame that is unlike its background."""

    box: Float[np.ndarray, " 4"]
    """In pixels of the reduced picture."""

    colour: Float[np.ndarray, " 3"]
    """Mean colour in levels."""

    piece_of: int | None = None
    """The number of the region of the same frame of which this is one colour; None for a region
    that is no piece of another."""


def propose_tracks(video: Video, *, config: ProposerConfig = ProposerConfig()) -> tuple[Tube, ...]:
    """Propose tracks of regions that are unlike their background in the sampled frames.

    The colour of such a region is far from a smooth surface fitted to the frame, or from the usual
    colour of the same place over time. If there is none, the answer is one track that covers the
    whole frame: there is always a candidate. The same video always gives the same tracks. In a
    picture, where only the surface tells an object, each colour of a region is a candidate, too.

    Returns:
        The tracks by their area summed over frames, greatest first.
    """
    height, width = video.size
    pictures = reduce_frames(video.frames, config.long_side)
    # The median over time: the still parts of the scene, without objects that move through it.
    usual = np.median(pictures, axis=0)
    usual_distance = _distance(usual - fit_surface(usual, config), config)
    regions = [_find_regions(picture, usual, usual_distance, config) for picture in pictures]
    chains = link_regions(regions, config=config)
    if video.is_still:  # no other frame tells which colours of a region belong together
        chains = [{0: region} for region in regions[0]]
    chains = [chain for chain in chains if len(chain) >= round(config.shortest * len(regions))]
    scale = np.array([width / pictures.shape[2], height / pictures.shape[1]] * 2)
    indices = np.asarray(video.indices, dtype=np.int64)
    tracks = [
        Tube(indices[list(chain)], np.stack([region.box for region in chain.values()]) * scale)
        for chain in chains
    ]
    tracks.sort(key=lambda track: float(box_areas(track.boxes).sum()), reverse=True)
    whole = np.tile(np.array([0.0, 0.0, width, height]), (len(indices), 1))
    return tuple(tracks[: config.limit]) or (Tube(indices, whole),)


def measure_noise(picture: UInt8[np.ndarray, "height width 3"]) -> float:
    """Measure how far most of a picture is from a smooth surface, in levels of colour."""
    config = ProposerConfig()
    (reduced,) = reduce_frames(picture[None], config.long_side)
    away = take_grid(reduced - fit_surface(reduced, config), config)
    return float(MAD_TO_SIGMA * np.median(np.abs(away)))


def heatmap_tracks(heatmap: Heatmap, limit: int = 5, *, share: float = 0.5) -> tuple[Tube, ...]:
    """Make candidates of the bright parts of the map itself, brightest first.

    A part is a set of cells that touch along rows, columns or frames. Its box in a map frame
    contains its cells, and belongs to the middle of the source frames that the map frame covers.

    Args:
        heatmap: The map.
        limit: Greatest number of candidates.
        share: Least value of a cell of a part, as a share (0 to 1) of the greatest in the map.

    Returns:
        One track for each part; none for a map without a positive value.
    """
    values = heatmap.values.detach().float().cpu().numpy()
    if values.max() <= 0:
        return ()
    labels = label_components(values >= share * values.max())
    peaks = ndimage.maximum(values, labels, range(1, int(labels.max()) + 1))
    # A stable order: of parts that are equally bright, the first comes first on every machine.
    brightest_first = 1 + np.argsort(-np.asarray(peaks), kind="stable")
    return tuple(_cells_tube(labels == part, heatmap) for part in brightest_first[:limit])


def with_heatmap_tracks(tracks: Sequence[Tube], heatmap: Heatmap) -> tuple[Tube, ...]:
    """Add the bright parts of the map to the tracks, if no track touches its brightest cell.

    If a track does, the map adds nothing: its boxes are coarse, and there is a candidate already.
    """
    taken = np.max([heatmap.cells.coverage(track) for track in tracks], axis=0) > 0
    unseen = heatmap.values.masked_fill(torch.from_numpy(taken).to(heatmap.values.device), 0)
    elsewhere = Heatmap(unseen, heatmap.cells)
    if float(unseen.max()) < float(heatmap.values.max()):
        return tuple(tracks)
    return (*tracks, *heatmap_tracks(elsewhere))


def link_regions(
    regions: Sequence[Sequence[Region]], *, config: ProposerConfig = ProposerConfig()
) -> list[dict[int, Region]]:
    """Link regions of successive frames to chains.

    Frame by frame, the open chains and the new regions are paired at the least total cost
    (Hungarian assignment). A piece of a region can only continue a chain, never begin one: pieces
    are for objects that touch another, or are surrounded by another colour for a while.

    Returns:
        Chains of regions by the position of their frame among the sampled ones, in order.
    """
    chains: list[dict[int, Region]] = []
    for frame, found in enumerate(regions):
        open_chains = [chain for chain in chains if frame - max(chain) <= config.longest_gap + 1]
        taken: set[int] = set()
        for chain, index in _pair([chain[max(chain)] for chain in open_chains], found, config):
            open_chains[chain][frame] = found[index]
            # Once a piece is taken, the region around it begins no chain of its own.
            whole = found[index].piece_of
            taken |= {index} if whole is None else {index, whole}
        chains += [
            {frame: region}
            for index, region in enumerate(found)
            if region.piece_of is None and index not in taken
        ]
    return chains


def _pair(
    before: Sequence[Region], now: Sequence[Region], config: ProposerConfig
) -> list[tuple[int, int]]:
    if not before or not now:
        return []
    costs = _link_costs(before, now, config)
    # More than all allowed pairs together, and finite, so that as many are paired as can be.
    never = 2 * config.gate * costs.size
    rows, columns = linear_sum_assignment(np.where(costs > config.gate, never, costs))
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return [(row, column) for row, column in pairs if costs[row, column] <= config.gate]


def _link_costs(
    before: Sequence[Region], now: Sequence[Region], config: ProposerConfig
) -> Float[np.ndarray, "old new"]:
    """Compute the cost of each link: move in object sizes, lost overlap, change of colour."""
    old, new = (np.stack([region.box for region in regions]) for regions in (before, now))
    sizes = np.sqrt(np.maximum(box_areas(old)[:, None], box_areas(new)))
    sides = old[:, None] - new
    moves = np.linalg.norm(sides[..., :2] + sides[..., 2:], axis=-1) / 2
    was, became = (np.stack([region.colour for region in regions]) for regions in (before, now))
    changes = np.linalg.norm(was[:, None] - became, axis=-1) / math.sqrt(3)
    return moves / sizes + 1 - pairwise_iou(old, new) + changes / config.colour_unit


def reduce_frames(
    frames: UInt8[np.ndarray, "frame height width 3"], long_side: int
) -> Float[np.ndarray, "frame row column 3"]:
    """Reduce frames to at most `long_side` pixels, and remove noise of single pixels."""
    height, width = frames.shape[1:3]
    scale = min(1.0, long_side / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    reduced = (Image.fromarray(frame).resize(size, Image.Resampling.BOX) for frame in frames)
    median = ImageFilter.MedianFilter(3)  # keeps edges, which a mean would wash out
    return np.stack([np.asarray(picture.filter(median), np.float32) for picture in reduced])


def fit_surface(
    picture: Float[np.ndarray, "row column 3"], config: ProposerConfig
) -> Float[np.ndarray, "row column 3"]:
    """Fit the smooth surface that is nearest to most of the picture.

    This is least trimmed squares by concentration steps (Rousseeuw and Van Driessen, 2006), started
    from the median colour: objects are left out of the fit as long as they cover less than the
    trimmed share.
    """
    y, x = (np.linspace(-1, 1, side, dtype=np.float32) for side in picture.shape[:2])
    degree = config.background_degree
    powers = [(i, j) for i in range(degree + 1) for j in range(degree + 1 - i)]
    terms = np.stack([y[:, None] ** i * x**j for i, j in powers], axis=-1)
    # The fit is around the median colour, from which the first round starts with weights of 0.
    usual = np.median(take_grid(picture, config), axis=0)
    design, colours = take_grid(terms, config), take_grid(picture, config) - usual
    weights = np.zeros((len(powers), 3), np.float32)
    kept = max(1, int(config.background_share * len(colours)))
    for _ in range(config.background_rounds):
        nearest = np.argpartition(((colours - design @ weights) ** 2).sum(1), kept - 1)[:kept]
        weights = np.linalg.lstsq(design[nearest], colours[nearest], rcond=None)[0]
    return usual + terms @ weights


def take_grid(
    picture: Float[np.ndarray, "row column value"], config: ProposerConfig
) -> Float[np.ndarray, "pixel value"]:
    """Return the pixels of an even grid over the picture, about `config.fitted` at most."""
    step = math.ceil(math.sqrt(picture.shape[0] * picture.shape[1] / config.fitted))
    return picture[::step, ::step].reshape(-1, picture.shape[2])


def _distance(
    difference: Float[np.ndarray, "row column 3"], config: ProposerConfig
) -> Float[np.ndarray, "row column"]:
    """Compute the length of each pixel's difference, in robust standard deviations."""
    # By the median, which objects do not raise, for each colour on its own.
    noise = MAD_TO_SIGMA * np.median(np.abs(take_grid(difference, config)), axis=0)
    return np.linalg.norm(difference / np.maximum(noise, config.noise_floor), axis=-1)


def _find_regions(
    picture: Float[np.ndarray, "row column 3"],
    usual: Float[np.ndarray, "row column 3"],
    usual_distance: Float[np.ndarray, "row column"],
    config: ProposerConfig,
) -> list[Region]:
    """Find the regions of one frame that are unlike its surface, or unlike the usual picture.

    Where an object has left its usual place, the frame differs from the usual picture too. There,
    the usual picture is farther from its own surface than the frame is, and this is no region.
    """
    distance = _distance(picture - fit_surface(picture, config), config)
    parts = _find_parts(distance > config.threshold, config)
    for part in _find_parts(_distance(picture - usual, config) > config.threshold, config):
        deserted = distance[part].mean() < usual_distance[part].mean()
        if not deserted and not any((part & known).any() for known in parts):
            parts.append(part)
    pieces = _divide(picture, parts, config)
    return [
        *(Region(_edges(part), picture[part].mean(0)) for part in parts),
        *(Region(_edges(piece), picture[piece].mean(0), whole) for whole, piece in pieces),
    ]


def _divide(
    picture: Float[np.ndarray, "row column 3"],
    parts: Sequence[Bool[np.ndarray, "row column"]],
    config: ProposerConfig,
) -> Iterator[tuple[int, Bool[np.ndarray, "row column"]]]:
    """Divide parts at steps in colour; give the pieces of those that have several.

    Returns:
        Pairs of the number of a part and the pixels of one piece of it.
    """
    if not parts:
        return
    # All parts at once: one search for connected components is cheaper than many.
    areas = label_colours(picture, np.any(parts, axis=0), config.colour_step)
    for whole, part in enumerate(parts):
        names, sizes = np.unique(areas[part], return_counts=True)
        large = names[sizes >= config.smallest * part.size]
        if len(large) > 1:
            yield from ((whole, part & (areas == name)) for name in large)


def _find_parts(
    mask: Bool[np.ndarray, "row column"], config: ProposerConfig
) -> list[Bool[np.ndarray, "row column"]]:
    """Find the connected parts of a mask that are neither too small nor too large, holes filled."""
    labels = label_components(np.asarray(ndimage.binary_fill_holes(mask)))
    areas = np.bincount(labels.ravel())[1:]
    parts = []
    for index, place in enumerate(ndimage.find_objects(labels)):
        height, width = (side.stop - side.start for side in place)
        extent = height * width / mask.size
        if areas[index] >= config.smallest * mask.size and extent <= config.largest:
            parts.append(labels == index + 1)
    return parts


def _edges(part: Bool[np.ndarray, "row column"]) -> Float[np.ndarray, " 4"]:
    """Return the edges of the box that contains a part, which has at least one pixel."""
    box = box_around(part)
    assert box is not None
    return box


def _cells_tube(cells: Bool[np.ndarray, "frame row column"], heatmap: Heatmap) -> Tube:
    """Make a tube of boxes that contain these cells, at the middle source frame of each frame."""
    boxes: dict[int, Float[np.ndarray, " 4"]] = {}
    for frame in np.nonzero(cells.any((1, 2)))[0]:
        left, top, right, bottom = _edges(cells[frame]).astype(int).tolist()
        first, last = heatmap.cells.box(top, left), heatmap.cells.box(bottom - 1, right - 1)
        sources = heatmap.cells.frames[frame]
        boxes[sources[len(sources) // 2]] = np.array([*first[:2], *last[2:]])
    frames: Int[np.ndarray, " box"] = np.array(sorted(boxes), dtype=np.int64)
    return Tube(frames, np.stack([boxes[frame] for frame in frames.tolist()]))
