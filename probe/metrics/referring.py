"""Agreement of a response map with the one thing that a sentence means in a picture.

PointM, PointIt, mIoU and oIoU as in weakly supervised referring segmentation (TRIS, Liu et al.
2023; PCNet, Yang et al. 2024). Maps are at the size of the picture, which is the size of the mask.
Each sentence counts once, however many mean the same thing; one that failed counts as zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

RESPONSE_THRESHOLD = 1e-9
"""The value above which a pixel of a map counts as found. The paper says 0; its released code
normalises the map and compares with this, which is the same but for rounding."""


@dataclass(frozen=True)
class ReferringScore:
    """The figures of one sentence."""

    in_mask: bool
    """True if the strongest pixel of the map lies in the true mask."""

    in_box: bool
    """True if it lies in the true box."""

    intersection: int
    """Pixels that are found and true."""

    union: int
    """Pixels that are found or true."""

    @property
    def iou(self) -> float:
        """Found and true pixels over found or true pixels; 0 if there are none."""
        return self.intersection / max(self.union, 1)

    @classmethod
    def fail(cls, truth: Bool[np.ndarray, "height width"]) -> "ReferringScore":
        """Make the score of a sentence that could not be answered: nothing is found."""
        return cls(in_mask=False, in_box=False, intersection=0, union=int(truth.sum()))


@dataclass(frozen=True)
class ReferringScores:
    """Figures of a set of sentences, each from 0 to 1."""

    sentences: int
    point_m: float
    """Share of sentences with the strongest pixel in the true mask (PointM)."""

    point_it: float
    """Share of sentences with the strongest pixel in the true box (PointIt)."""

    mean_iou: float
    """Mean of the sentences' IoU (mIoU)."""

    overall_iou: float
    """All found and true pixels over all found or true pixels, so that large things count more
    (oIoU)."""


def find_peak(response: Float[np.ndarray, "height width"]) -> tuple[int, int] | None:
    """Find the row and column of the strongest pixel; None for a map without any response.

    Of equal pixels, the one nearest to their middle is taken. A map of few cells that is enlarged
    bilinearly has many where a cell at the border is strongest, and the first of them, in reading
    order, would be at the very edge of the picture.

    >>> find_peak(np.array([[0.7, 0.7, 0.7, 0.2]]))
    (0, 1)
    """
    # A plain `argmax` takes pixel (0, 0) of an empty map, which may lie in a mask by accident.
    if not response.max() > 0:
        return None
    strongest = np.argwhere(response == response.max())
    distances = np.square(strongest - strongest.mean(axis=0)).sum(axis=1)
    row, column = strongest[distances.argmin()].tolist()
    return row, column


def score_response(
    response: Float[np.ndarray, "height width"],
    truth: Bool[np.ndarray, "_ _"],
    box: Float[np.ndarray, " 4"],
    threshold: float = RESPONSE_THRESHOLD,
) -> ReferringScore:
    """Compare a response map with the true mask and box.

    >>> response = np.array([[0.0, 0.5, 1.0], [0.0, 0.0, 0.2]])
    >>> truth = np.array([[False, True, True], [False, True, False]])
    >>> score_response(response, truth, np.array([1.0, 0.0, 3.0, 2.0]))
    ReferringScore(in_mask=True, in_box=True, intersection=2, union=4)

    Args:
        response: The map at the size of the picture, not negative.
        truth: The true mask.
        box: Edges of the true box: left, top, right, bottom, in pixels.
        threshold: The value above which a pixel counts as found.

    Raises:
        ValueError: if the sizes differ.
    """
    score = score_found(response > threshold, truth)
    peak = find_peak(response)
    if peak is None:
        return score
    row, column = peak
    # A pixel is the square from its number to the next; its middle is inside or not.
    left, top, right, bottom = box.tolist()
    inside = left <= column + 0.5 <= right and top <= row + 0.5 <= bottom
    return ReferringScore(bool(truth[peak]), inside, score.intersection, score.union)


def score_found(
    found: Bool[np.ndarray, "height width"], truth: Bool[np.ndarray, "_ _"]
) -> ReferringScore:
    """Compare a mask, such as a segmenter's, with the true one; it has no strongest pixel.

    >>> score_found(np.array([[True, True]]), np.array([[False, True]])).iou
    0.5

    Raises:
        ValueError: if the sizes differ.
    """
    if found.shape != truth.shape:
        raise ValueError(
            f"a map of {found.shape} and a mask of {truth.shape}; give both at the picture's size"
        )
    shared, either = int((found & truth).sum()), int((found | truth).sum())
    return ReferringScore(in_mask=False, in_box=False, intersection=shared, union=either)


def average_scores(scores: Sequence[ReferringScore]) -> ReferringScores:
    """Compute PointM, PointIt, mIoU and oIoU of a set of sentences.

    >>> small = ReferringScore(in_mask=True, in_box=True, intersection=1, union=2)
    >>> large = ReferringScore(in_mask=False, in_box=True, intersection=0, union=8)
    >>> average_scores([small, large])
    ReferringScores(sentences=2, point_m=0.5, point_it=1.0, mean_iou=0.25, overall_iou=0.1)

    Raises:
        ValueError: if there are no sentences.
    """
    if not scores:
        raise ValueError("there are no sentences to score; give at least one")
    shared, either = sum(one.intersection for one in scores), sum(one.union for one in scores)
    return ReferringScores(
        len(scores),
        float(np.mean([one.in_mask for one in scores])),
        float(np.mean([one.in_box for one in scores])),
        float(np.mean([one.iou for one in scores])),
        shared / max(either, 1),
    )
